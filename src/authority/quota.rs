//! What the holder of a token may take of the clock, besides what his role and domains permit.

use std::time::Duration;

/// What the holder of a token may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Schedules of his owner that there may be; without, any number.
    pub schedules: Option<usize>,
    /// Delayed events of his owner that may be pending; without, any number.
    pub delayed_events: Option<u64>,
    /// Schedules and delayed events that he creates, changes or deletes in a second; so many at once after a rest, or one
    /// batch.
    pub puts_a_second: u32,
    /// No schedule that he creates may come more often.
    pub least_interval: Duration,
}

impl Quota {
    /// Of a token that says nothing of it.
    pub const USUAL: Self =
        Self { schedules: None, delayed_events: None, puts_a_second: 1_000, least_interval: Duration::ZERO };

    /// What is within both.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            schedules: self.schedules.into_iter().chain(other.schedules).min(),
            delayed_events: self.delayed_events.into_iter().chain(other.delayed_events).min(),
            puts_a_second: self.puts_a_second.min(other.puts_a_second),
            least_interval: self.least_interval.max(other.least_interval),
        }
    }
}
