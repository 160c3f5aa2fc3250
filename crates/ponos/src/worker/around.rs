//! Layers around handlers: what is done for many of them alike, such as reporting their errors or finding out whose data it is.
//!
//! Invariant: a layer runs within the time, the span and the transaction of the handler, once for each attempt, and what it
//! publishes is held with what the handler publishes. Absent: retries, rates, the breaker, the inbox and the ack: they lie
//! outside, so that no order of layers can be wrong for them (ADR 0045).

use super::{Context, Failure, HandlerResult, handler::ErasedHandler};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::{
    any::{Any, TypeId},
    fmt,
    future::Future,
    sync::{Arc, PoisonError},
};

/// A layer around handlers: [`Worker::around`](super::Worker::around) has it for all of a worker, [`Handler::around`](super::Handler::around)
/// for one of them. An async function or closure of a [`Context`] and a [`Next`] is one; what has state of its own may
/// implement it:
///
/// ```
/// use ponos::{
///     prelude::*,
///     worker::{Around, Next},
/// };
/// use std::{future::Future, pin::Pin, sync::atomic::{AtomicU64, Ordering}};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Around for Failures {
///     fn around(
///         &self,
///         context: Context,
///         next: Next,
///     ) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + '_>> {
///         Box::pin(async move {
///             let result = next.run().await;
///             if let Err(failure) = &result {
///                 self.0.fetch_add(1, Ordering::Relaxed);
///                 tracing::warn!("attempt {}: {failure}", context.attempt());
///             }
///             result
///         })
///     }
/// }
///
/// let worker = Worker::new("shop")
///     .task("shop.bill.send", async |_: serde_json::Value, _: Context| Ok(Done))
///     .around(Failures::default())
///     .around(async |_: Context, next: Next| next.run().await);
/// worker.ready().unwrap();
/// ```
///
/// It may read the context and what is in the event, put values there for the handler ([`Context::put`]), publish, change what
/// comes of the run, and leave out the handler by dropping `next`. A panic in it is as one of the handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer around handlers",
    label = "not a layer",
    note = "a layer is `async |context: Context, next: Next| next.run().await`, with the types of both arguments, or what implements `Around`",
    note = "its future must be `Send` and must not borrow from the closure: clone what it captures before `async move`"
)]
pub trait Around: Send + Sync + 'static {
    /// Runs around one attempt, whose handler runs in [`Next::run`].
    fn around(&self, context: Context, next: Next) -> BoxFuture<'_, HandlerResult>;
}

#[diagnostic::do_not_recommend]
impl<F, R> Around for F
where
    F: Fn(Context, Next) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    fn around(&self, context: Context, next: Next) -> BoxFuture<'_, HandlerResult> {
        Box::pin(self(context, next))
    }
}

/// What a layer is around: the layers within it, and then the handler, or the final handler.
pub struct Next {
    context: Context,
    handler: ErasedHandler,
    payload: Value,
    /// The layer that runs first, of those of the route.
    at: usize,
}

impl Next {
    /// With all layers of its route.
    pub(super) fn outermost(handler: ErasedHandler, payload: Value, context: Context) -> Self {
        Self { context, handler, payload, at: 0 }
    }

    /// Runs it; what comes of it is what the handler, or a layer in between, returned. If it is dropped instead, the handler does
    /// not run.
    ///
    /// # Errors
    /// As the handler.
    pub async fn run(self) -> HandlerResult {
        let route = Arc::clone(&self.context.inner().route);
        if let Some(layer) = route.layers.0.get(self.at) {
            let context = self.context.clone();
            return Around::around(&**layer, context, Self { at: self.at + 1, ..self }).await;
        }
        match self.handler.run(self.payload, self.context) {
            Ok(run) => run.await,
            Err(error) => Err(Unfit(error.to_string()).into()),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("context", &self.context).finish_non_exhaustive()
    }
}

/// A payload can't be read as the handler's type: serde's message.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the payload fits its schema, but can't be read as the handler's type: {0}")]
pub(super) struct Unfit(pub(super) String);

impl Unfit {
    /// If that is why a run failed.
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        failure.error().downcast_ref().cloned()
    }
}

/// The layers around a handler, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn Around>>);

impl Layers {
    /// One more, within the others.
    pub(crate) fn add(&mut self, layer: impl Around) {
        self.0.push(Arc::new(layer));
    }

    /// These, and the others within them.
    pub(crate) fn with(&self, inner: Self) -> Self {
        Self(self.0.iter().cloned().chain(inner.0).collect())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layers({})", self.0.len())
    }
}

/// Values by their types, which layers leave for the handler.
pub(crate) type Values = Vec<(TypeId, Arc<dyn Any + Send + Sync>)>;

impl Context {
    /// Leaves a value for whatever runs later within this attempt, by its type: there is one of each, and this replaces it.
    pub fn put<T: Send + Sync + 'static>(&self, value: T) {
        let (id, value) = (TypeId::of::<T>(), Arc::new(value));
        let mut values = self.inner().values.lock().unwrap_or_else(PoisonError::into_inner);
        let before = values.iter().position(|(known, _)| *known == id).map(|at| values.swap_remove(at));
        values.push((id, value));
        drop(values);
        // what it drops may come here itself
        drop(before);
    }

    /// The value of that type that a layer [put](Context::put) here, if one did.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.inner().values.lock().unwrap_or_else(PoisonError::into_inner);
        let found = values.iter().find(|(known, _)| *known == TypeId::of::<T>());
        found.and_then(|(_, value)| Arc::clone(value).downcast().ok())
    }
}
