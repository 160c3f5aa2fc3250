//! The wall clock of a worker: the only file of this crate that reads the system's time.

use crate::event::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A worker's wall clock: due times, ages and expiries are compared with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy, Default)]
enum Source {
    #[default]
    System,
    Runtime {
        began: Instant,
        base: Timestamp,
    },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `base` now and goes on with tokio's time. Where that is paused, tests move both by hand.
    pub fn starting_at(base: Timestamp) -> Self {
        Self(Source::Runtime { began: Instant::now(), base })
    }

    /// The time now, floored to whole milliseconds.
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Source::System => Timestamp::from_millis(millis(since_epoch())),
            Source::Runtime { began, base } => base.plus(millis(began.elapsed())),
        }
    }

    /// The same in nanoseconds since 1970, as traces have it; until the year 2554.
    pub fn unix_nanos(&self) -> u64 {
        let since = match self.0 {
            Source::System => since_epoch(),
            Source::Runtime { began, base } => {
                Duration::from_millis(u64::try_from(base.millis()).unwrap_or(0)) + began.elapsed()
            }
        };
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn since_epoch() -> Duration {
    #[allow(clippy::disallowed_methods)] // this is the place
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Measures real time, also where tokio's is paused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods)] // this is the place
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Whether tokio's time stands still and is moved by hand.
pub(crate) fn is_paused() -> bool {
    let (before, real) = (Instant::now(), Stopwatch::start());
    while real.elapsed().is_zero() {
        std::hint::spin_loop();
    }
    Instant::now() == before
}

/// A duration in whole milliseconds, as far as they can be counted.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
