//! The set in memory: the outstanding spans, and which of them can go on.
//!
//! A span that has nothing left stays here until its removal is durable: until then occurrences of its schedule join
//! it instead of being handed over on time. So a span found after a restart tells how far its schedule may have come.
//!
//! Of a name that is paused no span goes on, and that of the revision that runs is open once something is due: it is written
//! once, whatever joins it later, and its slot stands in no queue until the pause has ended.

use super::{Era, Span, ceilings::CeilingId, progress::SpanKey};
use khronos_schedule::Schedule;
use ponos_event::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    ops::Bound,
    sync::Arc,
};

#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) span: Span,
    pub(super) era: Era,
    pub(super) schedule: Arc<Schedule>,
    pub(super) state: State,
    /// What a ceiling may keep waiting is sent singly: the write with which that went down last, and up to where it had before.
    pub(super) fixed: (u64, Timestamp),
}

/// Nothing of it was kept single by a write that is not durable.
pub(super) const NOT_FIXED: (u64, Timestamp) = (0, Timestamp::HORIZON);

impl Backlog {
    /// Whether something of it is left.
    pub(super) fn has_more(&self) -> bool {
        let Span { after, through, .. } = self.span;
        self.schedule.timing.after(after).is_some_and(|due| due <= through)
    }
}

/// What a span waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its turn.
    Ready,
    /// The write with this ticket.
    Saving(u64),
    /// An instant.
    Waiting(Timestamp),
    /// Its turn at a ceiling, in the order of send times.
    AtCeiling(CeilingId, Timestamp),
    /// The broker's answer.
    InFlight,
    /// An older revision of its schedule.
    Behind,
    /// The end of the pause of its name.
    Paused,
    /// Nothing is left; the write with this ticket removes it.
    Closing(u64),
}

#[derive(Debug, Default)]
pub(super) struct Backlogs {
    all: BTreeMap<SpanKey, Backlog>,
    ready: VecDeque<SpanKey>,
    timers: BinaryHeap<Reverse<(Timestamp, SpanKey)>>,
    saving: VecDeque<(u64, SpanKey)>,
    /// Those that wait for ceilings, and no others, by send time.
    at_ceilings: BTreeMap<CeilingId, BTreeSet<(Timestamp, SpanKey)>>,
}

impl Backlogs {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SpanKey, &Backlog)> {
        self.all.iter()
    }

    /// The first keys after this one, at most so many.
    pub(super) fn keys_after(&self, after: Option<&SpanKey>, most: usize) -> Vec<SpanKey> {
        self.after(after).take(most).map(|(key, _)| key.clone()).collect()
    }

    /// All after this key.
    pub(super) fn after(&self, key: Option<&SpanKey>) -> impl Iterator<Item = (&SpanKey, &Backlog)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded))
    }

    pub(super) fn get(&self, key: &SpanKey) -> Option<&Backlog> {
        self.all.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &SpanKey) -> Option<&mut Backlog> {
        self.all.get_mut(key)
    }

    pub(super) fn contains(&self, key: &SpanKey) -> bool {
        self.all.contains_key(key)
    }

    /// Whether anything of this schedule is outstanding.
    pub(super) fn holds(&self, schedule: &str) -> bool {
        !self.all.is_empty() && self.of(&schedule.into()).next().is_some()
    }

    /// The same of this creation under a name: what had it before is another schedule, and nothing waits for it.
    pub(super) fn holds_of(&self, schedule: &str, creation: impl FnOnce() -> u64) -> bool {
        !self.all.is_empty() && {
            let creation = creation();
            self.of(&schedule.into()).any(|(_, backlog)| backlog.schedule.creation == creation)
        }
    }

    /// The oldest of the creation whose this span is.
    pub(super) fn oldest_beside(&self, key: &SpanKey) -> Option<&SpanKey> {
        let creation = self.all.get(key)?.schedule.creation;
        self.of(&key.0).find(|(_, backlog)| backlog.schedule.creation == creation).map(|(oldest, _)| oldest)
    }

    pub(super) fn of(&self, schedule: &Arc<str>) -> impl Iterator<Item = (&SpanKey, &Backlog)> {
        self.all.range((schedule.clone(), 0)..=(schedule.clone(), u32::MAX))
    }

    pub(super) fn insert(&mut self, key: SpanKey, backlog: Backlog) {
        let state = backlog.state;
        if let Some(before) = self.all.insert(key.clone(), backlog) {
            self.leave_ceiling(&key, before.state);
        }
        self.set(&key, state);
    }

    /// Puts a span into a state and into the queue where it waits.
    pub(super) fn set(&mut self, key: &SpanKey, state: State) {
        let Some(backlog) = self.all.get_mut(key) else { return };
        let before = std::mem::replace(&mut backlog.state, state);
        self.leave_ceiling(key, before);
        match state {
            State::AtCeiling(ceiling, send) => {
                self.at_ceilings.entry(ceiling).or_default().insert((send, key.clone()));
            }
            State::Ready => self.ready.push_back(key.clone()),
            State::Waiting(until) => self.timers.push(Reverse((until, key.clone()))),
            State::Saving(ticket) | State::Closing(ticket) => self.saving.push_back((ticket, key.clone())),
            State::InFlight | State::Behind | State::Paused => {}
        }
    }

    fn leave_ceiling(&mut self, key: &SpanKey, before: State) {
        if let State::AtCeiling(ceiling, send) = before
            && let Some(waiting) = self.at_ceilings.get_mut(&ceiling)
        {
            waiting.remove(&(send, key.clone()));
        }
    }

    /// The first that waits for a ceiling, and its send time.
    pub(super) fn first_at(&self, ceiling: CeilingId) -> Option<(Timestamp, &SpanKey)> {
        self.at_ceilings.get(&ceiling)?.first().map(|(send, key)| (*send, key))
    }

    /// How many wait for a ceiling.
    pub(super) fn count_at(&self, ceiling: CeilingId) -> usize {
        self.at_ceilings.get(&ceiling).map_or(0, BTreeSet::len)
    }

    pub(super) fn remove(&mut self, key: &SpanKey) {
        let Some(removed) = self.all.remove(key) else { return };
        self.leave_ceiling(key, removed.state);
        let of_it = |next: &&Backlog| next.schedule.creation == removed.schedule.creation;
        let next = self.of(&key.0).find(|(_, next)| of_it(next));
        let behind = next.filter(|(_, next)| next.state == State::Behind);
        if let Some(next) = behind.map(|(next, _)| next.clone()) {
            self.set(&next, State::Ready);
        }
    }

    /// The spans of a name that was paused go on once the write with this ticket is durable.
    pub(super) fn let_go(&mut self, schedule: &Arc<str>, ticket: u64) {
        let paused = self.of(schedule).filter(|(_, backlog)| backlog.state == State::Paused);
        let keys: Vec<SpanKey> = paused.map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.set(key, State::Saving(ticket)));
    }

    /// The next span whose turn it is. Entries of the queues that were overtaken by a change of state are passed over.
    pub(super) fn next_ready(&mut self, now: Timestamp) -> Option<SpanKey> {
        while let Some(Reverse((_, key))) = self.timers.pop_if_reached(now) {
            if self.all.get(&key).is_some_and(|b| matches!(b.state, State::Waiting(until) if until <= now)) {
                self.set(&key, State::Ready);
            }
        }
        while let Some(key) = self.ready.pop_front() {
            if self.all.get(&key).is_some_and(|b| b.state == State::Ready) {
                return Some(key);
            }
        }
        None
    }

    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((until, _))| *until)
    }

    /// Spans whose write has become durable.
    pub(super) fn next_saved(&mut self, durable: impl Fn(u64) -> bool) -> Option<SpanKey> {
        while let Some((ticket, _)) = self.saving.front()
            && durable(*ticket)
        {
            let (ticket, key) = self.saving.pop_front()?;
            let waits = [State::Saving(ticket), State::Closing(ticket)];
            if self.all.get(&key).is_some_and(|b| waits.contains(&b.state)) {
                return Some(key);
            }
        }
        None
    }
}

/// Pops the top only once its instant has come.
trait PopIfReached {
    fn pop_if_reached(&mut self, now: Timestamp) -> Option<Reverse<(Timestamp, SpanKey)>>;
}

impl PopIfReached for BinaryHeap<Reverse<(Timestamp, SpanKey)>> {
    fn pop_if_reached(&mut self, now: Timestamp) -> Option<Reverse<(Timestamp, SpanKey)>> {
        if self.peek().is_some_and(|Reverse((until, _))| *until <= now) { self.pop() } else { None }
    }
}
