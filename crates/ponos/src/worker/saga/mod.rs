//! Sagas: handlers of several events that share a state for each key, and timeouts.
//!
//! Invariant: state, timeouts and all else that a handler does commit together; events of one key are handled one after the other.
//! Absent: states with names, compensations, steps: a saga is handlers with a row (ADR 0051). Where the row is: `inbox/postgres/saga.rs`.

mod handle;
mod layer;

pub use handle::Saga;

use super::{FanIn, Handler, Payload, Policy, Worker};
use crate::{
    names::{NamesEvent, NamesTask},
    schema::Contract,
};
use layer::{SagaLayer, Takes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, marker::PhantomData, sync::Arc};

/// The state of a saga: what serde reads and writes, with a JSON Schema, and with what it is when it begins.
pub trait SagaState: Payload + Serialize + Default {}

impl<S: Payload + Serialize + Default> SagaState for S {}

/// The data of a timeout: which saga's it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SagaTimeout {
    /// The saga's key.
    pub key: String,
}

/// A saga that is declared, for the checks at the start.
pub(super) struct SagaDraft {
    pub(super) name: String,
    pub(super) fault: Option<String>,
}

/// What is wrong with a worker's sagas.
pub(super) fn faults(worker: &Worker) -> Vec<String> {
    let of_one = |saga: &SagaDraft| {
        let fault = saga.fault.clone();
        let no_row =
            "its state is a row, which takes an inbox on Postgres (Inbox::postgres): give one to the worker";
        let fault = fault.or_else(|| (!worker.inbox.takes_publishes()).then(|| no_row.to_owned()))?;
        Some(format!("the saga '{}': {fault}", saga.name))
    };
    worker.sagas.iter().filter_map(of_one).collect()
}

/// What all handlers of a saga have in common.
struct SagaKind {
    name: String,
    /// Of the state; a saga without one does not start.
    contract: Option<Contract>,
}

/// A handler of a timeout, until there is the worker.
type Added = Box<dyn FnOnce(Worker) -> Worker>;

/// The handlers of a saga whose state is an `S`: see [`Worker::saga`].
pub struct Sagas<S> {
    kind: Arc<SagaKind>,
    fan_in: FanIn,
    timeouts: Vec<Added>,
    is_started: bool,
    state: PhantomData<fn() -> S>,
}

impl Worker {
    /// Handles events that belong together with a state for each key, such as an order's, in one queue `<service>.<name>`, in the order
    /// of publishing. It needs an inbox on Postgres: the state is a row that is read and locked before a handler runs, and written in the
    /// transaction of that handler. Its handlers find it by [`Context::saga`](super::Context::saga); they may have policies of their own,
    /// as in [`Worker::fan_in`].
    ///
    /// ```
    /// use ponos::{Event, Task, prelude::*, worker::SagaTimeout};
    /// use serde::{Deserialize, Serialize};
    /// use std::time::Duration;
    ///
    /// #[derive(Deserialize, ponos::schemars::JsonSchema)]
    /// #[schemars(crate = "ponos::schemars")]
    /// struct Placed { order: u64 }
    ///
    /// #[derive(Default, Serialize, Deserialize, ponos::schemars::JsonSchema)]
    /// #[schemars(crate = "ponos::schemars")]
    /// struct Order { reminded: u32 }
    ///
    /// const PLACED: Event<Placed> = Event::new("order.cart.placed");
    /// const PAID: Event<Placed> = Event::new("order.bill.paid");
    /// const UNPAID: Task<SagaTimeout> = Task::new("shop.order.remind");
    ///
    /// async fn placed(_: Placed, ctx: Context) -> HandlerResult {
    ///     ctx.saga::<Order>()?.timeout(UNPAID, Duration::from_secs(3600))?;
    ///     Ok(Done)
    /// }
    ///
    /// async fn paid(_: Placed, ctx: Context) -> HandlerResult {
    ///     ctx.saga::<Order>()?.end();
    ///     Ok(Done)
    /// }
    ///
    /// async fn unpaid(_: SagaTimeout, ctx: Context) -> HandlerResult {
    ///     ctx.saga::<Order>()?.with(|order| order.reminded += 1);
    ///     Ok(Done)
    /// }
    ///
    /// let worker = Worker::new("shop").saga::<Order>("order", Policy::default(), |saga| {
    ///     saga.starts(PLACED, |placed| placed.order, placed)
    ///         .on(PAID, |paid| paid.order, paid)
    ///         .timeout(UNPAID, unpaid)
    /// });
    /// let missing = worker.ready().unwrap_err().to_string();
    /// assert!(missing.contains("takes an inbox on Postgres"), "{missing}");
    /// ```
    #[must_use]
    pub fn saga<S: SagaState>(
        self,
        name: &str,
        policy: Policy,
        build: impl FnOnce(Sagas<S>) -> Sagas<S>,
    ) -> Self {
        let (contract, fault) = match Contract::of::<S>() {
            Ok(contract) => (Some(contract), None),
            Err(why) => (None, Some(format!("the schema of its state can't be used: {why}"))),
        };
        let kind = Arc::new(SagaKind { name: name.to_owned(), contract });
        let (mut timeouts, mut is_started) = (Vec::new(), false);
        let mut worker = self.fan_in(name, policy, |fan_in| {
            let (kind, state) = (Arc::clone(&kind), PhantomData);
            let built = build(Sagas { kind, fan_in, timeouts: Vec::new(), is_started: false, state });
            (timeouts, is_started) = (built.timeouts, built.is_started);
            built.fan_in
        });
        for added in timeouts {
            worker = added(worker);
        }
        let never = || "no event begins it: add one with starts".to_owned();
        let fault = fault.or_else(|| (!is_started).then(never));
        worker.sagas.push(SagaDraft { name: name.to_owned(), fault });
        worker
    }
}

impl<S: SagaState> Sagas<S> {
    /// An event with which a saga begins, unless one of its key is there: then it is handled with that one's state. `key` says of each
    /// which saga it belongs to: 1 to 512 bytes as text.
    #[must_use]
    pub fn starts<T: Payload, K: ToString>(
        mut self,
        name: impl NamesEvent<T>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        handler: impl Handler<T>,
    ) -> Self {
        let layer = self.layer(Takes::Starts, key);
        self.is_started = true;
        Self { fan_in: self.fan_in.on(name, handler.around(layer)), ..self }
    }

    /// An event that belongs to a saga that is there. One that was not started, or has ended, is skipped with a line in the log: where
    /// events may come in another order, let each of them start it.
    #[must_use]
    pub fn on<T: Payload, K: ToString>(
        self,
        name: impl NamesEvent<T>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        handler: impl Handler<T>,
    ) -> Self {
        let layer = self.layer(Takes::Continues, key);
        Self { fan_in: self.fan_in.on(name, handler.around(layer)), ..self }
    }

    /// A timeout, which [`Saga::timeout`] sets: a task of the service. One that comes when it was set anew or cancelled, or the saga has
    /// ended, is skipped with a line in the log.
    #[must_use]
    pub fn timeout(mut self, name: impl NamesTask<SagaTimeout>, handler: impl Handler<SagaTimeout>) -> Self {
        let layer = self.layer(Takes::Timeout, |timeout: &SagaTimeout| timeout.key.clone());
        let (name, handler) = (name.text().to_owned(), handler.around(layer));
        self.timeouts.push(Box::new(move |worker| worker.task(&name, handler)));
        self
    }

    fn layer<T: Payload, K: ToString>(
        &self,
        takes: Takes,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> SagaLayer<T, S> {
        SagaLayer::new(Arc::clone(&self.kind), takes, move |payload| key(payload).to_string())
    }
}

impl<S> fmt::Debug for Sagas<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sagas")
            .field("name", &self.kind.name)
            .field("events", &self.fan_in)
            .finish_non_exhaustive()
    }
}
