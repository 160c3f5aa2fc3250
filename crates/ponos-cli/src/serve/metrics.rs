//! What the sidecar counts for Prometheus beside what every worker does; `docs/serve.md` has the table. Nothing that a program sends
//! becomes the value of a label.

use super::forms::OutcomeKind;
use ponos::{
    metrics::Metrics,
    prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge},
};

/// Of one sidecar. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct ServeMetrics {
    /// Deliveries that nobody has yet.
    pub(super) waiting: Gauge,
    /// Deliveries that programs have.
    pub(super) held: Gauge,
    pulls: Gauge,
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    /// Outcomes that had been given before, by the same body.
    pub(super) repeated: Counter,
    /// Deadlines that passed before an outcome came.
    pub(super) late: Counter,
}

/// A request for a delivery, while it waits.
pub(super) struct Pull(Gauge);

impl ServeMetrics {
    /// Registers them.
    pub(super) fn register(&self, metrics: &Metrics) {
        // So that the first of each is an increase.
        for kind in OutcomeKind::ALL {
            drop(self.outcomes.get_or_create(&[("outcome", kind.word())]));
        }
        metrics.register(|registry| {
            let what = "Deliveries that wait for a program";
            registry.register("ponos_serve_waiting", what, self.waiting.clone());
            registry.register("ponos_serve_held", "Deliveries that programs have", self.held.clone());
            let what = "Requests that wait for a delivery";
            registry.register("ponos_serve_pulls_waiting", what, self.pulls.clone());
            let what = "Outcomes that programs gave deliveries";
            registry.register("ponos_serve_outcomes", what, self.outcomes.clone());
            let what = "Outcomes that had been given before, and were answered again";
            registry.register("ponos_serve_outcomes_repeated", what, self.repeated.clone());
            let what = "Deliveries whose program gave no outcome by the deadline";
            registry.register("ponos_serve_late", what, self.late.clone());
        });
    }

    /// A request waits for a delivery until this is dropped.
    pub(super) fn pull(&self) -> Pull {
        self.pulls.inc();
        Pull(self.pulls.clone())
    }

    /// Requests that wait for a delivery.
    #[cfg(test)]
    pub(super) fn pulling(&self) -> i64 {
        self.pulls.get()
    }

    /// A program gave a delivery this outcome.
    pub(super) fn count_outcome(&self, kind: OutcomeKind) {
        self.outcomes.get_or_create(&[("outcome", kind.word())]).inc();
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scraped::deployed;

    #[test]
    fn whatever_rules_and_dashboards_look_at_is_there_from_the_start() {
        let metrics = Metrics::new();
        ServeMetrics::default().register(&metrics);
        deployed::has_all(&metrics, "ponos_serve_");
    }
}
