//! The store of delayed events as a port: what clients want published at an instant, by the million. It holds what is pending,
//! how the rest ended, and what makes a request safe to repeat. Only what is due soon is ever in memory; so each read is bounded
//! by what the caller asks for. Here is its memory adapter; every adapter keeps one conformance suite.
//!
//! Invariant: accepted = settled + cancelled + pending, after each write, and after any crash. Absent: what the steps mean, and
//! the watermarks, which lie in the other [`store`](crate::store) alone.

mod batch;
mod event;
mod limits;
mod memory;
mod reader;
mod sending;

pub use batch::{Balance, DelayedBatch, DelayedStep, DelayedWritten};
pub use event::{
    ContentDigest, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedRow, DueEvent, NumberedRow,
    ParkedEvent, Tombstone,
};
pub use limits::{ANSWERS_KEPT, DelayedLimits, PAGE_BYTES, PORTION, TOMBSTONES_KEPT};
pub use memory::{DelayedMemory, MemoryDelayed};
pub use reader::{Counted, DelayedPage, DelayedReader, DelayedWhole, Found, Listed};
pub use sending::{
    DelayedAction, DelayedAnswer, DelayedChange, DelayedInput, DelayedRequest, DelayedRules, Marks,
    ParkedHead, PastDue, Sending, SinceSetBack, UnparkRequest, Unparked, Unparking, logged_events,
};

use crate::store::{StoreError, Written};
use std::sync::Arc;

/// Whether a disk has room for events, of so many bytes in all (first) and so many of them, beyond what is left for settling what is
/// there. It is asked before anything is decided about them; on any thread, and while the store is closed, too.
///
/// # Errors
/// [`StoreError::NoRoom`].
pub type DelayedRoom = Arc<dyn Fn(usize, usize) -> Result<(), StoreError> + Send + Sync>;

/// What keeps delayed events. All calls block; the service runs it on a thread of its own, and reads on others.
pub trait DelayedStore: Send {
    /// What it holds, in figures: all that is to be known before the first event is read.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self) -> Result<DelayedSnapshot, StoreError>;

    /// Writes one batch atomically; fenced by the term as [`Store::save`](crate::store::Store::save) is. A batch that
    /// [must last](DelayedBatch::must_last) is durable when this returns, and with it all that was written before. Any other is
    /// seen by readers at once, and durable with the next one that is, or with [`flush`](Self::flush): a crash before that
    /// loses the newest writes, in order, and never some out of the middle. What was settled so is sent again, under the same id.
    ///
    /// With the batch goes what is too old or too much: up to [`PORTION`] of each kind beyond what the batch adds of it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch is kept then, or all of it. [`StoreError::NoRoom`] for a batch that
    /// puts events while the disk has room only to settle what is there: nothing of it is kept, and the store goes on. What
    /// [`room`](Self::room) lets in has some to spare here, for others use the disk meanwhile.
    fn write(&mut self, term: u64, batch: &DelayedBatch) -> Result<DelayedWritten, StoreError>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StoreError`].
    fn flush(&mut self, term: u64) -> Result<(), StoreError>;

    /// What reads it on any thread, as long as the store is open.
    fn reader(&self) -> Arc<dyn DelayedReader>;

    /// Whether its disk has room.
    fn room(&self) -> DelayedRoom;

    /// How far writing has come; see [`Store::written`](crate::store::Store::written). Each write counts one up, and a flush at
    /// most one. What is lost of writes that were not durable is not counted any more when the store is opened again.
    fn written(&self) -> Written;

    /// Made up when the store was created: tells it from every other store.
    fn id(&self) -> u64;
}

/// What a store holds, in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DelayedSnapshot {
    /// The highest creation number that was ever given.
    pub created: u64,
    /// What became of all events so far.
    pub balance: Balance,
    /// The number of the record's last row; 0 when it is empty.
    pub last_row: u64,
    /// The owners of events that are pending or parked, and of answers that are kept, by name.
    pub owners: Vec<(Arc<str>, OwnerShare)>,
}

/// What is one owner's of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerShare {
    /// Events that are pending.
    pub pending: u64,
    /// Events that are parked, those that were released among them.
    pub parked: u64,
    /// Answers to messages and their verdicts.
    pub answers: u64,
}

impl OwnerShare {
    /// Events of his that take room: what he may have so many of.
    pub fn events(&self) -> u64 {
        self.pending.saturating_add(self.parked)
    }
}
