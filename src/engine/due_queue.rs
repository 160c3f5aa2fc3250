//! When is what due next: one heap over all schedules, drained in one pass.
//!
//! Ties: (send time, due time, schedule name). Schedules are ranked by name and each has at most one entry, so the rank
//! stands for the name; without jitter due time and send time are one.

use ponos::event::Timestamp;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Sixteen bytes an entry.
#[derive(Debug, Default)]
pub(super) struct DueQueue(BinaryHeap<Reverse<(Timestamp, u32)>>);

impl DueQueue {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Self(BinaryHeap::with_capacity(entries))
    }

    pub(super) fn push(&mut self, due: Timestamp, rank: u32) {
        self.0.push(Reverse((due, rank)));
    }

    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        self.0.peek().map(|Reverse(entry)| *entry)
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, u32)> {
        self.0.pop().map(|Reverse(entry)| entry)
    }
}
