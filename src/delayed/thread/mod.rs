//! A store of delayed events on two threads of its own: the service asks and goes on, answers come as [`DelayedStoreEvent`]s. One
//! thread writes, the other reads, so that what is due never waits behind a sync.
//!
//! Writes are made in their order, each answered once. A batch that [must last](DelayedBatch::must_last) is durable by then;
//! any other is seen by whoever reads, and durable [soon after](DelayedTuning::pace). When the disk fails, the store is opened
//! again with growing pauses, and what it lost of writes that were not durable is written again, before anything is read of it
//! and before the very write that failed is repeated, unless that was kept; so nothing is lost or done twice, and each question
//! is answered once, with all that was told as written. What was let in by [`DelayedHandle::room_for`] and has no room after all
//! waits for it. What can't get better by waiting ends both threads: [`DelayedStoreEvent::Gone`].
//!
//! Absent: what is written, and the pace of reading, which are the caller's.

mod handle;
mod questions;
mod queue;
mod reading;
mod room;
mod unflushed;
mod writing;

#[cfg(test)]
mod tests;

pub use handle::DelayedHandle;
pub use room::{NotNow, Room};

use super::{
    DelayedEvent, DelayedLimits, DelayedMemory, DelayedReader, DelayedSnapshot, DelayedStore, DelayedWritten,
    DueEvent, Found, ParkedHead, RedbDelayed, RedbOptions,
};
use crate::{
    engine::Answered,
    store::{StoreError, failure},
};
use queue::Shared;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Opens the store, again after each failure.
pub type DelayedOpener = Box<dyn FnMut() -> Result<Box<dyn DelayedStore>, StoreError> + Send>;

/// What opening gives: whom to ask, what is kept, and where answers come.
type Opened = (DelayedHandle, DelayedSnapshot, mpsc::UnboundedReceiver<DelayedStoreEvent>);

/// Bounds and pauses of a store's threads.
#[derive(Debug, Clone, Copy)]
pub struct DelayedTuning {
    /// The fencing term that every write carries.
    pub term: u64,
    /// Writes that may wait. [`Sending`](super::Sending) waits for each before it makes the next, so a few are plenty.
    pub writes: usize,
    /// Questions that may wait to be read.
    pub questions: usize,
    /// Events whose content is read at once: of more, what is read first is answered first.
    pub contents: usize,
    /// Names that are looked up at once: between these and more what is due is read.
    pub names: usize,
    /// A write that need not last is durable so long after it at the latest.
    pub pace: Duration,
    /// So many steps may wait for that; what lasts not yet is in memory.
    pub steps: usize,
    /// Bytes of events that may be under way: let in, and not written yet.
    pub under_way: usize,
    /// The pause before the first attempt to open the store again, or to write what has no room; it doubles …
    pub pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
    /// How long opening, reading for others, and closing may take.
    pub patience: Duration,
}

impl Default for DelayedTuning {
    /// A second, 100,000 steps; 64 MiB under way; pauses from 0.1 to 5 s.
    fn default() -> Self {
        Self {
            term: 0,
            writes: 64,
            questions: 1024,
            contents: 256,
            names: 64,
            pace: Duration::from_secs(1),
            steps: 100_000,
            under_way: 64 << 20,
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            patience: Duration::from_secs(120),
        }
    }
}

/// What the threads report.
#[derive(Debug, Clone)]
pub enum DelayedStoreEvent {
    /// This batch is written: durable, if it [must last](super::DelayedBatch::must_last), and seen by whoever reads from now on.
    Written {
        /// As given to [`DelayedHandle::write`].
        ticket: u64,
        /// What it brought about.
        written: DelayedWritten,
    },
    /// The answer to [`DelayedHandle::find`].
    Found {
        /// As given.
        ticket: u64,
        /// By each name, in the order asked.
        found: Vec<Found>,
        /// To each message, likewise.
        answered: Vec<Option<Answered>>,
    },
    /// The other answer to [`DelayedHandle::find`], [`DelayedHandle::find_parked`] and [`DelayedHandle::parked`]: what lies
    /// there is damaged. Everything else goes on.
    NotFound {
        /// As given.
        ticket: u64,
        /// Why.
        error: StoreError,
    },
    /// The answer to [`DelayedHandle::due`].
    Due {
        /// As given.
        ticket: u64,
        /// What there is; fewer than asked for: that was all.
        events: Vec<DueEvent>,
    },
    /// The answer to [`DelayedHandle::contents`], in the order asked; of many, in several parts. `None`: it is not there any more.
    Contents(Vec<(u64, DueEvent, Option<DelayedEvent>)>),
    /// The answer to [`DelayedHandle::find_parked`], in the order asked.
    FoundParked {
        /// As given.
        ticket: u64,
        /// Those that are parked.
        found: Vec<Option<ParkedHead>>,
    },
    /// The answer to [`DelayedHandle::parked`].
    Parked {
        /// As given.
        ticket: u64,
        /// What there is, by creation; fewer than asked for: that was all.
        heads: Vec<ParkedHead>,
    },
    /// Writing or reading fails; it is tried again until it succeeds. Told once for each run of failures.
    Failing {
        /// The first failure.
        error: StoreError,
    },
    /// It works again.
    Reopened,
    /// It was given up on: for a reason that stays, or because it was closed while its disk failed. Nothing comes any more.
    Gone {
        /// Why.
        error: StoreError,
    },
}

/// Starts the threads, opens the store on the one that writes, and loads its figures. The first failure to open is handed back;
/// from then on the thread opens the store again by itself.
///
/// # Errors
/// [`StoreError`] of the opener, or [`StoreError::Io`] when opening takes longer than [`DelayedTuning::patience`].
pub async fn open(opener: DelayedOpener, tuning: DelayedTuning) -> Result<Opened, StoreError> {
    // Unbounded, but no longer than what was asked for: at most one event for each write, one for each question or part of
    // one, and two for each failure of the disk.
    let (events, receiver) = mpsc::unbounded_channel();
    let (ready, opened) = oneshot::channel();
    let shared = Arc::new(Shared::new(tuning));
    let ours = shared.clone();
    std::thread::Builder::new()
        .name("delayed".into())
        .spawn(move || writing::run(opener, tuning, &shared, ready, events))
        .map_err(|error| failure(&format!("its thread could not be started: {error}")))?;
    match timeout(tuning.patience, opened).await {
        Ok(Ok(opened)) => {
            opened.map(|kept| (DelayedHandle::new(ours, tuning, kept.id, kept.room), kept.snapshot, receiver))
        }
        Ok(Err(_)) => Err(failure("its thread ended while opening it")),
        Err(_) => Err(failure(&format!("it did not open within {} s", tuning.patience.as_secs()))),
    }
}

/// What stands for a store that can't be opened, and says so to whoever asks: nothing is kept there, and it is
/// [gone](DelayedStoreEvent::Gone) from the beginning.
pub fn unopened(error: StoreError) -> Opened {
    let (events, receiver) = mpsc::unbounded_channel();
    // The receiver is there.
    let _ = events.send(DelayedStoreEvent::Gone { error: error.clone() });
    let tuning = DelayedTuning::default();
    let shared = Arc::new(Shared::new(tuning));
    shared.change(|queue| {
        queue.closed(&error);
        queue.end();
    });
    let room = Arc::new(move |_, _| Err(error.clone()));
    (DelayedHandle::new(shared, tuning, 0, room), DelayedSnapshot::default(), receiver)
}

/// What stands for the store of another process: it is read, and nothing is written to it, nor asked by way of threads. Who reads waits
/// as long as the tuning says.
pub fn read_only(reader: Arc<dyn DelayedReader>, tuning: DelayedTuning) -> DelayedHandle {
    let shared = Arc::new(Shared::new(tuning));
    shared.change(|queue| {
        queue.opened(reader);
        queue.closing = true;
        queue.over();
    });
    let room = Arc::new(|_, _| Err(failure("it is another process's")));
    DelayedHandle::new(shared, tuning, 0, room)
}

/// [`open`] for a [`RedbDelayed`] in a folder.
///
/// # Errors
/// As [`open`].
pub async fn open_redb(
    path: PathBuf,
    clock: String,
    options: RedbOptions,
    tuning: DelayedTuning,
) -> Result<Opened, StoreError> {
    let opener: DelayedOpener = Box::new(move || {
        RedbDelayed::open(&path, &clock, &options).map(|store| Box::new(store) as Box<dyn DelayedStore>)
    });
    open(opener, tuning).await
}

/// [`open`] for what is kept in memory alone.
///
/// # Errors
/// As [`open`].
pub async fn open_memory(
    memory: DelayedMemory,
    clock: String,
    limits: DelayedLimits,
    tuning: DelayedTuning,
) -> Result<Opened, StoreError> {
    let opener: DelayedOpener =
        Box::new(move || memory.open(&clock, limits).map(|store| Box::new(store) as Box<dyn DelayedStore>));
    open(opener, tuning).await
}
