//! Handlers: what an author writes, and the one place where their types are erased.

use super::{Context, HandlerResult, Policy};
use crate::schema::{Contract, SchemaError};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

/// What a handler takes: anything that can be read from JSON and says its schema. `serde_json::Value` takes all.
pub trait Payload: DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Payload for T {}

/// An async function from payload and [`Context`] to an outcome. Implemented for all such functions and closures.
pub trait Handler<T>: Fn(T, Context) -> <Self as Handler<T>>::Future + Send + Sync + 'static {
    /// What it returns.
    type Future: Future<Output = HandlerResult> + Send + 'static;

    /// The same handler with a policy of its own.
    fn with(self, policy: Policy) -> Configured<Self>
    where
        Self: Sized,
    {
        Configured { handler: self, policy, contract: None, last: None }
    }
}

impl<T, F, R> Handler<T> for F
where
    F: Fn(T, Context) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    type Future = R;
}

/// A handler with its policy.
#[derive(Debug, Clone)]
pub struct Configured<H> {
    pub(crate) handler: H,
    pub(crate) policy: Policy,
    pub(crate) contract: Option<Contract>,
    pub(crate) last: Option<Shared>,
}

impl<H> Configured<H> {
    /// Holds payloads to this contract instead of the one derived from the type.
    #[must_use]
    pub fn contract(self, contract: Contract) -> Self {
        Self { contract: Some(contract), ..self }
    }
}

/// A handler, with or without a policy.
pub trait IntoHandler<T> {
    /// The handler.
    type Handler: Handler<T>;

    /// What it is made of.
    fn into_handler(self) -> Configured<Self::Handler>;
}

impl<T, H: Handler<T>> IntoHandler<T> for Configured<H> {
    type Handler = H;

    fn into_handler(self) -> Self {
        self
    }
}

impl<T, F, R> IntoHandler<T> for F
where
    F: Fn(T, Context) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    type Handler = F;

    fn into_handler(self) -> Configured<F> {
        Configured { handler: self, policy: Policy::default(), contract: None, last: None }
    }
}

/// A handler whose types are erased.
pub(crate) trait Erased: Send + Sync {
    /// The future of one run.
    ///
    /// # Errors
    /// Serde's words, when the payload keeps the contract but is not what the type wants.
    fn run(
        &self,
        payload: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, HandlerResult>, serde_json::Error>;
}

/// A shared, erased handler.
pub(crate) type Shared = Arc<dyn Erased>;

struct Typed<T, H> {
    handler: H,
    payload: PhantomData<fn(T)>,
}

impl<T: Payload, H: Handler<T>> Erased for Typed<T, H> {
    fn run(
        &self,
        payload: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, HandlerResult>, serde_json::Error> {
        let payload = serde_json::from_value(payload)?;
        Ok(Box::pin((self.handler)(payload, context)))
    }
}

/// The handler, erased, and the contract of its payload.
pub(crate) fn erase<T: Payload, H: Handler<T>>(handler: H) -> Shared {
    Arc::new(Typed { handler, payload: PhantomData })
}

/// The contract of a type.
pub(crate) fn contract_of<T: Payload>() -> Result<Contract, SchemaError> {
    Contract::of::<T>()
}

impl fmt::Debug for dyn Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
