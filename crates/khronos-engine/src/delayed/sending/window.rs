//! What is due soon, in memory. What lies before its edge is known here; behind it, the store is asked as time goes on.

use super::{
    faults::{Fault, planted},
    io::DelayedRules,
};
use crate::delayed::{DelayedKey, DueEvent};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

#[derive(Debug)]
pub(super) struct Window {
    events: BTreeMap<DelayedKey, DueEvent>,
    /// All with an earlier send time are known …
    before: Timestamp,
    /// … and those up to this place.
    after: Option<DelayedKey>,
    loading: Option<Loading>,
    /// What went (deleted, moved, or settled), and may yet be in a page that is being read.
    gone: HashMap<DelayedKey, Gone>,
    /// What is handed over, and in the store until it is settled.
    in_flight: HashSet<DelayedKey>,
}

#[derive(Debug)]
struct Loading {
    ticket: u64,
    until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// With the next write.
    Decided,
    Writing(u64),
    /// But a page was asked for before.
    Written,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            before: Timestamp::from_millis(i64::MIN),
            after: None,
            loading: None,
            gone: HashMap::new(),
            in_flight: HashSet::new(),
        }
    }

    pub(super) fn first(&self) -> Option<&DueEvent> {
        self.events.values().next()
    }

    /// The first, if it is due by then.
    pub(super) fn pop_due(&mut self, until: Timestamp) -> Option<DueEvent> {
        let first = self.events.first_entry().filter(|first| first.key().send <= until)?;
        let event = first.remove();
        self.in_flight.insert(event.key.clone());
        Some(event)
    }

    pub(super) fn remove(&mut self, key: &DelayedKey) {
        self.events.remove(key);
    }

    /// It went, whatever a page says that is being read.
    pub(super) fn gone(&mut self, key: DelayedKey) {
        self.in_flight.remove(&key);
        self.gone.insert(key, Gone::Decided);
    }

    /// It is durable now: it belongs here if it lies before the edge, or where a page is being read that may be without it.
    /// A page may have brought it already; then it may even have been handed over, and have gone.
    pub(super) fn put(&mut self, event: DueEvent) {
        let went_since = self.gone.get(&event.key).is_some_and(|state| *state != Gone::Written);
        if went_since || self.in_flight.contains(&event.key) {
            return;
        }
        self.gone.remove(&event.key);
        let is_read = self.loading.as_ref().is_some_and(|loading| event.key.send < loading.until);
        let is_here = self.knows(&event.key) || is_read && !planted(Fault::TrustThePage);
        if is_here && !planted(Fault::LeaveOutWhatIsPut) {
            self.events.insert(event.key.clone(), event);
        }
    }

    /// It was handed over, and is due again.
    pub(super) fn again(&mut self, event: DueEvent) {
        self.in_flight.remove(&event.key);
        self.events.insert(event.key.clone(), event);
    }

    fn knows(&self, key: &DelayedKey) -> bool {
        key.send < self.before || self.after.as_ref().is_some_and(|after| key <= after)
    }

    /// From when on more is asked for, if there is room.
    pub(super) fn next_load(&self, rules: &DelayedRules) -> Option<Timestamp> {
        let has_room = self.events.len() + rules.page <= rules.most;
        (self.loading.is_none() && has_room).then(|| self.before.plus(-rules.window / 2))
    }

    /// What to read next: the range, and behind which place.
    pub(super) fn wants(
        &mut self,
        now: Timestamp,
        rules: &DelayedRules,
        in_flight: usize,
        ticket: u64,
    ) -> Option<(Range<Timestamp>, Option<DelayedKey>)> {
        let is_due = self.after.is_some() || self.next_load(rules).is_some_and(|at| at <= now);
        let has_room = self.events.len() + in_flight + rules.page <= rules.most;
        if self.loading.is_some() || !is_due || !has_room {
            return None;
        }
        let until = now.plus(rules.window).max(self.before.plus(1));
        self.loading = Some(Loading { ticket, until });
        Some((self.before..until, self.after.clone()))
    }

    /// What was read. What is known here in another way stays as it is known.
    pub(super) fn loaded(&mut self, ticket: u64, events: Vec<DueEvent>, page: usize) {
        let Some(loading) = self.loading.take_if(|loading| loading.ticket == ticket) else { return };
        match events.last().filter(|_| events.len() >= page) {
            Some(last) => {
                self.before = last.key.send;
                self.after = Some(last.key.clone());
            }
            None => {
                self.before = loading.until;
                self.after = None;
            }
        }
        for event in events {
            let went = self.gone.contains_key(&event.key) && !planted(Fault::BringBackWhatWent);
            if !went && !self.in_flight.contains(&event.key) {
                self.events.entry(event.key.clone()).or_insert(event);
            }
        }
        self.gone.retain(|_, state| *state != Gone::Written);
    }

    /// What went goes down now.
    pub(super) fn writing(&mut self, ticket: u64) {
        for state in self.gone.values_mut().filter(|state| **state == Gone::Decided) {
            *state = Gone::Writing(ticket);
        }
    }

    /// It is not in the store any more.
    pub(super) fn written(&mut self, ticket: u64) {
        let is_read = self.loading.is_some();
        self.gone.retain(|_, state| {
            if *state == Gone::Writing(ticket) {
                *state = Gone::Written;
            }
            *state != Gone::Written || is_read
        });
    }

    /// Forgets what has no room, the last first: the edge goes back with it.
    pub(super) fn shorten(&mut self, rules: &DelayedRules) {
        let most = rules.most + rules.page;
        while self.events.len() > most
            && let Some((key, _)) = self.events.pop_last()
        {
            if planted(Fault::ForgetWhatHadNoRoom) {
                continue;
            }
            // What is here and behind the edge is read again anyway.
            if self.knows(&key) {
                let last = self.events.last_key_value().map(|(key, _)| key);
                self.after = last.filter(|last| last.send == key.send).cloned();
                self.before = key.send;
            }
            // A page that is being read begins behind what is forgotten now, or may be without it.
            self.loading = None;
        }
    }
}
