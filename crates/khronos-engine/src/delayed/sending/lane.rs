//! What is due next of the events that count for one rate ceiling. However many there are, the first ones alone are in memory: the
//! others stay in the store, and are read again when it is almost their turn. So what waits for a ceiling takes no room from
//! other events, and holds up none of them.

use super::faults::{Fault, planted};
use crate::delayed::{DelayedKey, DueEvent};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

/// Invariant: of what is known to the window, all up to [`rest`](Self::rest) is here, but for what is in flight or has gone.
#[derive(Debug, Default)]
pub(super) struct Lane {
    events: BTreeMap<DelayedKey, DueEvent>,
    /// What is known and lies behind this place is in the store alone; none: all that is known is here.
    rest: Option<DelayedKey>,
    /// The first that was left to the store since a page was asked for: the page may be without it.
    left: Option<DelayedKey>,
}

impl Lane {
    pub(super) fn first(&self) -> Option<&DueEvent> {
        self.events.values().next()
    }

    /// When the first is to be sent, here or behind what is here; the latter at the earliest.
    pub(super) fn waits_from(&self) -> Option<Timestamp> {
        self.first().map(|event| &event.key).or(self.rest.as_ref()).map(|key| key.send)
    }

    /// How many here are to be sent by then.
    pub(super) fn count(&self, until: Timestamp) -> usize {
        self.events.keys().take_while(|key| key.send <= until).count()
    }

    pub(super) fn has(&self, key: &DelayedKey) -> bool {
        self.events.contains_key(key)
    }

    pub(super) fn remove(&mut self, key: &DelayedKey) -> Option<DueEvent> {
        self.events.remove(key)
    }

    /// It is known from now on, and here if it is one of the first `most`.
    pub(super) fn add(&mut self, event: DueEvent, most: usize) {
        if self.rest.as_ref().is_some_and(|rest| event.key > *rest) {
            return self.leave(event.key);
        }
        self.events.insert(event.key.clone(), event);
        while self.events.len() > most.max(1)
            && let Some((key, _)) = self.events.pop_last()
        {
            if !planted(Fault::ForgetWhatWaitsInTheStore) {
                self.rest = self.events.last_key_value().map(|(last, _)| last.clone());
            }
            self.leave(key);
        }
    }

    /// It is in the store alone.
    fn leave(&mut self, key: DelayedKey) {
        if self.left.as_ref().is_none_or(|left| key < *left) && !planted(Fault::TrustThePageOfACeiling) {
            self.left = Some(key);
        }
    }

    /// Behind which place to read on, where that is to be done.
    pub(super) fn wants(&self, most: usize) -> Option<&DelayedKey> {
        self.rest.as_ref().filter(|_| self.events.len() <= most / 2)
    }

    /// It is being read on.
    pub(super) fn reading(&mut self) {
        self.left = None;
    }

    /// What was read behind `after`, as much of it as is known to the window; `is_its_own` of these that may still be handed over.
    /// `is_all`: behind that nothing more is known.
    pub(super) fn read(
        &mut self,
        after: &DelayedKey,
        events: Vec<DueEvent>,
        is_all: bool,
        most: usize,
        is_its_own: impl Fn(&DueEvent) -> bool,
    ) {
        // Fewer may be here since: then something is missing between these and the page.
        if self.rest.as_ref() != Some(after) {
            return;
        }
        let (mut rest, mut is_all) = (after.clone(), is_all);
        for event in events {
            let is_its_own = is_its_own(&event);
            let is_left = self.left.as_ref().is_some_and(|left| event.key >= *left);
            if is_left || is_its_own && self.events.len() >= most.max(1) {
                is_all = false;
                break;
            }
            rest = event.key.clone();
            if is_its_own {
                self.events.entry(event.key.clone()).or_insert(event);
            }
        }
        self.rest = Some(rest).filter(|_| !is_all || self.left.is_some());
    }
}
