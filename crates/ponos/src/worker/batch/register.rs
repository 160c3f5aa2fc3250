//! Registering handlers of batches.

use super::{Batch, ErasedBatch};
use crate::{
    names::{NamesEvent, NamesTask},
    worker::{
        Handler, Payload, Worker,
        builder::{HandlerDraft, QueueDraft, Takes},
        handler::contract_of,
        settings::HandlerSettings,
    },
};

impl Worker {
    /// Handles the global events with this name or topic pattern in batches. The policy says how large they are:
    /// `batch("stock.item.counted", insert_all.with(Policy::batch(500, Duration::from_secs(1))))`.
    ///
    /// Each delivery is decoded, checked and validated by itself before, and ends by itself: see [`Batch`]. What fails is tried again
    /// in a batch of one. A batch begins when it has so many, or 8 MiB of bodies; when its first has waited for as long as the window;
    /// at the stop, if there is a place; and before one that must be alone, because it came back often or is large. With an inbox,
    /// what was handled before is not in the batch; on Postgres the writes of the handler and the rows of all that is done commit
    /// together.
    #[must_use]
    pub fn batch<T: Payload>(mut self, name: impl NamesEvent<T>, handler: impl Handler<Batch<T>>) -> Self {
        self.drafts.push(QueueDraft::single(Takes::Event, draft::<T, _>(name.text(), handler)));
        self
    }

    /// Handles the service's own tasks with this name in batches, and declares that its handlers may publish them: see
    /// [`Worker::batch`] and [`Worker::task`].
    #[must_use]
    pub fn batch_task<T: Payload>(
        mut self,
        name: impl NamesTask<T>,
        handler: impl Handler<Batch<T>>,
    ) -> Self {
        let named = draft::<T, _>(name.text(), handler);
        self.tasks.push((name.text().to_owned(), named.contract.clone()));
        self.drafts.push(QueueDraft::single(Takes::Task, named));
        self
    }
}

fn draft<T: Payload, H: Handler<Batch<T>>>(pattern: &str, handler: H) -> HandlerDraft {
    let (handler, batch, HandlerSettings { policy, contract, last, needs, layers, key: _ }) =
        ErasedBatch::of::<T, H>(handler);
    let contract = contract.map_or_else(contract_of::<T>, Ok);
    let (pattern, batch) = (pattern.to_owned(), Some(batch));
    HandlerDraft { pattern, policy, contract, handler, last, needs, layers, batch }
}
