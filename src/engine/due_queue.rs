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

type Entry = (Timestamp, u32);

impl DueQueue {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(entries), removed: HashSet::new() }
    }

    pub(super) fn push(&mut self, due: Timestamp, rank: u32) {
        // One that was removed lies there still: it counts again.
        if !self.removed.remove(&(due, rank)) {
            self.heap.push(Reverse((due, rank)));
        }
    }

    /// Removes an entry that stands in the queue.
    pub(super) fn remove(&mut self, due: Timestamp, rank: u32) {
        self.removed.insert((due, rank));
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

    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, u32)> {
        let first = self.heap.pop().map(|Reverse(entry)| entry);
        self.uncover();
        first
    }
}
