//! What a worker will do, checked: the queues with their routes, and the topology they need. Made by the builder.

use super::{Policy, handler::Shared, service::Service, settings::Last};
use crate::{
    schema::Contract,
    topology::{Topology, topic_matches},
};
use std::{sync::Arc, time::Duration};

/// A worker, checked and ready to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What all its parts share.
    pub(crate) service: Arc<Service>,
    /// One for each queue.
    pub(crate) queues: Vec<QueuePlan>,
    /// All that must exist on the broker.
    pub(crate) topology: Topology,
}

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
                "consumer_timeout is 0: it is what the broker has, 30 min unless changed",
            ),
            (self.body == 0, "body is 0: no event would be read"),
            (self.held == 0, "held is 0: no handler could publish"),
            (self.held_bytes == 0, "held_bytes is 0: no handler could publish"),
            (self.flush.is_zero(), "flush is 0: no confirm comes at once"),
        ];
        zero.iter().filter(|(is, _)| *is).map(|(_, what)| format!("Limits: {what}")).collect()
    }
}

/// One queue: its routes, and how many at a time.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlan {
    /// `<service>.<name>`, or `<service>.<label>` for a fan-in.
    pub(crate) name: Arc<str>,
    /// What it dispatches by type, in the order registered; the first that matches has it.
    pub(crate) routes: Vec<Arc<Route>>,
    /// Concurrency, prefetch, rate and exclusiveness of the queue; the rest of it is of no concern here.
    pub(crate) policy: Policy,
}

/// One handler with what it takes.
#[derive(Debug)]
pub(crate) struct Route {
    /// The name or topic pattern it was registered under.
    pub(crate) pattern: Arc<str>,
    /// What payloads are held to.
    pub(crate) contract: Contract,
    /// Attempts, backoff, timeout, age.
    pub(crate) policy: Policy,
    /// What runs.
    pub(crate) handler: Shared,
    /// What runs after the last attempt, before the dead-letter queue.
    pub(crate) last: Option<Last>,
}

impl QueuePlan {
    /// Who handles messages of that type.
    pub(crate) fn route(&self, kind: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| *route.pattern == *kind || topic_matches(&route.pattern, kind))
    }
}
