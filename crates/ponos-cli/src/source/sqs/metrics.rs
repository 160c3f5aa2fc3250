//! What a source counts for Prometheus; `docs/sources.md` has the table.
//!
//! Queues are those of the configuration, calls and outcomes fixed lists: nothing that comes in becomes the value of a label.

use ponos::{
    metrics::Metrics,
    prometheus_client::{
        metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
        registry::Unit,
    },
};

/// The upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// Of one source. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct SourceMetrics {
    calls: Family<Labels<3>, Counter>,
    messages: Family<Labels<2>, Counter>,
    events: Family<Labels<1>, Counter>,
    held: Family<Labels<1>, Gauge>,
    /// How long the broker took to confirm.
    pub(super) confirm: Histogram,
    pub(super) connected: Gauge,
}

impl SourceMetrics {
    /// Registers them.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let ours = Self {
            calls: Family::default(),
            messages: Family::default(),
            events: Family::default(),
            held: Family::default(),
            confirm: Histogram::new(BUCKETS),
            connected: Gauge::default(),
        };
        metrics.register(|registry| {
            let calls = "Calls of SQS by queue, call and outcome";
            registry.register("ponos_source_calls", calls, ours.calls.clone());
            let messages = "Messages by queue and what became of them";
            registry.register("ponos_source_messages", messages, ours.messages.clone());
            registry.register("ponos_source_events", "Events by outcome", ours.events.clone());
            let held = "Messages that were received and are not settled, by queue";
            registry.register("ponos_source_held", held, ours.held.clone());
            let confirm = "From the publishing of a batch of events to the last confirm";
            registry.register_with_unit(
                "ponos_source_confirm_duration",
                confirm,
                Unit::Seconds,
                ours.confirm.clone(),
            );
            let connected = "1 while the broker takes events, else 0";
            registry.register("ponos_source_broker_connected", connected, ours.connected.clone());
        });
        ours
    }

    pub(super) fn count_call(&self, queue: &str, call: &'static str, outcome: &'static str) {
        let labels =
            [("queue", queue.to_owned()), ("call", call.to_owned()), ("outcome", outcome.to_owned())];
        self.calls.get_or_create(&labels).inc();
    }

    pub(super) fn count_messages(&self, queue: &str, outcome: &'static str, count: usize) {
        let labels = [("queue", queue.to_owned()), ("outcome", outcome.to_owned())];
        self.messages.get_or_create(&labels).inc_by(count as u64);
    }

    pub(super) fn count_event(&self, outcome: &'static str) {
        self.events.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    /// Of this queue, so many more, or fewer.
    pub(super) fn hold(&self, queue: &str, more: i64) {
        self.held.get_or_create(&[("queue", queue.to_owned())]).inc_by(more);
    }
}
