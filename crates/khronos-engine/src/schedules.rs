//! The schedules that run, and in which queue each of them waits.
//!
//! Invariants: a slot that waits for a due time stands in exactly one queue, by its send time. One whose span is open waits
//! for none. A slot that was put, or
//! changed, by a write that is not durable stands among the gated ones, whatever it waits for: after a crash the old
//! definition would call for the same ids with other bodies. W lies below whatever stands in a queue.

use super::{
    due_queue::DueQueue,
    lookahead::Lookahead,
    place::{Where, Which},
    progress::SpanKey,
    slot::Slot,
    slots::{SlotId, Slots},
    tallies::Tallies,
};
use ponos_event::Timestamp;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::{Index, IndexMut},
};

#[derive(Debug)]
pub(super) struct Schedules {
    slots: Slots,
    due: DueQueue,
    paused: DueQueue,
    deferred: DueQueue,
    gated: DueQueue,
    /// The write that a slot waits for, while it is not durable; and in the order of writes, with some that wait for a
    /// later one by now.
    gates: HashMap<SlotId, u64>,
    opening: VecDeque<(u64, SlotId)>,
    pub(super) tallies: Tallies,
    /// Those that are paused by name: their spans open when something is due of them. And those whose span is open.
    held: HashSet<SlotId>,
    standing: HashSet<SlotId>,
    pub(super) lookahead: Lookahead,
}

impl Default for Schedules {
    fn default() -> Self {
        Self {
            slots: Slots::default(),
            due: DueQueue::new(Which::Due),
            paused: DueQueue::new(Which::Paused),
            deferred: DueQueue::new(Which::Deferred),
            gated: DueQueue::new(Which::Gated),
            gates: HashMap::new(),
            opening: VecDeque::new(),
            tallies: Tallies::default(),
            held: HashSet::new(),
            standing: HashSet::new(),
            lookahead: Lookahead::default(),
        }
    }
}

impl Index<SlotId> for Schedules {
    type Output = Slot;

    fn index(&self, id: SlotId) -> &Slot {
        &self.slots[id]
    }
}

impl IndexMut<SlotId> for Schedules {
    fn index_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.slots[id]
    }
}

impl Schedules {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many wait in one queue.
    pub(super) fn waiting(&self, which: Which) -> usize {
        match which {
            Which::Due => self.due.len(),
            Which::Paused => self.paused.len(),
            Which::Deferred => self.deferred.len(),
            Which::Gated => self.gated.len(),
        }
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.slots.reserve(more);
        self.due.reserve(more);
    }

    pub(super) fn find(&self, name: &str) -> Option<SlotId> {
        self.slots.find(name.as_bytes())
    }

    /// See [`Slots::is_behind_all`].
    pub(super) fn is_behind_all(&self, name: &str) -> bool {
        self.slots.is_behind_all(name.as_bytes())
    }

    /// See [`Slots::after`].
    pub(super) fn after(&self, name: Option<&str>) -> impl Iterator<Item = SlotId> + '_ {
        self.slots.after(name.map(str::as_bytes))
    }

    /// See [`Slots::from`].
    pub(super) fn from(&self, name: &str) -> impl Iterator<Item = SlotId> + '_ {
        self.slots.from(name.as_bytes())
    }

    /// See [`Slots::before`].
    pub(super) fn before(&self, name: &str) -> impl Iterator<Item = SlotId> + '_ {
        self.slots.before(name.as_bytes())
    }

    /// Those whose names stand beside this one, in the order of names, at most so many: half of them before it, where there are so many.
    pub(super) fn neighbours(&self, name: &str, most: usize) -> Vec<SlotId> {
        let after = self.from(name).take(most).count();
        let mut all: Vec<SlotId> =
            self.before(name).take((most / 2).max(most.saturating_sub(after))).collect();
        all.reverse();
        let rest = most.saturating_sub(all.len());
        all.extend(self.from(name).take(rest));
        all
    }

    /// All slots, those that are free included, in the order of ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        self.slots.ids()
    }

    /// See [`Slots::ids_from`].
    pub(super) fn ids_from(
        &self,
        from: SlotId,
        most: usize,
    ) -> (impl Iterator<Item = SlotId> + use<>, Option<SlotId>) {
        self.slots.ids_from(from, most)
    }

    /// Takes in a schedule whose name does not run. It hands nothing over before the write `gate` is durable.
    pub(super) fn insert(&mut self, slot: Slot, gate: u64) -> SlotId {
        let id = self.slots.insert(slot);
        self.tallies.note(id, &self.slots[id].definition);
        self.shut(id, gate);
        self.enqueue(id);
        id
    }

    /// The next revision of a schedule, instead of one that [was taken out of its queue](Self::dequeue). What stands in its
    /// slot has the definition that ran there.
    pub(super) fn replace(&mut self, id: SlotId, slot: Slot, gate: u64) {
        let former = self.slots.replace(id, slot);
        self.tallies.forget(id, &former.definition);
        self.tallies.note(id, &self.slots[id].definition);
        self.shut(id, gate);
        self.enqueue(id);
    }

    /// Ends a schedule that [was taken out of its queue](Self::dequeue), and whose definition stands there still.
    pub(super) fn remove(&mut self, id: SlotId) {
        let gone = self.slots.remove(id);
        self.tallies.forget(id, &gone.definition);
        self.gates.remove(&id);
        self.held.remove(&id);
        self.standing.remove(&id);
    }

    /// The name is paused: nothing of it is handed over on time.
    pub(super) fn hold(&mut self, id: SlotId) {
        if self.held.insert(id) {
            self.dequeue(id);
            self.enqueue(id);
        }
    }

    /// Its span is open, if it goes on at all: it waits for nothing.
    pub(super) fn stand(&mut self, id: SlotId, goes_on: bool) {
        self.slots[id].wait_for(None);
        if goes_on {
            self.standing.insert(id);
        }
    }

    /// Its span is open no longer.
    pub(super) fn unstand(&mut self, id: SlotId) {
        self.standing.remove(&id);
    }

    /// Whether the span of this one is open.
    pub(super) fn is_standing(&self, id: SlotId) -> bool {
        !self.standing.is_empty() && self.standing.contains(&id)
    }

    /// How many of them there are.
    pub(super) fn standing(&self) -> usize {
        self.standing.len()
    }

    /// It is not paused any more, once the write `gate` is durable. Its span, if it was open, ended `through` there.
    pub(super) fn let_go(&mut self, id: SlotId, gate: u64, through: Option<Timestamp>) {
        self.held.remove(&id);
        self.dequeue(id);
        if let Some(through) = through {
            self.unstand(id);
            let next = self.slots[id].timing().after(through);
            self.slots[id].wait_for(next);
        }
        self.shut(id, gate);
        self.enqueue(id);
    }

    fn is_held(&self, id: SlotId) -> bool {
        !self.held.is_empty() && self.held.contains(&id)
    }

    fn shut(&mut self, id: SlotId, gate: u64) {
        if gate == 0 {
            // Hashing costs, a million times at a restart.
            if !self.gates.is_empty() {
                self.gates.remove(&id);
            }
        } else {
            self.gates.insert(id, gate);
            self.opening.push_back((gate, id));
        }
    }

    /// The write that the running revision `number` of a name waits for.
    pub(super) fn gate(&self, (name, number): &SpanKey) -> Option<u64> {
        if self.gates.is_empty() {
            return None;
        }
        let id = self.find(name).filter(|id| self[*id].number() == *number)?;
        self.gates.get(&id).copied()
    }

    /// Lets go what waited for writes that are durable now.
    pub(super) fn open(&mut self, durable: impl Fn(u64) -> bool) {
        while let Some((gate, id)) = self.opening.pop_front_if(|(gate, _)| durable(*gate)) {
            if self.gates.get(&id) == Some(&gate) {
                self.gates.remove(&id);
                self.dequeue(id);
                self.enqueue(id);
            }
        }
    }

    /// Queues the schedule's first occurrence after `due`.
    pub(super) fn queue_after(&mut self, id: SlotId, due: Timestamp) {
        let next = self.slots[id].timing().after(due);
        self.queue_up(id, next);
    }

    /// Queues a due time, if there is one. Nothing of the slot is queued.
    pub(super) fn queue_up(&mut self, id: SlotId, next: Option<Timestamp>) {
        self.slots[id].wait_for(next);
        self.enqueue(id);
    }

    /// Puts what the slot waits for into its queue.
    pub(super) fn enqueue(&mut self, id: SlotId) {
        let slot = &self.slots[id];
        let which = if !self.gates.is_empty() && self.gates.contains_key(&id) {
            Which::Gated
        } else if slot.definition.is_paused() || self.is_held(id) {
            Which::Paused
        } else {
            Which::Due
        };
        self.push(id, which);
    }

    /// Defers what the slot waits for: the next write is full.
    pub(super) fn defer(&mut self, id: SlotId) {
        self.push(id, Which::Deferred);
    }

    fn push(&mut self, id: SlotId, which: Which) {
        let slot = &self.slots[id];
        if let Some(due) = slot.next() {
            let send = slot.send_time(due);
            let (queue, slots) = self.queue(which);
            queue.push(slots, send, due, id);
        }
    }

    /// Takes what a slot waits for out of its queue.
    pub(super) fn dequeue(&mut self, id: SlotId) {
        let (Where::Head(which) | Where::Heap(which, _)) = self.slots.place(id) else { return };
        let (queue, slots) = self.queue(which);
        if let Some(at) = queue.remove(slots, id) {
            self.lookahead.forget(at);
        }
    }

    fn queue(&mut self, which: Which) -> (&mut DueQueue, &mut Slots) {
        let queue = match which {
            Which::Due => &mut self.due,
            Which::Paused => &mut self.paused,
            Which::Deferred => &mut self.deferred,
            Which::Gated => &mut self.gated,
        };
        (queue, &mut self.slots)
    }

    #[cfg(test)]
    pub(super) fn place(&self, id: SlotId) -> Where {
        self.slots.place(id)
    }

    /// The first that is to be handed over on time, and its send time.
    pub(super) fn first_due(&self) -> Option<(Timestamp, SlotId)> {
        self.due.first(&self.slots)
    }

    /// Those that are to be handed over first, in order, at most so many.
    pub(super) fn soonest(&self, most: usize) -> Vec<SlotId> {
        self.due.soonest(&self.slots, most)
    }

    /// The send time of the first of one queue.
    pub(super) fn first_send(&self, which: Which) -> Option<Timestamp> {
        match which {
            Which::Due => self.due.first_send(),
            Which::Paused => self.paused.first_send(),
            Which::Deferred => self.deferred.first_send(),
            Which::Gated => self.gated.first_send(),
        }
    }

    /// Takes the first out of a queue, if its send time has come.
    pub(super) fn pop(&mut self, which: Which, now: Timestamp) -> Option<SlotId> {
        let (queue, slots) = self.queue(which);
        let (_, id) = queue.first(slots).filter(|(send, _)| *send <= now)?;
        queue.pop(slots);
        Some(id)
    }

    /// The lowest send time that stands in a queue: W lies below.
    pub(super) fn lowest(&self) -> Option<Timestamp> {
        let all = [Which::Due, Which::Paused, Which::Deferred, Which::Gated];
        all.into_iter().filter_map(|which| self.first_send(which)).min()
    }

    /// Lays out what is due first, at most so many.
    pub(super) fn lay_out(&mut self, most: usize) {
        self.due.lay_out(&mut self.slots, most);
    }

    /// See [`DueQueue::laid_out`].
    pub(super) fn laid_out(&self, skipped: usize) -> impl ExactSizeIterator<Item = (Timestamp, SlotId)> {
        self.due.laid_out(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Era;
    use khronos_schedule::{Definition, Packed};

    fn slot(name: &str, due: Timestamp) -> Slot {
        let definition = Definition {
            name: name.into(),
            event: Some("test.second.passed".into()),
            every: Some("1s".into()),
            paused: Some(name == "paused"),
            ..Definition::default()
        };
        let mut slot = Slot::new(&Era::first(1, Timestamp::EPOCH).of(Packed::build(&definition).unwrap()));
        slot.wait_for(Some(due));
        slot
    }

    #[test]
    fn the_lowest_is_found_in_whichever_queue_it_stands() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let mut schedules = Schedules::default();
        schedules.insert(slot("due", at(4)), 0);
        assert_eq!(schedules.lowest(), Some(at(4)));
        schedules.insert(slot("paused", at(3)), 0);
        assert_eq!(schedules.lowest(), Some(at(3)));
        schedules.insert(slot("gated", at(2)), 7);
        assert_eq!(schedules.lowest(), Some(at(2)));
        let deferred = schedules.insert(slot("deferred", at(1)), 0);
        assert_eq!(schedules.pop(Which::Due, at(1)), Some(deferred));
        assert_eq!(schedules.lowest(), Some(at(2)));
        schedules.defer(deferred);
        assert_eq!(schedules.lowest(), Some(at(1)));
    }
}
