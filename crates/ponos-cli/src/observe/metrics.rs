//! What the observer counts for Prometheus; `docs/reports.md` has the table.

use ponos::{
    metrics::Metrics,
    prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use ponos_observer::{Counts, Doubt};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

type Labels = [(&'static str, String); 1];

/// The most services that have series of their own; names come from outside.
const SERVICES: usize = 1_000;
/// The others.
const OTHERS: &str = "other";

/// Of one observer. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct ObserverMetrics {
    pub(super) connected: Gauge,
    /// Messages that could not be read.
    pub(super) unread: Counter,
    missed: Family<Labels, Counter>,
    uncertain: Family<Labels, Counter>,
    events: Counter,
    deliveries: Counter,
    trimmed: Counter,
    unwatched: Counter,
    kept: Gauge,
    kept_bytes: Gauge,
    watched: Gauge,
    services: Arc<Mutex<HashSet<String>>>,
}

impl ObserverMetrics {
    /// Registers them.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let ours = Self::default();
        metrics.register(|registry| {
            registry.register(
                "ponos_observer_connected",
                "1 while the observer listens, else 0",
                ours.connected.clone(),
            );
            registry.register("ponos_observer_events", "Events seen", ours.events.clone());
            registry.register("ponos_observer_deliveries", "Deliveries reported", ours.deliveries.clone());
            registry.register(
                "ponos_observer_unread",
                "Messages that could not be read",
                ours.unread.clone(),
            );
            registry.register(
                "ponos_observer_trimmed",
                "Events that went for want of room, or of age",
                ours.trimmed.clone(),
            );
            registry.register("ponos_observer_kept", "Events that are kept", ours.kept.clone());
            registry.register(
                "ponos_observer_kept_bytes",
                "Their bytes, as far as they are counted",
                ours.kept_bytes.clone(),
            );
            registry.register(
                "ponos_observer_watched",
                "Handlings that are to be done in time",
                ours.watched.clone(),
            );
            registry.register(
                "ponos_observer_unwatched",
                "Handlings that are not watched, for want of room",
                ours.unwatched.clone(),
            );
            registry.register(
                "ponos_handling_missed",
                "Events that a service did not handle in time",
                ours.missed.clone(),
            );
            registry.register(
                "ponos_handling_uncertain",
                "Events that were not reported as handled in time, where reports may be missing",
                ours.uncertain.clone(),
            );
        });
        for doubt in Doubt::ALL {
            ours.uncertain(doubt);
        }
        ours
    }

    /// A service did not handle an event in time.
    pub(super) fn missed(&self, service: &str) {
        let mut known = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = known.contains(service) || known.len() < SERVICES && known.insert(service.to_owned());
        let service = if has_room { service } else { OTHERS };
        self.missed.get_or_create_owned(&[("service", service.to_owned())]).inc();
    }

    fn uncertain(&self, doubt: Doubt) -> Counter {
        self.uncertain.get_or_create_owned(&[("doubt", doubt.as_str().to_owned())])
    }

    /// Shows what the observer counted by now.
    pub(super) fn set(&self, counts: &Counts) {
        let raise = |counter: &Counter, to: u64| {
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        raise(&self.events, counts.events);
        raise(&self.deliveries, counts.deliveries);
        raise(&self.trimmed, counts.trimmed);
        raise(&self.unwatched, counts.unwatched);
        for (doubt, count) in Doubt::ALL.into_iter().zip(counts.uncertain) {
            raise(&self.uncertain(doubt), count);
        }
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.kept.set(shown(counts.kept.0));
        self.kept_bytes.set(shown(counts.kept.1));
        self.watched.set(shown(counts.watched));
    }
}
