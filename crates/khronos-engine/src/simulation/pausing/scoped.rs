//! The pauses of everything, or those of one name, as the disk was told of them.

use crate::{Coalesced, Engine, Handover, Pause, Pauses, Reached, Revision, SkippedPause, pause::SKIPPED};
use ponos_event::{EventKind, Timestamp};
use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

/// Revisions that run: name, creation and number.
pub(super) type Running = BTreeSet<(Arc<str>, u64, u32)>;

#[derive(Default)]
pub(super) struct Scoped {
    /// The name; `None`: everything.
    pub(super) name: Option<Arc<str>>,
    /// What was wanted since the last crash, oldest first: paused with this note, or not. A pause may end by itself.
    wanted: Vec<(u64, Option<Arc<str>>, bool)>,
    unanswered: Vec<u64>,
    /// As it is durable.
    pub(super) disk: Pauses,
    /// Pauses that were begun, and the lowest instant that the clock showed meanwhile.
    begun: Vec<(Pause, Timestamp)>,
    pub(super) ended: Vec<Ended>,
    /// How many pauses were durable.
    pub(super) pauses: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

/// A pause that was ended by skipping.
pub(super) struct Ended {
    /// The lowest instant that the clock showed in it, and the one at which it ended.
    pub(super) since: Timestamp,
    pub(super) through: Timestamp,
    /// As it is kept, and up to which instant it skips since the clock was set back.
    pub(super) skipped: SkippedPause,
    pub(super) left: Timestamp,
    /// The revisions that had begun, and may send something that they were due for in it.
    begun: Running,
}

impl Scoped {
    pub(super) fn of(name: &str) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Whether a schedule is of it.
    pub(super) fn concerns(&self, schedule: &Arc<str>) -> bool {
        self.name.as_ref().is_none_or(|name| name == schedule)
    }

    pub(super) fn present<'a>(&self, engine: &'a Engine) -> Option<&'a Pause> {
        match &self.name {
            Some(name) => engine.paused_by_name(name),
            None => engine.paused(),
        }
    }

    pub(super) fn wants(&self, note: &Arc<str>) -> bool {
        self.wanted.iter().any(|(_, wanted, _)| wanted.as_ref() == Some(note))
    }

    pub(super) fn give(&mut self, command: u64, note: Option<Arc<str>>, ends: bool) {
        self.wanted.push((command, note, ends));
        self.unanswered.push(command);
    }

    pub(super) fn restart(&mut self) {
        self.wanted.clear();
        self.unanswered.clear();
    }

    pub(super) fn begin(&mut self, pause: Pause) {
        // What a crash has undone since may have been another one.
        let before = self.begun.iter().rev().find(|(before, _)| before.reached == pause.reached);
        let lowest = before.map_or(pause.since, |(_, lowest)| *lowest);
        self.begun.push((pause, lowest));
    }

    pub(super) fn set_back(&mut self, to: Timestamp) {
        if let Some((_, lowest)) = self.begun.last_mut() {
            *lowest = to.min(*lowest);
        }
    }

    /// `before`: what ran, as it was durable before this write.
    pub(super) fn written(&mut self, pauses: &Pauses, before: &Running, engine: &Engine) {
        if self.disk.skipped.len() >= SKIPPED {
            self.note_what_made_room(pauses, before, engine);
        }
        for skipped in &pauses.skipped {
            if self.ended.iter().any(|ended| ended.skipped == *skipped) {
                continue;
            }
            let of = |begun: &&(Pause, Timestamp)| begun.0.reached == skipped.reached;
            // Of what began and ended in one step, of several names, nothing is said.
            let since = self.begun.iter().rev().find(of).map_or(skipped.reached.lately, |(_, since)| *since);
            let running = engine.running_after(None).map(|one| one.revision);
            let known = running.chain(engine.resting.iter().map(|(_, revision)| revision.clone()));
            let known = known.filter(|one| self.name.as_ref().is_none_or(|name| **name == *one.name()));
            let end = (skipped.set_backs, skipped.through);
            let begun = known.filter(|one| (one.set_backs, one.counts_from) < end);
            let begun = begun.map(|one| (one.name().into(), one.definition.creation(), one.number)).collect();
            let through = skipped.through;
            self.ended.push(Ended { since, through, skipped: *skipped, left: through, begun });
        }
        self.pauses += usize::from(self.disk.paused.is_none() && pauses.paused.is_some());
        self.disk = pauses.clone();
    }

    /// Where another one needs its place, of names that come back nothing is said any more: nor of one that has come back by
    /// the time at which that is durable.
    fn note_what_made_room(&mut self, pauses: &Pauses, before: &Running, engine: &Engine) {
        for Ended { skipped, begun, .. } in &mut self.ended {
            if self.disk.skipped.contains(skipped) && !pauses.skipped.contains(skipped) {
                begun.retain(|key @ (name, creation, number)| {
                    let running = engine.running(name).map(|running| running.revision);
                    let is_it =
                        |one: Revision| (one.definition.creation(), one.number) == (*creation, *number);
                    before.contains(key) && running.is_some_and(is_it)
                });
            }
        }
    }

    /// On the disk stands what this one wanted, or what was wanted since.
    pub(super) fn answer(&mut self, command: u64) {
        let Some(at) = self.unanswered.iter().position(|number| *number == command) else { return };
        self.unanswered.remove(at);
        let note = self.disk.paused.as_ref().map(|pause| &pause.note);
        let is = |wanted: &Option<Arc<str>>, ends: bool| wanted.as_ref() == note || ends && note.is_none();
        let mut since = self.wanted.iter().filter(|(number, ..)| *number >= command);
        if !since.any(|(_, wanted, ends)| is(wanted, *ends)) {
            self.broken = Some(format!("command {command} was answered, and the disk has {note:?}"));
        }
    }

    pub(super) fn refuse(&mut self, command: u64) {
        self.unanswered.retain(|unanswered| *unanswered != command);
        self.wanted.retain(|(wanted, ..)| *wanted != command);
    }

    /// Nothing is handed over while a pause is in effect, or while its end is not durable.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        let (name, due) = (&handover.schedule.name, handover.stands_for.last);
        if let Some(pause) = self.present(engine).or(self.disk.paused.as_ref()) {
            self.broken.get_or_insert(format!("{name} of {due} was handed over, and it is {pause}"));
        }
        if handover.kind != EventKind::Occurrence {
            return;
        }
        if let Some(ended) = self.ended.iter().find(|ended| ended.skips(handover)) {
            let (run, skipped) = (handover.stands_for, ended.skipped);
            let what = format!("{name}, {run:?}, was handed over, and a pause has skipped it: {skipped:?}");
            self.broken.get_or_insert(what);
        }
    }
}

impl Ended {
    /// Whether an event stands for something that is skipped.
    fn skips(&self, handover: &Handover) -> bool {
        let (schedule, era) = (&handover.schedule, handover.era);
        let Reached { lately, ever, set_backs } = self.skipped.reached;
        let reached = match era.set_backs.cmp(&set_backs) {
            Ordering::Less => ever,
            Ordering::Equal => lately,
            // It began in the pause; but it may be for an instant that was gone by then.
            Ordering::Greater => self.since,
        };
        let [from, to] = [reached, self.left].map(|at| schedule.timing.due_by(at));
        let Coalesced { first, last, .. } = handover.stands_for;
        let (after, through) = (from.max(first.plus(-1)), to.min(last));
        after < through
            && schedule.timing.count(after, through) > 0
            && self.begun.contains(&(schedule.name.clone(), schedule.creation, era.number))
    }
}
