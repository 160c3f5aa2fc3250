//! Reloads schedules on a blocking thread, because reading a folder may be slow.

use super::{ClockLoop, NamedCalendars, Wanted, commands::by, status};
use crate::{
    diagnostic::counted,
    engine::{Asker, Author, ClockState, CreatedCalendar, Input, Notice},
    schedule::Calendars,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{Span, error, info_span};

/// Characters of what is wrong with the files that are shown with every status.
const SHOWN: usize = 4_000;

/// The beginning of a long list of faults, for the status.
fn in_brief(why: &str) -> String {
    match why.char_indices().nth(SHOWN) {
        None => why.to_owned(),
        Some((end, _)) => {
            let shown = &why[..end];
            let whole = shown.rfind('\n').map_or(shown, |end| &shown[..end]);
            format!("{whole}\n… (khronos check shows more)")
        }
    }
}

/// Schedules that a reload has read.
pub(super) struct Loaded(Result<Wanted, String>);

/// Who wants to know how a reload ended, and who he is.
pub(super) type Waits = (oneshot::Sender<Result<String, String>>, Option<Box<Asker>>);
type Waiting = Vec<Waits>;

/// One reload at a time: what was read earlier never replaces what was read later, and however many are asked for, one
/// thread reads. Those asked for meanwhile are one more, for the files may have changed since they were looked at.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    /// Of the last one that was begun; in every line of the log about it. The start is 0.
    number: u64,
    /// Who waits for the one under way.
    under_way: Option<Waiting>,
    /// Who waits for the next one.
    next: Option<Waiting>,
    /// What the load that ended last has changed.
    summary: Option<String>,
    /// Schedules of the files that it did not take in, for the names exist at run time.
    pub(super) taken: Option<String>,
}

impl Reloads {
    /// Whether one is to be begun now.
    fn ask(&mut self, wants_to_know: Option<Waits>) -> bool {
        let begins = self.under_way.is_none();
        let waiting = if begins { &mut self.under_way } else { &mut self.next }.get_or_insert_default();
        // A file system that hangs is asked again and again by those who did not wait.
        waiting.retain(|(reply, _)| !reply.is_closed());
        waiting.extend(wants_to_know);
        self.number += u64::from(begins);
        begins
    }

    /// A name of the files was created at run time.
    fn note_taken(&mut self, notice: &Notice) {
        let before = self.taken.take().map_or(String::new(), |before| format!("{before}; "));
        self.taken = Some(format!("{before}{notice}"));
    }

    /// Who asked for the one under way: if nobody did who is known, the clock itself; but not for what is read at the start.
    fn askers(&self) -> Vec<Asker> {
        let asked = self.under_way.iter().flatten().filter_map(|(_, asker)| asker.as_deref().cloned());
        let asked: Vec<_> = asked.collect();
        match asked.is_empty() && self.number > 0 {
            true => vec![Asker::new(Author::the_clock())],
            false => asked,
        }
    }

    /// The one under way has ended: who waited for it, and whether another one is to be begun.
    fn end(&mut self) -> (Waiting, bool) {
        let waiting = self.under_way.take().unwrap_or_default();
        self.under_way = self.next.take();
        self.number += u64::from(self.under_way.is_some());
        (waiting, self.under_way.is_some())
    }
}

impl ClockLoop {
    /// Those that were read at the start, or why they could not be.
    pub(super) fn begin_with(&mut self, read: Option<Result<Wanted, String>>) {
        match read {
            Some(Ok(accepted)) => self.load(Vec::new(), accepted),
            Some(Err(why)) => self.degraded = Some(in_brief(&why)),
            None => {}
        }
    }

    fn load(&mut self, askers: Vec<Asker>, accepted: Wanted) {
        let calendars = self.calendars.borrow().clone();
        if let Some(calendars) = calendars {
            self.step(Input::Calendars(calendars));
        }
        let load = match accepted {
            Wanted::Files(all) => Input::Load(all),
            Wanted::Kept(_) => Input::LoadKept,
        };
        let load = askers.into_iter().rfold(load, |load, asker| by(Some(Box::new(asker)), load));
        self.step(load);
    }

    /// Has those taken in that were not read yet at the start, once they are.
    pub(super) fn await_late(&mut self) {
        if let Some(late) = self.late.take() {
            self.reloads.under_way = Some(Waiting::new());
            let loaded = self.loaded.0.clone();
            // The loop is gone: nobody needs them any more.
            tokio::spawn(async move { drop(loaded.send(Loaded(late.await)).await) });
        }
    }

    /// Reads the schedules, once those are read that are being read.
    pub(super) fn read_schedules(&mut self, wants_to_know: Option<Waits>) {
        if self.reloads.ask(wants_to_know) {
            self.begin_reload();
        }
    }

    /// On a thread of its own.
    fn begin_reload(&self) {
        let (loader, loaded) = (self.loader.clone(), self.loaded.0.clone());
        let span = self.reload_span();
        let read = move || {
            let mut read = span.in_scope(|| loader());
            if let Ok(all) = &mut read {
                // The engine wants them in the order of names: so it need not sort them while the loop waits.
                all.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
            }
            read.map(Wanted::Files)
        };
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(read).await;
            let read =
                read.unwrap_or_else(|error| Err(format!("reading the schedules ended early: {error}")));
            // The loop is gone: nobody needs them any more.
            drop(loaded.send(Loaded(read)).await);
        });
    }

    /// Each line of the log says which reload it is about.
    fn reload_span(&self) -> Span {
        info_span!("reload", number = self.reloads.number)
    }

    pub(super) fn on_loaded(&mut self, loaded: Loaded) {
        self.reload_span().in_scope(|| self.take_in(loaded));
    }

    /// These are the calendars that there are.
    pub(super) fn tell_calendars(&self, all: Option<Calendars>, created: Vec<Arc<CreatedCalendar>>) {
        self.named.send_replace(NamedCalendars { all, created });
    }

    pub(super) fn on_notice(&mut self, notice: &Notice) {
        status::tell(&self.clock, notice);
        self.counters.notice(notice);
        self.writes.pauses.notice(notice);
        match notice {
            Notice::Loaded(summary) => self.reloads.summary = Some(summary.to_string()),
            Notice::NameTaken { .. } | Notice::CalendarTaken { .. } => self.reloads.note_taken(notice),
            Notice::NameFree { .. } | Notice::CalendarFree { .. } => self.read_schedules(None),
            _ => {}
        }
    }

    fn take_in(&mut self, Loaded(result): Loaded) {
        let said = match result {
            Ok(accepted) => {
                let (read, why) = match &accepted {
                    Wanted::Files(all) => (format!("{} read", counted(all.len(), "schedule")), None),
                    Wanted::Kept(why) => ("the stored schedules stay".to_owned(), why.as_deref()),
                };
                if let Some(why) = why {
                    error!("what the files want is not known; the stored schedules stay in effect\n{why}");
                }
                self.degraded = why.map(in_brief);
                (self.reloads.summary, self.reloads.taken) = (None, None);
                self.load(self.reloads.askers(), accepted);
                // Many go down in pieces, and the log says it then; nothing does while the clock is held.
                let held = matches!(self.engine.clock(), ClockState::Held { .. });
                let then = if held {
                    "; they are taken in once the clock's time is believed, many of them piece by piece"
                } else {
                    ", and loaded piece by piece"
                };
                let later = || format!("{read}{then}");
                let said = self.reloads.summary.take().unwrap_or_else(later);
                // All else is loaded: whoever is told that it was refused would look for what is wrong with it.
                Ok(match &self.reloads.taken {
                    Some(taken) => format!("{said}; but {taken}"),
                    None => said,
                })
            }
            Err(why) => {
                error!("the schedules were read and refused; the last accepted ones stay in effect\n{why}");
                self.degraded = Some(in_brief(&why));
                Err(why)
            }
        };
        self.show_status();
        let (waiting, again) = self.reloads.end();
        for (reply, _) in waiting {
            drop(reply.send(said.clone()));
        }
        if again {
            self.begin_reload();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asker, Author, Reloads, SHOWN, in_brief};
    use crate::engine::THE_CLOCK;

    #[test]
    fn a_reload_is_of_all_who_asked_for_it_and_else_of_the_clock_but_for_the_start() {
        let mut reloads = Reloads::default();
        let mut answers = Vec::new();
        let mut ask = |reloads: &mut Reloads, owner: &str| {
            let (reply, answer) = tokio::sync::oneshot::channel();
            answers.push(answer);
            reloads.ask(Some((reply, Some(Box::new(Asker::new(Author::owner(owner, "a test")))))));
        };
        let of = |reloads: &Reloads| {
            reloads.askers().into_iter().map(|asker| asker.by.owner.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&reloads), [""; 0]);
        ["ann", "bob", "cleo"].into_iter().for_each(|owner| ask(&mut reloads, owner));
        assert_eq!(of(&reloads), ["ann"], "the others may want files that changed since");
        reloads.end();
        assert_eq!(of(&reloads), ["bob", "cleo"]);
        reloads.end();
        reloads.ask(None);
        assert_eq!(of(&reloads), [THE_CLOCK]);
    }

    #[test]
    fn of_much_that_is_wrong_whole_lines_are_shown_and_that_there_is_more() {
        assert_eq!(in_brief("one\ntwo"), "one\ntwo");
        let brief = in_brief(&"é is no key\n".repeat(SHOWN));
        assert!(brief.chars().count() < SHOWN + 50 && brief.ends_with("\n… (khronos check shows more)"));
        assert!(brief.lines().rev().skip(1).all(|line| line == "é is no key"), "{brief}");
        assert!(in_brief(&"é".repeat(SHOWN + 1)).starts_with(&"é".repeat(SHOWN)));
    }
}
