//! When is what due next: one heap over all schedules, drained in one pass.
//!
//! Ties: (send time, due time, schedule name). Schedules are ranked by name and each has at most one entry, so the rank
//! stands for the name; without jitter due time and send time are one.

use ponos::event::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

/// Sixteen bytes an entry.
#[derive(Debug, Default)]
pub(super) struct DueQueue {
    heap: BinaryHeap<Reverse<Entry>>,
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
        Self { heap: BinaryHeap::with_capacity(entries), removed: HashSet::new() }
    }

    pub(super) fn push(&mut self, send: Timestamp, due: Timestamp, rank: u32) {
        let entry = entry(send, due, rank);
        // One that was removed lies there still: it counts again.
        if !self.removed.remove(&entry) {
            self.heap.push(Reverse(entry));
        }
    }

    /// Removes an entry that stands in the queue.
    pub(super) fn remove(&mut self, send: Timestamp, due: Timestamp, rank: u32) {
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

    /// The first send time, and of which rank.
    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        self.heap.peek().map(|Reverse((send, _, rank))| (*send, *rank))
    }

    pub(super) fn pop(&mut self) {
        self.heap.pop();
        self.uncover();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
