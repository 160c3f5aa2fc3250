//! One registry of metrics for a whole program: the worker's metrics and those of its author.

use super::{Exposition, expose};
use crate::{traces::SpanCounts, worker::WorkerMetrics};
use prometheus_client::registry::Registry;
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The metrics of a program; clones share them. A worker that has them
/// ([`Worker::registry`](crate::worker::Worker::registry)) adds its own; several workers of a program may share them.
///
/// The registry is locked while metrics are registered and while they are scraped; counting locks nothing here.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    registry: Mutex<Registry>,
    /// Registered once, however many workers there are.
    worker: OnceLock<WorkerMetrics>,
    spans: OnceLock<Arc<SpanCounts>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers metrics of the author's: `metrics.register(|registry| registry.register("images", "Images removed", images.clone()))`.
    /// Names that begin with `ponos_` are the worker's. Bound what becomes a label's value: each one is a series for good.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics, for a server of the author's own; otherwise as [`expose`].
    ///
    /// # Errors
    /// As of [`expose`].
    pub fn expose(&self, accept: Option<&str>) -> Result<Exposition, fmt::Error> {
        expose(&self.0.registry.lock().unwrap_or_else(PoisonError::into_inner), accept)
    }

    /// The worker's part.
    pub(crate) fn of_workers(&self) -> &WorkerMetrics {
        self.0.worker.get_or_init(|| self.register(WorkerMetrics::register))
    }

    /// What becomes of the spans of all workers.
    pub(crate) fn of_spans(&self) -> Arc<SpanCounts> {
        let registered = |registry: &mut Registry| {
            let counts = Arc::<SpanCounts>::default();
            counts.register(registry, "ponos_spans");
            counts
        };
        Arc::clone(self.0.spans.get_or_init(|| self.register(registered)))
    }
}
