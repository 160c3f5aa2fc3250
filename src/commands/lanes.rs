//! In which order commands are done: those about one schedule one after the other, as they came; others side by side.

use std::collections::{HashMap, VecDeque};

/// What waits for its turn, by what it is about. Bounded by what is taken from the queue and not settled.
#[derive(Debug)]
pub(super) struct Lanes<T>(HashMap<String, VecDeque<T>>);

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Lanes<T> {
    /// One more about `subject`: it is given back if it is its turn.
    pub(super) fn enter(&mut self, subject: &str, one: T) -> Option<T> {
        match self.0.get_mut(subject) {
            Some(waiting) => {
                waiting.push_back(one);
                None
            }
            None => {
                self.0.insert(subject.to_owned(), VecDeque::new());
                Some(one)
            }
        }
    }

    /// What was begun about `subject` is done: the next one.
    pub(super) fn leave(&mut self, subject: &str) -> Option<T> {
        let next = self.0.get_mut(subject).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.0.remove(subject);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_one_thing_is_done_one_after_the_other_and_nothing_is_remembered_of_it() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter("a", 1), Some(1));
        assert_eq!(lanes.enter("b", 2), Some(2));
        assert_eq!(lanes.enter("a", 3), None);
        assert_eq!(lanes.enter("a", 4), None);
        assert_eq!(lanes.leave("b"), None);
        assert_eq!(lanes.enter("b", 5), Some(5));
        assert_eq!([lanes.leave("a"), lanes.leave("a"), lanes.leave("a")], [Some(3), Some(4), None]);
        assert_eq!(lanes.leave("b"), None);
        assert!(lanes.0.is_empty());
    }
}
