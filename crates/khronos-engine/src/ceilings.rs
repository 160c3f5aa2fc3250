//! Rate ceilings of event domains: how many of their events are handed over in a second at most, whatever they are
//! (occurrences on time or late, what is sent again, triggers, backfills).
//!
//! Each event counts for one ceiling: of those whose domain has it, the one that spells out most words, and of these the
//! first. A ceiling lets a small burst through, and then one event in each of its intervals (the generic cell rate
//! algorithm). It goes by the time since boot, which never steps. Invariant: in any span of that time no more than burst +
//! span / interval are handed over. A restart begins anew: one more burst may go out.

use super::progress::SpanKey;
use khronos_schedule::ADay;
use ponos_event::topology::topic_matches;
use std::collections::VecDeque;

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

#[derive(Debug)]
struct Used {
    ceiling: Ceiling,
    /// When it would be as if nothing had been handed over (nanoseconds since boot).
    idle_at: i64,
    /// Something waits for it that stands in no queue of its own.
    is_wanted: bool,
    /// What was decided at its turn, and was not handed over yet: these are what is let through next.
    decided: VecDeque<SpanKey>,
}

impl Used {
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
        let used = |ceiling| Used { ceiling, idle_at: i64::MIN, is_wanted: false, decided: VecDeque::new() };
        Self { all: all.into_iter().map(used).collect(), order, now: 0, turn: 0 }
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
        self.all.get(usize::from(id.0)).map(|used| &used.ceiling)
    }

    /// How many milliseconds since boot it is.
    pub(super) fn see(&mut self, boot: i64) {
        self.now = self.now.max(boot.saturating_mul(NANOS));
    }

    /// For which one an event of this name counts.
    pub fn of(&self, event: &str) -> Option<CeilingId> {
        let covers = |id: &&CeilingId| self.get(**id).is_some_and(|one| topic_matches(&one.pattern, event));
        self.order.iter().find(covers).copied()
    }

    /// Whether one more may be handed over now.
    pub(super) fn may(&self, id: CeilingId) -> bool {
        self.all.get(usize::from(id.0)).is_none_or(|used| used.next() <= self.now)
    }

    /// In how many milliseconds one more may be handed over; 0: now.
    pub(super) fn wait(&self, id: CeilingId) -> i64 {
        let next = self.all.get(usize::from(id.0)).map_or(self.now, Used::next);
        let left = next.saturating_sub(self.now).max(0);
        left.div_euclid(NANOS) + i64::from(left % NANOS != 0)
    }

    /// Something waits for it and stands in none of its queues.
    pub(super) fn want(&mut self, id: CeilingId) {
        if let Some(used) = self.all.get_mut(usize::from(id.0)) {
            used.is_wanted = true;
        }
    }

    pub(super) fn is_wanted(&self, id: CeilingId) -> bool {
        self.all.get(usize::from(id.0)).is_some_and(|used| used.is_wanted)
    }

    /// One is handed over.
    pub(super) fn take(&mut self, id: CeilingId) {
        if let Some(used) = self.all.get_mut(usize::from(id.0)) {
            used.idle_at = used.idle_at.max(self.now).saturating_add(used.ceiling.interval);
            used.is_wanted = false;
        }
    }

    /// All, the one whose turn is next first.
    pub(super) fn in_turn(&self) -> VecDeque<CeilingId> {
        let mut ids: VecDeque<_> = self.ids().collect();
        ids.rotate_left(self.turn.min(ids.len()));
        ids
    }

    /// This one had its turn: those behind it come first.
    pub(super) fn had_turn(&mut self, id: CeilingId) {
        self.turn = (usize::from(id.0) + 1) % self.all.len().max(1);
    }

    /// What was decided at its turn, and was not handed over yet, in that order.
    pub(super) fn decided(&self, id: CeilingId) -> &VecDeque<SpanKey> {
        const NONE: &VecDeque<SpanKey> = &VecDeque::new();
        self.all.get(usize::from(id.0)).map_or(NONE, |used| &used.decided)
    }

    /// Whether one more may be decided: no more are than may go out together.
    pub(super) fn may_decide(&self, id: CeilingId) -> bool {
        let burst = |used: &Used| usize::try_from(used.ceiling.burst).unwrap_or(DECIDED).min(DECIDED);
        self.all.get(usize::from(id.0)).is_none_or(|used| used.decided.len() < burst(used).max(1))
    }

    /// One is being decided at its turn.
    pub(super) fn decide(&mut self, id: CeilingId, key: SpanKey) {
        if let Some(used) = self.all.get_mut(usize::from(id.0)) {
            used.decided.push_back(key);
        }
    }

    /// Only these are still to be handed over.
    pub(super) fn keep_decided(&mut self, stays: impl Fn(&SpanKey) -> bool) {
        self.all.iter_mut().for_each(|used| used.decided.retain(&stays));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings(all: &[(&str, u32)]) -> Ceilings {
        let all = all
            .iter()
            .map(|(pattern, rate)| Ceiling::of_a_second((*pattern).to_owned(), (*pattern).to_owned(), *rate));
        Ceilings::new(all.collect())
    }

    #[test]
    fn the_one_that_spells_out_most_words_counts_and_of_these_the_first() {
        let all = ceilings(&[("#", 1), ("billing.#", 2), ("billing.*.due", 3), ("billing.invoice.#", 4)]);
        for (event, counts) in [
            ("reports.morning.requested", 0),
            ("billing.invoice.paid", 3),
            ("billing.invoice.due", 2),
            ("billing.refund.due", 2),
            ("billing.refund.paid", 1),
        ] {
            assert_eq!(all.of(event), Some(CeilingId(counts)), "{event}");
        }
        assert_eq!(ceilings(&[("billing.#", 2)]).of("reports.morning.requested"), None);
    }

    #[test]
    fn a_burst_goes_out_together_and_then_one_in_each_interval() {
        let mut all = ceilings(&[("#", 40)]);
        let id = CeilingId(0);
        let mut sent = Vec::new();
        for boot in 5_000..6_000 {
            all.see(boot);
            while all.may(id) {
                all.take(id);
                sent.push(boot);
            }
            assert!(all.wait(id) > 0 && all.wait(id) <= 25);
        }
        assert_eq!(sent[..6], [5_000, 5_000, 5_000, 5_000, 5_025, 5_050]);
        assert_eq!(sent.len(), 4 + 39);
        // What is not used is not saved up.
        all.see(60_000);
        let together = (0..10).take_while(|_| all.may(id).then(|| all.take(id)).is_some()).count();
        assert_eq!(together, 4);
    }

    #[test]
    fn no_span_of_time_has_more_than_the_burst_and_what_its_length_allows() {
        let mut random = fastrand::Rng::with_seed(3);
        for rate in [1, 3, 7, 10, 1_000, 1_000_000] {
            let mut all = ceilings(&[("#", rate)]);
            let (id, mut boot, mut sent) = (CeilingId(0), 0, Vec::new());
            while sent.len() < 300 {
                boot += random.i64(0..400);
                all.see(boot);
                for _ in 0..random.usize(0..20) {
                    if all.may(id) {
                        all.take(id);
                        sent.push(boot);
                    }
                }
            }
            let burst = f64::from((rate / 10).max(1));
            for (from, begin) in sent.iter().enumerate() {
                for (to, end) in sent.iter().enumerate().skip(from) {
                    let most = burst + (end - begin) as f64 * f64::from(rate) / 1_000.0;
                    assert!(
                        (to - from + 1) as f64 <= most + 1e-6,
                        "{rate} a second: {from}..={to} of {sent:?}"
                    );
                }
            }
        }
    }
}
