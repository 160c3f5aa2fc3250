//! What was created at run time and has finished goes by itself, some time after its end: what a service creates for one
//! occasion need not be deleted by it. What is parked of it is waited for.
//!
//! However many finish at one instant, they go some at a time: the next ones once the write with those before them is
//! durable. So no write grows with their number, and none is late for it.

use super::{Author, ChangeKind, core::Engine, decide::Asked, slots::SlotId};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// So many go with one write at most.
const AT_ONCE: usize = 64;
/// Of which something is outstanding still is looked at again this much later (a minute, in milliseconds).
const LOOK_AGAIN: i64 = 60_000;

/// Which go, and when.
#[derive(Debug, Default)]
pub(super) struct Going {
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
    by_name: HashMap<Arc<str>, Timestamp>,
    /// The write with those that went last.
    written: u64,
}

impl Going {
    pub(super) fn insert(&mut self, name: Arc<str>, at: Timestamp) {
        if let Some(before) = self.by_name.insert(name.clone(), at) {
            self.by_time.remove(&(before, name.clone()));
        }
        self.by_time.insert((at, name));
    }

    /// If it goes, it goes by then.
    pub(super) fn not_after(&mut self, name: &Arc<str>, at: Timestamp) {
        if self.by_name.get(name).is_some_and(|goes| *goes > at) {
            self.insert(name.clone(), at);
        }
    }

    /// It does not go by itself: it went, or runs on.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some((name, at)) = self.by_name.remove_entry(name) {
            self.by_time.remove(&(at, name));
        }
    }

    #[cfg(test)]
    pub(super) fn by_time(&self) -> &BTreeSet<(Timestamp, Arc<str>)> {
        &self.by_time
    }

    fn pop(&mut self, now: Timestamp) -> Option<Arc<str>> {
        self.first().filter(|at| *at <= now)?;
        let (_, name) = self.by_time.pop_first()?;
        self.by_name.remove(&name);
        Some(name)
    }

    /// When the next one goes.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

impl Engine {
    /// A slot's schedule may have finished: if so, and it was created at run time, it goes in a while; else it does not. Where only
    /// its calendars leave no day, it goes once days would not help it any more.
    pub(super) fn await_going(&mut self, id: SlotId) {
        let name = self.schedules[id].name();
        let end = if self.has_finished(id) { Some(self.now()) } else { self.end_without_days(id) };
        match end {
            Some(end) => self.going.insert(name, end.plus(self.rules.keep_finished)),
            None => self.going.remove(&name),
        }
    }

    /// When something of a slot's schedule would be due last, where it was created at run time and its calendars leave no day of
    /// it.
    fn end_without_days(&self, id: SlotId) -> Option<Timestamp> {
        let slot = &self.schedules[id];
        let is_idle = slot.runs() && slot.is_idle() && !self.schedules.is_standing(id);
        let is_out = is_idle && slot.definition.is_created() && slot.timing().is_out_of_days(self.now());
        is_out.then(|| slot.timing().last_on_any_day()).flatten()
    }

    /// The same at the start, for all of which nothing may be due any more: as far as it is known when that was.
    pub(super) fn await_those_going(&mut self, ids: impl IntoIterator<Item = SlotId>) {
        for id in ids {
            if self.has_finished(id) {
                let slot = &self.schedules[id];
                let ends = [slot.timing().last(), slot.sent.last(), Some(slot.era().effective_from)];
                // After a step back that may lie ahead.
                let end = ends.into_iter().flatten().max().map_or(self.now(), |end| end.min(self.now()));
                self.going.insert(slot.name(), end.plus(self.rules.keep_finished));
            } else if let Some(end) = self.end_without_days(id) {
                self.going.insert(self.schedules[id].name(), end.plus(self.rules.keep_finished));
            }
        }
    }

    /// Whether a slot's schedule was created at run time, and nothing of it is due any more: not where only its calendars leave
    /// no day, for these may have days again.
    fn has_finished(&self, id: SlotId) -> bool {
        let slot = &self.schedules[id];
        slot.runs() && slot.definition.is_created() && self.is_over(id)
    }

    /// Whether something of a name is behind, or parked.
    fn has_outstanding(&self, name: &Arc<str>, number: u32) -> bool {
        // Of those that were forgotten nothing is parked; of an earlier creation what is parked is its own.
        let creation = self.schedules.find(name).map_or(0, |id| self.schedules[id].definition.creation());
        let earlier = self.resting.of_creation(name, creation).map(|revision| revision.number);
        self.outstanding.backlogs.holds(name)
            || earlier.chain([number]).any(|number| self.outstanding.parked.holds(&(name.clone(), number)))
    }

    /// When the next ones go, unless others are under way still.
    pub(super) fn next_goes(&self) -> Option<Timestamp> {
        self.going.first().filter(|_| self.progress.is_durable(self.going.written))
    }

    /// Those go whose time has come, some of them.
    pub(super) fn let_finished_go(&mut self) {
        let now = self.now();
        if self.next_goes().is_none_or(|first| first > now) {
            return;
        }
        for _ in 0..AT_ONCE.min(self.rules.piece.max(1)) {
            let Some(name) = self.going.pop(now) else { return };
            let Some(id) = self.schedules.find(&name) else { continue };
            if !self.has_finished(id) {
                self.await_going(id);
                continue;
            }
            if self.has_outstanding(&name, self.schedules[id].number()) {
                self.going.insert(name, now.plus(LOOK_AGAIN));
                continue;
            }
            let clock = Author::the_clock();
            let asked = Asked { by: &clock, command: None, note: "", is_within: false };
            self.delete(asked, &name, Some(id), ChangeKind::Finished);
            self.going.written = self.progress.next_ticket();
        }
    }
}
