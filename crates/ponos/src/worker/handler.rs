//! Handlers as an author writes them, and the one place where their types are erased.

use super::{
    Around, Context, HandlerResult, Policy,
    settings::{Configured, HandlerSettings, configure},
};
use crate::schema::{Contract, SchemaError};
use futures_util::{FutureExt, future::BoxFuture};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, future::Future, sync::Arc};

/// What a handler takes: any type that deserializes from JSON and has a JSON Schema. `serde_json::Value` takes everything.
///
/// ```compile_fail
/// # use ponos::prelude::*;
/// struct Bare;
/// Worker::new("shop").on::<Bare>("order.parcel.shipped", |_, _| async { Ok(Done) });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a payload: it can't be read from JSON, or doesn't say its schema",
    label = "not a payload of a handler",
    note = "derive what is missing: `#[derive(serde::Deserialize, ponos::schemars::JsonSchema)] #[schemars(crate = \"ponos::schemars\")]`; it must own what it holds and be `Send`",
    note = "`serde_json::Value` takes any payload"
)]
pub trait Payload: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> Payload for T {}

/// An async function from a payload and a [`Context`] to an outcome. Implemented for all such functions and closures, and
/// for what [`Handler::with`], [`Handler::finally`] and [`Handler::contract`] return.
///
/// ```compile_fail
/// # use ponos::prelude::*;
/// async fn forgot_the_context(_: TimePassed) -> HandlerResult { Ok(Done) }
/// Worker::new("shop").on::<TimePassed>("time.one-day.passed", forgot_the_context);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{T}`",
    label = "not a handler of `{T}`",
    note = "a handler is `async fn name(payload: {T}, context: Context) -> HandlerResult`, or such a closure, with a policy or without: `name.with(Policy::retry(3))`",
    note = "its future must be `Send`: no `Rc`, and no guard of a `std::sync::Mutex` held over an `.await`; what it captures must be `Send + Sync + 'static`",
    note = "one that takes a `State` too is given as `name.with_state()`"
)]
pub trait Handler<T>: Fn(T, Context) -> <Self as Handler<T>>::Future + Send + Sync + 'static {
    /// The future that the handler returns.
    type Future: Future<Output = HandlerResult> + Send + 'static;

    /// The same handler with a policy of its own.
    fn with(self, policy: Policy) -> Configured<T, Self::Future>
    where
        Self: Sized,
        T: 'static,
    {
        configure(self, |settings| settings.policy = Some(policy))
    }

    /// Validates payloads against this contract instead of the one derived from the type.
    fn contract(self, contract: Contract) -> Configured<T, Self::Future>
    where
        Self: Sized,
        T: 'static,
    {
        configure(self, |settings| settings.contract = Some(contract))
    }

    /// Runs `layer` around this handler and its final handler, at each attempt: within the layers of the worker
    /// ([`Worker::around`](super::Worker::around)) and those added before.
    fn around(self, layer: impl Around) -> Configured<T, Self::Future>
    where
        Self: Sized,
        T: Payload,
    {
        configure(self, |settings| settings.layers.add(layer))
    }

    /// Runs `last`, the final handler, after the last attempt failed and before the message goes to the dead letters. Messages
    /// that it publishes are sent unless it fails; [`Context::failure`] says what happened. With an inbox on Postgres it has a
    /// transaction of its own.
    fn finally(self, last: impl Handler<T>) -> Configured<T, Self::Future>
    where
        Self: Sized,
        T: Payload,
    {
        configure(self, |settings| settings.last::<T, _>(last, false))
    }

    /// As [`Handler::finally`], and also runs it when the handler returns [`Outcome::Dead`](super::Outcome::Dead).
    fn finally_or_dead(self, last: impl Handler<T>) -> Configured<T, Self::Future>
    where
        Self: Sized,
        T: Payload,
    {
        configure(self, |settings| settings.last::<T, _>(last, true))
    }
}

#[diagnostic::do_not_recommend]
impl<T, F, R> Handler<T> for F
where
    F: Fn(T, Context) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    type Future = R;
}

/// A handler whose types are erased; clones share it.
#[derive(Clone)]
pub(crate) struct ErasedHandler(Arc<Run>);

type Run =
    dyn Fn(Value, Context) -> Result<BoxFuture<'static, HandlerResult>, serde_json::Error> + Send + Sync;

impl ErasedHandler {
    /// A handler that runs so.
    pub(super) fn of(
        run: impl Fn(Value, Context) -> Result<BoxFuture<'static, HandlerResult>, serde_json::Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(run))
    }

    /// The future of one run.
    ///
    /// # Errors
    /// Serde's message, when the payload fits the contract but can't be read as the type.
    pub(crate) fn run(
        &self,
        payload: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, HandlerResult>, serde_json::Error> {
        (self.0)(payload, context)
    }
}

/// The handler, erased, and its settings.
pub(crate) fn erase<T: Payload, H: Handler<T>>(handler: H) -> (ErasedHandler, HandlerSettings) {
    let settings = HandlerSettings::of(&handler);
    let run = move |payload, context: Context| {
        let payload: T = serde_json::from_value(payload)?;
        Ok(handler(payload, context).boxed())
    };
    (ErasedHandler::of(run), settings)
}

/// The contract of a type.
pub(crate) fn contract_of<T: Payload>() -> Result<Contract, SchemaError> {
    Contract::of::<T>()
}

impl fmt::Debug for ErasedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
