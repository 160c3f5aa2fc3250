//! Commands about one subject, in the order in which they came. What is about several stands in several places.
//!
//! Invariant: what is entered or leaves costs as much as it has names, however many wait.

use super::{request::Subject, turns::About};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Who stands before whom. Bounded by what is taken from the queue and not done.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By subject: begun, or waiting. Never empty.
    by_subject: HashMap<Subject, VecDeque<Place>>,
    /// By number: about how many of its subjects something stands before it. Never 0.
    behind: HashMap<u64, usize>,
    /// Places that were looked at, for the invariant.
    #[cfg(test)]
    looked_at: std::sync::atomic::AtomicUsize,
}

#[derive(Debug)]
struct Place {
    number: u64,
    owner: Arc<str>,
    changes: bool,
}

impl Order {
    /// One more, behind all others.
    pub(super) fn enter(&mut self, number: u64, about: &About) {
        let About { owner, subjects, changes } = about;
        let mut behind = 0;
        for subject in subjects {
            let places = self.by_subject.entry(subject.clone()).or_default();
            behind += usize::from(!places.is_empty());
            places.push_back(Place { number, owner: owner.clone(), changes: *changes });
            #[cfg(test)]
            self.looked_at.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        if behind > 0 {
            self.behind.insert(number, behind);
        }
    }

    /// It is done, or not done after all.
    pub(super) fn leave(&mut self, number: u64, about: &About) {
        self.behind.remove(&number);
        for subject in &about.subjects {
            let Some(places) = self.by_subject.get_mut(subject) else { continue };
            let Some(at) = places.iter().position(|place| place.number == number) else { continue };
            places.remove(at);
            #[cfg(test)]
            self.looked_at.fetch_add(at + 1, std::sync::atomic::Ordering::Relaxed);
            match places.front() {
                None => drop(self.by_subject.remove(subject)),
                Some(first) if at == 0 => {
                    let Some(behind) = self.behind.get_mut(&first.number) else { continue };
                    *behind -= 1;
                    if *behind == 0 {
                        self.behind.remove(&first.number);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Whether nothing that came before it is about a subject of its.
    pub(super) fn is_first(&self, number: u64) -> bool {
        !self.behind.contains_key(&number)
    }

    /// How many changes of this owner wait about this subject, where `is_begun` says which do not wait any more.
    pub(super) fn changes(&self, subject: &Subject, owner: &str, is_begun: impl Fn(u64) -> bool) -> usize {
        let Some(places) = self.by_subject.get(subject) else { return 0 };
        #[cfg(test)]
        self.looked_at.fetch_add(places.len(), std::sync::atomic::Ordering::Relaxed);
        // None but the first can be begun.
        let begun = usize::from(places.front().is_some_and(|first| is_begun(first.number)));
        places.iter().skip(begun).filter(|place| place.changes && *place.owner == *owner).count()
    }

    #[cfg(test)]
    pub(super) fn looked_at(&self) -> usize {
        self.looked_at.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_subject.is_empty() && self.behind.is_empty()
    }
}
