//! Shares of a bounded resource. No owner holds more than what is left for the others: the first one never takes all of it,
//! and a later one finds some.

use std::{collections::HashMap, sync::Arc};

#[derive(Debug, Default)]
pub(super) struct Portions {
    all: usize,
    /// Of nobody here it is 0.
    of: HashMap<Arc<str>, usize>,
}

impl Portions {
    /// Whether this owner may hold so much more, of `most`. What is larger than that comes alone.
    pub(super) fn has_room(&self, owner: &str, more: usize, most: usize) -> bool {
        let after = self.of(owner).saturating_add(more);
        after <= most.saturating_sub(self.all.saturating_add(more)) || self.all == 0
    }

    /// What is this owner's.
    pub(super) fn of(&self, owner: &str) -> usize {
        self.of.get(owner).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, owner: &Arc<str>, more: usize) {
        self.all += more;
        *self.of.entry(owner.clone()).or_default() += more;
    }

    pub(super) fn remove(&mut self, owner: &str, less: usize) {
        self.all = self.all.saturating_sub(less);
        match self.of.get_mut(owner) {
            Some(held) if *held > less => *held -= less,
            _ => drop(self.of.remove(owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_later_finds_some_and_nobody_is_known_who_holds_nothing() {
        let owners: [Arc<str>; 3] = ["a", "b", "c"].map(Into::into);
        let mut portions = Portions::default();
        let mut held = [0; 3];
        for (owner, held) in owners.iter().zip(&mut held) {
            while portions.has_room(owner, 1, 80) {
                portions.add(owner, 1);
                *held += 1;
            }
        }
        assert_eq!(held, [40, 20, 10]);
        assert!(!portions.has_room("d", 6, 80) && portions.has_room("d", 5, 80));
        for (owner, held) in owners.iter().zip(held) {
            portions.remove(owner, held - 1);
            portions.remove(owner, 1);
        }
        assert_eq!((portions.all, portions.of.len()), (0, 0));
        assert!(portions.has_room("a", 1_000, 80), "there is nobody else");
    }
}
