//! The layer around each handler of a saga: finds its row before, and writes it after.

use super::{SagaKind, SagaState, handle::SagaCell};
use crate::{
    event::{Event, from_json},
    inbox::postgres::{SagaChange, SagaPlace, SagaRow, Transaction},
    worker::{
        Around, Context, Failure, HandlerResult, Next,
        Outcome::{self, Done, Skip},
        Payload,
        around::Unfit,
    },
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

/// The longest key in bytes: an index limits the length of what it holds.
const KEY: usize = 512;
/// The largest state in bytes of JSON.
const STATE: usize = 256 << 10;

/// What a handler of a saga takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// An event with which a saga may begin.
    Starts,
    /// One of a saga that is there.
    Continues,
    /// A timeout that it has set.
    Timeout,
}

type Key<T> = Box<dyn Fn(&T) -> String + Send + Sync>;

/// Around a handler of payloads `T`, in a saga with the state `S`.
pub(super) struct SagaLayer<T, S> {
    kind: Arc<SagaKind>,
    takes: Takes,
    key: Key<T>,
    state: PhantomData<fn() -> S>,
}

impl<T: Payload, S: SagaState> SagaLayer<T, S> {
    pub(super) fn new(
        kind: Arc<SagaKind>,
        takes: Takes,
        key: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { kind, takes, key: Box::new(key), state: PhantomData }
    }

    async fn run(&self, context: Context, next: Next) -> HandlerResult {
        let name = self.kind.name.as_str();
        let key = (self.key)(&payload::<T>(context.event())?);
        if key.is_empty() || key.len() > KEY {
            let bytes = key.len();
            return Ok(Outcome::dead(format!(
                "its key in the saga '{name}' has {bytes} bytes, and 1 to {KEY} are allowed"
            )));
        }
        let transaction = context.transaction().cloned().ok_or_else(|| {
            Failure::new(format!("the saga '{name}' takes an inbox on Postgres: give one to the worker"))
        })?;
        let Some(row) = self.row(&context, &transaction, &key).await? else { return Ok(Skip) };
        let state = match &row.state {
            None => S::default(),
            Some(text) => serde_json::from_str(text).map_err(|why| {
                Failure::new(format!(
                    "the state of the saga '{name}' of the key '{key}' can't be read: {why}: what an earlier version wrote must be readable (serde's default)"
                ))
            })?,
        };
        context.put(SagaCell::new((name, key), row, state));
        let result = next.run().await;
        let Some(cell) = context.get::<SagaCell<S>>() else { return result };
        match result {
            Ok(Done) => {
                self.write(&context, &transaction, &cell).await?;
                Ok(Done)
            }
            Ok(Skip) if cell.is_new => {
                // what skips commits: there must be no row of what did not begin
                let change = SagaChange { state: None, timeouts: BTreeMap::new(), dropped: Vec::new() };
                self.keep(&context, &transaction, (&cell.key, &change)).await?;
                Ok(Skip)
            }
            other => other,
        }
    }

    /// Its row, if the event is for it.
    async fn row(
        &self,
        context: &Context,
        transaction: &Transaction,
        key: &str,
    ) -> Result<Option<SagaRow>, Failure> {
        let (saga, event) = (self.kind.name.as_str(), context.event());
        let place = SagaPlace { saga, key };
        let row = {
            let mut connection = transaction.lock().await?;
            let inbox = &context.inner().service.inbox;
            inbox.saga(&mut connection, place, self.takes == Takes::Starts).await?
        };
        let (key, id, name) = (crate::text::shown(key), &event.id, &event.name);
        // a row without a state is of one that did not begin: a layer around this one made a success of its failure
        let row = row.filter(|row| row.state.is_some() || self.takes == Takes::Starts);
        let Some(mut row) = row else {
            tracing::info!(saga, key, %id, %name, "it is skipped: its saga has ended, or was not started");
            return Ok(None);
        };
        if self.takes == Takes::Timeout {
            if row.timeouts.get(name.as_str()).map(String::as_str) != Some(id.as_str()) {
                tracing::info!(saga, key, %id, %name, "the timeout is skipped: it was set anew or cancelled");
                return Ok(None);
            }
            row.timeouts.remove(name.as_str());
        }
        Ok(Some(row))
    }

    async fn write(
        &self,
        context: &Context,
        transaction: &Transaction,
        cell: &SagaCell<S>,
    ) -> Result<(), Failure> {
        let (change, held) = cell.change(self.written(cell)?);
        self.keep(context, transaction, (&cell.key, &change)).await?;
        for held in held {
            context.buffer().hold(held, &context.inner().service.limits)?;
        }
        Ok(())
    }

    /// Its state as JSON.
    fn written(&self, cell: &SagaCell<S>) -> Result<String, Failure> {
        let refuse = |what: String| {
            let (name, key) = (&self.kind.name, &cell.key);
            Failure::new(format!(
                "the state of the saga '{name}' of the key '{key}' can't be written: {what}"
            ))
        };
        let state: Value = serde_json::to_value(&*cell.state()).map_err(|why| refuse(why.to_string()))?;
        if let Some(contract) = &self.kind.contract {
            contract.check(&state).map_err(|why| refuse(format!("it does not fit its schema: {why}")))?;
        }
        let text = state.to_string();
        if text.len() > STATE {
            let bytes = text.len();
            return Err(refuse(format!(
                "it has {bytes} bytes, and at most {STATE} are allowed: keep what is large in tables of your own"
            )));
        }
        Ok(text)
    }

    async fn keep(
        &self,
        context: &Context,
        transaction: &Transaction,
        (key, change): (&str, &SagaChange),
    ) -> Result<(), Failure> {
        let mut connection = transaction.lock().await?;
        let place = SagaPlace { saga: &self.kind.name, key };
        Ok(context.inner().service.inbox.keep_saga(&mut connection, place, change).await?)
    }
}

impl<T: Payload, S: SagaState> Around for SagaLayer<T, S> {
    fn around(&self, context: Context, next: Next) -> BoxFuture<'_, HandlerResult> {
        Box::pin(self.run(context, next))
    }
}

/// The payload, for its key; the handler reads it once more.
fn payload<T: Payload>(event: &Event) -> Result<T, Failure> {
    let value: Value =
        if event.data.is_empty() { Value::Null } else { from_json(&event.data).map_err(Unfit)? };
    serde_json::from_value(value).map_err(|why| Unfit(why.to_string()).into())
}
