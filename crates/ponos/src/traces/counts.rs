//! What becomes of spans, for Prometheus.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Counters of one exporter.
#[derive(Debug)]
pub(super) struct SpanCounts {
    all: Family<[(&'static str, &'static str); 2], Counter>,
    /// The collector has them.
    pub(super) sent: Counter,
    /// Too many waited.
    pub(super) full: Counter,
    /// The collector could not be reached, or was busy, for too long.
    pub(super) unreachable: Counter,
    /// The collector does not take them.
    pub(super) refused: Counter,
    /// The program ended before they were sent.
    pub(super) stopped: Counter,
    is_registered: AtomicBool,
}

impl Default for SpanCounts {
    fn default() -> Self {
        let all = Family::<_, Counter>::default();
        let one = |outcome, reason| all.get_or_create_owned(&[("outcome", outcome), ("reason", reason)]);
        Self {
            sent: one("sent", ""),
            full: one("dropped", "full"),
            unreachable: one("dropped", "unreachable"),
            refused: one("dropped", "refused"),
            stopped: one("dropped", "stopped"),
            all,
            is_registered: AtomicBool::new(false),
        }
    }
}

impl SpanCounts {
    /// Has them shown under this name.
    pub(super) fn register(&self, registry: &mut Registry, name: &str) {
        registry.register(name, "Spans, by what became of them", self.all.clone());
    }

    /// The same, in the one registry of a program: once.
    pub(super) fn register_once(&self, registry: &mut Registry, name: &str) {
        if !self.is_registered.swap(true, Ordering::Relaxed) {
            self.register(registry, name);
        }
    }
}
