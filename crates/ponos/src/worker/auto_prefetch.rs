//! [`Prefetch::Auto`](super::Prefetch::Auto): holds as many deliveries as keep the slots busy for a second, by how long tasks take. Pure.
//!
//! With few held, quick tasks wait for the broker longer than they work; with many, other replicas have nothing to do, and
//! all bodies are in memory.

use std::time::Duration;
use tokio::time::Instant;

/// The deliveries held are worth this much work.
const AHEAD: Duration = Duration::from_secs(1);
/// The most deliveries held, however quick tasks are.
const MOST: u16 = 1_000;
/// The most bytes of bodies held, by the largest that came lately.
const BYTES: usize = 64 << 20;
/// The largest body is forgotten between once and twice this long after it came.
const KEPT: Duration = Duration::from_secs(600);
/// A measurement covers this many tasks, …
const TASKS: u64 = 1_000;
/// … or those that end within this time after the first, …
const LONG: Duration = Duration::from_secs(10);
/// … if they are at least this many for each slot.
const EACH: u64 = 10;

/// The prefetch of a queue, adapted to its tasks.
#[derive(Debug)]
pub(crate) struct AutoPrefetch {
    slots: u16,
    least: u16,
    most: u16,
    now: u16,
    largest: Largest,
}

/// The largest body that came in a while, and in the one before it.
#[derive(Debug, Default)]
struct Largest {
    since: Option<Instant>,
    now: usize,
    before: usize,
}

impl Largest {
    fn note(&mut self, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        let whiles = now.saturating_duration_since(since).as_nanos() / KEPT.as_nanos();
        if whiles > 0 {
            let before = if whiles == 1 { self.now } else { 0 };
            *self = Self { since: Some(now), now: 0, before };
        }
        self.now = self.now.max(bytes);
    }

    fn bytes(&self) -> usize {
        self.now.max(self.before)
    }
}

/// How long tasks took in a period.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    /// When the first of them ended.
    since: Option<Instant>,
    /// How many have ended.
    tasks: u64,
    /// The time of all of them together.
    took: Duration,
}

impl Measured {
    /// A task has ended.
    pub(crate) fn note(&mut self, now: Instant, took: Duration) {
        self.since.get_or_insert(now);
        self.tasks += 1;
        self.took += took;
    }

    /// Whether the measurement is sufficient for this many slots.
    pub(crate) fn is_enough(&self, now: Instant, slots: usize) -> bool {
        let some = EACH.saturating_mul(slots as u64);
        let long = self.since.is_some_and(|since| now.saturating_duration_since(since) >= LONG);
        self.tasks >= TASKS || self.tasks >= some && long
    }
}

impl AutoPrefetch {
    /// For `slots` slots: starts at `least`, and goes up to `most`. Only large bodies make it smaller, down to the slots.
    pub(crate) fn new(slots: usize, least: u16, most: u16) -> Self {
        let slots = u16::try_from(slots).unwrap_or(u16::MAX);
        Self { slots, least, most, now: least, largest: Largest::default() }
    }

    /// Notes a body. Returns a smaller prefetch, to take effect at once, if too many bytes could be held otherwise.
    pub(crate) fn came(&mut self, now: Instant, bytes: usize) -> Option<u16> {
        self.largest.note(now, bytes);
        let fit = self.fit();
        (fit < self.now).then(|| self.turn(fit))
    }

    /// Notes a body, where the time that tasks take says nothing. Returns another prefetch if bodies of that size allow fewer, or more
    /// again; the least one is the most then.
    pub(crate) fn fitted(&mut self, now: Instant, bytes: usize) -> Option<u16> {
        self.largest.note(now, bytes);
        let fit = self.fit().min(self.least);
        (fit != self.now).then(|| self.turn(fit))
    }

    /// Returns another prefetch if it is at least twice the present one, at most a quarter of it, or the least one and at most
    /// half of it: each change costs a subscription.
    pub(crate) fn adapt(&mut self, measured: Measured) -> Option<u16> {
        let mean = measured.took.div_f64(measured.tasks.max(1) as f64);
        let ahead = AHEAD.saturating_mul(u32::from(self.slots));
        let wanted = ahead.as_nanos().checked_div(mean.as_nanos()).unwrap_or(u128::MAX);
        let wanted = u16::try_from(wanted).unwrap_or(u16::MAX).min(self.most).max(self.least).min(self.fit());
        let is_more = wanted >= self.now.saturating_mul(2);
        let is_less = wanted <= self.now / 4 || wanted <= self.least && wanted <= self.now / 2;
        (is_more || is_less).then(|| self.turn(wanted))
    }

    /// The prefetch now.
    pub(crate) fn now(&self) -> u16 {
        self.now
    }

    fn turn(&mut self, prefetch: u16) -> u16 {
        self.now = prefetch;
        prefetch
    }

    /// How many of the largest bodies may be held: a power of two, so that bodies that grow little by little do not change it
    /// each time.
    fn fit(&self) -> u16 {
        let fit = BYTES / self.largest.bytes().max(1);
        let fit = fit.checked_ilog2().map_or(0, |log| 1_usize << log);
        u16::try_from(fit).unwrap_or(u16::MAX).max(self.slots)
    }
}

/// The largest prefetch allowed; at least `least`.
pub(crate) fn bound(least: u16, most_in_time: u16) -> u16 {
    most_in_time.min(MOST).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks_of(micros: u64) -> Measured {
        Measured { since: None, tasks: 1_000, took: Duration::from_micros(micros * 1_000) }
    }

    #[test]
    fn it_is_a_second_of_work_within_its_bounds() {
        for (micros, held) in [
            (0, Some(300)),
            (1, Some(300)),
            (10_000, Some(300)),
            (50_000, Some(200)),
            (125_000, Some(80)),
            (126_000, None),
            (1_000_000, None),
            (60_000_000, None),
        ] {
            assert_eq!(AutoPrefetch::new(10, 40, 300).adapt(tasks_of(micros)), held, "{micros} µs");
        }
        assert_eq!(AutoPrefetch::new(64, 256, bound(256, u16::MAX)).adapt(tasks_of(100)), Some(1_000));
        assert_eq!(AutoPrefetch::new(10, 40, bound(40, 20)).adapt(tasks_of(100)), None);
    }

    #[test]
    fn it_follows_what_tasks_take_but_not_each_whim() {
        let mut held = AutoPrefetch::new(10, 40, 300);
        assert_eq!(held.adapt(tasks_of(20_000)), Some(300));
        assert_eq!(held.adapt(tasks_of(60_000)), None, "half as much would do");
        assert_eq!(held.adapt(tasks_of(140_000)), Some(71));
        assert_eq!(held.adapt(tasks_of(90_000)), None);
        assert_eq!(held.adapt(tasks_of(5_000_000)), None, "40 is not so much less");
        assert_eq!(held.adapt(tasks_of(50_000)), Some(200));
        assert_eq!(held.adapt(tasks_of(5_000_000)), Some(40));
    }

    #[test]
    fn it_comes_back_to_the_least_though_that_is_more_than_a_quarter_of_the_most() {
        let mut held = AutoPrefetch::new(10, 40, 150);
        assert_eq!(held.adapt(tasks_of(100)), Some(150));
        assert_eq!(held.adapt(tasks_of(5_000_000)), Some(40));
        let mut held = AutoPrefetch::new(10, 40, 79);
        assert_eq!((held.adapt(tasks_of(100)), held.now), (None, 40), "not twice as much");
    }

    #[test]
    fn large_bodies_keep_it_small_at_once_and_for_long() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut held = AutoPrefetch::new(10, 40, 300);
        assert_eq!(held.came(at(0), 300), None);
        assert_eq!(held.adapt(tasks_of(100)), Some(300));
        assert_eq!(held.came(at(1), 300_000), Some(128), "not a half, but at once");
        assert_eq!(held.came(at(1), 310_000), None);
        assert_eq!(held.came(at(1), 16 << 20), Some(10), "less than the least, but no less than the slots");
        // small ones, for many measurements
        for secs in 1..=600 {
            assert_eq!((held.came(at(secs), 300), held.adapt(tasks_of(100))), (None, None), "{secs}");
        }
        assert_eq!((held.came(at(1_201), 300), held.adapt(tasks_of(100))), (None, Some(300)));
    }

    #[test]
    fn bodies_alone_make_it_small_and_let_it_grow_again() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut held = AutoPrefetch::new(1, 1_000, 1_000);
        assert_eq!(held.fitted(at(0), 300), None);
        assert_eq!(held.fitted(at(1), 300_000), Some(128));
        assert_eq!(held.fitted(at(2), 16 << 20), Some(4));
        assert_eq!(held.fitted(at(3), 65 << 20), Some(1));
        assert_eq!((held.fitted(at(600), 300), held.fitted(at(1_199), 300)), (None, None));
        assert_eq!(held.fitted(at(1_200), 300), Some(1_000));
    }

    #[test]
    fn a_while_is_a_thousand_tasks_or_ten_seconds_of_ten_for_each_slot() {
        let start = Instant::now();
        let enough = |tasks: u64, secs| {
            let mut measured = Measured::default();
            // that nothing was there to do before is no matter
            (0..tasks).for_each(|_| measured.note(start + LONG, Duration::ZERO));
            measured.is_enough(start + LONG + Duration::from_secs(secs), 10)
        };
        assert!(enough(1_000, 0) && enough(100, 10));
        assert!(!enough(999, 9) && !enough(99, 1_000) && !enough(100, 0) && !enough(0, 1_000));
    }
}
