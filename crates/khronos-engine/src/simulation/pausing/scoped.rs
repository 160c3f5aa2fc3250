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
    /// Pauses that were begun.
    begun: Vec<Pause>,
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
    /// The lowest instant that the clock was set back to in it.
    anew: Timestamp,
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
        self.begun.push(pause);
    }

    /// `before`: what ran, as it was durable before this write. `set_backs`: where the clock was set back to, as it is
    /// durable with it: what a crash has undone of that never was.
    pub(super) fn written(
        &mut self,
        pauses: &Pauses,
        before: &Running,
        set_backs: &[(u32, Timestamp)],
        engine: &Engine,
    ) {
        if self.disk.skipped.len() >= SKIPPED {
            self.note_what_made_room(pauses, before, engine);
        }
        for skipped in &pauses.skipped {
            if self.ended.iter().any(|ended| ended.skipped == *skipped) {
                continue;
            }
            let SkippedPause { reached, through, .. } = *skipped;
            // Of what began and ended in one step, of several names, nothing is said.
            let begun = self.begun.iter().rev().find(|begun| begun.reached == reached);
            let since = begun.map_or(reached.lately, |begun| begun.since);
            let within = set_backs.iter().take(skipped.set_backs as usize).skip(reached.set_backs as usize);
            let anew = within.map(|(_, to)| *to).min().unwrap_or(since);
            let running = engine.running_after(None).map(|one| one.revision);
            let known = running.chain(engine.resting.iter().map(|(_, revision)| revision.clone()));
            let known = known.filter(|one| self.name.as_ref().is_none_or(|name| **name == *one.name()));
            let end = (skipped.set_backs, skipped.through);
            let begun = known.filter(|one| (one.set_backs, one.counts_from) < end);
            let begun = begun.map(|one| (one.name().into(), one.definition.creation(), one.number)).collect();
            let since = since.min(anew);
            self.ended.push(Ended { since, through, anew, skipped: *skipped, left: through, begun });
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
            Ordering::Greater => self.anew,
        };
        let [from, to] = [reached, self.left].map(|at| schedule.timing.due_by(at));
        let Coalesced { first, last, .. } = handover.stands_for;
        let (after, through) = (from.max(first.plus(-1)), to.min(last));
        after < through
            && schedule.timing.count(after, through) > 0
            && self.begun.contains(&(schedule.name.clone(), schedule.creation, era.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Commit,
        simulation::{pausing::Pausing, world::World},
    };

    #[test]
    fn where_the_clock_was_set_back_to_in_a_pause_is_what_the_disk_was_told() {
        let at = Timestamp::from_millis;
        let engine = World::new(0, None, false).engine;
        let reached = Reached { lately: at(901), ever: at(901), set_backs: 0 };
        let paused = Pause { since: at(900), by: "ann".into(), note: "x".into(), until: None, reached };
        let mut pausing = Pausing::new(0);
        pausing.begin(paused.clone());
        // A crash undoes that.
        pausing.set_back(at(300), 1);
        pausing.restart();
        pausing.begin(paused);
        for (era, to) in [(2, 500), (3, 400), (4, 200)] {
            pausing.set_back(at(to), era);
        }
        let skipped = vec![SkippedPause { reached, through: at(800), set_backs: 2 }];
        let pauses = Some(Pauses { skipped, ..Pauses::default() });
        pausing.written(&Commit { set_backs: 2, pauses, ..Commit::default() }, &engine);
        let found = |pausing: &Pausing| {
            let one = &pausing.of[0].ended[0];
            (one.since, one.anew, one.left)
        };
        assert_eq!(found(&pausing), (at(400), at(400), at(800)));
        // And then once more: nothing is left of it above that.
        pausing.written(&Commit { set_backs: 3, ..Commit::default() }, &engine);
        assert_eq!(found(&pausing), (at(400), at(400), at(200)));
    }
}
