//! A rate limit on tokio's time: at most this many tasks begun in any stretch of this length.

use super::Rate;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// The most instants remembered.
const REMEMBERED: u32 = 10_000;

/// Remembers when the last ones began.
#[derive(Debug)]
pub(crate) struct Limiter {
    tasks: usize,
    per: Duration,
    /// As many as the largest rate so far needs.
    remembered: usize,
    begun: VecDeque<Instant>,
}

impl Limiter {
    /// A limiter for a rate. A rate of more than 10,000 is kept as an equal one over a shorter stretch, which is a little stricter.
    pub(crate) fn new(rate: Rate) -> Self {
        let parts = rate.tasks.div_ceil(REMEMBERED).max(1);
        let tasks = usize::try_from(rate.tasks / parts).unwrap_or(1).max(1);
        Self { tasks, per: rate.per / parts, remembered: tasks, begun: VecDeque::new() }
    }

    /// Keeps to another rate from now on; what has begun counts for it.
    pub(crate) fn set(&mut self, rate: Rate) {
        let Self { tasks, per, .. } = Self::new(rate);
        (self.tasks, self.per, self.remembered) = (tasks, per, self.remembered.max(tasks));
    }

    /// When as many tasks may begin at once, at most as many as the rate allows in one stretch; `None`: now.
    pub(crate) fn next_of(&self, count: usize, now: Instant) -> Option<Instant> {
        let before = (self.begun.len() + count.min(self.tasks)).checked_sub(self.tasks + 1)?;
        let last = self.begun.get(before)?;
        Some(*last + self.per).filter(|due| *due > now)
    }

    /// The most that may begin at once.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks
    }

    /// Notes that a task begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.begun.len() >= self.remembered {
            self.begun.pop_front();
        }
        self.begun.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begin_all(rate: Rate, count: usize) -> Vec<Instant> {
        let mut limiter = Limiter::new(rate);
        let mut now = Instant::now();
        let begun = (0..count).map(|_| {
            now = limiter.next_of(1, now).unwrap_or(now);
            limiter.begin(now);
            now
        });
        begun.collect()
    }

    proptest! {
        #[test]
        fn no_stretch_has_more_than_the_rate(tasks in 1_u32..8, millis in 1_u64..1_000, count in 1_usize..60) {
            let per = Duration::from_millis(millis);
            let begun = begin_all(Rate { tasks, per }, count);
            for (at, first) in begun.iter().enumerate() {
                let within = begun[at..].iter().filter(|later| **later < *first + per).count();
                prop_assert!(within <= tasks as usize);
            }
            // and no slower than it must be
            let stretches = u32::try_from(count.div_ceil(tasks as usize) - 1).unwrap();
            prop_assert_eq!(begun[count - 1] - begun[0], per * stretches);
        }
    }

    #[test]
    fn what_has_begun_counts_for_another_rate_too() {
        let (secs, begun) = (Duration::from_secs, Instant::now());
        let mut limiter = Limiter::new(Rate { tasks: 4, per: secs(60) });
        (0..4).for_each(|at| limiter.begin(begun + secs(at)));
        let now = begun + secs(10);
        limiter.set(Rate { tasks: 2, per: secs(30) });
        assert_eq!(limiter.next_of(1, now), Some(begun + secs(32)), "the last but one, and 30 s");
        limiter.set(Rate { tasks: 4, per: secs(60) });
        assert_eq!(limiter.next_of(1, now), Some(begun + secs(60)));
        limiter.set(Rate { tasks: 5, per: secs(60) });
        assert_eq!(limiter.next_of(1, now), None);
    }

    #[test]
    fn as_many_as_a_batch_has_begin_once_the_rate_has_room_for_all_of_them() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut limiter = Limiter::new(Rate { tasks: 10, per: second });
        for tenth in 0..8 {
            limiter.begin(start + second * tenth / 10);
        }
        let due = |count| limiter.next_of(count, start).map(|due| due - start);
        assert_eq!((due(2), due(3), due(10)), (None, Some(second), Some(second * 17 / 10)));
        assert_eq!(due(11), due(10), "never more than it allows at all");
    }

    #[test]
    fn a_large_rate_is_kept_in_bounded_memory() {
        let begun = begin_all(Rate { tasks: 1_000_000, per: Duration::from_secs(100) }, 50_000);
        assert_eq!(begun[49_999] - begun[0], Duration::from_secs(4));
    }
}
