//! What an author says of a worker. Nothing is refused here: `check` looks at all of it at once.

use super::{
    Handler, Limits, Payload, Policy,
    ended::Observer,
    handler::{Shared, contract_of, erase},
    settings::{Last, Need, Settings},
};
use crate::{
    clock::Clock,
    inbox::Inbox,
    schema::{Contract, SchemaError},
};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
};

/// A service's worker: `Worker::new("docker")`, its handlers, then [`Worker::run`].
pub struct Worker {
    pub(super) service: String,
    pub(super) drafts: Vec<Draft>,
    pub(super) events: Vec<(String, Result<Contract, SchemaError>)>,
    pub(super) tasks: Vec<(String, Result<Contract, SchemaError>)>,
    pub(super) states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    pub(super) inbox: Inbox,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) passive: bool,
    pub(super) observer: Option<Observer>,
}

/// A queue as the author described it.
pub(super) struct Draft {
    /// A name or pattern, or a fan-in's label.
    pub(super) label: String,
    pub(super) intake: Takes,
    pub(super) handlers: Vec<Named>,
    /// A fan-in's own, which its handlers have unless they have one; else the handler's.
    pub(super) policy: Policy,
}

/// What a queue takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Event,
    Task,
    Several,
}

/// A handler under its name or pattern.
pub(super) struct Named {
    pub(super) pattern: String,
    /// Its own.
    pub(super) policy: Option<Policy>,
    pub(super) contract: Result<Contract, SchemaError>,
    pub(super) handler: Shared,
    pub(super) last: Option<Last>,
    pub(super) needs: Vec<Need>,
}

impl Named {
    fn new<T: Payload, H: Handler<T>>(pattern: &str, handler: H) -> Self {
        let (handler, Settings { policy, contract, last, needs }) = erase::<T, H>(handler);
        let contract = contract.map_or_else(contract_of::<T>, Ok);
        Self { pattern: pattern.to_owned(), policy, contract, handler, last, needs }
    }
}

impl Worker {
    /// Of the service of that name, which is the first part of each of its queues: words of `a-z`, `0-9` joined by single hyphens, at
    /// most 63 bytes. Two programs with the same name share the work.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            drafts: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
            states: HashMap::new(),
            inbox: Inbox::none(),
            limits: Limits::default(),
            clock: Clock::system(),
            passive: false,
            observer: None,
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Handles the global events of that name or topic pattern (`order.*.shipped`, `time.#`). Its policy is the default, or
    /// that of [`Handler::with`]: `on("time.one-day.passed", cleanup.with(Policy::retry(3)))`.
    #[must_use]
    pub fn on<T: Payload>(mut self, name: &str, handler: impl Handler<T>) -> Self {
        self.drafts.push(Draft::single(Takes::Event, Named::new::<T, _>(name, handler)));
        self
    }

    /// Handles the service's own tasks of that name, which its handlers may then publish by
    /// [`Context::task`](super::Context::task). Otherwise as [`Worker::on`].
    #[must_use]
    pub fn task<T: Payload>(mut self, name: &str, handler: impl Handler<T>) -> Self {
        let named = Named::new::<T, _>(name, handler);
        self.tasks.push((name.to_owned(), named.contract.clone()));
        self.drafts.push(Draft::single(Takes::Task, named));
        self
    }

    /// One queue for events of several names, `<service>.<label>`: in the order in which they were published, each handled by the
    /// first handler that its type fits. Concurrency, prefetch, rate and exclusiveness are those of `policy`; attempts, backoff,
    /// timeout and ages too, but for a handler that has a policy of its own, which then is that handler's in all of these.
    #[must_use]
    pub fn fan_in(mut self, label: &str, policy: Policy, build: impl FnOnce(FanIn) -> FanIn) -> Self {
        let handlers = build(FanIn { handlers: Vec::new() }).handlers;
        self.drafts.push(Draft { label: label.to_owned(), intake: Takes::Several, handlers, policy });
        self
    }

    /// Declares that handlers publish events of that name with such data; others are refused.
    #[must_use]
    pub fn publishes<T: Payload>(mut self, name: &str) -> Self {
        self.events.push((name.to_owned(), contract_of::<T>()));
        self
    }

    /// [`Worker::publishes`] with a contract from elsewhere.
    #[must_use]
    pub fn publishes_under(mut self, name: &str, contract: Contract) -> Self {
        self.events.push((name.to_owned(), Ok(contract)));
        self
    }

    /// Declares that handlers publish tasks of that name which another program of this service handles.
    #[must_use]
    pub fn sends_task<T: Payload>(mut self, name: &str) -> Self {
        self.tasks.push((name.to_owned(), contract_of::<T>()));
        self
    }

    /// A value that handlers take as their third argument ([`State`](super::State)) or reach by
    /// [`Context::state`](super::Context::state); one of each type.
    #[must_use]
    pub fn state<S: Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(TypeId::of::<S>(), Arc::new(state));
        self
    }

    /// Remembers what was handled, so that what comes twice is handled once.
    #[must_use]
    pub fn inbox(self, inbox: Inbox) -> Self {
        Self { inbox, ..self }
    }

    /// Limits of the worker as a whole.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Another wall clock than the system's; for tests.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Declares nothing on the broker, only looks whether all is there: for users that may not configure.
    /// [`definitions`](crate::topology::definitions) of [`Worker::topology`] tells those who may what there must be, as a file
    /// to import; `ponos topology --service NAME --on PATTERN` prints one for names and patterns.
    #[must_use]
    pub fn passive(self) -> Self {
        Self { passive: true, ..self }
    }
}

/// The handlers of one queue for several names.
pub struct FanIn {
    handlers: Vec<Named>,
}

impl FanIn {
    /// Handles the events of that name or topic pattern; by the fan-in's policy, or by one of its own.
    #[must_use]
    pub fn on<T: Payload>(mut self, name: &str, handler: impl Handler<T>) -> Self {
        self.handlers.push(Named::new::<T, _>(name, handler));
        self
    }
}

impl Draft {
    fn single(intake: Takes, named: Named) -> Self {
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
