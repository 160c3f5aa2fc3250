//! Limits of a worker as a whole. Every one has a default.

use std::time::Duration;

/// Limits of the worker as a whole.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long running tasks may go on after the first request to stop (30 s).
    pub grace: Duration,
    /// The broker's `consumer_timeout`; every delivery must be settled within it (30 min).
    pub consumer_timeout: Duration,
    /// The largest body in bytes, as it came and inflated; a larger one goes to the dead letters unread (16 MiB).
    pub body: usize,
    /// Bodies of at least so many bytes are published compressed by gzip, where that makes them smaller (`None`: never). Whoever
    /// takes them must read gzip.
    pub compress: Option<usize>,
    /// How many messages a handler may hold (10,000) …
    pub held: usize,
    /// … and the bytes of their bodies together (16 MiB).
    pub held_bytes: usize,
    /// How long to wait for the confirms of what a handler published, or of a retry or dead letter (30 s).
    pub flush: Duration,
    /// How often the broker is asked how many replicas share a queue's limits ([`Policy::fleet`](super::Policy::fleet); 10 s).
    pub replicas: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            consumer_timeout: Duration::from_secs(30 * 60),
            body: 16 << 20,
            compress: None,
            held: 10_000,
            held_bytes: 16 << 20,
            flush: Duration::from_secs(30),
            replicas: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// What is wrong with the limits, a sentence each.
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
            (self.replicas.is_zero(), "replicas is 0: the broker would be asked without a pause"),
        ];
        zero.iter().filter(|(is, _)| *is).map(|(_, what)| format!("Limits: {what}")).collect()
    }
}
