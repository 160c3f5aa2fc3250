//! How events are tried: the flags of `ponos run`.

use crate::span;
use ponos::worker::{Policy, Rate};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How often an event is tried in all
    #[arg(long, value_name = "N", default_value_t = 5)]
    attempts: u32,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span::duration)]
    pub(super) timeout: Duration,
    /// So many at a time, of each queue
    #[arg(long, value_name = "N", default_value_t = 1)]
    concurrency: usize,
    /// So many taken from the broker at a time; 4 × concurrency if left out
    #[arg(long, value_name = "N")]
    prefetch: Option<u16>,
    /// So many begun in a time, such as 10/s
    #[arg(long, value_name = "N/TIME", value_parser = span::rate)]
    rate: Option<Rate>,
    /// Skips what is older, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = span::duration)]
    max_age: Option<Duration>,
    /// How long what is begun may go on after the first request to stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span::duration)]
    pub(super) grace: Duration,
}

impl Args {
    /// The policy, with that limit for a handler.
    pub(super) fn policy(&self, timeout: Duration) -> Policy {
        Policy {
            attempts: self.attempts,
            timeout,
            concurrency: self.concurrency,
            prefetch: self.prefetch,
            rate: self.rate,
            max_age: self.max_age,
            ..Policy::default()
        }
    }

    /// How many of a queue run at a time.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How long nothing may begin before nothing more is to come: what was taken in may wait for the rate.
    pub(super) fn quiet(&self) -> Duration {
        Duration::from_secs(1) + self.rate.map_or(Duration::ZERO, |rate| rate.per)
    }
}
