//! A checked worker as data: its queues with their routes, and the topology they need.

use super::{
    Policy,
    around::Layers,
    batch::BatchPlan,
    handler::ErasedHandler,
    metrics::{HandlerMetrics, QueueMetrics, ReportMetrics},
    service::Service,
    settings::Last,
};
use crate::{
    metrics::Metrics,
    schema::Contract,
    topology::{Topology, topic_matches},
    traces::Export,
};
use std::{net::SocketAddr, sync::Arc};

/// A worker, checked and ready to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Shared by all queues.
    pub(crate) service: Arc<Service>,
    /// One for each queue.
    pub(crate) queues: Vec<QueuePlan>,
    /// All that must exist on the broker.
    pub(crate) topology: Topology,
    /// Where metrics are to be served, and which.
    pub(crate) served: Option<(SocketAddr, Metrics)>,
    /// What sends its spans.
    pub(crate) export: Option<Export>,
    /// If it reports.
    pub(crate) reports: Option<ReportMetrics>,
}

/// One queue: its routes, and how many at a time.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlan {
    /// `<service>.<name>`, or `<service>.<label>` for a fan-in.
    pub(crate) name: Arc<str>,
    /// Its routes, in the order registered; the first whose pattern matches takes the event.
    pub(crate) routes: Vec<Arc<Route>>,
    /// Concurrency, prefetch, rate and exclusiveness of the queue; its other fields are not used.
    pub(crate) policy: Policy,
    /// The largest prefetch allowed.
    pub(crate) most_held: u16,
    /// If its one handler takes batches.
    pub(crate) batch: Option<BatchPlan>,
    /// If it is measured.
    pub(crate) metrics: Option<QueueMetrics>,
}

/// One handler, with the pattern and contract of what it takes.
#[derive(Debug)]
pub(crate) struct Route {
    /// The name or topic pattern it was registered under.
    pub(crate) pattern: Arc<str>,
    /// The contract of payloads.
    pub(crate) contract: Contract,
    /// Attempts, backoff, timeout, age.
    pub(crate) policy: Policy,
    /// The handler.
    pub(crate) handler: ErasedHandler,
    /// The final handler, which runs before a message goes to the dead letters.
    pub(crate) last: Option<Last>,
    /// Around both.
    pub(crate) layers: Layers,
    /// If it is measured.
    pub(crate) metrics: Option<HandlerMetrics>,
}

impl QueuePlan {
    /// The route for messages of this type.
    pub(crate) fn route(&self, kind: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| *route.pattern == *kind || topic_matches(&route.pattern, kind))
    }
}
