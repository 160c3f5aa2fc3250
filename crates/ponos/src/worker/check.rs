//! Checks a worker and makes a [`Plan`] of it. All faults are reported at once, before the broker is touched.

use super::{
    Policy, RunError, Worker, WorkerMetrics,
    around::Layers,
    batch::batch_plan,
    breaker,
    builder::{HandlerDraft, QueueDraft, Takes},
    plan::{Plan, QueuePlan, Route},
    reach::overshadowing,
    service::Service,
    wait::Wait,
};
use crate::{
    broker::LinkError,
    declared::{Declared, is_service, registries, service_fault},
    event::EventName,
    metrics::{ListenError, Metrics},
    redact::redact,
    topology::{
        Topology, check_event_pattern,
        worker::{QueueIntake, shared, work_queue},
    },
};
use std::{
    collections::HashSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Why a worker can't run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WorkerError {
    /// Its description is wrong; a sentence for each fault.
    Invalid(Vec<String>),
    /// The broker refuses it; a person must change something before it can work.
    Broker(LinkError),
    /// Its metrics can't be served.
    Metrics(ListenError),
    /// It ended by itself, without a shutdown.
    Ended(RunError),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => write!(f, "the worker can't run: {}", faults.join("; ")),
            Self::Broker(error) => write!(f, "the worker can't run: {error}"),
            Self::Metrics(error) => write!(f, "the worker can't run: {error}"),
            Self::Ended(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for WorkerError {}

/// Queue names end in `.dlq` for the dead letters, and have at most 255 bytes.
const QUEUE_MOST: usize = 251;

impl Worker {
    /// The exchanges, queues and bindings that the worker needs on the broker.
    ///
    /// # Errors
    /// [`WorkerError::Invalid`] with all faults of names and patterns.
    pub fn topology(&self) -> Result<Topology, WorkerError> {
        let mut faults = Vec::new();
        let topology = topology(self, &mut faults);
        if faults.is_empty() { Ok(topology) } else { Err(WorkerError::Invalid(faults)) }
    }

    /// The worker, checked.
    pub(crate) fn plan(self) -> Result<Plan, WorkerError> {
        let mut faults = Vec::new();
        faults.extend(service_fault(&self.service));
        if self.drafts.is_empty() {
            faults.push("the worker has no handler: add one with on, task or fan_in".into());
        }
        faults.extend(self.limits.faults());
        #[cfg(feature = "postgres")]
        faults.extend(super::saga::faults(&self));
        let topology = topology(&self, &mut faults);
        let address = self.metrics.as_deref().and_then(|text| address(text, &mut faults));
        let Self {
            service,
            drafts,
            events,
            tasks,
            states,
            inbox,
            limits,
            layers,
            hooks,
            clock,
            observer,
            measured,
            traces,
            reports,
            ..
        } = self;
        let served = address.map(|address| (address, measured.clone().unwrap_or_default()));
        let metrics = served.as_ref().map(|(_, metrics)| metrics).or(measured.as_ref());
        let opened = traces.and_then(|collector| {
            let counts = metrics.map(Metrics::of_spans).unwrap_or_default();
            let opened = collector.open_counted(&service, counts);
            opened.map_err(|error| faults.push(format!("its traces: {error}"))).ok()
        });
        let (traces, export) = opened.unzip();
        let metrics = metrics.map(Metrics::of_workers);
        let reports = reports.then(|| metrics.map(WorkerMetrics::reports).unwrap_or_default());
        let replies_lost = metrics.map(WorkerMetrics::replies_lost).unwrap_or_default();
        let mut queues = Vec::new();
        let by_handlers = drafts.iter().filter(|draft| draft.intake == Takes::Task);
        let handled: HashSet<String> = by_handlers.map(|draft| draft.label.clone()).collect();
        for draft in drafts {
            let label = draft.label.clone();
            let mut found = Vec::new();
            for HandlerDraft { pattern, needs, .. } in &draft.handlers {
                let missing = needs.iter().filter(|need| !states.contains_key(&need.id));
                found.extend(missing.map(|need| {
                    format!(
                        "the handler of '{pattern}' takes the state {}, which the worker does not have: set it with Worker::state",
                        need.name
                    )
                }));
            }
            let plan = queue_plan(&service, draft, (limits.consumer_timeout, &layers), metrics, &mut found);
            if let Some(slowest) = plan.routes.iter().map(|route| route.policy.timeout).max()
                && slowest > limits.grace
            {
                tracing::warn!(
                    "handlers of '{label}' may run for {slowest:?}, and are cancelled {:?} after a request to stop: their messages will be delivered again",
                    limits.grace
                );
            }
            queues.push(plan);
            faults.extend(found.into_iter().map(|fault| format!("{label}: {fault}")));
        }
        faults.extend(breaker::disagreements(&queues));
        let (events, tasks) = registries(events, tasks, &handled, &mut faults);
        if !faults.is_empty() {
            return Err(WorkerError::Invalid(faults));
        }
        let source = format!("/{service}");
        let compress = limits.compress.map(|least| least..=limits.body);
        let service = Service {
            declared: Declared { service: Arc::from(service), source, events, tasks, compress, hooks },
            clock,
            states,
            inbox,
            limits,
            publisher: OnceLock::new(),
            traces,
            reporter: OnceLock::new(),
            replies_lost,
            observer,
        };
        Ok(Plan { service: Arc::new(service), queues, topology, served, export, reports })
    }
}

fn topology(worker: &Worker, faults: &mut Vec<String>) -> Topology {
    let mut all = shared();
    let mut seen = HashSet::new();
    for draft in &worker.drafts {
        let queue = format!("{}.{}", worker.service, draft.label);
        if queue.len() > QUEUE_MOST {
            faults.push(format!(
                "{}: the queue's name has {} bytes; the limit is {QUEUE_MOST}",
                draft.label,
                queue.len()
            ));
        }
        if !seen.insert(queue.clone()) {
            let mixed = worker.drafts.iter().any(|other| other.is_same_queue_otherwise(draft));
            let label = &draft.label;
            faults.push(match mixed {
                true => format!(
                    "{label}: the handler of one delivery ({label} by on, task or fan_in) and the handler of batches ({label} by batch or batch_task) would share one queue; keep one of them"
                ),
                false => format!("{label}: two queues have this name; handle each name once"),
            });
        }
        all.join(queue_topology(&queue, draft));
    }
    all.passive = worker.passive;
    all
}

fn queue_topology(queue: &str, draft: &QueueDraft) -> Topology {
    let patterns: Vec<&str> = draft.handlers.iter().map(|named| named.pattern.as_str()).collect();
    let intake =
        if draft.intake == Takes::Task { QueueIntake::Tasks } else { QueueIntake::Events(&patterns) };
    work_queue(queue, intake, draft.policy.exclusive)
}

fn queue_plan(
    service: &str,
    draft: QueueDraft,
    (consumer_timeout, layers): (Duration, &Layers),
    metrics: Option<&WorkerMetrics>,
    faults: &mut Vec<String>,
) -> QueuePlan {
    let batch = batch_plan(&draft, (consumer_timeout, layers), faults);
    let QueueDraft { label, intake, handlers, mut policy } = draft;
    let name: Arc<str> = Arc::from(format!("{service}.{label}"));
    faults.extend(policy.faults());
    if intake == Takes::Several {
        if !is_label(&label) {
            faults
                .push("the label of a fan-in must be words of a-z and 0-9, joined by hyphens or dots".into());
        }
        if handlers.is_empty() {
            faults.push("the fan-in has no handler: add one with on".into());
        }
    }
    let outer = policy.clone();
    let timeout = |named: &HandlerDraft| named.policy.as_ref().unwrap_or(&outer).timeout;
    let slowest = handlers.iter().map(timeout).max().unwrap_or_default();
    let wait = Wait::cut(&mut policy, slowest, consumer_timeout);
    let mut routes: Vec<Arc<Route>> = Vec::new();
    let (mut before, mut uncompared): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for HandlerDraft { pattern, policy: own, contract, handler, last, needs: _, layers: inner, batch: _ } in
        handlers
    {
        if let Err(why) = pattern_fault(&pattern, intake) {
            faults.push(why);
        } else if before.contains(&pattern) {
            faults.push(format!("'{pattern}' is handled twice"));
        } else {
            let earlier: Vec<&str> = before.iter().map(String::as_str).collect();
            let takers = overshadowing(&pattern, &earlier);
            if takers.is_none() {
                uncompared.push(pattern.clone());
            }
            let takers = takers.unwrap_or_default().join("' and '");
            if !takers.is_empty() {
                faults.push(format!(
                    "the handler of '{pattern}' is never reached: '{takers}' before it takes all of its events; put '{pattern}' first"
                ));
            }
            before.push(pattern.clone());
        }
        if let (Takes::Several, Some(own)) = (intake, &own) {
            faults.extend(own.faults());
            if !same_stream(own, &Policy::default()) && !same_stream(own, &outer) {
                faults.push(format!(
                    "'{pattern}': concurrency, prefetch, rate, breaker, exclusive and fleet belong to the fan-in, not to one of its handlers"
                ));
            }
        }
        if last.as_ref().is_some_and(|last| last.is_configured) {
            faults.push(format!(
                "the final handler of '{pattern}' has a policy, contract, final handler or layers of its own, which would have no effect: set them on the handler itself"
            ));
        }
        let policy = own.unwrap_or_else(|| outer.clone());
        faults.extend(wait.fault(policy.timeout, consumer_timeout));
        match contract {
            Ok(contract) => {
                let metrics = metrics.map(|metrics| metrics.handler(&name, &pattern));
                let pattern = Arc::from(pattern);
                let layers = layers.with(inner);
                routes.push(Arc::new(Route { pattern, contract, policy, handler, last, layers, metrics }));
            }
            Err(why) => faults.push(format!("the schema of '{pattern}' can't be used: {why}")),
        }
    }
    if !uncompared.is_empty() {
        tracing::warn!(
            queue = %name,
            patterns = uncompared.join(" "),
            "these patterns have too many wildcards to be compared with those before them, so their handlers may never be reached; write them with fewer '#'"
        );
    }
    let most_held = Wait::most(&policy, slowest, consumer_timeout);
    let metrics = metrics.map(|metrics| metrics.queue(&name));
    QueuePlan { name, routes, policy, most_held, batch, metrics }
}

/// The address of the metrics.
fn address(text: &str, faults: &mut Vec<String>) -> Option<SocketAddr> {
    let parsed = text.parse();
    if parsed.is_err() {
        let text = redact(text);
        faults.push(format!(
            "metrics: '{text}' is not an IP address with a port: write 127.0.0.1:9464, or 0.0.0.0:9464 for others to reach it"
        ));
    }
    parsed.ok()
}

/// Whether two policies have the same settings of a queue.
fn same_stream(one: &Policy, other: &Policy) -> bool {
    let of =
        |policy: &Policy| (policy.concurrency, policy.prefetch, policy.rate, policy.exclusive, policy.fleet);
    of(one) == of(other) && one.breaker == other.breaker
}

/// A task has a name; an event a name or a pattern in which words may be `*` or `#`.
fn pattern_fault(pattern: &str, intake: Takes) -> Result<(), String> {
    if intake == Takes::Task {
        let parsed = EventName::of_task(pattern).map(drop);
        return parsed.map_err(|why| format!("'{pattern}' is not a valid task name: {why}"));
    }
    if let Err(why) = pattern.parse::<EventName>() {
        let wild = pattern.split('.').any(|word| matches!(word, "*" | "#"));
        if !wild {
            return Err(format!("'{pattern}' is not a valid name: {why}"));
        }
    }
    check_event_pattern(pattern).map_err(|wrong| wrong.to_string())
}

fn is_label(label: &str) -> bool {
    label.split('.').all(|part| part.len() <= 63 && is_service(part))
}
