//! What a worker will do, checked: the queues with their routes, and the topology they need. Made by the builder.

use super::{Policy, handler::Shared, service::Service, settings::Last};
use crate::{
    schema::Contract,
    topology::{Topology, topic_matches},
};
use std::sync::Arc;

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

/// One queue: its routes, and how many at a time.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlan {
    /// `<service>.<name>`, or `<service>.<label>` for a fan-in.
    pub(crate) name: Arc<str>,
    /// What it dispatches by type, in the order registered; the first that matches has it.
    pub(crate) routes: Vec<Arc<Route>>,
    /// Concurrency, prefetch, rate and exclusiveness of the queue; the rest of it is of no concern here.
    pub(crate) policy: Policy,
    /// The prefetch may become as much.
    pub(crate) most_held: u16,
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
