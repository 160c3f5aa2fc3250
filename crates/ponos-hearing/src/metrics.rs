//! What the observer counts for Prometheus; `docs/reports.md` has the table.

use ponos_observer::{Counts, Doubt};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
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
#[derive(Debug, Clone)]
pub struct ObserverMetrics {
    pub(crate) connected: Gauge,
    /// Messages that could not be read.
    pub(crate) unread: Counter,
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

impl Default for ObserverMetrics {
    fn default() -> Self {
        let ours = Self {
            connected: Gauge::default(),
            unread: Counter::default(),
            missed: Family::default(),
            uncertain: Family::default(),
            events: Counter::default(),
            deliveries: Counter::default(),
            trimmed: Counter::default(),
            unwatched: Counter::default(),
            kept: Gauge::default(),
            kept_bytes: Gauge::default(),
            watched: Gauge::default(),
            services: Arc::default(),
        };
        // an alert compares with before: what never happened is 0 and not nothing
        for doubt in Doubt::ALL {
            ours.uncertain(doubt);
        }
        ours
    }
}

impl ObserverMetrics {
    /// Shows them in a registry, under names that begin with `ponos_`.
    pub fn register(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, what: &str, gauge: &Gauge| registry.register(name, what, gauge.clone());
        gauge("ponos_observer_connected", "1 while the observer listens, else 0", &self.connected);
        gauge("ponos_observer_kept", "Events that are kept", &self.kept);
        gauge("ponos_observer_kept_bytes", "Their bytes, as far as they are counted", &self.kept_bytes);
        gauge("ponos_observer_watched", "Handlings that are to be done in time", &self.watched);
        let mut counter =
            |name: &str, what: &str, counter: &Counter| registry.register(name, what, counter.clone());
        counter("ponos_observer_events", "Events seen", &self.events);
        counter("ponos_observer_deliveries", "Deliveries reported", &self.deliveries);
        counter("ponos_observer_unread", "Messages that could not be read", &self.unread);
        counter("ponos_observer_trimmed", "Events that went for want of room, or of age", &self.trimmed);
        let what = "Handlings that are not watched, for want of room";
        counter("ponos_observer_unwatched", what, &self.unwatched);
        let what = "Events that a service did not handle in time";
        registry.register("ponos_handling_missed", what, self.missed.clone());
        let what = "Events that were not reported as handled in time, where reports may be missing";
        registry.register("ponos_handling_uncertain", what, self.uncertain.clone());
    }

    /// Nothing is heard any more, whatever was shown last: what hears may have ended by a defect.
    pub fn unheard(&self) {
        self.connected.set(0);
    }

    /// A service did not handle an event in time.
    pub(crate) fn missed(&self, service: &str) {
        let mut known = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = known.contains(service) || known.len() < SERVICES && known.insert(service.to_owned());
        let service = if has_room { service } else { OTHERS };
        self.missed.get_or_create_owned(&[("service", service.to_owned())]).inc();
    }

    fn uncertain(&self, doubt: Doubt) -> Counter {
        self.uncertain.get_or_create_owned(&[("doubt", doubt.as_str().to_owned())])
    }

    /// Shows what the observer counted by now.
    pub(crate) fn set(&self, counts: &Counts) {
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
