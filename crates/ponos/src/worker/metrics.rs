//! What a worker counts and measures for Prometheus; `docs/workers.md` has the table.
//!
//! All series are made before the worker runs, one for each queue, handler and word of a fixed list, so that counting is an
//! atomic or a short lock, and nothing that a sender sends becomes the value of a label. An exemplar is the only text from
//! outside, and it is 32 hexadecimal digits or nothing.

use super::{
    circuit::Circuit,
    ended::{DeadKind, Ended},
};
use crate::{
    clock::Clock,
    event::{Event, Timestamp, TraceParent},
};
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{
        MetricType, counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU64},
    time::Duration,
};

/// The upper bounds of all histograms, in seconds.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// The handler of what reached none; no name or pattern of an event is a single word.
const NO_HANDLER: &str = "none";
/// Headers of what was received before, and came back by way of the ladder or from the dead letters.
const CAME_BEFORE: [&str; 3] = ["retry-attempt", "retry-due", "requeued-count"];

type Labels<const N: usize> = [(&'static str, String); N];
type Traced = HistogramWithExemplars<[(&'static str, String); 1]>;

/// The families of all workers of a program.
#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    deliveries: Family<Labels<3>, Counter>,
    retries: Family<Labels<2>, Counter>,
    dead_letters: Family<Labels<3>, Counter>,
    skipped: Family<Labels<2>, Counter>,
    duration: Family<Labels<2>, Traced, fn() -> Traced>,
    age: Family<Labels<1>, Histogram, fn() -> Histogram>,
    wait: Family<Labels<1>, Histogram, fn() -> Histogram>,
    in_progress: Family<Labels<1>, Gauge>,
    connected: Family<Labels<1>, Gauge>,
    paused_by_hand: Family<Labels<1>, Gauge>,
    receive_errors: Family<Labels<1>, Counter>,
    receive_retries: Family<Labels<1>, Counter>,
    paused: Arc<PausedQueues>,
    reports: ReportMetrics,
    replies_lost: Counter,
}

/// What is counted of reports, of all workers together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportMetrics {
    /// Deliveries whose report was handed to the broker's connection.
    pub(super) sent: Counter,
    /// Deliveries whose report was dropped or lost.
    pub(super) dropped: Counter,
}

/// The metrics of one queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    age: Histogram,
    wait: Histogram,
    pub(super) in_progress: Gauge,
    pub(super) connected: Gauge,
    pub(super) paused_by_hand: Gauge,
    pub(super) receive_errors: Counter,
    pub(super) receive_retries: Counter,
    /// Of what reached no handler.
    no_handler: EndCounters,
    paused: Arc<PausedQueues>,
}

/// The metrics of one handler of a queue.
#[derive(Debug, Clone)]
pub(crate) struct HandlerMetrics {
    ends: EndCounters,
    duration: Traced,
}

/// Ends of deliveries: of each outcome, and what else is counted at such an end.
#[derive(Debug, Clone)]
struct EndCounters {
    done: Counter,
    already_handled: Counter,
    skipped: Counter,
    unsettled: Counter,
    early: Counter,
    retried: Counter,
    snoozed: Counter,
    released: Counter,
    dead: Counter,
    cancelled: Counter,
    retries: Counter,
    skips: Counter,
    /// In the order of [`DeadKind::ALL`].
    dead_letters: [Counter; DeadKind::ALL.len()],
}

impl WorkerMetrics {
    /// Registers all families.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            deliveries: Family::default(),
            retries: Family::default(),
            dead_letters: Family::default(),
            skipped: Family::default(),
            duration: Family::new_with_constructor(|| HistogramWithExemplars::new(BUCKETS.into_iter())),
            age: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            wait: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_progress: Family::default(),
            connected: Family::default(),
            paused_by_hand: Family::default(),
            receive_errors: Family::default(),
            receive_retries: Family::default(),
            paused: Arc::default(),
            reports: ReportMetrics::default(),
            replies_lost: Counter::default(),
        };
        let seconds = || Unit::Seconds;
        registry.register(
            "ponos_deliveries",
            "Deliveries that ended, by outcome",
            metrics.deliveries.clone(),
        );
        registry.register(
            "ponos_retries",
            "Attempts that failed and will be made again",
            metrics.retries.clone(),
        );
        registry.register(
            "ponos_dead_letters",
            "Deliveries sent to the dead letters, by reason",
            metrics.dead_letters.clone(),
        );
        registry.register(
            "ponos_skipped",
            "Deliveries acked without work: too old, overtaken, or nothing to do",
            metrics.skipped.clone(),
        );
        registry.register_with_unit(
            "ponos_handler_duration",
            "How long handlers ran, whatever came of it",
            seconds(),
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "ponos_event_age",
            "Time to receive: from the time that events were recorded until they were first received",
            seconds(),
            metrics.age.clone(),
        );
        registry.register_with_unit(
            "ponos_receive_wait",
            "How long received deliveries waited for a free place, the rate or a paused queue",
            seconds(),
            metrics.wait.clone(),
        );
        registry.register("ponos_in_progress", "Deliveries in progress", metrics.in_progress.clone());
        registry.register(
            "ponos_connected",
            "Whether the queue is connected: deliveries can come",
            metrics.connected.clone(),
        );
        registry.register(
            "ponos_paused_by_hand",
            "Whether somebody paused the queue",
            metrics.paused_by_hand.clone(),
        );
        registry.register(
            "ponos_receive_errors",
            "Failures of receiving: a connection, channel or subscription was lost, or the first could not be made",
            metrics.receive_errors.clone(),
        );
        registry.register(
            "ponos_receive_retries",
            "Attempts to receive again after a failure",
            metrics.receive_retries.clone(),
        );
        registry.register("ponos_reports", "Deliveries reported", metrics.reports.sent.clone());
        registry.register(
            "ponos_reports_dropped",
            "Deliveries whose report was dropped: the broker was away, or too slow",
            metrics.reports.dropped.clone(),
        );
        registry.register(
            "ponos_replies_lost",
            "Answers that reached nobody: whoever asked had gone, or named no queue that takes them",
            metrics.replies_lost.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&metrics.paused)));
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(Clock::system().now().millis() as f64 / 1_000.0);
        registry.register_with_unit("ponos_start_time", "When counting began", seconds(), started);
        metrics
    }

    /// The series of a queue.
    pub(crate) fn queue(&self, queue: &str) -> QueueMetrics {
        let labels = [("queue", queue.to_owned())];
        QueueMetrics {
            age: self.age.get_or_create_owned(&labels),
            wait: self.wait.get_or_create_owned(&labels),
            in_progress: self.in_progress.get_or_create_owned(&labels),
            connected: self.connected.get_or_create_owned(&labels),
            paused_by_hand: self.paused_by_hand.get_or_create_owned(&labels),
            receive_errors: self.receive_errors.get_or_create_owned(&labels),
            receive_retries: self.receive_retries.get_or_create_owned(&labels),
            no_handler: self.ends(queue, NO_HANDLER),
            paused: Arc::clone(&self.paused),
        }
    }

    /// The series of a handler.
    pub(crate) fn handler(&self, queue: &str, handler: &str) -> HandlerMetrics {
        let labels = [("queue", queue.to_owned()), ("handler", handler.to_owned())];
        HandlerMetrics {
            ends: self.ends(queue, handler),
            duration: self.duration.get_or_create_owned(&labels),
        }
    }

    /// The counters of reports.
    pub(crate) fn reports(&self) -> ReportMetrics {
        self.reports.clone()
    }

    /// The counter of answers that reached nobody.
    pub(crate) fn replies_lost(&self) -> Counter {
        self.replies_lost.clone()
    }

    fn ends(&self, queue: &str, handler: &str) -> EndCounters {
        let [of_queue, of_handler] = [("queue", queue.to_owned()), ("handler", handler.to_owned())];
        let labels = [of_queue.clone(), of_handler.clone()];
        let with = |name: &'static str, value: &str| {
            [of_queue.clone(), of_handler.clone(), (name, value.to_owned())]
        };
        let ended = |outcome: &str| self.deliveries.get_or_create_owned(&with("outcome", outcome));
        EndCounters {
            done: ended("done"),
            already_handled: ended("already-handled"),
            skipped: ended("skipped"),
            unsettled: ended("unsettled"),
            early: ended("early"),
            retried: ended("retried"),
            snoozed: ended("snoozed"),
            released: ended("released"),
            dead: ended("dead"),
            cancelled: ended("cancelled"),
            retries: self.retries.get_or_create_owned(&labels),
            skips: self.skipped.get_or_create_owned(&labels),
            dead_letters: DeadKind::ALL
                .map(|kind| self.dead_letters.get_or_create_owned(&with("reason", kind.as_str()))),
        }
    }
}

impl QueueMetrics {
    /// A delivery was received at `now`; `count`: how often it came back unsettled. Only the first receipt has an age: later
    /// ones would measure our own retries.
    pub(super) fn received(&self, event: &Event, count: u64, now: Timestamp) {
        let came_before = count > 0 || CAME_BEFORE.iter().any(|name| event.extensions.get(name).is_some());
        if let Some(time) = event.recorded_time.or(event.time).filter(|_| !came_before) {
            // clocks differ
            let millis = u64::try_from(now.since(time)).unwrap_or(0);
            self.age.observe(Duration::from_millis(millis).as_secs_f64());
        }
    }

    /// A delivery waited here before it was begun.
    pub(super) fn waited(&self, waited: Duration) {
        self.wait.observe(waited.as_secs_f64());
    }

    /// A delivery was given back before it reached a handler.
    pub(super) fn given_back(&self) {
        self.no_handler.released.inc();
    }

    /// A delivery ended; `void`: it can't be acked any more.
    pub(super) fn ended(&self, handler: Option<&HandlerMetrics>, ended: &Ended, void: bool) {
        handler.map_or(&self.no_handler, |handler| &handler.ends).ended(ended, void);
    }

    /// Shows whether the queue is paused, as long as its circuit exists.
    pub(super) fn follow(&self, queue: &Arc<str>, circuit: &Arc<Circuit>) {
        let mut queues = self.paused.0.lock().unwrap_or_else(PoisonError::into_inner);
        // a worker that ran before it in this process
        queues.retain(|(known, _)| known != queue);
        queues.push((Arc::clone(queue), Arc::downgrade(circuit)));
    }
}

impl EndCounters {
    fn ended(&self, ended: &Ended, void: bool) {
        let counter = match ended {
            Ended::Done | Ended::HandledAlready | Ended::Skipped(_) | Ended::Cancelled(_) if void => {
                &self.unsettled
            }
            Ended::Done => &self.done,
            Ended::HandledAlready => &self.already_handled,
            Ended::Skipped(_) => {
                self.skips.inc();
                &self.skipped
            }
            Ended::Early { .. } => &self.early,
            Ended::Retried { .. } => {
                self.retries.inc();
                &self.retried
            }
            Ended::Snoozed { .. } => &self.snoozed,
            Ended::Released(_) => &self.released,
            Ended::Cancelled(_) => &self.cancelled,
            Ended::Dead(death) => {
                let of_kind =
                    DeadKind::ALL.iter().zip(&self.dead_letters).find(|(kind, _)| **kind == death.kind);
                if let Some((_, counter)) = of_kind {
                    counter.inc();
                }
                &self.dead
            }
        };
        counter.inc();
    }
}

impl HandlerMetrics {
    /// Its handler ran, in this trace: an example of its bucket only if somebody records that.
    pub(super) fn ran(&self, traceparent: Option<&str>, took: Duration) {
        let trace = traceparent.and_then(TraceParent::parse).filter(TraceParent::is_sampled);
        let exemplar = trace.map(|trace| [("trace_id", trace.trace_id.to_owned())]);
        self.duration.observe(took.as_secs_f64(), exemplar, None);
    }
}

/// Which queues are paused, asked when it is scraped.
#[derive(Debug, Default)]
struct PausedQueues(Mutex<Vec<(Arc<str>, Weak<Circuit>)>>);

impl Collector for PausedQueues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Whether the queue is paused: something that its tasks need is unavailable.";
        let mut encoder = encoder.encode_descriptor("ponos_paused", help, None, MetricType::Gauge)?;
        for (queue, circuit) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(circuit) = circuit.upgrade() {
                let is_paused = i64::from(circuit.is_open());
                encoder.encode_family(&[("queue", &**queue)])?.encode_gauge(&is_paused)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
