//! What is due soon, in memory. What lies before its edge is known here; behind it, the store is asked as time goes on. What counts
//! for a rate ceiling stands in a lane of that ceiling's, apart from all else.

use super::{
    faults::{Fault, planted},
    io::DelayedRules,
    lane::Lane,
};
use crate::{
    CeilingId, Ceilings,
    delayed::{DelayedKey, DueEvent},
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::{Bound, Range},
};

#[derive(Debug)]
pub(super) struct Window {
    /// What counts for no ceiling.
    events: BTreeMap<DelayedKey, DueEvent>,
    lanes: BTreeMap<CeilingId, Lane>,
    /// The ceiling of which a page was asked for last.
    last: Option<CeilingId>,
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
    of: Page,
}

/// What is being read.
#[derive(Debug)]
enum Page {
    /// What lies behind the edge, up to here.
    Next(Timestamp),
    /// Of a ceiling, what lies behind this place.
    Of(CeilingId, DelayedKey),
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
            lanes: BTreeMap::new(),
            last: None,
            before: Timestamp::from_millis(i64::MIN),
            after: None,
            loading: None,
            gone: HashMap::new(),
            in_flight: HashSet::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn has_gone(&self, key: &DelayedKey) -> bool {
        self.gone.contains_key(key)
    }

    /// What is to be sent before this is handed over, or has ended.
    pub(super) fn waits_from(&self) -> Timestamp {
        let lanes = self.lanes.values().filter_map(Lane::waits_from);
        lanes.chain(self.first().map(|event| event.key.send)).fold(self.before, Timestamp::min)
    }

    /// The first that counts for no ceiling.
    pub(super) fn first(&self) -> Option<&DueEvent> {
        self.events.values().next()
    }

    /// The first of each ceiling.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (CeilingId, Timestamp)> {
        self.lanes.iter().filter_map(|(id, lane)| Some((*id, lane.first()?.key.send)))
    }

    pub(super) fn lane(&self, id: CeilingId) -> Option<&Lane> {
        self.lanes.get(&id)
    }

    /// The first, if it is due by then, of those that their ceilings let through; and the ceiling that it counts for.
    pub(super) fn first_due(
        &self,
        until: Timestamp,
        ceilings: &Ceilings,
    ) -> Option<(&DelayedKey, Option<CeilingId>)> {
        let may = |id| ceilings.may_delayed(id) || planted(Fault::IgnoreTheCeilings);
        let open = self.lanes.iter().filter(|(id, _)| may(**id));
        let firsts = open.filter_map(|(id, lane)| Some((&lane.first()?.key, Some(*id))));
        let first = self.events.keys().next().map(|key| (key, None));
        firsts.chain(first).filter(|(key, _)| key.send <= until).min_by_key(|(key, _)| *key)
    }

    /// That one is handed over.
    pub(super) fn pop_due(&mut self, until: Timestamp, ceilings: &mut Ceilings) -> Option<DueEvent> {
        let (key, id) = self.first_due(until, ceilings)?;
        let key = key.clone();
        let event = match id {
            Some(id) => {
                ceilings.take_delayed(id);
                self.lanes.get_mut(&id)?.remove(&key)?
            }
            None => self.events.remove(&key)?,
        };
        self.in_flight.insert(key);
        Some(event)
    }

    pub(super) fn remove(&mut self, key: &DelayedKey) {
        self.events.remove(key);
        self.lanes.values_mut().for_each(|lane| drop(lane.remove(key)));
    }

    /// It went, whatever a page says that is being read.
    pub(super) fn gone(&mut self, key: DelayedKey) {
        self.in_flight.remove(&key);
        self.gone.insert(key, Gone::Decided);
    }

    /// It is durable now: it belongs here if it lies before the edge, or where a page is being read that may be without it.
    /// A page may have brought it already; then it may even have been handed over, and have gone. A page that is being read may have
    /// what stood there before: so that stays known as gone, for this one may be in the store alone by the time that the page comes.
    pub(super) fn put(&mut self, event: DueEvent, rules: &DelayedRules, ceilings: &Ceilings) {
        let went_since = self.gone.get(&event.key).is_some_and(|state| *state != Gone::Written);
        if went_since || self.in_flight.contains(&event.key) {
            return;
        }
        if planted(Fault::BringBackWhatWasReplaced) {
            self.gone.remove(&event.key);
        }
        let is_read = match &self.loading {
            Some(Loading { of: Page::Next(until), .. }) => event.key.send < *until,
            _ => false,
        };
        let is_here = self.knows(&event.key) || is_read && !planted(Fault::TrustThePage);
        if is_here && !planted(Fault::LeaveOutWhatIsPut) {
            self.add(event, rules, ceilings);
        }
    }

    /// It was handed over, and is due again.
    pub(super) fn again(&mut self, event: DueEvent, rules: &DelayedRules, ceilings: &Ceilings) {
        self.in_flight.remove(&event.key);
        self.add(event, rules, ceilings);
    }

    fn add(&mut self, mut event: DueEvent, rules: &DelayedRules, ceilings: &Ceilings) {
        match ceiling(&event, ceilings) {
            Some(id) => self.lanes.entry(id).or_default().add(event, rules.at_ceiling),
            None => {
                event.topic = None;
                self.events.insert(event.key.clone(), event);
            }
        }
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
        if self.loading.is_some() {
            return None;
        }
        let is_due = self.after.is_some() || self.next_load(rules).is_some_and(|at| at <= now);
        let has_room = self.events.len() + in_flight + rules.page <= rules.most;
        if !is_due || !has_room {
            return self.wants_of_a_ceiling(rules, ticket);
        }
        let until = now.plus(rules.window).max(self.before.plus(1));
        self.loading = Some(Loading { ticket, of: Page::Next(until) });
        Some((self.before..until, self.after.clone()))
    }

    /// The ceilings take turns.
    fn wants_of_a_ceiling(
        &mut self,
        rules: &DelayedRules,
        ticket: u64,
    ) -> Option<(Range<Timestamp>, Option<DelayedKey>)> {
        let from = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut in_turn = self.lanes.range((from, Bound::Unbounded)).chain(&self.lanes);
        let (id, rest) = in_turn.find_map(|(id, lane)| Some((*id, lane.wants(rules.at_ceiling)?.clone())))?;
        self.lanes.get_mut(&id)?.reading();
        self.last = Some(id);
        self.loading = Some(Loading { ticket, of: Page::Of(id, rest.clone()) });
        // What is known ends within an instant where a page ended there.
        let end = self.before.plus(i64::from(self.after.is_some()));
        Some((rest.send..end, Some(rest)))
    }

    /// What was read. What is known here in another way stays as it is known.
    pub(super) fn loaded(
        &mut self,
        ticket: u64,
        events: Vec<DueEvent>,
        rules: &DelayedRules,
        ceilings: &Ceilings,
    ) {
        let Some(loading) = self.loading.take_if(|loading| loading.ticket == ticket) else { return };
        match loading.of {
            Page::Next(until) => self.loaded_next(until, events, rules, ceilings),
            Page::Of(id, after) => self.loaded_of(id, &after, events, rules, ceilings),
        }
        self.gone.retain(|_, state| *state != Gone::Written);
    }

    fn loaded_next(
        &mut self,
        until: Timestamp,
        events: Vec<DueEvent>,
        rules: &DelayedRules,
        ceilings: &Ceilings,
    ) {
        match events.last().filter(|_| events.len() >= rules.page) {
            Some(last) => {
                self.before = last.key.send;
                self.after = Some(last.key.clone());
            }
            None => {
                self.before = until;
                self.after = None;
            }
        }
        for event in events {
            let is_here =
                self.events.contains_key(&event.key) || self.lanes.values().any(|lane| lane.has(&event.key));
            if !is_here && self.may_come(&event.key) {
                self.add(event, rules, ceilings);
            }
        }
    }

    fn loaded_of(
        &mut self,
        id: CeilingId,
        after: &DelayedKey,
        mut events: Vec<DueEvent>,
        rules: &DelayedRules,
        ceilings: &Ceilings,
    ) {
        let is_full = events.len() >= rules.page;
        let known = events.iter().take_while(|event| self.knows(&event.key)).count();
        let is_all = !is_full || known < events.len();
        events.truncate(known);
        let Some(mut lane) = self.lanes.remove(&id) else { return };
        lane.read(after, events, is_all, rules.at_ceiling, |event| {
            ceiling(event, ceilings) == Some(id) && self.may_come(&event.key)
        });
        self.lanes.insert(id, lane);
    }

    /// Whether what a page says is there still is, and is not handed over.
    fn may_come(&self, key: &DelayedKey) -> bool {
        let went = self.gone.contains_key(key) && !planted(Fault::BringBackWhatWent);
        !went && !self.in_flight.contains(key)
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
        if self.loading.is_none() {
            self.gone.retain(|_, state| *state != Gone::Written);
        }
    }
}

/// For which ceiling it counts.
fn ceiling(event: &DueEvent, ceilings: &Ceilings) -> Option<CeilingId> {
    event.topic.as_deref().and_then(|topic| ceilings.of(topic))
}
