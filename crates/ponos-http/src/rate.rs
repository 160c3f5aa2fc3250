//! How often one owner may change something. Pure: the time is an argument.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many a second, and so many at once after a rest: the generic cell rate algorithm (ITU-T I.371). It keeps one instant,
/// when all that was taken is earned.
#[derive(Debug)]
pub struct Rate {
    /// What one costs.
    each: Duration,
    /// How far ahead of its time the rate may be.
    ahead: Duration,
    earned: Mutex<Option<Instant>>,
}

/// It comes too often; after so long it may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

impl Rate {
    /// `a_second`, and `at_once` after a rest; one at least, each.
    pub fn new(a_second: u32, at_once: u32) -> Self {
        let each = Duration::from_secs(1) / a_second.max(1);
        Self { each, ahead: each.saturating_mul(at_once.max(1)), earned: Mutex::default() }
    }

    /// Takes so many. More than there may be at once are taken after a rest, and a longer rest follows.
    ///
    /// # Errors
    /// [`TooOften`], and nothing is taken.
    pub fn take(&self, count: u32, now: Instant) -> Result<(), TooOften> {
        let mut earned = self.earned.lock().unwrap_or_else(PoisonError::into_inner);
        let from = earned.map_or(now, |earned| earned.max(now));
        let cost = self.each.saturating_mul(count);
        // What may still be owed before this: nothing for what is more than all.
        let room = self.ahead.saturating_sub(cost);
        let owed = from.saturating_duration_since(now);
        if owed > room {
            return Err(TooOften(owed - room));
        }
        *earned = from.checked_add(cost);
        Ok(())
    }

    /// Takes so many of which it could not be said before how many they are: they are earned afterwards.
    pub fn owe(&self, count: u32, now: Instant) {
        let mut earned = self.earned.lock().unwrap_or_else(PoisonError::into_inner);
        let from = earned.map_or(now, |earned| earned.max(now));
        *earned = from.checked_add(self.each.saturating_mul(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of single ones in a row are taken.
    fn taken(rate: &Rate, now: Instant) -> usize {
        (0..1_000).take_while(|_| rate.take(1, now).is_ok()).count()
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let (rate, begin) = (Rate::new(10, 30), Instant::now());
        assert_eq!(taken(&rate, begin), 30);
        assert_eq!(rate.take(1, begin), Err(TooOften(Duration::from_millis(100))));
        assert_eq!(taken(&rate, begin + Duration::from_millis(99)), 0);
        assert_eq!(taken(&rate, begin + Duration::from_millis(100)), 1);
        assert_eq!(taken(&rate, begin + Duration::from_millis(1_100)), 10);
        // A long rest earns no more than all at once.
        assert_eq!(taken(&rate, begin + Duration::from_secs(3_600)), 30);
    }

    #[test]
    fn what_is_owed_is_earned_before_the_next_one() {
        let (rate, begin) = (Rate::new(10, 30), Instant::now());
        rate.owe(29, begin);
        assert_eq!(taken(&rate, begin), 1);
        rate.owe(100, begin);
        assert_eq!(rate.take(1, begin), Err(TooOften(Duration::from_millis(10_100))));
        assert_eq!(taken(&rate, begin + Duration::from_millis(10_100)), 1);
    }

    #[test]
    fn many_at_once_are_taken_after_a_rest_and_paid_for_by_the_next() {
        let (rate, begin) = (Rate::new(10, 30), Instant::now());
        assert_eq!(rate.take(100, begin), Ok(()));
        assert_eq!(rate.take(1, begin), Err(TooOften(Duration::from_millis(7_100))));
        assert_eq!(rate.take(100, begin + Duration::from_secs(9)), Err(TooOften(Duration::from_secs(1))));
        assert_eq!(rate.take(100, begin + Duration::from_secs(10)), Ok(()));
        assert_eq!(rate.take(u32::MAX, begin + Duration::from_secs(60)), Ok(()));
        assert!(rate.take(1, begin + Duration::from_secs(3_600)).is_err());
    }
}
