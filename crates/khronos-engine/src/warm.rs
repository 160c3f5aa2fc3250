//! What costs when an engine starts, made ahead: the schedules that run, each in the queue that it waits in. A clock that follows
//! another one holds it, applies what that one changes, and moves it on with that one's W; so taking over costs what is
//! outstanding, however many schedules there are. A start from what was kept makes one, too: both are one path.
//!
//! Invariant: a slot waits for its first occurrence that is sent after W and lies in its revision; a one-shot for what its row says.
//! That is where [`Engine::take_over`](super::Engine::take_over) would have it, unless it is to be sent at or before H, has a span, or is
//! paused by name: those it looks at one by one.
//!
//! Absent: all else that is kept (spans, pauses, what is parked, answers). It comes with the take-over, as it is then.

#[cfg(test)]
pub(super) mod tests;
mod told;

pub use told::Beside;

use super::{
    OneShot, Outcome, Revision, Row, Sent, Snapshot,
    faults::{Fault, planted},
    place::Which,
    progress::SpanKey,
    schedules::Schedules,
    sent::sent_key,
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{Demand, Packed, Timing};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem::take,
    sync::Arc,
};

/// The schedules that an engine would run, as far as they were told, up to W.
#[derive(Debug)]
pub struct Warm {
    pub(super) schedules: Schedules,
    /// What does not run: ended, or not understood.
    pub(super) resting: BTreeMap<SpanKey, Revision>,
    pub(super) one_shots: HashMap<Arc<str>, OneShot>,
    /// Of schedules of which nothing runs.
    pub(super) sent: BTreeMap<Arc<str>, Sent>,
    /// Created at run time, and waiting for nothing.
    pub(super) idle: HashSet<SlotId>,
    settled: Timestamp,
}

impl Warm {
    /// One without schedules, at this W.
    pub fn new(settled: Timestamp) -> Self {
        Self {
            schedules: Schedules::default(),
            resting: BTreeMap::new(),
            one_shots: HashMap::new(),
            sent: BTreeMap::new(),
            idle: HashSet::new(),
            settled,
        }
    }

    /// Takes all that it holds out of what was kept: the revisions, the one-shots, and what was sent.
    pub fn of(snapshot: &mut Snapshot, settled: Timestamp) -> Self {
        let mut warm = Self::new(settled);
        warm.sent = take(&mut snapshot.sent);
        warm.one_shots = take(&mut snapshot.one_shots).into_iter().collect();
        let revisions = take(&mut snapshot.revisions);
        warm.schedules.reserve(revisions.iter().filter(|revision| runs(revision)).count());
        // A store gives them in the order of names: then ids follow it.
        revisions.into_iter().for_each(|revision| warm.put(revision));
        let resting = &warm.resting;
        let mut keys: HashSet<Arc<str>> = HashSet::new();
        keys.extend(resting.values().map(|revision| (&*sent_key(&revision.definition)).into()));
        // Of what is kept no more, the record may tell for long.
        warm.sent.retain(|key, _| keys.contains(key));
        warm
    }

    /// How many schedules run.
    pub fn len(&self) -> usize {
        self.schedules.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// W.
    pub fn settled(&self) -> Timestamp {
        self.settled
    }

    /// The definitions that were accepted last, those included that are not understood.
    pub fn accepted(&self) -> impl Iterator<Item = &Packed> {
        let running = self.schedules.after(None).map(|id| &self.schedules[id].definition);
        let resting = self.resting.values().filter(|revision| revision.ended.is_none());
        running.chain(resting.map(|revision| &revision.definition))
    }

    /// What those schedules demand that were created at run time.
    pub fn created_demand(&self) -> Demand {
        self.schedules.tallies.created_demand()
    }

    /// A revision as it was written last. Several of one name come in the order of their numbers.
    pub fn put(&mut self, revision: Revision) {
        // A million that come in their order need not be looked for.
        let is_last = self.schedules.is_behind_all(revision.name());
        let running = if is_last { None } else { self.schedules.find(revision.name()) };
        if !runs(&revision) {
            let is_its_own = |id: &SlotId| self.schedules[*id].number() == revision.number;
            if let Some(id) = running.filter(is_its_own) {
                self.take_out(id);
            }
            self.resting.insert((revision.name().into(), revision.number), revision);
            return;
        }
        if !self.resting.is_empty() {
            self.resting.remove(&(revision.name().into(), revision.number));
        }
        if let Some(id) = running {
            self.take_out(id);
        }
        let sent = self.sent.remove(&*sent_key(&revision.definition)).unwrap_or_default();
        let id = self.schedules.insert(Slot::new(&revision).having_sent(sent), 0);
        self.place(id);
    }

    /// A revision that is not kept any more.
    pub fn forget(&mut self, name: &str, number: u32) {
        let running = self.schedules.find(name).filter(|id| self.schedules[*id].number() == number);
        let definition = match running {
            Some(id) => {
                let definition = self.schedules[id].definition.clone();
                self.take_out(id);
                Some(definition)
            }
            None => self.resting.remove(&(name.into(), number)).map(|revision| revision.definition),
        };
        if let Some(definition) = definition
            && !self.has(name, definition.creation())
        {
            self.sent.remove(&*sent_key(&definition));
        }
    }

    /// The row of a one-shot; `None`: there is none any more. It comes behind the revision that it is about.
    pub fn put_one_shot(&mut self, name: Arc<str>, row: Option<OneShot>) {
        let id = self.schedules.find(&name);
        match row {
            Some(row) => drop(self.one_shots.insert(name, row)),
            None => drop(self.one_shots.remove(&name)),
        }
        if let Some(id) = id {
            self.place(id);
        }
    }

    /// A row that the record has got. It comes behind the revisions that were written with it.
    pub fn note_row(&mut self, row: &Row) {
        let Outcome::Confirmed { sent_at, returned, .. } = row.outcome else { return };
        match self.running(&row.schedule, row.creation) {
            Some(id) => self.schedules[id].sent.note(sent_at, returned),
            None if self.has(&row.schedule, row.creation) => {
                self.sent.entry((&*row.id_name()).into()).or_default().note(sent_at, returned);
            }
            None => {}
        }
    }

    /// W is there now. Where it went back all are placed anew.
    pub fn move_on(&mut self, settled: Timestamp) {
        let before = std::mem::replace(&mut self.settled, settled);
        let moved = if settled < before {
            self.schedules.ids().filter(|id| self.schedules[*id].runs()).collect()
        } else {
            self.take_due(settled)
        };
        moved.into_iter().for_each(|id| self.place(id));
    }

    /// Takes out of their queues what is to be sent by then.
    pub(super) fn take_due(&mut self, by: Timestamp) -> Vec<SlotId> {
        let mut due = Vec::new();
        for which in [Which::Due, Which::Paused] {
            while let Some(id) = self.schedules.pop(which, by) {
                due.push(id);
            }
        }
        due
    }

    fn running(&self, name: &str, creation: u64) -> Option<SlotId> {
        self.schedules.find(name).filter(|id| self.schedules[*id].definition.creation() == creation)
    }

    /// Whether a revision of this creation under the name is kept.
    fn has(&self, name: &str, creation: u64) -> bool {
        let name: Arc<str> = name.into();
        let mut resting = self.resting.range((name.clone(), 0)..=(name.clone(), u32::MAX));
        resting.any(|(_, revision)| revision.definition.creation() == creation)
            || self.running(&name, creation).is_some()
    }

    fn take_out(&mut self, id: SlotId) {
        self.schedules.dequeue(id);
        let slot = &self.schedules[id];
        if slot.sent != Sent::default() {
            self.sent.insert((&*sent_key(&slot.definition)).into(), slot.sent);
        }
        self.idle.remove(&id);
        self.schedules.remove(id);
    }

    /// Has a slot wait for what is due of it next.
    fn place(&mut self, id: SlotId) {
        let slot = &self.schedules[id];
        let timing = slot.timing();
        let unsettled = if timing.is_one_shot() {
            let row = self.one_shots.get(slot.definition.name()).filter(|row| row.revision == slot.number());
            row.map(|row| row.due.plus(-1))
        } else {
            Some(settled_of(&timing, self.settled).max(slot.era().effective_from))
        };
        let next = unsettled.and_then(|unsettled| timing.after(unsettled));
        let is_idle = next.is_none() && slot.definition.is_created();
        self.schedules.dequeue(id);
        self.schedules.queue_up(id, next);
        if is_idle {
            self.idle.insert(id);
        } else if !self.idle.is_empty() {
            self.idle.remove(&id);
        }
    }
}

/// Up to which due time a schedule is settled where W is there: W is a send time, and what is due before it and sent after it
/// counts as after.
pub(super) fn settled_of(timing: &Timing, settled: Timestamp) -> Timestamp {
    if planted(Fault::RestartWithoutLookingBack) { settled } else { timing.due_by(settled) }
}

/// Whether it is one that runs, and not one that rests.
fn runs(revision: &Revision) -> bool {
    revision.ended.is_none() && revision.definition.is_understood()
}
