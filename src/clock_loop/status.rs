//! The clock's status, for health checks and people.

use super::{ClockLoop, Degraded, Figures, Status, delayed::Delayed, render};
use crate::{
    clock,
    diagnostic::counted,
    engine::{ClockState, Notice, Refused},
    schedule::id_name,
};
use ponos::{broker::Link, event::Timestamp};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tracing::{error, info, warn};

/// The status is brought up to date at most this often (milliseconds) while nothing notable happens.
const STATUS: i64 = 200;
/// A confirm that takes longer than this (milliseconds) is worth a word.
const SLOW: i64 = 5_000;
/// And so is what waits longer than this (milliseconds) for its domain's ceiling.
const LONG: i64 = 60_000;

/// Whether a status of that time is to be brought up to date, both by the wall clock: the effective now stands still while
/// that one is not believed. A clock that was set back shows less than then.
pub(super) fn is_outdated(shown_at: Timestamp, now: Timestamp) -> bool {
    !(0..STATUS).contains(&now.since(shown_at))
}

impl ClockLoop {
    pub(super) fn show_status(&mut self) {
        self.shown_at = self.stepped_at;
        let (mut degraded, reasons): (Vec<_>, Vec<_>) = self.reasons().into_iter().unzip();
        let (others, warnings): (Vec<_>, Vec<_>) = self.warnings().into_iter().unzip();
        degraded.extend(others);
        let status = Status {
            clock: self.clock.clone(),
            now: clock::now(),
            believed: self.engine.now(),
            reasons,
            warnings,
            degraded,
            paused: self.engine.paused().cloned(),
            paused_by_name: self.engine.count_paused_by_name(),
            link: self.link.borrow().clone(),
            confirmed: self.counters.confirmed,
            returned: self.counters.returned,
            parked: self.engine.parked_events(),
            outstanding: self.engine.outstanding() as u64,
            settled: self.engine.settled(),
            figures: Figures::new(&self.engine, &self.counters),
            ceilings: self.ceilings(),
            delayed: self.delayed.as_ref().map(Delayed::status),
        };
        self.status.send_replace(status);
        self.prove();
    }

    fn reasons(&self) -> Vec<(Degraded, String)> {
        let link = match &*self.link.borrow() {
            Link::Up { .. } => None,
            Link::Down { error: Some(error), .. } => Some(format!("broker: {error}")),
            Link::Down { error: None, .. } => Some("broker: connecting".to_owned()),
            Link::Blocked { reason } => Some(format!("broker: it accepts no messages ({reason})")),
            Link::Closed => Some("broker: closed".to_owned()),
        };
        let clock = match self.engine.clock() {
            ClockState::Steady => None,
            ClockState::Held { .. } => {
                Some("clock: it jumped ahead and is held until it has proved stable".to_owned())
            }
            ClockState::Behind => {
                Some(format!("clock: it is behind {}, which it showed before", self.engine.now()))
            }
        };
        let store = self.store_failing.as_ref().map(|why| format!("store: {why}"));
        let delayed = self.delayed.as_ref().and_then(Delayed::failing);
        let delayed = delayed.map(|why| format!("store of delayed events: {why}"));
        let idle =
            self.degraded.as_ref().filter(|_| self.engine.is_empty()).map(|why| {
                format!("schedules: the files were refused, and none were accepted before: {why}")
            });
        let all = [
            (Degraded::Broker, link),
            (Degraded::Clock, clock),
            (Degraded::Store, self.lapsed()),
            (Degraded::Store, store),
            (Degraded::Store, delayed),
            (Degraded::Schedules, idle),
        ];
        all.into_iter().filter_map(|(what, said)| Some((what, said?))).collect()
    }

    fn warnings(&mut self) -> Vec<(Degraded, String)> {
        let paused = self.engine.paused().map(|pause| {
            format!(
                "{pause}; nothing is sent before it ends (`khronos resume --all --catch-up`, or `--skip`)"
            )
        });
        let by_name = self.engine.first_paused_by_name().map(|(name, pause)| {
            let and = match self.engine.count_paused_by_name() - 1 {
                0 => String::new(),
                others => format!(" and {others} others"),
            };
            format!("{name}{and}: {pause}; see `khronos list --state paused`")
        });
        let refused = self.refused_warning();
        let degraded = self.degraded.as_ref().filter(|_| !self.engine.is_empty()).map(|why| {
            format!("schedules: the files were refused, the last accepted ones are in effect: {why}")
        });
        let taken = self.reloads.taken.as_ref().map(|taken| format!("schedules: {taken}"));
        let unanswered = self.engine.unanswered_since().map(|since| self.engine.now().since(since));
        let unanswered = unanswered.filter(|millis| *millis > SLOW).map(|millis| {
            format!(
                "broker: events sent have not been confirmed for {} s; a queue may have lost its leader, or be overloaded (rabbitmqctl list_queues name type state); it is sent again until it is confirmed",
                millis / 1000
            )
        });
        let set_back = self.engine.was_set_back_from().map(|from| {
            format!(
                "clock: it was set back from {from} and goes on; what ran before and is changed now counts from {from}, for what lies before may have been sent; a new name counts from now"
            )
        });
        let ceiling = self.ceiling_warning();
        let parked = self.parked_warning();
        let loading =
            self.engine.loading().map(|(done, of)| format!("schedules: {done} of {of} are loaded so far"));
        let mended = self.outage.mended(&self.link.borrow(), self.engine.now());
        let remarks = (self.remarks)(clock::now());
        let rival = self.rival.borrow().clone();
        let all = [
            (Degraded::Paused, paused),
            (Degraded::PausedByName, by_name),
            (Degraded::FilesRefused, degraded),
            (Degraded::FilesRefused, taken),
            (Degraded::SecondClock, rival),
            (Degraded::SetBack, set_back),
            (Degraded::Redeclared, mended),
            (Degraded::Unconfirmed, unanswered),
            (Degraded::Refused, refused),
            (Degraded::Parked, parked),
            (Degraded::Parked, self.delayed.as_ref().and_then(Delayed::parked_warning)),
            (Degraded::Loading, loading),
            (Degraded::Ceiling, ceiling),
        ];
        let all = all.into_iter().filter_map(|(what, said)| Some((what, said?)));
        all.chain(remarks.into_iter().map(|said| (Degraded::Calendars, said))).collect()
    }
}

impl ClockLoop {
    /// With the one that is refused for longest.
    fn refused_warning(&mut self) -> Option<String> {
        let all = self.engine.refused();
        let (name, Refused { event, reason, .. }) = self.refused_longest.of(all)?;
        let are = if all.len() == 1 { "schedule is" } else { "schedules are" };
        Some(format!(
            "{} {are} refused by the broker, for longest {event} of {name}: {reason}; see `khronos list`",
            all.len()
        ))
    }

    /// Of the ceiling for which something waits longest, if that is long.
    fn ceiling_warning(&self) -> Option<String> {
        let all = self.ceilings();
        let waits = all.iter().filter_map(|one| Some((one.since?, one)));
        let (since, one) = waits.min_by_key(|(since, _)| *since)?;
        let millis = self.engine.now().since(since);
        (millis > LONG).then(|| {
            let domain = &one.domain;
            let many = match (one.waiting, one.delayed) {
                (schedules, 0) => counted(schedules, "schedule"),
                // There may be more in their store.
                (0, delayed) => format!("{delayed} or more delayed events"),
                (schedules, delayed) => {
                    format!("{} and {delayed} or more delayed events", counted(schedules, "schedule"))
                }
            };
            format!(
                "ceilings: {many} of {domain} wait for its ceiling ([[publish.ceilings]]), the first for {} s; if that grows, they are due more often than it lets through",
                millis / 1000
            )
        })
    }

    /// The alarm about their number begins at a tenth of what is kept.
    fn parked_warning(&self) -> Option<String> {
        let (events, waiting, most) =
            (self.engine.parked_events(), self.engine.parked_waiting(), self.engine.most_parked());
        let room = match waiting >= most / 10 {
            true => {
                format!(" ({waiting} entries wait for a person; beyond {most} some are dropped for good)")
            }
            false => String::new(),
        };
        (events > 0).then(|| format!("{events} parked{room}: see `khronos parked list`"))
    }
}

/// Finds the schedule that is refused for longest, at every look, without going through all of them: they are put in order
/// when none of those is left that were put in order before. Whatever is refused later is younger.
#[derive(Debug, Default)]
pub(super) struct Longest {
    /// The oldest first; some may not be refused any more, or again.
    in_order: VecDeque<(Timestamp, Arc<str>)>,
}

impl Longest {
    fn of<'a>(&mut self, all: &'a BTreeMap<Arc<str>, Refused>) -> Option<(&'a Arc<str>, &'a Refused)> {
        if let Some(oldest) = self.oldest(all) {
            return Some(oldest);
        }
        let mut order: Vec<_> = all.iter().map(|(name, refused)| (refused.since, name.clone())).collect();
        order.sort_unstable();
        self.in_order = order.into();
        self.oldest(all)
    }

    fn oldest<'a>(&mut self, all: &'a BTreeMap<Arc<str>, Refused>) -> Option<(&'a Arc<str>, &'a Refused)> {
        while let Some((since, name)) = self.in_order.front() {
            match all.get_key_value(name) {
                Some(found) if found.1.since == *since => return Some(found),
                _ => self.in_order.pop_front(),
            };
        }
        None
    }
}

/// Notices for the log, the alarming ones as errors.
pub(super) fn tell(clock: &str, notice: &Notice) {
    match notice {
        Notice::Parked { schedule, creation, due, .. } => {
            render::span(clock, &id_name(schedule, *creation), *due).in_scope(|| error!("{notice}"));
        }
        Notice::ClockHeld { .. }
        | Notice::ClockBehind { .. }
        | Notice::ManyParked { .. }
        | Notice::DroppedAtLimit { .. }
        | Notice::Unreadable { .. } => {
            error!("{notice}");
        }
        Notice::Refused { .. }
        | Notice::ClockResumed { .. }
        | Notice::PastOneShot { .. }
        | Notice::OutOfDays { .. }
        | Notice::Paused(_)
        | Notice::PausedByName { .. }
        | Notice::NameTaken { .. }
        | Notice::CalendarTaken { .. } => {
            warn!("{notice}")
        }
        Notice::ClockReleased
        | Notice::Loaded(_)
        | Notice::NameFree { .. }
        | Notice::CalendarFree { .. }
        | Notice::CaughtUp { .. }
        | Notice::Unheard { .. }
        | Notice::Resumed { .. }
        | Notice::ResumedByName { .. }
        | Notice::Finished { .. } => {
            info!("{notice}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_refused_for_longest_is_found_without_going_through_all_each_time() {
        let refused = |since| Refused { event: "a.b.c".into(), reason: "full".into(), since, times: 1 };
        let at = Timestamp::from_millis;
        let (mut all, mut longest) = (BTreeMap::new(), Longest::default());
        assert_eq!(longest.of(&all), None);
        let name = |number: i64| Arc::from(format!("s{number:03}"));
        (0..100).for_each(|number| drop(all.insert(name(number), refused(at(1_000 - number)))));
        let mut orders = 0;
        for number in (0..100).rev() {
            assert_eq!(longest.of(&all).map(|(found, _)| found.clone()), Some(name(number)));
            orders += i32::from(longest.in_order.len() == 100);
            // It is mended, and one more is refused: the youngest.
            all.remove(&name(number));
            all.insert(name(200 - number), refused(at(2_000 - number)));
            assert!(longest.in_order.len() as i64 <= number + 1, "those are put in order once");
        }
        assert_eq!(orders, 1);
        assert_eq!(longest.of(&all).map(|(found, _)| found.clone()), Some(name(101)));
        // It is mended and refused again: now the youngest of all.
        all.insert(name(101), refused(at(9_000)));
        assert_eq!(longest.of(&all).map(|(found, _)| found.clone()), Some(name(102)));
        all.clear();
        assert_eq!(longest.of(&all), None);
    }
}
