//! The parked entries that wait for a person: how many, and which of them go first where there are too many.
//!
//! Invariant: what is sent again by itself, or was released, is not here: it does not count towards the limit, and is not
//! dropped at it. The schedule that has most here loses its own oldest first; so one that flaps costs no other anything.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// So many schedules, and so many entries of each, are looked at for one that can be dropped.
const LOOKED_AT: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    of: HashMap<Arc<str>, BTreeSet<u64>>,
    /// The schedule that has most is last; among equals, the one that has the oldest.
    by_count: BTreeSet<(usize, Reverse<u64>, Arc<str>)>,
    count: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn insert(&mut self, schedule: &Arc<str>, number: u64) {
        self.change(schedule, |all| all.insert(number));
    }

    pub(super) fn remove(&mut self, schedule: &Arc<str>, number: u64) {
        self.change(schedule, |all| all.remove(&number));
    }

    fn change(&mut self, schedule: &Arc<str>, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let all = self.of.entry(schedule.clone()).or_default();
        let before = place(schedule, all);
        let count = all.len();
        if change(all) {
            self.count = self.count + all.len() - count;
            before.map(|before| self.by_count.remove(&before));
            self.by_count.extend(place(schedule, all));
        }
        if all.is_empty() {
            self.of.remove(schedule);
        }
    }

    /// In the order in which they are dropped: some, so that this costs the same however many there are.
    pub(super) fn first(&self) -> impl Iterator<Item = u64> {
        let schedules = self.by_count.iter().rev().take(LOOKED_AT);
        let entries = schedules.filter_map(|(_, _, schedule)| self.of.get(schedule));
        entries.flat_map(|all| all.iter().take(LOOKED_AT)).copied()
    }
}

fn place(schedule: &Arc<str>, all: &BTreeSet<u64>) -> Option<(usize, Reverse<u64>, Arc<str>)> {
    Some((all.len(), Reverse(*all.first()?), schedule.clone()))
}
