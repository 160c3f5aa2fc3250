//! What becomes of spans, for Prometheus.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Counters of one exporter, or of those of several workers with one registry.
#[derive(Debug)]
pub(crate) struct SpanCounts {
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
        }
    }
}

impl SpanCounts {
    /// Has them shown under this name.
    pub(crate) fn register(&self, registry: &mut Registry, name: &str) {
        registry.register(name, "Spans, by what became of them", self.all.clone());
    }
}
