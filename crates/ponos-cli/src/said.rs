//! Says what is wrong with what comes in, with a bound: any number of it may come.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Lines within [`SPAN`].
const LINES: u32 = 10;
/// Then as many more may be said.
const SPAN: Duration = Duration::from_secs(60);

/// What was said of one thing.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Said {
    /// Whether another line may be said now; then how many were not said before it.
    pub(crate) fn another(&self, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.is_none_or(|since| now.saturating_duration_since(since) >= SPAN) {
            (lines.since, lines.said) = (Some(now), 0);
        }
        if lines.said >= LINES {
            lines.unsaid += 1;
            return None;
        }
        lines.said += 1;
        Some(std::mem::take(&mut lines.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_ten_lines_a_minute_and_how_many_were_not_said() {
        let (said, began) = (Said::default(), Instant::now());
        let many = |at: Duration, count: usize| {
            (0..count).filter_map(|_| said.another(began + at)).collect::<Vec<_>>()
        };
        assert_eq!(many(Duration::ZERO, 100), [0; 10]);
        assert_eq!(many(SPAN / 2, 5), [0; 0]);
        assert_eq!(many(SPAN, 2), [95, 0]);
    }
}
