//! A store on a thread of its own: the service asks and goes on, answers come as [`StoreEvent`]s.
//!
//! Saves go before waiting rows; rows of several calls are merged into one write. When the disk fails, the store is
//! opened again with growing pauses and the very write that failed is repeated, unless the store shows that it was
//! kept; so each save is answered once, and no row is written twice. What can't get better by waiting (another clock
//! leads, the store is damaged) ends the attempts: every later save is answered with that error. Who reads the record does
//! not stand in this queue: it is read on another thread, a page at a time, beside whatever is written.

mod backlog;
mod worker;

#[cfg(test)]
mod tests;

use super::{ChangePage, Leader, Page, PageReader, SledOptions, SledStore, Store, StoreError, Whole};
use crate::{
    engine::{Commit, Row, Snapshot},
    telemetry::Counts,
};
use backlog::{Queue, Shared};
use ponos::event::Timestamp;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

/// Opens the store, again after each failure.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Store>, StoreError> + Send>;

/// Pages that are read at a time, so that processor and disk have time for what is due and to be written, however many want
/// to read; and threads that may hang in the disk. HTTP has three threads for what blocks.
pub(crate) const READERS: usize = 1;

/// Bounds and pauses of a store's thread.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// The fencing term that every save carries.
    pub term: u64,
    /// Saves that may wait. The engine waits for each before it makes the next, so a few are plenty.
    pub saves: usize,
    /// Rows that may wait to be appended. What comes above is recorded as one row without details.
    pub rows: usize,
    /// Rows in one write.
    pub batch: usize,
    /// From one write of rows to the next, unless a whole batch waits: each is synced to the disk, and in a burst they
    /// would compete with the broker for it.
    pub pace: Duration,
    /// The pause before the first attempt to open the store again; it doubles …
    pub pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
    /// How long opening, reading, flushing and closing may take.
    pub patience: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            term: 0,
            saves: 1024,
            rows: 200_000,
            batch: 4096,
            pace: Duration::from_millis(100),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            patience: Duration::from_secs(120),
        }
    }
}

/// What the store's thread reports.
#[derive(Debug, Clone)]
pub enum StoreEvent {
    /// This save is durable.
    Saved {
        /// As given to [`StoreHandle::save`].
        ticket: u64,
        /// The number of the record's last row.
        last_sequence: u64,
    },
    /// This save was given up on: for a reason that stays, or because the store was closed before it succeeded.
    SaveFailed {
        /// As given to [`StoreHandle::save`].
        ticket: u64,
        /// Why.
        error: StoreError,
    },
    /// Rows were appended.
    Appended {
        /// The number of the record's last row.
        last_sequence: u64,
    },
    /// Writing fails; it is tried again until it succeeds. Told once for each run of failures.
    Failing {
        /// The first failure.
        error: StoreError,
    },
    /// Writing works again.
    Reopened,
}

/// What waits after a call of [`StoreHandle::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Rows that wait to be written.
    pub waiting: usize,
    /// Rows since the start whose details were given up on because too many waited.
    pub dropped: u64,
}

/// The thread takes no more: it was closed, or too many saves wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store's thread accepts no more work")]
pub struct Closed;

/// Asks the store's thread. Clones ask the same thread; it ends when the last one is dropped.
#[derive(Clone)]
pub struct StoreHandle(Arc<Owner>);

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle").field("id", &self.0.id).finish_non_exhaustive()
    }
}

struct Owner {
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    patience: Duration,
    id: u64,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.change(|queue| queue.closing = true);
    }
}

/// Starts the thread, opens the store on it and loads what was kept. The first failure to open is handed back; from
/// then on the thread opens the store again by itself. What it writes it notes in `counts`.
///
/// # Errors
/// [`StoreError`] of the opener, or [`StoreError::Io`] when opening takes longer than [`Tuning::patience`].
pub async fn open(
    opener: Opener,
    tuning: Tuning,
    counts: Counts,
) -> Result<(StoreHandle, Snapshot, mpsc::UnboundedReceiver<StoreEvent>), StoreError> {
    // Unbounded, but no longer than what was accepted: at most one event for each save, each write of rows, and two
    // for each failure of the disk.
    let (events, receiver) = mpsc::unbounded_channel();
    let (ready, opened) = oneshot::channel();
    let shared = Arc::new(Shared::new(tuning));
    let readers = Arc::new(Semaphore::new(READERS));
    let mut owner = Owner { shared: shared.clone(), readers, patience: tuning.patience, id: 0 };
    std::thread::Builder::new()
        .name("store".into())
        .spawn(move || worker::run(opener, tuning, counts, &shared, ready, events))
        .map_err(|error| failure(&format!("its thread could not be started: {error}")))?;
    match timeout(tuning.patience, opened).await {
        Ok(Ok(opened)) => opened.map(|(snapshot, id)| {
            owner.id = id;
            (StoreHandle(Arc::new(owner)), snapshot, receiver)
        }),
        Ok(Err(_)) => Err(failure("its thread ended while opening it")),
        Err(_) => Err(failure(&format!("it did not open within {} s", tuning.patience.as_secs()))),
    }
}

/// [`open`] for a [`SledStore`] in a folder.
///
/// # Errors
/// As [`open`].
pub async fn open_sled(
    path: PathBuf,
    clock: String,
    options: SledOptions,
    tuning: Tuning,
    counts: Counts,
) -> Result<(StoreHandle, Snapshot, mpsc::UnboundedReceiver<StoreEvent>), StoreError> {
    let opener: Opener = Box::new(move || {
        SledStore::open(&path, &clock, &options).map(|store| Box::new(store) as Box<dyn Store>)
    });
    open(opener, tuning, counts).await
}

impl StoreHandle {
    /// Tells the store from every other.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Saves a commit; answered by [`StoreEvent::Saved`] or [`StoreEvent::SaveFailed`] with this ticket. Saves are made
    /// in the order given.
    ///
    /// # Errors
    /// [`Closed`]; nothing is answered then.
    pub fn save(&self, ticket: u64, commit: Commit) -> Result<(), Closed> {
        self.0.shared.change(|queue| queue.save(ticket, commit))
    }

    /// Appends rows for confirmed events, behind waiting saves; `complete` as in [`Store::append`]. Gives what waits
    /// now, so that the caller can slow down.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn append(&self, rows: Vec<Row>, complete: Timestamp) -> Result<Backlog, Closed> {
        self.0.shared.change(|queue| queue.append(rows, complete))
    }

    /// As [`PageReader::read`](super::PageReader::read), on a thread for work that blocks: no turn in the queue is waited for,
    /// nor a sync of what is being written. What waits to be written is not seen.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Io`] when the store is closed, or does not answer within [`Tuning::patience`].
    pub async fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        self.read_by(move |reader| reader.read(after, most)).await
    }

    /// As [`PageReader::changes`](super::PageReader::changes), likewise.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        self.read_by(move |reader| reader.changes(after, most)).await
    }

    /// As [`PageReader::leader`](super::PageReader::leader), likewise.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        self.read_by(move |reader| reader.leader(number)).await
    }

    async fn read_by<T: Send + 'static>(
        &self,
        page: impl FnOnce(&dyn PageReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Owner { shared, readers, patience, .. } = &*self.0;
        read_beside(|| shared.reader(), readers, *patience, move |reader| page(&*reader)).await
    }

    /// Waits until all that was accepted before is written; what is accepted later is not waited for.
    ///
    /// # Errors
    /// [`StoreError`] when that is not so in the end.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(Queue::flush).await
    }

    /// All that the store holds as of its last write; `None` where that is not asked of it. Writes wait while it is looked up, which
    /// takes about a second for a million schedules.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whole(&self) -> Result<Option<Whole>, StoreError> {
        self.ask(|queue, reply| queue.wholes.push(reply)).await
    }

    /// Writes what was accepted before, closes the store and ends the thread. While the disk fails there is one last
    /// attempt.
    ///
    /// # Errors
    /// [`StoreError`] when something that was accepted could not be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|queue, reply| {
            queue.closing = true;
            queue.closes.push(reply);
        })
        .await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(&mut Queue, oneshot::Sender<Result<T, StoreError>>),
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.shared.change(|queue| {
            // Nobody would answer: the dropped sender tells.
            if !queue.ended && queue.has_room() {
                request(queue, reply);
            }
        });
        match timeout(self.0.patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(failure("its thread accepts no more work")),
            Err(_) => Err(unanswered(self.0.patience)),
        }
    }
}

/// Reads on a thread for work that blocks, once there is a place among those that read; `reader` says what reads at present, or
/// why nothing does.
pub(crate) async fn read_beside<R: Send + 'static, T: Send + 'static>(
    reader: impl Fn() -> Result<R, StoreError>,
    places: &Arc<Semaphore>,
    patience: Duration,
    read: impl FnOnce(R) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let reading = async {
        // Where nothing can be read nobody waits for a place.
        reader()?;
        // Never closed. The place is that of the thread, which nobody can stop.
        let place = places.clone().acquire_owned().await;
        // Another opening may have come meanwhile.
        let reader = reader()?;
        let read = move || {
            let _place = place;
            read(reader)
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| failure("reading it ended unexpectedly"))?
    };
    timeout(patience, reading).await.unwrap_or_else(|_| Err(unanswered(patience)))
}

pub(crate) fn unanswered(patience: Duration) -> StoreError {
    failure(&format!("no answer within {} s", patience.as_secs()))
}

/// What goes wrong with the thread itself.
pub(crate) fn failure(what: &str) -> StoreError {
    StoreError::Io { path: PathBuf::from("(thread)"), what: Arc::from(what) }
}
