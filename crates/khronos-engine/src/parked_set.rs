//! The parked entries in memory: which revision has which, and whose turn it is to be sent.
//!
//! Invariants: an entry has one turn at most, and none while its event is in flight. Of those that are sent again by
//! themselves only the oldest of each line has a turn; when it ends, the next has. A schedule has two lines: its occurrences,
//! and what commands asked for. What rests because its schedule is paused by name is passed over until that ends; what was
//! parked before the clock was set back to before its send time is passed over until then.

use super::faults::{Fault, planted};
use super::{Coalesced, Parked, catch_up::single, progress::SpanKey, turns::Turns, waiting::Waiting};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// The line in which an entry waits to be sent again by itself: of which schedule, and whether a command asked for it.
type Line = (Arc<str>, bool);

/// At most so many entries of a line are sent again by themselves.
pub(super) const MOST_RETRIED: usize = 8;
/// Entries of a revision that may stand for one due time, at most.
const OVERLAPPING: usize = 4;
/// Nothing waits longer (milliseconds) to be sent again, but for what was refused before the clock was set back.
const LONGEST: i64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, Default)]
pub(super) struct ParkedSet {
    entries: BTreeMap<u64, Parked>,
    /// The entries of each revision by last due time. Their numbers may be in another order: what was refused before a crash may
    /// be refused again.
    of: HashMap<SpanKey, BTreeSet<(Timestamp, u64)>>,
    /// What commands asked for of each revision: it stands for none of its occurrences.
    asked_for: HashMap<SpanKey, BTreeSet<u64>>,
    /// Of each line those that are sent again by themselves, oldest first.
    retried: HashMap<Line, BTreeSet<u64>>,
    /// Of these, those that lie ahead since the clock was set back: their turn is at their send time.
    ahead: HashSet<u64>,
    pub(super) turns: Turns,
    /// Those that wait for a person.
    waiting: Waiting,
    /// Those that had their turn while their schedule was paused by name: they have another when it goes on.
    paused: HashMap<Arc<str>, BTreeSet<u64>>,
    in_flight: HashSet<u64>,
    /// The last try got no answer: it may have arrived.
    lost: HashSet<u64>,
    last: u64,
    /// How many events all entries are.
    events: u64,
    /// The limit is near, and that was said.
    pub(super) alarmed: bool,
}

impl ParkedSet {
    /// As it was kept.
    pub(super) fn new(kept: Vec<(u64, Parked)>, now: Timestamp) -> Self {
        let mut set = Self::default();
        for (number, mut parked) in kept {
            set.last = set.last.max(number);
            parked.retry_at = parked.retry_at.map(|at| at.min(now.plus(LONGEST)));
            let released = parked.released;
            set.put(number, parked);
            if released {
                set.turns.set(number, Timestamp::EPOCH);
            }
        }
        set
    }

    pub(super) fn entries(&self) -> &BTreeMap<u64, Parked> {
        &self.entries
    }

    pub(super) fn get(&self, number: u64) -> Option<&Parked> {
        self.entries.get(&number)
    }

    /// To change anything of it but when, and whether, it is sent.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Parked> {
        self.entries.get_mut(&number)
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Whether something of this revision is parked.
    pub(super) fn holds(&self, key: &SpanKey) -> bool {
        self.of.contains_key(key) || self.asked_for.contains_key(key)
    }

    /// The last entry of a revision before a due time.
    pub(super) fn last_before(&self, key: &SpanKey, due: Timestamp) -> Option<u64> {
        self.of.get(key)?.range(..(due, 0)).next_back().map(|(_, number)| *number)
    }

    /// The occurrences of a revision, oldest first.
    pub(super) fn occurrences_of(&self, key: &SpanKey) -> impl Iterator<Item = &Parked> + use<'_> {
        let all = self.of.get(key).into_iter().flatten();
        all.filter_map(|(_, number)| self.entries.get(number))
    }

    /// Whether an event is on its way, or a person wants it to be.
    pub(super) fn is_being_sent(&self, number: u64) -> bool {
        let released = self.entries.get(&number).is_some_and(|parked| parked.released);
        released || self.in_flight.contains(&number) || self.lost.contains(&number)
    }

    /// Whether something of it is on its way, or may have arrived.
    pub(super) fn is_on_its_way(&self, number: u64) -> bool {
        self.in_flight.contains(&number) || self.lost.contains(&number)
    }

    /// How many entries wait for a person.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Some of those that wait for a person, in the order in which they go where there are too many.
    pub(super) fn first_waiting(&self) -> impl Iterator<Item = u64> {
        self.waiting.first()
    }

    /// The last due time of the run of this revision in which `due` stands.
    pub(super) fn run_with(&self, key: &SpanKey, due: Timestamp) -> Option<Timestamp> {
        // Only where the clock was set back the first of them may not be the one.
        let numbers = self.of.get(key)?.range((due, 0)..).take(OVERLAPPING);
        let mut runs = numbers.filter_map(|(_, number)| self.entries.get(number)).filter(|one| one.singly);
        runs.find(|parked| parked.stands_for.first <= due).map(|parked| parked.stands_for.last)
    }

    /// Gives its number.
    pub(super) fn add(&mut self, parked: Parked) -> u64 {
        self.last += 1;
        self.put(self.last, parked);
        self.last
    }

    fn put(&mut self, number: u64, parked: Parked) {
        self.events += parked.events();
        let key = (parked.schedule.clone(), parked.revision);
        if parked.is_asked_for() {
            self.asked_for.entry(key).or_default().insert(number);
        } else {
            self.of.entry(key).or_default().insert((parked.stands_for.last, number));
        }
        let retry_at = parked.retry_at;
        if retry_at.is_none() && !parked.released {
            self.waiting.insert(&parked.schedule, number);
        }
        self.entries.insert(number, parked);
        if let Some(at) = retry_at {
            self.retry(number, at);
        }
    }

    /// Lets a run reach one due time further.
    pub(super) fn extend(&mut self, number: u64, due: Timestamp) {
        let Some(parked) = self.entries.get_mut(&number) else { return };
        let before = std::mem::replace(&mut parked.stands_for.last, due);
        parked.stands_for.count += 1;
        self.events += 1;
        let of = self.of.entry((parked.schedule.clone(), parked.revision)).or_default();
        of.remove(&(before, number));
        of.insert((due, number));
    }

    /// The first event of a run is settled, and another follows.
    pub(super) fn shorten(&mut self, number: u64, next: Timestamp) {
        if let Some(parked) = self.entries.get_mut(&number) {
            parked.stands_for.first = next;
            parked.stands_for.count -= 1;
            self.events -= 1;
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Parked> {
        let parked = self.entries.remove(&number)?;
        self.events -= parked.events();
        let key = (parked.schedule.clone(), parked.revision);
        if let Some(asked_for) = self.asked_for.get_mut(&key).filter(|_| parked.is_asked_for()) {
            asked_for.remove(&number);
            if asked_for.is_empty() {
                self.asked_for.remove(&key);
            }
        } else if let Some(of) = self.of.get_mut(&key) {
            of.remove(&(parked.stands_for.last, number));
            if of.is_empty() {
                self.of.remove(&key);
            }
        }
        self.in_flight.remove(&number);
        self.lost.remove(&number);
        if let Some(paused) = self.paused.get_mut(&parked.schedule) {
            paused.remove(&number);
            if paused.is_empty() {
                self.paused.remove(&parked.schedule);
            }
        }
        self.turns.forget(number);
        self.waiting.remove(&parked.schedule, number);
        self.end_retries(number, &parked.line());
        Some(parked)
    }

    /// Sends an entry again by itself, once it is the oldest of its line, and not before `at`.
    pub(super) fn retry(&mut self, number: u64, at: Timestamp) {
        let Some(parked) = self.entries.get_mut(&number) else { return };
        parked.retry_at = Some(at);
        let line = parked.line();
        self.turns.forget(number);
        self.waiting.remove(&line.0, number);
        self.retried.entry(line.clone()).or_default().insert(number);
        self.give_turn(&line);
    }

    /// Leaves an entry to people: it is not sent again by itself.
    pub(super) fn leave(&mut self, number: u64) {
        let Some(parked) = self.entries.get_mut(&number) else { return };
        (parked.released, parked.retry_at) = (false, None);
        let line = parked.line();
        self.lost.remove(&number);
        self.turns.forget(number);
        self.waiting.insert(&line.0, number);
        self.end_retries(number, &line);
    }

    /// Something that was asked for is sent as soon as the write with this ticket is durable.
    pub(super) fn begin(&mut self, parked: Parked, ticket: u64) -> u64 {
        let number = self.add(parked);
        self.turns.await_write(number, ticket);
        number
    }

    /// Sends an entry again because a person says so, once the write with this ticket is durable.
    pub(super) fn release(&mut self, number: u64, ticket: u64) {
        self.leave(number);
        if let Some(parked) = self.entries.get_mut(&number) {
            parked.released = true;
            self.waiting.remove(&parked.schedule, number);
            self.turns.await_write(number, ticket);
        }
    }

    fn end_retries(&mut self, number: u64, line: &Line) {
        self.ahead.remove(&number);
        let Some(all) = self.retried.get_mut(line).filter(|all| all.contains(&number)) else { return };
        all.remove(&number);
        if all.is_empty() {
            self.retried.remove(line);
        }
        self.give_turn(line);
    }

    /// Of the entries of a line the oldest has a turn, unless one is in flight.
    fn give_turn(&mut self, line: &Line) {
        let Some(all) = self.retried.get(line) else { return };
        let is_one_in_flight = all.iter().any(|number| self.in_flight.contains(number));
        let mut first = None;
        let at_rest = self.paused.get(&line.0);
        let rests = |number: &u64| at_rest.is_some_and(|all| all.contains(number));
        for number in all.iter().filter(|number| !self.ahead.contains(number) && !rests(number)) {
            match first {
                None if !is_one_in_flight => first = Some(*number),
                _ => self.turns.forget(*number),
            }
        }
        if let Some(first) = first.filter(|first| !self.turns.has(*first)) {
            let at = self.entries.get(&first).and_then(|parked| parked.retry_at);
            self.turns.set(first, at.unwrap_or(Timestamp::EPOCH));
        }
    }

    /// The entry that is one too many of those of this one's line.
    pub(super) fn surplus(&self, number: u64) -> Option<u64> {
        let line = self.entries.get(&number)?.line();
        let all = self.retried.get(&line).filter(|all| all.len() > MOST_RETRIED)?;
        all.iter().copied().find(|number| !self.is_being_sent(*number))
    }

    /// What was released, or has its line's turn, is handed over not before this instant.
    pub(super) fn delay(&mut self, number: u64, at: Timestamp) {
        let Some(parked) = self.entries.get(&number) else { return };
        if !parked.released {
            let line = parked.line();
            self.give_turn(&line);
            if !self.turns.has(number) {
                return;
            }
        }
        self.turns.set(number, at);
    }

    /// What was released, or had its turn, is handed over as soon as the write with this ticket is durable.
    pub(super) fn await_write(&mut self, number: u64, ticket: u64) {
        self.turns.await_write(number, ticket);
    }

    /// Its schedule is paused: it has no turn before that ends.
    pub(super) fn pause(&mut self, number: u64) {
        if let Some(parked) = self.entries.get(&number) {
            let line = parked.line();
            self.paused.entry(line.0.clone()).or_default().insert(number);
            self.give_turn(&line);
        }
    }

    /// The schedule is paused no longer: what had its turn meanwhile has it once the write with this ticket is durable.
    pub(super) fn let_go(&mut self, schedule: &str, ticket: u64) {
        for number in self.paused.remove(schedule).unwrap_or_default() {
            self.delay(number, Timestamp::EPOCH);
            if self.turns.has(number) {
                self.turns.await_write(number, ticket);
            }
        }
    }

    /// What is to be sent at `at` only, for the clock was set back to before, lets younger ones of its line go before it.
    pub(super) fn set_aside(&mut self, number: u64, at: Timestamp) {
        let Some(parked) = self.entries.get(&number) else { return };
        let line = parked.line();
        if !parked.released {
            self.ahead.insert(number);
            self.lost.remove(&number);
        }
        self.turns.set(number, at);
        self.give_turn(&line);
    }

    /// Entries whose write is durable have their turn.
    pub(super) fn saved(&mut self, is_durable: impl Fn(u64) -> bool) {
        self.turns.saved(is_durable);
    }

    /// Takes the entry whose turn it is.
    pub(super) fn next_turn(&mut self, now: Timestamp) -> Option<u64> {
        while let Some(number) = self.turns.next(now) {
            if !self.ahead.remove(&number) {
                return Some(number);
            }
            // It stands in its line again.
            if let Some(line) = self.entries.get(&number).map(Parked::line) {
                self.give_turn(&line);
            }
        }
        None
    }

    /// When the next may be handed over, as far as time alone decides.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.turns.next_timer()
    }

    /// Its event is on its way.
    pub(super) fn handed_over(&mut self, number: u64) {
        self.in_flight.insert(number);
    }

    /// It is not any more; `lost`: nobody knows whether it arrived.
    pub(super) fn answered(&mut self, number: u64, lost: bool) {
        self.in_flight.remove(&number);
        if lost && self.entries.contains_key(&number) {
            self.lost.insert(number);
        } else {
            self.lost.remove(&number);
        }
    }

    /// Lets what waits for an instant after this one wait for it no longer: the clock was set back to it.
    pub(super) fn wake(&mut self, now: Timestamp) {
        for number in self.retried.values().flatten() {
            if let Some(parked) = self.entries.get_mut(number) {
                parked.retry_at = parked.retry_at.map(|at| at.min(now));
            }
        }
        self.turns.wake(now);
    }

    /// Those that are sent again by themselves.
    pub(super) fn retried(&self) -> impl Iterator<Item = u64> {
        self.retried.values().flatten().copied()
    }
}

impl Parked {
    fn line(&self) -> Line {
        let asked_for = self.is_asked_for() && !planted(Fault::LeaveTheOccurrenceForTheBackfill);
        (self.schedule.clone(), asked_for)
    }

    /// What its next event stands for.
    pub(super) fn first(&self) -> Coalesced {
        if self.singly { single(self.stands_for.first) } else { self.stands_for }
    }
}
