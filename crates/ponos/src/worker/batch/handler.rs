//! Handlers of batches as an author writes them, and the one place where their types are erased.

use super::{Batch, Marks};
use crate::{
    compression,
    event::{Event, Message, from_json},
    worker::{
        Context, Failure, Handler, HandlerResult, Payload,
        handler::ErasedHandler,
        settings::{Configured, HandlerSettings, configure},
    },
};
use futures_util::{FutureExt, future, future::BoxFuture};
use serde_json::Value;
use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// What only handlers of batches have: see [`Worker::batch`](crate::worker::Worker::batch).
pub trait BatchHandler<T: Payload>: Handler<Batch<T>> + Sized {
    /// Gathers a batch for each key: `insert_all.by(|count: &Count| count.warehouse)`. At most 64 are open at a time; one more begins
    /// the oldest of them before its time. Each payload is read once more for its key.
    fn by<K: ToString>(
        self,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> Configured<Batch<T>, Self::Future> {
        let key = move |item: &(dyn Any + Send)| item.downcast_ref::<T>().map(|item| key(item).to_string());
        configure(self, |settings| settings.key = Some(BatchKey(Arc::new(key))))
    }
}

impl<T: Payload, H: Handler<Batch<T>>> BatchHandler<T> for H {}

/// Of a payload; none where it is of another type.
type KeyOf = dyn Fn(&(dyn Any + Send)) -> Option<String> + Send + Sync;

/// The key of an item; `None` for one of another type, which there is not.
#[derive(Clone)]
pub(crate) struct BatchKey(Arc<KeyOf>);

/// A payload, read as its type.
pub(crate) type Item = Box<dyn Any + Send>;

/// A handler of batches whose types are erased; clones share it.
#[derive(Clone)]
pub(crate) struct ErasedBatch {
    run: Arc<dyn RunsBatches>,
    key: Option<BatchKey>,
}

trait RunsBatches: Send + Sync {
    fn read(&self, payload: Value) -> Result<Item, serde_json::Error>;

    fn run(
        &self,
        items: Vec<Item>,
        contexts: Vec<Context>,
        marks: Marks,
        context: Context,
    ) -> BoxFuture<'static, HandlerResult>;
}

/// A handler of batches of these.
struct Typed<T, H>(Arc<H>, PhantomData<fn() -> T>);

impl<T: Payload, H: Handler<Batch<T>>> RunsBatches for Typed<T, H> {
    fn read(&self, payload: Value) -> Result<Item, serde_json::Error> {
        Ok(Box::new(serde_json::from_value::<T>(payload)?))
    }

    fn run(
        &self,
        items: Vec<Item>,
        contexts: Vec<Context>,
        marks: Marks,
        context: Context,
    ) -> BoxFuture<'static, HandlerResult> {
        let items: Result<Vec<T>, Item> =
            items.into_iter().map(|item| item.downcast::<T>().map(|item| *item)).collect();
        let Ok(items) = items else {
            // they are all made by `read`
            return future::ready(Err(Failure::new("an item of the batch is of another type"))).boxed();
        };
        run_typed(&*self.0, Batch::new(items, contexts, marks.clone()), context)
            .map(move |returned| marks.checked(returned))
            .boxed()
    }
}

fn run_typed<T: Payload, H: Handler<Batch<T>>>(handler: &H, batch: Batch<T>, context: Context) -> H::Future {
    handler(batch, context)
}

impl ErasedBatch {
    /// Of these types, with the handler of a batch of one, and what was set.
    pub(crate) fn of<T: Payload, H: Handler<Batch<T>>>(handler: H) -> (ErasedHandler, Self, HandlerSettings) {
        let settings = HandlerSettings::of(&handler);
        let handler = Arc::new(handler);
        let of_one = Arc::clone(&handler);
        let one = ErasedHandler::of(move |payload, context: Context| {
            let item: T = serde_json::from_value(payload)?;
            let marks = Marks::of(1);
            let batch = Batch::new(vec![item], vec![context.clone()], marks.clone());
            Ok(run_typed(&*of_one, batch, context).map(move |returned| marks.of_one(returned)).boxed())
        });
        let batch = Self { run: Arc::new(Typed::<T, H>(handler, PhantomData)), key: settings.key.clone() };
        (one, batch, settings)
    }

    /// A payload as an item.
    ///
    /// # Errors
    /// Serde's message, when it can't be read as the type.
    pub(crate) fn read(&self, payload: Value) -> Result<Item, serde_json::Error> {
        self.run.read(payload)
    }

    /// The future of one run, for as many items as contexts.
    pub(crate) fn run(
        &self,
        (items, contexts): (Vec<Item>, Vec<Context>),
        marks: Marks,
        context: Context,
    ) -> BoxFuture<'static, HandlerResult> {
        self.run.run(items, contexts, marks, context)
    }

    /// The key of a message's batch, `None` where all are in one, and the bytes of its body, which is at most `most`: inflated, if it is
    /// compressed. `Err`: it has none, and is a batch of its own, where it is found out what is wrong with it.
    pub(crate) fn look(&self, message: &Message, most: usize) -> Result<(Option<String>, usize), Keyless> {
        let inflated = compression::inflated(message, most).map_err(|_| Keyless)?;
        let message = inflated.as_ref().unwrap_or(message);
        let bytes = message.body.len();
        let Some(BatchKey(key)) = &self.key else { return Ok((None, bytes)) };
        // both are an author's code
        let read = catch_unwind(AssertUnwindSafe(|| {
            let event = Event::from_message(message).ok()?;
            let payload = if event.data.is_empty() { Value::Null } else { from_json(&event.data).ok()? };
            key(&*self.read(payload).ok()?)
        }));
        match read {
            Ok(Some(key)) => Ok((Some(key), bytes)),
            Ok(None) => Err(Keyless),
            Err(_) => {
                let id = message.properties.message_id.as_deref();
                tracing::error!(
                    id,
                    "the key of a delivery's batch could not be computed, because that panicked; it is handled by itself"
                );
                Err(Keyless)
            }
        }
    }

    /// Whether it gathers a batch for each key.
    pub(crate) fn is_keyed(&self) -> bool {
        self.key.is_some()
    }
}

/// A delivery that has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyless;

impl fmt::Debug for ErasedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedBatch").field("keyed", &self.is_keyed()).finish_non_exhaustive()
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BatchKey")
    }
}
