//! When is what due next: one heap over all schedules, drained in one pass. What is due first can be laid out in order
//! ahead of its time, so that nothing is left to sort when it is due.
//!
//! Ties: (send time, due time, schedule name). Each slot stands in one queue at most, once, and knows its place there: so it
//! is taken out as soon as it was put in. Names are compared where neither times nor ids tell the order; see `slots`.

use super::{
    place::{Where, Which},
    slots::{SlotId, Slots},
};
use ponos_event::Timestamp;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct DueQueue {
    which: Which,
    heap: Vec<Entry>,
    /// Taken out of the heap, in order. What came since, and stands in the heap, may come before it.
    head: VecDeque<Entry>,
}

/// Sixteen bytes an entry. The due time stands there as how far it lies before the send time, from above: so that
/// the earlier one comes first, and so that it needs no more than the room that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    send: Timestamp,
    later: u32,
    /// The id; and the highest bit, if the slot is loose.
    key: u32,
}

const LOOSE: u32 = 1 << 31;

impl Entry {
    fn id(self) -> SlotId {
        SlotId::new(self.key & !LOOSE)
    }

    fn is_before(self, other: Self, slots: &Slots) -> bool {
        let (a, b) = ((self.send, self.later), (other.send, other.later));
        if a != b {
            a < b
        } else if (self.key | other.key) & LOOSE == 0 {
            self.key < other.key
        } else {
            slots.order(self.id(), other.id()).is_lt()
        }
    }
}

impl DueQueue {
    pub(super) fn new(which: Which) -> Self {
        Self { which, heap: Vec::new(), head: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len() + self.head.len()
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.heap.reserve_exact(more);
    }

    /// Puts a slot in that stands in no queue.
    pub(super) fn push(&mut self, slots: &mut Slots, send: Timestamp, due: Timestamp, id: SlotId) {
        let later = u32::MAX - u32::try_from(send.since(due)).unwrap_or(u32::MAX);
        let key = id.number() | if slots.is_loose(id) { LOOSE } else { 0 };
        let entry = Entry { send, later, key };
        self.heap.push(entry);
        self.rise(slots, self.heap.len() - 1, entry);
    }

    /// Takes a slot out that stands in this queue; if it was laid out, which of those it was.
    pub(super) fn remove(&mut self, slots: &mut Slots, id: SlotId) -> Option<usize> {
        if let Where::Heap(_, at) = slots.place(id) {
            self.take(slots, at);
            return None;
        }
        let at = self.head.iter().position(|entry| entry.id() == id)?;
        self.head.remove(at);
        slots.set_place(id, Where::Nowhere);
        Some(at)
    }

    /// Takes the entry at a place of the heap out.
    fn take(&mut self, slots: &mut Slots, at: usize) -> Option<Entry> {
        let taken = *self.heap.get(at)?;
        slots.set_place(taken.id(), Where::Nowhere);
        let last = self.heap.pop()?;
        if at < self.heap.len() {
            // To the bottom and up again: what comes from the bottom mostly belongs there.
            let at = self.sink(slots, at);
            self.rise(slots, at, last);
        }
        Some(taken)
    }

    /// Moves the hole at a place down to the bottom.
    fn sink(&mut self, slots: &mut Slots, mut hole: usize) -> usize {
        loop {
            let left = 2 * hole + 1;
            let Some(mut least) = self.heap.get(left).copied() else { return hole };
            let mut from = left;
            if let Some(right) = self.heap.get(left + 1).filter(|right| right.is_before(least, slots)) {
                (least, from) = (*right, left + 1);
            }
            self.set(slots, hole, least);
            hole = from;
        }
    }

    /// Puts an entry into the hole at a place, or above.
    fn rise(&mut self, slots: &mut Slots, mut hole: usize, entry: Entry) {
        while hole > 0 {
            let above = (hole - 1) / 2;
            if !entry.is_before(self.heap[above], slots) {
                break;
            }
            self.set(slots, hole, self.heap[above]);
            hole = above;
        }
        self.set(slots, hole, entry);
    }

    fn set(&mut self, slots: &mut Slots, at: usize, entry: Entry) {
        self.heap[at] = entry;
        slots.set_place(entry.id(), Where::Heap(self.which, at));
    }

    /// The first send time, and of which slot.
    pub(super) fn first(&self, slots: &Slots) -> Option<(Timestamp, SlotId)> {
        let first = if self.head_is_first(slots) { self.head.front() } else { self.heap.first() };
        first.map(|entry| (entry.send, entry.id()))
    }

    /// The first send time.
    pub(super) fn first_send(&self) -> Option<Timestamp> {
        let (head, heap) = (self.head.front(), self.heap.first());
        head.into_iter().chain(heap).map(|entry| entry.send).min()
    }

    /// Which slots are due first, in order, at most so many. Only what may be among them is looked at: each entry of the heap
    /// that is, and the two below it.
    pub(super) fn soonest(&self, slots: &Slots, most: usize) -> Vec<SlotId> {
        let (mut head, mut found) = (self.head.iter().peekable(), Vec::new());
        let mut reached: Vec<(usize, Entry)> =
            self.heap.first().map(|first| (0, *first)).into_iter().collect();
        while found.len() < most {
            let least = (0..reached.len()).reduce(|least, other| {
                if reached[other].1.is_before(reached[least].1, slots) { other } else { least }
            });
            let laid_out =
                head.next_if(|entry| least.is_none_or(|least| entry.is_before(reached[least].1, slots)));
            if let Some(entry) = laid_out {
                found.push(entry.id());
                continue;
            }
            let Some(least) = least else { break };
            let (at, entry) = reached.swap_remove(least);
            found.push(entry.id());
            let below = [2 * at + 1, 2 * at + 2];
            reached.extend(below.into_iter().filter_map(|at| Some((at, *self.heap.get(at)?))));
        }
        found
    }

    pub(super) fn pop(&mut self, slots: &mut Slots) {
        if !self.head_is_first(slots) {
            self.take(slots, 0);
        } else if let Some(first) = self.head.pop_front() {
            slots.set_place(first.id(), Where::Nowhere);
        }
    }

    fn head_is_first(&self, slots: &Slots) -> bool {
        match (self.head.front(), self.heap.first()) {
            (Some(head), Some(heap)) => head.is_before(*heap, slots),
            (head, _) => head.is_some(),
        }
    }

    /// Lays out what is due together with the first, at most so many. Nothing may be laid out already.
    pub(super) fn lay_out(&mut self, slots: &mut Slots, most: usize) {
        debug_assert!(self.head.is_empty(), "what came since may belong in between");
        while let Some(entry) = self.heap.first().copied().filter(|_| self.head.len() < most)
            && self.head.front().is_none_or(|front| front.send == entry.send)
        {
            self.take(slots, 0);
            slots.set_place(entry.id(), Where::Head(self.which));
            self.head.push_back(entry);
        }
    }

    /// Send times and slots of what is laid out, in order, without the first `skipped`.
    pub(super) fn laid_out(&self, skipped: usize) -> impl ExactSizeIterator<Item = (Timestamp, SlotId)> {
        // Before the map, so that it is one step.
        self.head.iter().skip(skipped).map(|entry| (entry.send, entry.id()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::slots::tests::named, *};
    use std::collections::BTreeSet;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn ties_go_by_due_time_and_then_by_name() {
        let mut slots = Slots::default();
        // The last two come out of order.
        let ids: Vec<SlotId> = ["a", "b", "d", "f", "e", "c"].map(|name| slots.insert(named(name))).into();
        let mut queue = DueQueue::new(Which::Due);
        for (send, due, slot) in [(9, 9, 0), (9, 9, 1), (9, 9, 2), (9, 5, 3), (9, 9, 5), (8, 8, 4)] {
            queue.push(&mut slots, at(send), at(due), ids[slot]);
        }
        queue.remove(&mut slots, ids[0]);
        let mut names = String::new();
        while let Some((_, id)) = queue.first(&slots) {
            names.push_str(slots[id].definition.name());
            queue.pop(&mut slots);
        }
        assert_eq!(names, "efbcd");
        assert_eq!(size_of::<Entry>(), 16);
    }

    /// Beside a set that is sorted anyhow.
    #[test]
    fn laying_out_changes_no_order() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..200 {
            let (mut slots, mut sorted) = (Slots::default(), BTreeSet::new());
            let (mut queue, mut other) = (DueQueue::new(Which::Due), DueQueue::new(Which::Deferred));
            let mut numbers: Vec<u32> = (0..60).collect();
            if round % 2 == 0 {
                random.shuffle(&mut numbers);
            }
            let name = |number: u32| format!("{number:02}");
            let ids: Vec<SlotId> = numbers.iter().map(|number| slots.insert(named(&name(*number)))).collect();
            for _ in 0..120 {
                let (send, one) = (random.i64(0..6), random.usize(0..60));
                let (id, number) = (ids[one], numbers[one]);
                match random.u8(0..10) {
                    0 if queue.laid_out(0).len() == 0 => queue.lay_out(&mut slots, random.usize(1..5)),
                    1 | 2 => {
                        if let Some((send, number)) = sorted.iter().nth(random.usize(0..9)).copied() {
                            sorted.remove(&(send, number));
                            let id = slots.find(name(number).as_bytes()).unwrap();
                            let laid_out = queue.laid_out(0).position(|(_, laid_out)| laid_out == id);
                            assert_eq!(queue.remove(&mut slots, id), laid_out);
                            assert_eq!(slots.place(id), Where::Nowhere);
                        }
                    }
                    3 | 4 => {
                        sorted.pop_first();
                        queue.pop(&mut slots);
                    }
                    5 if slots.place(id) == Where::Nowhere => other.push(&mut slots, at(send), at(send), id),
                    _ if slots.place(id) == Where::Nowhere => {
                        sorted.insert((at(send), number));
                        queue.push(&mut slots, at(send), at(send), id);
                    }
                    _ => {}
                }
                let first = |id: SlotId| slots[id].definition.name().parse::<u32>().unwrap();
                assert_eq!(queue.first(&slots).map(|(send, id)| (send, first(id))), sorted.first().copied());
                let soonest: Vec<_> = queue.soonest(&slots, 7).into_iter().map(first).collect();
                assert_eq!(soonest, sorted.iter().take(7).map(|(_, number)| *number).collect::<Vec<_>>());
                assert_eq!(queue.first_send(), sorted.first().map(|(send, _)| *send));
                let laid_out: Vec<_> = queue.laid_out(0).map(|(send, id)| (send, first(id))).collect();
                assert!(laid_out.is_sorted() && laid_out.iter().all(|entry| sorted.contains(entry)));
            }
            while queue.first(&slots).is_some() {
                queue.pop(&mut slots);
            }
            while other.first(&slots).is_some() {
                other.pop(&mut slots);
            }
            assert!(ids.iter().all(|id| slots.place(*id) == Where::Nowhere));
        }
    }
}
