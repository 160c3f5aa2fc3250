//! How the tasks of the last 30 seconds ended, while the circuit is closed.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// What is older does not count.
const WINDOW: Duration = Duration::from_secs(30);
/// Half of at least this many within that time opens the circuit, too.
const TASKS: u64 = 20;
/// Tasks are counted together for this long.
const TOGETHER: Duration = Duration::from_secs(1);

/// Bounded by the failures in a row that are asked for, and by a count for each second.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When the latest of those in a row ended.
    row: VecDeque<Instant>,
    counts: VecDeque<Count>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    all: u64,
    failed: u64,
}

impl Recent {
    /// One more found something unavailable. Returns whether these are enough.
    pub(super) fn unavailable(&mut self, now: Instant, in_a_row: u32) -> bool {
        self.count(now, 1);
        self.row.push_back(now);
        let wanted = usize::try_from(in_a_row).unwrap_or(usize::MAX).max(1);
        while self.row.len() > wanted {
            self.row.pop_front();
        }
        let oldest = self.row.front().filter(|_| self.row.len() == wanted);
        let row = oldest.is_some_and(|oldest| now.duration_since(*oldest) <= WINDOW);
        let sum = |of: fn(&Count) -> u64| self.counts.iter().map(of).sum::<u64>();
        let (all, failed) = (sum(|count| count.all), sum(|count| count.failed));
        row || (all >= TASKS && failed * 2 >= all)
    }

    /// One more ended in another way.
    pub(super) fn answered(&mut self, now: Instant) {
        self.row.clear();
        self.count(now, 0);
    }

    pub(super) fn clear(&mut self) {
        self.row.clear();
        self.counts.clear();
    }

    fn count(&mut self, now: Instant, failed: u64) {
        while self.counts.front().is_some_and(|first| now.duration_since(first.since) > WINDOW) {
            self.counts.pop_front();
        }
        match self.counts.back_mut().filter(|last| now.duration_since(last.since) < TOGETHER) {
            Some(last) => {
                last.all += 1;
                last.failed += failed;
            }
            None => self.counts.push_back(Count { since: now, all: 1, failed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_in_a_row_are_enough_if_they_are_within_the_window() {
        let begin = Instant::now();
        for (seconds, enough) in [
            ([0, 0, 0, 0, 0], true),
            ([0, 1, 2, 3, 30], true),
            ([0, 1, 2, 3, 31], false),
            ([0, 60, 120, 180, 240], false),
        ] {
            let mut recent = Recent::default();
            let opens: Vec<bool> =
                seconds.iter().map(|at| recent.unavailable(begin + SECOND * *at, 5)).collect();
            assert_eq!(opens, [false, false, false, false, enough], "{seconds:?}");
        }
        let mut recent = Recent::default();
        assert!((0..4).all(|_| !recent.unavailable(begin, 5)));
        recent.answered(begin);
        assert!((0..4).all(|_| !recent.unavailable(begin, 5)), "the row begins anew");
    }

    #[test]
    fn half_of_twenty_within_the_window_are_enough() {
        let begin = Instant::now();
        // one of two, ten times
        let alternating = |step: Duration| {
            let mut recent = Recent::default();
            let ends = (0..20_u32).map(|task| {
                let now = begin + step * task;
                if task % 2 == 1 {
                    return recent.unavailable(now, 5);
                }
                recent.answered(now);
                false
            });
            ends.collect::<Vec<bool>>()
        };
        let quick = alternating(SECOND);
        assert_eq!(quick.iter().position(|opens| *opens), Some(19), "the twentieth: {quick:?}");
        assert!(!alternating(SECOND * 2).contains(&true), "20 in 40 s are none");
        let mut recent = Recent::default();
        (0..30).for_each(|_| recent.answered(begin));
        let opens = (0..29).filter(|task| {
            let opens = recent.unavailable(begin, 5);
            if task % 2 == 0 {
                recent.answered(begin);
            }
            opens
        });
        assert_eq!(opens.count(), 0, "less than half");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut recent, begin) = (Recent::default(), Instant::now());
        for millis in 0..200_000 {
            recent.answered(begin + Duration::from_millis(millis));
        }
        assert!(recent.counts.len() <= 32, "{}", recent.counts.len());
        for millis in 0..2_000 {
            recent.unavailable(begin + Duration::from_millis(200_000 + millis), 1_000);
        }
        assert!(recent.row.len() <= 1_000);
    }
}
