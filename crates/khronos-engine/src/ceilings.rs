//! Rate ceilings of event domains: how many of their events are handed over in a second at most, whatever they are
//! (occurrences on time or late, what is sent again, triggers, backfills).
//!
//! Each event counts for one ceiling: of those whose domain has it, the one that spells out most words, and of these the
//! first. A ceiling lets a small burst through, and then one event in each of its intervals (the generic cell rate
//! algorithm). It goes by the time since boot, which never steps. Invariant: in any span of that time no more than burst +
//! span / interval are handed over. A restart begins anew: one more burst may go out.
//!
//! Delayed events count for the same ceilings as what goes out by schedules. Where both wait for one, they take turns.

use super::{
    faults::{Fault, planted},
    progress::SpanKey,
};
use khronos_schedule::ADay;
use ponos_event::topology::topic_matches;
use std::collections::VecDeque;

#[cfg(test)]
mod tests;

const NANOS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * NANOS;
/// At most so many of one ceiling are decided and not handed over, however many may go out together.
const DECIDED: usize = 64;

/// How often events of a domain are handed over at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// The domain, for people.
    pub domain: String,
    /// Its events, as a topic pattern.
    pub pattern: String,
    /// So many nanoseconds lie between two on average.
    pub interval: i64,
    /// So many may go out together.
    pub burst: u32,
}

impl Ceiling {
    /// So many a second, of which a tenth may go out together.
    pub fn of_a_second(domain: String, pattern: String, rate: u32) -> Self {
        let rate = rate.max(1);
        let interval = SECOND.div_euclid(i64::from(rate)) + i64::from(SECOND % i64::from(rate) != 0);
        Self { domain, pattern, interval, burst: (rate / 10).max(1) }
    }

    /// How many that are in a day.
    pub fn a_day(&self) -> ADay {
        const DAY: u64 = 86_400_000_000_000;
        ADay(DAY.div_ceil(self.interval.unsigned_abs().max(1)))
    }

    fn spelled_out(&self) -> usize {
        self.pattern.split('.').filter(|word| !matches!(*word, "*" | "#")).count()
    }
}

/// Which ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CeilingId(u16);

impl CeilingId {
    /// Its place in the order in which they were given, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// All of them, and how far each is used.
#[derive(Debug, Default)]
pub struct Ceilings {
    all: Vec<Used>,
    /// The one that counts comes first.
    order: Vec<CeilingId>,
    /// Nanoseconds since boot.
    now: i64,
    /// Whose turn is next.
    turn: usize,
}

/// Of what an event is that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Of a schedule: an occurrence, or what a command asked for.
    Schedules,
    /// It is a delayed one.
    Delayed,
}

/// What is of schedules and what is delayed, at one ceiling.
#[derive(Debug)]
struct Turns {
    /// Something of schedules waits.
    schedules_wait: bool,
    /// A delayed event waits, and would be handed over at once but for the ceiling.
    delayed_wait: bool,
    /// Of which the last one was, and how many of these came in a row.
    last: Side,
    in_a_row: u32,
    /// What is of schedules may have its turn since the engine's last step.
    is_released: bool,
}

impl Turns {
    /// Whether the others wait, and it is their turn: the last side has it until so many of it came in a row.
    fn yields(&self, side: Side, portion: u32) -> bool {
        let others_wait = match side {
            Side::Schedules => self.delayed_wait,
            Side::Delayed => self.schedules_wait,
        };
        others_wait && (self.last == side) == (self.in_a_row >= portion)
    }

    fn take(&mut self, side: Side) {
        self.in_a_row = if self.last == side { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = side;
        self.is_released |= side == Side::Delayed;
    }
}

#[derive(Debug)]
struct Used {
    ceiling: Ceiling,
    /// When it would be as if nothing had been handed over (nanoseconds since boot).
    idle_at: i64,
    /// Something waits for it that stands in no queue of its own.
    is_wanted: bool,
    /// What was decided at its turn, and was not handed over yet: these are what is let through next.
    decided: VecDeque<SpanKey>,
    turns: Turns,
}

impl Used {
    fn new(ceiling: Ceiling) -> Self {
        let turns = Turns {
            schedules_wait: false,
            delayed_wait: false,
            last: Side::Delayed,
            in_a_row: 0,
            is_released: false,
        };
        Self { ceiling, idle_at: i64::MIN, is_wanted: false, decided: VecDeque::new(), turns }
    }

    /// So many of one side go out in a row while the other one waits: what is let through in a hundredth of a second, for each turn
    /// takes a step.
    fn portion(&self) -> u32 {
        self.ceiling.burst.div_ceil(10).max(1)
    }

    fn may(&self, side: Side, now: i64) -> bool {
        self.next() <= now && (!self.turns.yields(side, self.portion()) || planted(Fault::TakeEveryTurn))
    }

    fn take(&mut self, side: Side, now: i64) {
        self.idle_at = self.idle_at.max(now).saturating_add(self.ceiling.interval);
        self.turns.take(side);
    }

    /// When the next may be handed over.
    fn next(&self) -> i64 {
        self.idle_at.saturating_sub(self.ceiling.interval.saturating_mul(i64::from(self.ceiling.burst) - 1))
    }
}

impl Ceilings {
    /// None of them is used yet.
    pub fn new(all: Vec<Ceiling>) -> Self {
        let ids = (0..u16::MAX).map(CeilingId);
        let mut order: Vec<_> = ids.zip(&all).map(|(id, one)| (id, one.spelled_out())).collect();
        order.sort_by_key(|(_, words)| std::cmp::Reverse(*words));
        let order = order.into_iter().map(|(id, _)| id).collect();
        Self { all: all.into_iter().map(Used::new).collect(), order, now: 0, turn: 0 }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, in the order in which they were given.
    pub fn ids(&self) -> impl Iterator<Item = CeilingId> + use<> {
        (0..self.order.len()).filter_map(|id| u16::try_from(id).ok()).map(CeilingId)
    }

    /// The one of this id.
    pub fn get(&self, id: CeilingId) -> Option<&Ceiling> {
        self.used(id).map(|used| &used.ceiling)
    }

    /// How many milliseconds since boot it is, at a step of the engine.
    pub(super) fn see(&mut self, boot: i64) {
        self.now = self.now.max(boot.saturating_mul(NANOS));
        self.all.iter_mut().for_each(|used| used.turns.is_released = false);
    }

    fn used(&self, id: CeilingId) -> Option<&Used> {
        self.all.get(id.index())
    }

    fn used_mut(&mut self, id: CeilingId) -> Option<&mut Used> {
        self.all.get_mut(id.index())
    }

    /// For which one an event of this name counts.
    pub fn of(&self, event: &str) -> Option<CeilingId> {
        let covers = |id: &&CeilingId| self.get(**id).is_some_and(|one| topic_matches(&one.pattern, event));
        self.order.iter().find(covers).copied()
    }

    /// Whether one more of schedules may be handed over now.
    pub(super) fn may(&self, id: CeilingId) -> bool {
        self.used(id).is_none_or(|used| used.may(Side::Schedules, self.now))
    }

    /// The same of a delayed one.
    pub(super) fn may_delayed(&self, id: CeilingId) -> bool {
        self.used(id).is_none_or(|used| used.may(Side::Delayed, self.now))
    }

    /// In how many milliseconds one more may be handed over; 0: now.
    pub(super) fn wait(&self, id: CeilingId) -> i64 {
        let next = self.used(id).map_or(self.now, Used::next);
        let left = next.saturating_sub(self.now).max(0);
        left.div_euclid(NANOS) + i64::from(left % NANOS != 0)
    }

    /// Something waits for it and stands in none of its queues.
    pub(super) fn want(&mut self, id: CeilingId) {
        if let Some(used) = self.used_mut(id) {
            used.is_wanted = true;
        }
    }

    pub(super) fn is_wanted(&self, id: CeilingId) -> bool {
        self.used(id).is_some_and(|used| used.is_wanted)
    }

    /// What is wanted of those that let one through now is handed over now, or wanted again.
    pub(super) fn forget_wants(&mut self) {
        let now = self.now;
        let open = self.all.iter_mut().filter(|used| used.is_wanted && used.may(Side::Schedules, now));
        open.for_each(|used| used.is_wanted = false);
    }

    /// One of a schedule is handed over.
    pub(super) fn take(&mut self, id: CeilingId) {
        let now = self.now;
        if let Some(used) = self.used_mut(id) {
            used.take(Side::Schedules, now);
            used.is_wanted = false;
        }
    }

    /// A delayed one is.
    pub(super) fn take_delayed(&mut self, id: CeilingId) {
        let now = self.now;
        if let Some(used) = self.used_mut(id) {
            used.take(Side::Delayed, now);
        }
    }

    /// Whether something of schedules waits.
    pub(super) fn schedules_wait(&mut self, id: CeilingId, waits: bool) {
        if let Some(used) = self.used_mut(id) {
            used.turns.schedules_wait = waits;
        }
    }

    /// Whether a delayed event waits that would be handed over at once but for this ceiling.
    pub(super) fn delayed_wait(&mut self, id: CeilingId, waits: bool) {
        if let Some(used) = self.used_mut(id) {
            used.turns.is_released |= used.turns.delayed_wait && !waits;
            used.turns.delayed_wait = waits;
        }
    }

    /// No delayed event would be handed over, whatever the ceilings say.
    pub(super) fn no_delayed_wait(&mut self) {
        self.ids().for_each(|id| self.delayed_wait(id, false));
    }

    /// Whether delayed events had their turn, or wait no more, since the engine's last step.
    pub(super) fn is_released(&self, id: CeilingId) -> bool {
        self.used(id).is_some_and(|used| used.turns.is_released && used.may(Side::Schedules, self.now))
    }

    /// All, the one whose turn is next first.
    pub(super) fn in_turn(&self) -> VecDeque<CeilingId> {
        let mut ids: VecDeque<_> = self.ids().collect();
        ids.rotate_left(self.turn.min(ids.len()));
        ids
    }

    /// This one had its turn: those behind it come first.
    pub(super) fn had_turn(&mut self, id: CeilingId) {
        self.turn = (id.index() + 1) % self.all.len().max(1);
    }

    /// What was decided at its turn, and was not handed over yet, in that order.
    pub(super) fn decided(&self, id: CeilingId) -> &VecDeque<SpanKey> {
        const NONE: &VecDeque<SpanKey> = &VecDeque::new();
        self.used(id).map_or(NONE, |used| &used.decided)
    }

    /// Whether one more may be decided: no more are than may go out together.
    pub(super) fn may_decide(&self, id: CeilingId) -> bool {
        let burst = |used: &Used| usize::try_from(used.ceiling.burst).unwrap_or(DECIDED).min(DECIDED);
        self.used(id).is_none_or(|used| used.decided.len() < burst(used).max(1))
    }

    /// One is being decided at its turn.
    pub(super) fn decide(&mut self, id: CeilingId, key: SpanKey) {
        if let Some(used) = self.used_mut(id) {
            used.decided.push_back(key);
        }
    }

    /// Only these are still to be handed over.
    pub(super) fn keep_decided(&mut self, stays: impl Fn(&SpanKey) -> bool) {
        self.all.iter_mut().for_each(|used| used.decided.retain(&stays));
    }
}
