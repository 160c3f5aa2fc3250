//! What the gateway counts for Prometheus; `docs/gateway.md` has the table.
//!
//! Routes, codes and outcomes are fixed lists, and so are the statuses that it answers with: nothing that a sender sends becomes the
//! value of a label.

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

/// What becomes of events.
const OUTCOMES: [&str; 5] = ["accepted", "unroutable", "refused", "unconfirmed", CONTRACT];
/// Of an event that breaks its contract, or is not declared.
pub(super) const CONTRACT: &str = "contract";
/// Routes and statuses that rules look at; of others there is a series once they came.
const ROUTES: [&str; 2] = ["events", "webhooks"];
const STATUSES: [u16; 5] = [202, 400, 422, 429, 503];

type Labels<const N: usize> = [(&'static str, String); N];

/// Of one gateway. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct GatewayMetrics {
    requests: Family<Labels<2>, Counter>,
    problems: Family<Labels<1>, Counter>,
    events: Family<Labels<1>, Counter>,
    /// How long the broker took to confirm.
    pub(super) confirm: Histogram,
    /// Events that wait for their confirms.
    pub(super) unconfirmed: Gauge,
    pub(super) connected: Gauge,
}

impl GatewayMetrics {
    /// Registers them.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let ours = Self {
            requests: Family::default(),
            problems: Family::default(),
            events: Family::default(),
            confirm: Histogram::new(BUCKETS),
            unconfirmed: Gauge::default(),
            connected: Gauge::default(),
        };
        // So that the first of them is an increase.
        for outcome in OUTCOMES {
            drop(ours.events.get_or_create(&[("outcome", outcome.to_owned())]));
        }
        for (route, status) in ROUTES.iter().flat_map(|route| STATUSES.map(|status| (route, status))) {
            let labels = [("route", (*route).to_owned()), ("status", status.to_string())];
            drop(ours.requests.get_or_create(&labels));
        }
        metrics.register(|registry| {
            let requests = "Requests by route and the status of their answers";
            registry.register("ponos_gateway_requests", requests, ours.requests.clone());
            let problems = "Requests that were refused, by the code of their problem";
            registry.register("ponos_gateway_problems", problems, ours.problems.clone());
            registry.register("ponos_gateway_events", "Events by outcome", ours.events.clone());
            let confirm = "From the publishing of a request's events to the last confirm";
            registry.register_with_unit(
                "ponos_gateway_confirm_duration",
                confirm,
                Unit::Seconds,
                ours.confirm.clone(),
            );
            let unconfirmed = "Events that wait for their confirms";
            registry.register("ponos_gateway_unconfirmed", unconfirmed, ours.unconfirmed.clone());
            let connected = "1 while the broker takes events, else 0";
            registry.register("ponos_gateway_broker_connected", connected, ours.connected.clone());
        });
        ours
    }

    pub(super) fn count_request(&self, route: &'static str, status: u16) {
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn count_problem(&self, code: &'static str) {
        self.problems.get_or_create(&[("code", code.to_owned())]).inc();
    }

    pub(super) fn count_event(&self, outcome: &'static str) {
        self.events.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scraped::deployed;

    #[test]
    fn whatever_rules_and_dashboards_look_at_is_there_from_the_start() {
        let metrics = Metrics::new();
        drop(GatewayMetrics::register(&metrics));
        deployed::has_all(&metrics, "ponos_gateway_");
    }
}
