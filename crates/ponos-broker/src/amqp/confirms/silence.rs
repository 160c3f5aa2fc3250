//! How long a confirm channel may be silent while something is outstanding on it. Pure.
//!
//! RabbitMQ 3.10 registers whoever publishes to a quorum queue with the queue's leader. A channel that does so first while the
//! queue elects a leader can wait for a minute for an answer that never comes, and so does all that is published on it, whatever
//! queue it is for; a new channel beside it works at once. A channel that stood still after another one gets twice as
//! long, so that a broker without a majority is not filled with channels.

use std::time::Duration;
use tokio::time::Instant;

/// Nobody is given longer than this, unless the time limit of a confirm is longer.
const LONGEST: Duration = Duration::from_mins(1);

/// Since when nothing has landed.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<Instant>,
    /// Something has landed on this channel.
    is_broken: bool,
    /// Channels in a row that stood still.
    in_a_row: u32,
}

impl Silence {
    /// It is looked at after what could be written was written.
    pub(super) fn look(&mut self, is_outstanding: bool, now: Instant) {
        self.since = is_outstanding.then(|| self.since.unwrap_or(now));
    }

    /// Something landed.
    pub(super) fn broken(&mut self) {
        *self = Self { is_broken: true, ..Self::default() };
    }

    /// Whether anything has landed on this channel.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// What was not answered until now had a reason that is none of the channel's.
    pub(super) fn excused(&mut self) {
        self.since = None;
    }

    /// Whether the channel stands still; `limit` is that of a confirm.
    pub(super) fn is_too_long(&self, limit: Duration, now: Instant) -> bool {
        let doubled = limit.saturating_mul(2_u32.saturating_pow(self.in_a_row));
        let patience = doubled.min(LONGEST.max(limit));
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }

    /// Another channel takes the place of this one.
    pub(super) fn begins(&mut self) {
        (self.since, self.is_broken) = (None, false);
    }

    /// The one before stood still.
    pub(super) fn stood_still(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_channel_stands_still_when_nothing_lands_for_the_limit_though_something_is_outstanding() {
        let (mut silence, start) = (Silence::default(), Instant::now());
        silence.look(false, start);
        assert!(!silence.is_too_long(LIMIT, start + LIMIT * 9), "nothing is outstanding");
        silence.look(true, start + LIMIT);
        // what is written later does not begin it anew
        silence.look(true, start + LIMIT * 3 / 2);
        assert!(!silence.is_too_long(LIMIT, start + LIMIT * 2 - Duration::from_millis(1)));
        assert!(silence.is_too_long(LIMIT, start + LIMIT * 2));
        silence.broken();
        silence.look(true, start + LIMIT * 2);
        assert!(!silence.is_too_long(LIMIT, start + LIMIT * 3 - Duration::from_millis(1)));
        silence.look(false, start + LIMIT * 3);
        silence.look(true, start + LIMIT * 4);
        assert!(!silence.is_too_long(LIMIT, start + LIMIT * 4));
        silence.excused();
        silence.look(true, start + LIMIT * 5);
        assert!(!silence.is_too_long(LIMIT, start + LIMIT * 5));
        assert!(silence.is_too_long(LIMIT, start + LIMIT * 6));
    }

    #[test]
    fn those_that_stand_still_in_a_row_get_twice_as_long_each_up_to_a_minute_until_something_lands() {
        let (mut silence, start) = (Silence::default(), Instant::now());
        let patience = |limit: Duration, silence: &mut Silence| {
            silence.look(true, start);
            let seconds = (1..100_000).find(|&s| silence.is_too_long(limit, start + Duration::from_secs(s)));
            silence.begins();
            silence.stood_still();
            seconds.unwrap()
        };
        let in_a_row: Vec<u64> = (0..5).map(|_| patience(LIMIT, &mut silence)).collect();
        assert_eq!(in_a_row, [10, 20, 40, 60, 60]);
        silence.broken();
        silence.begins();
        assert_eq!((silence.is_broken(), patience(LIMIT, &mut silence)), (false, 10));
        // who waits longer for a confirm waits no less here, and no overflow makes it shorter
        let long: Vec<u64> = (0..40).map(|_| patience(Duration::from_hours(1), &mut silence)).collect();
        assert!(long.iter().all(|&seconds| seconds == 3_600), "{long:?}");
    }
}
