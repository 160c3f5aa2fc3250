//! The builder of a worker. It refuses nothing: `check` reports all faults at once.

use super::{
    Around, Context, Failure, Handler, Limits, Payload, Policy,
    around::Layers,
    batch::ErasedBatch,
    ended::Observer,
    handler::{ErasedHandler, contract_of, erase},
    settings::{HandlerSettings, Last, Need},
};
use crate::{
    clock::Clock,
    inbox::Inbox,
    metrics::Metrics,
    names::{NamesEvent, NamesTask},
    outgoing_head::{OutgoingHead, OutgoingHooks},
    schema::{Contract, SchemaError},
    traces::Collector,
};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
};

/// A service's worker: `Worker::new("docker")`, its handlers, then [`Worker::run`].
pub struct Worker {
    pub(super) service: String,
    pub(super) drafts: Vec<QueueDraft>,
    pub(super) events: Vec<(String, Result<Contract, SchemaError>)>,
    pub(super) tasks: Vec<(String, Result<Contract, SchemaError>)>,
    pub(super) states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    pub(super) inbox: Inbox,
    pub(super) limits: Limits,
    /// Around all handlers.
    pub(super) layers: Layers,
    pub(super) hooks: OutgoingHooks,
    pub(super) clock: Clock,
    pub(super) passive: bool,
    pub(super) reports: bool,
    pub(super) observer: Option<Observer>,
    /// In which it counts.
    pub(super) measured: Option<Metrics>,
    /// Where it is scraped, as it was written.
    pub(super) metrics: Option<String>,
    /// Where its spans are sent.
    pub(super) traces: Option<Collector>,
    #[cfg(feature = "postgres")]
    pub(super) sagas: Vec<super::saga::SagaDraft>,
}

/// A queue as the author described it.
pub(super) struct QueueDraft {
    /// A name or pattern, or a fan-in's label.
    pub(super) label: String,
    pub(super) intake: Takes,
    pub(super) handlers: Vec<HandlerDraft>,
    /// A fan-in's policy, the default of its handlers; else the handler's.
    pub(super) policy: Policy,
}

/// Which messages a queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Event,
    Task,
    Several,
}

/// A handler under its name or pattern.
pub(super) struct HandlerDraft {
    pub(super) pattern: String,
    /// Its own policy, if it has one.
    pub(super) policy: Option<Policy>,
    pub(super) contract: Result<Contract, SchemaError>,
    pub(super) handler: ErasedHandler,
    pub(super) last: Option<Last>,
    pub(super) needs: Vec<Need>,
    pub(super) layers: Layers,
    /// If it takes batches.
    pub(super) batch: Option<ErasedBatch>,
}

impl HandlerDraft {
    fn new<T: Payload, H: Handler<T>>(pattern: &str, handler: H) -> Self {
        let (handler, HandlerSettings { policy, contract, last, needs, layers, key: _ }) =
            erase::<T, H>(handler);
        let contract = contract.map_or_else(contract_of::<T>, Ok);
        Self { pattern: pattern.to_owned(), policy, contract, handler, last, needs, layers, batch: None }
    }
}

impl Worker {
    /// A worker of the service with this name: words of `a-z`, `0-9` joined by single hyphens, at most 63 bytes. The name is
    /// the first part of each of its queues. Programs with the same name share the work.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            drafts: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
            states: HashMap::new(),
            inbox: Inbox::none(),
            limits: Limits::default(),
            layers: Layers::default(),
            hooks: OutgoingHooks::default(),
            clock: Clock::system(),
            passive: false,
            reports: false,
            observer: None,
            measured: None,
            metrics: None,
            traces: None,
            #[cfg(feature = "postgres")]
            sagas: Vec::new(),
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Handles the global events with this name or topic pattern (`order.*.shipped`, `time.#`). The policy is the default, or
    /// the one given by [`Handler::with`]: `on("time.one-day.passed", cleanup.with(Policy::retry(3)))`.
    #[must_use]
    pub fn on<T: Payload>(mut self, name: impl NamesEvent<T>, handler: impl Handler<T>) -> Self {
        self.drafts.push(QueueDraft::single(Takes::Event, HandlerDraft::new::<T, _>(name.text(), handler)));
        self
    }

    /// Handles the service's own tasks with this name, and declares that its handlers may publish them with
    /// [`Context::task`](super::Context::task). Otherwise as [`Worker::on`].
    #[must_use]
    pub fn task<T: Payload>(mut self, name: impl NamesTask<T>, handler: impl Handler<T>) -> Self {
        let named = HandlerDraft::new::<T, _>(name.text(), handler);
        self.tasks.push((name.text().to_owned(), named.contract.clone()));
        self.drafts.push(QueueDraft::single(Takes::Task, named));
        self
    }

    /// Takes events of several names through one queue, `<service>.<label>`, in the order of publishing. Each goes to the
    /// first handler whose pattern matches. Concurrency, prefetch, rate and exclusiveness come from `policy`; so do attempts,
    /// backoff, timeout and ages, unless a handler has a policy of its own, which then sets all of these for it.
    #[must_use]
    pub fn fan_in(mut self, label: &str, policy: Policy, build: impl FnOnce(FanIn) -> FanIn) -> Self {
        let handlers = build(FanIn { handlers: Vec::new() }).handlers;
        self.drafts.push(QueueDraft { label: label.to_owned(), intake: Takes::Several, handlers, policy });
        self
    }

    /// Declares that handlers publish events with this name and data of type `T`; undeclared ones are refused.
    #[must_use]
    pub fn publishes<T: Payload>(mut self, name: impl NamesEvent<T>) -> Self {
        self.events.push((name.text().to_owned(), contract_of::<T>()));
        self
    }

    /// As [`Worker::publishes`], with this contract instead of one derived from a type.
    #[must_use]
    pub fn publishes_under(mut self, name: &str, contract: Contract) -> Self {
        self.events.push((name.to_owned(), Ok(contract)));
        self
    }

    /// Declares that handlers publish tasks with this name that another program of this service handles.
    #[must_use]
    pub fn sends_task<T: Payload>(mut self, name: impl NamesTask<T>) -> Self {
        self.tasks.push((name.text().to_owned(), contract_of::<T>()));
        self
    }

    /// As [`Worker::sends_task`], with this contract instead of one derived from a type.
    #[must_use]
    pub fn sends_task_under(mut self, name: &str, contract: Contract) -> Self {
        self.tasks.push((name.to_owned(), Ok(contract)));
        self
    }

    /// Adds a value that handlers take as their third argument ([`State`](super::State)) or get by
    /// [`Context::state`](super::Context::state); one of each type.
    #[must_use]
    pub fn state<S: Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(TypeId::of::<S>(), Arc::new(state));
        self
    }

    /// Runs `layer` around each handler and each final handler, at each attempt, wherever it is added: see [`Around`]. The
    /// first one added is the outermost; those of a handler ([`Handler::around`]) are within them.
    #[must_use]
    pub fn around(mut self, layer: impl Around) -> Self {
        self.layers.add(layer);
        self
    }

    /// Calls `hook` for each event and task that goes out by a handler, a final handler or a layer, held or at once, when it is
    /// made: it adds extensions and headers, or refuses it ([`PublishError::Withheld`](super::PublishError::Withheld)). Hooks run
    /// in the order added, wherever they are. See [`OutgoingHead`].
    #[must_use]
    pub fn outgoing(
        mut self,
        hook: impl Fn(&mut OutgoingHead<'_>, Option<&Context>) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Remembers what was handled, so that a repeated delivery is handled once.
    #[must_use]
    pub fn inbox(self, inbox: Inbox) -> Self {
        Self { inbox, ..self }
    }

    /// Sets the limits of the worker as a whole.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Uses another wall clock than the system's, for tests.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Serves metrics for Prometheus at `http://<address>/metrics`, from the start until the worker has ended. The address is an
    /// IP address and a port: `127.0.0.1:9464` for this machine alone, `0.0.0.0:9464` for whoever can reach it, since there is
    /// no password. Port 0 is one that is free: [`Ready::metrics_address`](super::Ready::metrics_address).
    #[must_use]
    pub fn metrics(self, address: impl ToString) -> Self {
        Self { metrics: Some(address.to_string()), ..self }
    }

    /// Counts in these metrics, among which the author may register others: they are served at the address of
    /// [`Worker::metrics`], or by a server of the author's own ([`Metrics::expose`]).
    #[must_use]
    pub fn registry(self, metrics: &Metrics) -> Self {
        Self { measured: Some(metrics.clone()), ..self }
    }

    /// Records what becomes of deliveries as spans of OpenTelemetry (receive, process, send, settle), in the trace of their sender,
    /// and sends them to this collector. One that is gone, refuses or hangs costs spans and nothing else.
    #[must_use]
    pub fn traces(self, collector: Collector) -> Self {
        Self { traces: Some(collector), ..self }
    }

    /// Reports to the exchange `ponos.reports` what comes of deliveries, and declares there what it handles, and within what time
    /// ([`Policy::within`]). Reports are gathered for 200 ms or 100 deliveries, and sent on a connection of their own, neither
    /// kept by the broker nor waited for: what can't be sent is dropped, and counted. docs/reports.md has the forms.
    #[must_use]
    pub fn reports(self) -> Self {
        Self { reports: true, ..self }
    }

    /// Declares nothing on the broker and only checks that everything exists, for users without configure permission.
    /// [`definitions`](crate::topology::definitions) of [`Worker::topology`] makes a file for an administrator to import;
    /// `ponos topology --service NAME --on PATTERN` prints one for names and patterns.
    #[must_use]
    pub fn passive(self) -> Self {
        Self { passive: true, ..self }
    }
}

/// The handlers of one queue for several names.
pub struct FanIn {
    handlers: Vec<HandlerDraft>,
}

impl FanIn {
    /// Handles the events with this name or topic pattern, by the fan-in's policy or one of its own.
    #[must_use]
    pub fn on<T: Payload>(mut self, name: impl NamesEvent<T>, handler: impl Handler<T>) -> Self {
        self.handlers.push(HandlerDraft::new::<T, _>(name.text(), handler));
        self
    }
}

impl QueueDraft {
    /// Whether both have one name, and one of them alone takes batches.
    pub(super) fn is_same_queue_otherwise(&self, other: &Self) -> bool {
        let takes_batches = |draft: &Self| draft.handlers.iter().any(|named| named.batch.is_some());
        self.label == other.label && takes_batches(self) != takes_batches(other)
    }

    pub(super) fn single(intake: Takes, named: HandlerDraft) -> Self {
        let policy = named.policy.clone().unwrap_or_default();
        Self { label: named.pattern.clone(), intake, policy, handlers: vec![named] }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<&str> = self.drafts.iter().map(|draft| draft.label.as_str()).collect();
        f.debug_struct("Worker")
            .field("service", &self.service)
            .field("queues", &labels)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FanIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.handlers.iter().map(|named| &named.pattern)).finish()
    }
}
