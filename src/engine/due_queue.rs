//! When is what due next: one heap over all schedules, drained in one pass. What is due first can be laid out in order
//! ahead of its time, so that nothing is left to sort when it is due.
//!
//! Ties: (send time, due time, schedule name). Schedules are ranked by name and each has at most one entry, so the rank
//! stands for the name; without jitter due time and send time are one.

use ponos::event::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, VecDeque},
};

/// Sixteen bytes an entry.
#[derive(Debug, Default)]
pub(super) struct DueQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Taken out of the heap, in order. What came since, and stands in the heap, may come before it.
    head: VecDeque<Entry>,
    /// Removed, and still somewhere below the top of the heap.
    removed: HashSet<Entry>,
}

/// Send time, due time, rank. The due time stands there as how far it lies before the send time, from above: so that
/// the earlier one comes first, and so that it needs no more than the room that was left.
type Entry = (Timestamp, u32, u32);

fn entry(send: Timestamp, due: Timestamp, rank: u32) -> Entry {
    (send, u32::MAX - u32::try_from(send.since(due)).unwrap_or(u32::MAX), rank)
}

impl DueQueue {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(entries), ..Self::default() }
    }

    pub(super) fn push(&mut self, send: Timestamp, due: Timestamp, rank: u32) {
        let entry = entry(send, due, rank);
        // One that was removed lies there still: it counts again.
        if !self.removed.remove(&entry) {
            self.heap.push(Reverse(entry));
        }
    }

    /// Removes an entry that stands in the queue. Nothing is laid out any more.
    pub(super) fn remove(&mut self, send: Timestamp, due: Timestamp, rank: u32) {
        self.heap.extend(self.head.drain(..).map(Reverse));
        self.removed.insert(entry(send, due, rank));
        self.uncover();
    }

    /// Has the top be one that was not removed.
    fn uncover(&mut self) {
        while let Some(Reverse(top)) = self.heap.peek()
            && !self.removed.is_empty()
            && self.removed.remove(top)
        {
            self.heap.pop();
        }
    }

    /// Takes all that another holds, in which nothing is laid out or removed.
    pub(super) fn take_over(&mut self, other: &mut Self) {
        debug_assert!(
            other.head.is_empty() && other.removed.is_empty(),
            "it is only pushed to and popped from"
        );
        self.heap.append(&mut other.heap);
    }

    /// The first send time, and of which rank.
    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        let heap = self.heap.peek().map(|Reverse(entry)| entry);
        let first = if self.head_is_first() { self.head.front() } else { heap };
        first.map(|(send, _, rank)| (*send, *rank))
    }

    pub(super) fn pop(&mut self) {
        if self.head_is_first() {
            self.head.pop_front();
        } else {
            self.heap.pop();
            self.uncover();
        }
    }

    fn head_is_first(&self) -> bool {
        match (self.head.front(), self.heap.peek()) {
            (Some(head), Some(Reverse(heap))) => head < heap,
            (head, _) => head.is_some(),
        }
    }

    /// Lays out what is due together with the first, at most so many. Nothing may be laid out already.
    pub(super) fn lay_out(&mut self, most: usize) {
        debug_assert!(self.head.is_empty(), "what came since may belong in between");
        while let Some(Reverse(entry)) = self.heap.peek().filter(|_| self.head.len() < most)
            && self.head.front().is_none_or(|(send, ..)| *send == entry.0)
        {
            self.head.push_back(*entry);
            self.heap.pop();
            self.uncover();
        }
    }

    /// Send times and ranks of what is laid out, in order, without the first `skipped`.
    pub(super) fn laid_out(&self, skipped: usize) -> impl ExactSizeIterator<Item = (Timestamp, u32)> {
        // Before the map, so that it is one step.
        self.head.iter().skip(skipped).map(|(send, _, rank)| (*send, *rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ties_go_by_due_time_and_then_by_name() {
        let at = Timestamp::from_millis;
        let mut queue = DueQueue::default();
        for (send, due, rank) in [(9, 9, 0), (9, 9, 1), (9, 5, 3), (9, 7, 2), (8, 8, 4)] {
            queue.push(at(send), at(due), rank);
        }
        queue.remove(at(9), at(9), 0);
        let mut ranks = Vec::new();
        while let Some((_, rank)) = queue.first() {
            ranks.push(rank);
            queue.pop();
        }
        assert_eq!(ranks, [4, 3, 2, 1]);
        assert_eq!(size_of::<Entry>(), 16);
    }

    /// Beside a set that is sorted anyhow.
    #[test]
    fn laying_out_changes_no_order() {
        let at = Timestamp::from_millis;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut queue, mut sorted) = (DueQueue::default(), BTreeSet::new());
            for rank in 0..60 {
                let send = random.i64(0..6);
                match random.u8(0..10) {
                    0 if queue.laid_out(0).len() == 0 => queue.lay_out(random.usize(1..5)),
                    1 => {
                        if let Some((send, rank)) = sorted.iter().nth(random.usize(0..4)).copied() {
                            sorted.remove(&(send, rank));
                            queue.remove(send, send, rank);
                        }
                    }
                    2 => {
                        let mut other = DueQueue::default();
                        for rank in [100 + rank, 200 + rank] {
                            sorted.insert((at(send), rank));
                            other.push(at(send), at(send), rank);
                        }
                        queue.take_over(&mut other);
                        assert_eq!(other.first(), None);
                    }
                    3 | 4 => {
                        sorted.pop_first();
                        queue.pop();
                    }
                    _ => {
                        sorted.insert((at(send), rank));
                        queue.push(at(send), at(send), rank);
                    }
                }
                assert_eq!(queue.first(), sorted.first().copied());
                assert!(queue.laid_out(0).is_sorted());
                assert!(queue.laid_out(0).all(|entry| sorted.contains(&entry)));
            }
        }
    }
}
