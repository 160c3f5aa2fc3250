//! Who asks the threads.

use super::{
    DelayedTuning, NotNow, Room,
    questions::{Finding, Question},
    queue::{Queue, Shared},
    room::UnderWay,
};
use crate::{
    delayed::{Balance, DelayedBatch, DelayedKey, DelayedReader, DelayedRoom, DueEvent},
    engine::MessageKey,
    store::{Closed, READERS, StoreError, failure, read_beside, unanswered},
};
use ponos::event::Timestamp;
use std::{fmt, ops::Range, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::timeout,
};

/// Asks the store's threads. Clones ask the same ones; they end when the last one is dropped.
#[derive(Clone)]
pub struct DelayedHandle(Arc<Owner>);

impl fmt::Debug for DelayedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedHandle").field("id", &self.0.id).finish_non_exhaustive()
    }
}

struct Owner {
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
    patience: Duration,
    id: u64,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.change(|queue| queue.closing = true);
    }
}

impl DelayedHandle {
    pub(super) fn new(shared: Arc<Shared>, tuning: DelayedTuning, id: u64, room: DelayedRoom) -> Self {
        let readers = Arc::new(Semaphore::new(READERS));
        let under_way = Arc::new(UnderWay::new(tuning.under_way, room));
        Self(Arc::new(Owner { shared, readers, under_way, patience: tuning.patience, id }))
    }

    /// Tells the store from every other.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What became of all events, as of the latest write.
    pub fn balance(&self) -> Balance {
        self.0.shared.change(|queue| queue.balance)
    }

    /// The number of the record's last row, each time rows were written.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.0.shared.change(|queue| queue.last_row.subscribe())
    }

    /// Writes a batch, after those that were given before; answered by
    /// [`DelayedStoreEvent::Written`](super::DelayedStoreEvent::Written).
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn write(&self, ticket: u64, batch: DelayedBatch) -> Result<(), Closed> {
        self.0.shared.change(|queue| queue.write(ticket, batch))
    }

    /// Looks up what is known of these; answered by [`DelayedStoreEvent::Found`](super::DelayedStoreEvent::Found). Of many
    /// names some are read at a time: what is due is read in between, and nothing waits for what is being written.
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn find(&self, ticket: u64, names: Vec<Arc<str>>, messages: Vec<MessageKey>) -> Result<(), Closed> {
        self.question(Question::Find(Finding::new(ticket, names, messages)))
    }

    /// Reads what is to be sent in this range of send times (its end exclusive) behind `after`, at most `most`; answered by
    /// [`DelayedStoreEvent::Due`](super::DelayedStoreEvent::Due).
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn due(
        &self,
        ticket: u64,
        range: Range<Timestamp>,
        after: Option<DelayedKey>,
        most: usize,
    ) -> Result<(), Closed> {
        self.question(Question::Due { ticket, range, after, most })
    }

    /// Reads the content of these, each with its token; answered by
    /// [`DelayedStoreEvent::Contents`](super::DelayedStoreEvent::Contents).
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn contents(&self, events: Vec<(u64, DueEvent)>) -> Result<(), Closed> {
        self.question(Question::Contents(events))
    }

    /// Looks up the parked events of these creations; answered by
    /// [`DelayedStoreEvent::FoundParked`](super::DelayedStoreEvent::FoundParked).
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn find_parked(&self, ticket: u64, creations: Vec<u64>) -> Result<(), Closed> {
        self.question(Question::FindParked { ticket, creations })
    }

    /// Reads the parked events behind this creation, at most `most`; answered by
    /// [`DelayedStoreEvent::Parked`](super::DelayedStoreEvent::Parked).
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn parked(&self, ticket: u64, after: u64, most: usize) -> Result<(), Closed> {
        self.question(Question::Parked { ticket, after, most })
    }

    fn question(&self, question: Question) -> Result<(), Closed> {
        self.0.shared.change(|queue| queue.ask(question))
    }

    /// Reads on a thread for work that blocks, for whoever is not the machine: neither questions nor writes are waited for.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Io`] when the store is closed, is being opened again, or does not answer within
    /// [`DelayedTuning::patience`].
    pub async fn read_by<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn DelayedReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Owner { shared, readers, patience, .. } = &*self.0;
        let ours = shared.clone();
        let reading = move |(opening, reader): (u64, Arc<dyn DelayedReader>)| {
            let read = read(&*reader);
            match &read {
                Ok(_) => ours.change(Queue::works),
                // A page that is damaged is the asker's matter alone, until what is due is on it.
                Err(error @ StoreError::Io { .. }) if reader.tells_of_the_store() => {
                    ours.change(|queue| queue.failed(opening, error));
                }
                Err(_) => {}
            }
            read
        };
        read_beside(|| shared.change(|queue| queue.reader()), readers, *patience, reading).await
    }

    /// Whether events may be let in: so many bytes in all of so many, as [`DelayedBatch::puts`] counts them. It is asked before
    /// anything is decided about them, for what was decided is written. What is let in counts as long as its [`Room`] is kept:
    /// until it was written, or refused.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn room_for(&self, bytes: usize, count: usize) -> Result<Room, NotNow> {
        UnderWay::let_in(&self.0.under_way, bytes, count)
    }

    /// Writes what was accepted before, makes it durable, answers the questions that were asked, closes the store and ends its
    /// threads. While the disk fails there is one last attempt.
    ///
    /// # Errors
    /// [`StoreError`] when something that was accepted could not be written, or that takes longer than
    /// [`DelayedTuning::patience`].
    pub async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        if let Some(ended) = self.0.shared.change(|queue| queue.close(reply)) {
            return ended;
        }
        match timeout(self.0.patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(failure("its thread ended without closing it")),
            Err(_) => Err(unanswered(self.0.patience)),
        }
    }
}
