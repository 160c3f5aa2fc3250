//! How events are tried: the flags of `ponos run`.

use crate::span;
use ponos::worker::{Backoff, Policy, Prefetch, Rate};
use std::time::Duration;

/// As [`Backoff::default`] has it.
const BACKOFF: &str = "first=2s,factor=3,longest=1h,jitter=0.25";

// its group would have the name of the verb's
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// How many times an event is tried in all
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "N", default_value_t = 5)]
    attempts: u32,
    /// The wait between attempts: first, then factor times longer each time, at most longest, shortened at random by
    /// up to the share jitter; fields that are left out keep their defaults
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "FIELD=VALUE,...", default_value = BACKOFF, value_parser = backoff)]
    backoff: Backoff,
    /// How long one attempt may take
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "DURATION", default_value = "30s", value_parser = span::positive)]
    timeout: Duration,
    /// How long an event may be put off in all by answers with Retry-After, which spend no attempt
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "DURATION", default_value = "24h", value_parser = span::positive)]
    max_wait: Duration,
    /// How many events run at the same time, for each queue
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "N", default_value_t = 1)]
    concurrency: usize,
    /// How many events are held unsettled, for each queue; if left out 4 × concurrency, and more when events are handled quickly
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "N")]
    prefetch: Option<u16>,
    /// How many events are started per time, such as 10/s
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "N/TIME", value_parser = span::rate)]
    rate: Option<Rate>,
    /// --concurrency and --rate are those of all replicas together: each takes its share, by how many consume the queue
    #[arg(long, requires = "service", conflicts_with_all = ["config", "exclusive"])]
    fleet: bool,
    /// Skips events that are older than this, such as 2h
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "DURATION", value_parser = span::duration)]
    max_age: Option<Duration>,
    /// Skips an event when one of the same name, source and subject with a later time was taken before it
    #[arg(long, requires = "service", conflicts_with = "config")]
    latest_only: bool,
    /// Logs an error when the next event is later than this, such as 30s, after the next_due_at in the payload of the
    /// last one
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "TOLERANCE", value_parser = span::duration)]
    expect_by_next: Option<Duration>,
    /// Declares within what time after an event was sent this means to be done with it, such as 1h, for whoever observes
    /// (--reports, ponos observe)
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "DURATION", value_parser = span::positive)]
    within: Option<Duration>,
    /// The broker's consumer_timeout, within which every delivery held must be settled
    #[arg(long, requires = "service", conflicts_with = "config", value_name = "DURATION", default_value = "30m", value_parser = span::duration)]
    pub(super) consumer_timeout: Duration,
    /// How long the work in progress may go on after the first request to stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span::duration)]
    pub(super) grace: Duration,
}

impl Args {
    /// The policy.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            attempts: self.attempts,
            backoff: self.backoff.clone(),
            timeout: self.timeout,
            concurrency: self.concurrency,
            prefetch: self.prefetch.map_or(Prefetch::Auto, Prefetch::Fixed),
            rate: self.rate,
            max_age: self.max_age,
            latest_only: self.latest_only,
            expect_by_next: self.expect_by_next,
            within: self.within,
            // that is said with the queues
            exclusive: false,
            fleet: self.fleet,
            max_wait: self.max_wait,
            breaker: Policy::default().breaker,
            cancellable: true,
            // a program and a service take one delivery at a time
            batch: None,
        }
    }
}

/// `first=2s,factor=3,longest=1h,jitter=0.25`, or some of these. Whether the values make sense is seen with the whole policy.
fn backoff(text: &str) -> Result<Backoff, String> {
    let wrong = |part: &str| format!("'{part}' is not understood; write it as {BACKOFF}, or some of these");
    let mut backoff = Backoff::default();
    let mut seen = Vec::new();
    for part in text.split(',') {
        let (field, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
        if seen.contains(&field) {
            return Err(format!("'{field}' is given twice"));
        }
        seen.push(field);
        let number = || value.parse::<f64>().map_err(|_| wrong(part));
        match field {
            "first" => backoff.first = span::duration(value)?,
            "factor" => backoff.factor = number()?,
            "longest" => backoff.longest = span::duration(value)?,
            "jitter" => backoff.jitter = number()?,
            _ => return Err(wrong(part)),
        }
    }
    Ok(backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_is_some_of_its_fields() {
        assert_eq!(backoff(BACKOFF), Ok(Backoff::default()));
        let slow = Backoff {
            first: Duration::from_secs(60),
            longest: Duration::from_secs(7200),
            ..Backoff::default()
        };
        assert_eq!(backoff("longest=2h,first=1m"), Ok(slow));
        for wrong in ["", "5s", "first", "first=5", "first=5s,", "last=5s", "factor=x", "first=1s,first=2s"] {
            assert!(backoff(wrong).is_err(), "{wrong}");
        }
    }
}
