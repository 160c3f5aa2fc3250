//! What is read of a store, on any thread, beside what is written.

use super::{
    Balance, DelayedEvent, DelayedHead, DelayedKey, DueEvent, NumberedRow, OwnerShare, ParkedEvent, Tombstone,
};
use crate::{
    Answered, MessageKey,
    store::{ChangePage, Leader, StoreError},
};
use ponos_event::Timestamp;
use std::{ops::Range, sync::Arc};

/// Reads a store on any thread, beside what is written and without waiting until that is durable. Each call sees the store as
/// it is at one moment, with all writes that returned before.
///
/// # Errors
/// Each of them: [`StoreError`]; [`StoreError::Io`] once the store is closed.
pub trait DelayedReader: Send + Sync {
    /// Whether a question of people that fails tells that the store is to be opened again. Not where it is read by connections of its
    /// own: there an answer that takes too long says nothing of what is written, and the next question has a new one.
    fn tells_of_the_store(&self) -> bool {
        true
    }

    /// What is to be sent in this range of send times (its end exclusive), in the order of places, behind `after`: at most
    /// `most`. Fewer: that was all.
    ///
    /// # Errors
    /// As said of all.
    fn due(
        &self,
        range: Range<Timestamp>,
        after: Option<&DelayedKey>,
        most: usize,
    ) -> Result<Vec<DueEvent>, StoreError>;

    /// The events at these places, with their content; `None` where there is none any more. In this order.
    ///
    /// # Errors
    /// As said of all.
    fn events(&self, keys: &[DelayedKey]) -> Result<Vec<Option<DelayedEvent>>, StoreError>;

    /// What is known under these names, in this order.
    ///
    /// # Errors
    /// As said of all.
    fn find(&self, names: &[Arc<str>]) -> Result<Vec<Found>, StoreError>;

    /// The pending events that match and whose names begin so, by name, behind `after`: at most `most`, found among at most
    /// `looked_at` (1 at least).
    ///
    /// # Errors
    /// As said of all.
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        matches: &dyn Fn(&DelayedHead) -> bool,
        most: usize,
        looked_at: usize,
    ) -> Result<Listed, StoreError>;

    /// What these messages were answered, in this order.
    ///
    /// # Errors
    /// As said of all.
    fn answers(&self, messages: &[MessageKey]) -> Result<Vec<Option<Answered>>, StoreError>;

    /// What is this owner's; nothing of somebody who is not known.
    ///
    /// # Errors
    /// As said of all.
    fn owner(&self, owner: &str) -> Result<OwnerShare, StoreError>;

    /// Parked events with a creation above `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// As said of all.
    fn parked(&self, after: u64, most: usize) -> Result<Vec<ParkedEvent>, StoreError>;

    /// The parked event of this creation, if there is one.
    ///
    /// # Errors
    /// As said of all.
    fn parked_as(&self, creation: u64) -> Result<Option<ParkedEvent>, StoreError> {
        let Some(before) = creation.checked_sub(1) else { return Ok(None) };
        Ok(self.parked(before, 1)?.pop().filter(|parked| parked.event.head.creation == creation))
    }

    /// Rows of the record with a number above `after`, oldest first, at most `most`, and the bounds of what is kept. As
    /// [`PageReader::read`](crate::store::PageReader::read), but there may be fewer where they keep
    /// [much content](super::PAGE_BYTES). An empty answer means that there are no more.
    ///
    /// # Errors
    /// As said of all.
    fn read(&self, after: u64, most: usize) -> Result<DelayedPage, StoreError>;

    /// Who led when the row of this number was written. As [`PageReader::leader`](crate::store::PageReader::leader).
    ///
    /// # Errors
    /// As said of all.
    fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        let _ = number;
        Ok(None)
    }

    /// The log of changes, read as the record is.
    ///
    /// # Errors
    /// As said of all.
    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError>;

    /// Counts pending events by name, behind `after`, at most `most`; with what the balance says of that moment.
    ///
    /// # Errors
    /// As said of all.
    fn count(&self, after: Option<&str>, most: usize) -> Result<Counted, StoreError>;

    /// All that it holds as of its last write, for a copy of it, with what is not durable yet; `None` where that is not asked of the
    /// store: it is not on a disk, or on that of a database.
    ///
    /// # Errors
    /// As said of all.
    fn whole(&self) -> Result<Option<DelayedWhole>, StoreError> {
        Ok(None)
    }
}

/// Some of the pending events, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// So many names there are.
    pub count: u64,
    /// Behind this name there may be more; none: that was all.
    pub next: Option<Arc<str>>,
    /// So many places there are in all.
    pub places: u64,
    /// What became of all events until then.
    pub balance: Balance,
}

/// What is known under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is pending.
    Pending(Box<DelayedHead>),
    /// It was settled lately.
    Settled(Box<Tombstone>),
    /// Nothing.
    Nothing,
}

/// Pending events by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Those asked for.
    pub heads: Vec<DelayedHead>,
    /// Behind this name there may be more; none: that was all.
    pub next: Option<Arc<str>>,
}

/// Rows of the record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DelayedPage {
    /// The rows asked for.
    pub rows: Vec<NumberedRow>,
    /// The oldest row that is kept; `last + 1` when there is none.
    pub first: u64,
    /// The newest row.
    pub last: u64,
    /// Which record it is: the [id of its store](super::DelayedStore::id).
    pub record: u64,
}

/// All that a store holds, entry by entry, in the form of its adapter, each with its kind: first what it says of itself. What is
/// written afterwards is not in it, and it keeps no write waiting.
pub type DelayedWhole = Box<dyn Iterator<Item = Result<(&'static str, Vec<u8>, Vec<u8>), StoreError>> + Send>;
