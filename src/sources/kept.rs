//! What is kept of the schedules that are read: all of each, for people who ask; or the packed form, by the million.

use super::{Place, Source};
use crate::schedule::{Definition, Packed, Schedule, Timing};
use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

/// The part of a schedule that is kept after reading.
pub trait Kept {
    /// Keeps it.
    fn keep(definition: Definition, schedule: Schedule, place: Place) -> Self;
    /// Its name.
    fn name(&self) -> &str;
    /// Its event.
    fn event(&self) -> &str;
    /// When it is due.
    fn timing(&self) -> Cow<'_, Timing>;
    /// Whether it rests.
    fn is_paused(&self) -> bool;
}

impl Kept for Source {
    fn keep(definition: Definition, schedule: Schedule, place: Place) -> Self {
        Self { definition, schedule, place }
    }

    fn name(&self) -> &str {
        &self.schedule.name
    }

    fn event(&self) -> &str {
        self.schedule.event.as_str()
    }

    fn timing(&self) -> Cow<'_, Timing> {
        Cow::Borrowed(&self.schedule.timing)
    }

    fn is_paused(&self) -> bool {
        self.schedule.paused
    }
}

impl Kept for Packed {
    fn keep(definition: Definition, schedule: Schedule, _: Place) -> Self {
        Self::new(&definition, &schedule)
    }

    fn name(&self) -> &str {
        self.name()
    }

    fn event(&self) -> &str {
        self.event()
    }

    fn timing(&self) -> Cow<'_, Timing> {
        Cow::Owned(self.timing())
    }

    fn is_paused(&self) -> bool {
        self.conduct().paused
    }
}

/// Places in a list, by a text that each entry has: twelve bytes an entry and no text.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Index {
    /// The first place whose entry has this text; where there is none, `place` becomes it.
    pub(super) fn first(&mut self, text: &str, place: usize, has: impl Fn(usize) -> bool) -> Option<usize> {
        let mut hash = self.hasher.hash_one(text);
        while let Some(known) = self.places.get(&hash) {
            let known = *known as usize;
            if has(known) {
                return Some(known);
            }
            // Two texts with one hash: the next number is as good.
            hash = hash.wrapping_add(1);
        }
        self.places.insert(hash, u32::try_from(place).unwrap_or(u32::MAX));
        None
    }
}
