//! How many deliveries are held when nobody says: as many as keep the slots busy for a second, by what tasks take. Pure.
//!
//! With few held, quick tasks wait for the broker more than they work; with many, another replica has nothing to do.

use std::time::Duration;

/// What is held is worth this much work.
const AHEAD: Duration = Duration::from_secs(1);
/// No more are held, however quick they are.
const MOST: u16 = 1_000;
/// Nor more bytes of bodies, by the largest of the last tasks.
const BYTES: usize = 64 << 20;
/// So many tasks are measured, …
const TASKS: u64 = 1_000;
/// … or those of so long.
const LONG: Duration = Duration::from_secs(10);

/// The prefetch of a queue, adapted to its tasks.
#[derive(Debug)]
pub(crate) struct AutoPrefetch {
    slots: u32,
    least: u16,
    most: u16,
    now: u16,
}

/// What the tasks of a while took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    /// How many have ended.
    pub(crate) tasks: u64,
    /// All of them together.
    pub(crate) took: Duration,
    /// Bytes of the largest body.
    pub(crate) largest: usize,
}

impl Measured {
    /// Whether that is enough to go by, after so long.
    pub(crate) fn is_enough(&self, after: Duration) -> bool {
        self.tasks >= TASKS || self.tasks > 0 && after >= LONG
    }
}

impl AutoPrefetch {
    /// For so many slots: from `least`, which it begins with, up to `most`.
    pub(crate) fn new(slots: usize, least: u16, most: u16) -> Self {
        Self { slots: u32::try_from(slots).unwrap_or(u32::MAX), least, most, now: least }
    }

    /// Whether there is anything to adapt.
    pub(crate) fn may_change(&self) -> bool {
        self.most > self.least
    }

    /// Another prefetch, if that is twice the present one or a quarter of it: a change costs a subscription.
    pub(crate) fn adapt(&mut self, measured: Measured) -> Option<u16> {
        let mean = measured.took.div_f64(measured.tasks.max(1) as f64);
        let ahead = AHEAD.saturating_mul(self.slots);
        let wanted = ahead.as_nanos().checked_div(mean.as_nanos()).unwrap_or(u128::MAX);
        let fit = (BYTES / measured.largest.max(1)) as u128;
        let wanted = u16::try_from(wanted.min(fit)).unwrap_or(u16::MAX);
        let wanted = wanted.min(self.most).max(self.least);
        if wanted < self.now.saturating_mul(2) && wanted > self.now / 4 {
            return None;
        }
        self.now = wanted;
        Some(wanted)
    }
}

/// The most that a prefetch may become: `least` if that is more.
pub(crate) fn bound(least: u16, most_in_time: u16) -> u16 {
    most_in_time.min(MOST).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks_of(micros: u64) -> Measured {
        Measured { tasks: 1_000, took: Duration::from_micros(micros * 1_000), largest: 300 }
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
        assert!(!AutoPrefetch::new(10, 40, bound(40, 20)).may_change());
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
    fn large_bodies_keep_it_small() {
        let large = |largest| Measured { largest, ..tasks_of(100) };
        assert_eq!(AutoPrefetch::new(10, 40, 300).adapt(large(16 << 20)), None);
        assert_eq!(AutoPrefetch::new(10, 40, 300).adapt(large(1 << 19)), Some(128));
    }

    #[test]
    fn a_while_is_a_thousand_tasks_or_ten_seconds_of_some() {
        let of = |tasks, secs| Measured { tasks, ..Measured::default() }.is_enough(Duration::from_secs(secs));
        assert!(of(1_000, 0) && of(1, 10));
        assert!(!of(999, 9) && !of(0, 1_000));
    }
}
