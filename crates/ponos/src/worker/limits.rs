//! Limits of a worker as a whole. Every one has a default.

use std::time::Duration;

/// Limits of the worker as a whole.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long begun tasks may go on after the first request to stop (30 s).
    pub grace: Duration,
    /// The broker's `consumer_timeout`; every delivery must be settled within it (30 min).
    pub consumer_timeout: Duration,
    /// A larger body goes to the dead letters unread (16 MiB).
    pub body: usize,
    /// Messages that a handler may hold (10,000) …
    pub held: usize,
    /// … and their bodies together (16 MiB).
    pub held_bytes: usize,
    /// For the confirms of what a handler published, and of a retry or dead letter (30 s).
    pub flush: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            consumer_timeout: Duration::from_secs(30 * 60),
            body: 16 << 20,
            held: 10_000,
            held_bytes: 16 << 20,
            flush: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// What can't be, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let zero = [
            (self.grace.is_zero(), "grace is 0: begun tasks need some time to end"),
            (
                self.consumer_timeout.is_zero(),
                "consumer_timeout is 0: set the broker's value, 30 min unless it was changed",
            ),
            (self.body == 0, "body is 0: no event would be read"),
            (self.held == 0, "held is 0: no handler could publish"),
            (self.held_bytes == 0, "held_bytes is 0: no handler could publish"),
            (self.flush.is_zero(), "flush is 0: waiting for confirms needs some time"),
        ];
        zero.iter().filter(|(is, _)| *is).map(|(_, what)| format!("Limits: {what}")).collect()
    }
}
