//! The settings of a handler: policy, contract, final handler, the layers around it, and the state that it needs.
//!
//! A handler that was configured is a closure again, for two reasons: the compiler infers the arguments of a closure
//! only where something that implements `Fn` is wanted, and on stable Rust nothing else but closures can implement it. What
//! was set travels within that closure, and is read from a copy of it.

use super::{
    Context, Handler, HandlerResult, Payload, Policy,
    around::Layers,
    batch::BatchKey,
    handler::{ErasedHandler, erase},
};
use crate::schema::Contract;
use futures_util::future::{self, BoxFuture};
use std::{
    any::{Any, TypeId, type_name},
    cell::Cell,
    fmt,
    future::Future,
    ops::Deref,
    sync::Arc,
};

/// A handler with its settings, as [`Handler::with`] and the like return it. It is a [`Handler`].
pub type Configured<T, R> = Box<dyn Prepared<T, R>>;

/// What [`Configured`] holds. Not for implementing.
pub trait Prepared<T, R>: Fn(T, Context) -> R + sealed::Read + Send + Sync + 'static {}

impl<T, R, F> Prepared<T, R> for F where F: Fn(T, Context) -> R + Clone + Send + Sync + 'static {}

impl<T, R> fmt::Debug for dyn Prepared<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("settings", &self.read()).finish()
    }
}

mod sealed {
    /// Read from a copy.
    pub trait Read {
        #[doc(hidden)]
        fn read(&self) -> super::HandlerSettings;
    }

    impl<F: Clone> Read for F {
        fn read(&self) -> super::HandlerSettings {
            drop(self.clone());
            super::COPIED.take().unwrap_or_default()
        }
    }
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct HandlerSettings {
    pub(crate) policy: Option<Policy>,
    pub(crate) contract: Option<Contract>,
    pub(crate) last: Option<Last>,
    pub(crate) needs: Vec<Need>,
    pub(crate) layers: Layers,
    /// Of a handler of batches: what the deliveries of one have in common.
    pub(crate) key: Option<BatchKey>,
}

/// The final handler.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) handler: ErasedHandler,
    /// After [`Outcome::Dead`](super::Outcome::Dead) too.
    pub(crate) or_dead: bool,
    /// It has a policy, contract, final handler or layers of its own, which would have no effect.
    pub(crate) is_configured: bool,
}

/// A state that a handler takes, by its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

impl HandlerSettings {
    /// The settings of a handler.
    pub(crate) fn of<T: 'static, H: Handler<T>>(handler: &H) -> Self {
        let configured = (handler as &dyn Any).downcast_ref::<Configured<T, H::Future>>();
        configured.map(|configured| (**configured).read()).unwrap_or_default()
    }

    pub(super) fn last<T: Payload, H: Handler<T>>(&mut self, handler: H, or_dead: bool) {
        let (handler, Self { policy, contract, last, needs, layers, key: _ }) = erase::<T, H>(handler);
        let is_configured = policy.is_some() || contract.is_some() || last.is_some() || !layers.is_empty();
        self.needs.extend(needs);
        self.last = Some(Last { handler, or_dead, is_configured });
    }
}

thread_local! {
    static COPIED: Cell<Option<HandlerSettings>> = const { Cell::new(None) };
}

/// Hands the settings that it carries to the reader of the copy.
struct Carried(HandlerSettings);

impl Clone for Carried {
    fn clone(&self) -> Self {
        COPIED.set(Some(self.0.clone()));
        Self(HandlerSettings::default())
    }
}

/// The handler with one more thing set.
pub(super) fn configure<T: 'static, H: Handler<T>>(
    handler: H,
    change: impl FnOnce(&mut HandlerSettings),
) -> Configured<T, H::Future> {
    let mut settings = HandlerSettings::of(&handler);
    change(&mut settings);
    let parts = (Arc::new(handler), Carried(settings));
    Box::new(move |payload, context| {
        // as a whole, so that what is carried belongs to the closure
        let parts = &parts;
        (parts.0)(payload, context)
    })
}

/// A value that was given to [`Worker::state`](super::Worker::state), as a handler's third argument:
///
/// ```
/// # use ponos::prelude::*;
/// struct Images(String);
///
/// async fn cleanup(_: serde_json::Value, _: Context, images: State<Images>) -> HandlerResult {
///     tracing::info!("at {}", images.0);
///     Ok(Done)
/// }
///
/// let worker = |worker: Worker| worker.task("docker.images.cleanup", cleanup.with_state().with(Policy::retry(3)));
/// let missing = worker(Worker::new("docker")).ready().unwrap_err().to_string();
/// assert!(missing.contains("docker.images.cleanup") && missing.contains("Images"), "{missing}");
/// worker(Worker::new("docker").state(Images("/var".into()))).ready().unwrap();
/// ```
#[derive(Debug)]
pub struct State<S>(Arc<S>);

impl<S> State<S> {
    /// A shared handle to the value, which may be kept.
    pub fn share(&self) -> Arc<S> {
        Arc::clone(&self.0)
    }
}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Deref for State<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

/// A handler that takes a [`State`] as its third argument.
pub trait Stateful<T, S>:
    Fn(T, Context, State<S>) -> <Self as Stateful<T, S>>::Future + Send + Sync + 'static
{
    /// The future that the handler returns.
    type Future: Future<Output = HandlerResult> + Send + 'static;

    /// The handler that gets the worker's value of type `S`; a worker without one is refused when it starts.
    fn with_state(self) -> Configured<T, BoxFuture<'static, HandlerResult>>
    where
        Self: Sized,
        T: 'static,
        S: Send + Sync + 'static,
    {
        let stateful = move |payload: T, context: Context| -> BoxFuture<'static, HandlerResult> {
            match context.state::<S>() {
                Ok(state) => Box::pin(self(payload, context, State(state))),
                // such a worker does not start
                Err(none) => Box::pin(future::ready(Err(none.into()))),
            }
        };
        let need = Need { id: TypeId::of::<S>(), name: type_name::<S>() };
        configure(stateful, |settings| settings.needs.push(need))
    }
}

impl<T, S, F, R> Stateful<T, S> for F
where
    F: Fn(T, Context, State<S>) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    type Future = R;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_was_set_stays_with_the_handler() {
        let plain = async |_: Value, _: Context| Ok(super::super::Outcome::Done);
        assert!(HandlerSettings::of(&plain).policy.is_none());
        let one = plain.with(Policy::retry(1));
        let two = one.finally(plain).with(Policy::retry(2));
        for _ in 0..2 {
            let settings = HandlerSettings::of(&two);
            assert_eq!(settings.policy, Some(Policy::retry(2)));
            assert!(settings.last.is_some_and(|last| !last.or_dead && !last.is_configured));
        }
        let of_its_own = plain.finally_or_dead(plain.with(Policy::retry(7)));
        assert!(HandlerSettings::of(&of_its_own).last.is_some_and(|last| last.or_dead && last.is_configured));
    }
}
