//! The store as a port: what the engine needs kept, and the record. Here is its memory adapter, for tests; others keep
//! the conformance suite that it keeps.

mod limits;
mod memory;

pub use limits::Limits;
pub use memory::{Fault, Memory, MemoryStore};

use crate::{ChangeEntry, Commit, Outcome, RecordRow, Row, Snapshot};
use ponos_event::{EventKind, Timestamp};
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::Arc,
};

/// What keeps the clock's state. All calls block; the service runs it on a thread of its own, and reads the record on others.
pub trait Store: Send {
    /// Reads everything that was kept. Where rows for confirmed events are missing (a crash came before they were
    /// written), one row that says so is appended first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Writes one commit atomically and durably, then gives the number of the record's last row. `term` is the fencing
    /// term: a store refuses a term lower than the highest it has seen, in whichever call.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the commit is kept then, or all of it.
    fn save(&mut self, term: u64, commit: &Commit) -> Result<u64, StoreError>;

    /// Appends rows for events confirmed on time, durably, in one write, then gives the number of the last one; fenced by
    /// the term as `save` is. All such rows of occurrences with send time ≤ `complete` have been given by now, this
    /// call's included, or by a commit; counted from the first commit's `settled`, and never going back but to the last
    /// commit's `settled` at a restart (what was given beyond it may be decided otherwise, by a clock that is behind), and
    /// to that of a commit whose `set_backs` rises (see [`complete_after`]): rows that were given before that commit and
    /// are appended after it come with no higher `complete` than its `settled`. A restart marks the time between the last
    /// `complete` and the last commit's `settled` as [`DetailsLost`](crate::Outcome). Rows of other kinds than occurrences
    /// come with a commit: neither W nor `complete` says anything about them.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError>;

    /// What reads its record, as long as the store is open.
    fn reader(&self) -> Arc<dyn PageReader>;

    /// See [`PageReader::read`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        self.reader().read(after, most)
    }

    /// See [`PageReader::changes`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        self.reader().changes(after, most)
    }

    /// How far writing has come. After an error of `save` or `append` a newly opened store tells by it whether that
    /// write was kept, so that it is repeated exactly if it was not.
    fn written(&self) -> Written;

    /// Made up when the store was created: tells it from every other store.
    fn id(&self) -> u64;

    /// All that it holds as of its last write, for a copy of it; `None` where that is not asked of the store: it is not on a disk, or
    /// on that of a database.
    ///
    /// # Errors
    /// [`StoreError`].
    fn whole(&self) -> Result<Option<Whole>, StoreError> {
        Ok(None)
    }
}

/// All that a store holds, entry by entry, in the form of its adapter: first what it says of itself. What is written afterwards is not
/// in it.
pub struct Whole(pub Box<dyn Iterator<Item = (Vec<u8>, Vec<u8>)> + Send>);

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").finish_non_exhaustive()
    }
}

/// Reads a store's record on any thread, beside what is written and without waiting until that is durable.
pub trait PageReader: Send + Sync {
    /// Rows with a number above `after`, oldest first, at most `most`, and the bounds of what is kept, both as they were at
    /// one moment of the call: the last row is one that was durable, and the first one that stays, for rows that a write
    /// under way trims are not counted any more. The rows follow on one another; the first has the number `after + 1`, or is
    /// the oldest that stays.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Io`] once the store is closed.
    fn read(&self, after: u64, most: usize) -> Result<Page, StoreError>;

    /// The same of the log of changes: those with a number above `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError>;

    /// Who led when the row of this number was written: of a store that one clock after the other writes to, as far as it is kept.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        let _ = number;
        Ok(None)
    }
}

/// A leadership of one of several clocks, under which rows were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its term.
    pub term: u64,
    /// Where the clock was reached; none where it did not say.
    pub address: Option<String>,
    /// Since when it led, by the database's clock.
    pub since: Option<Timestamp>,
}

/// The standard library's hash keys come from the system's source of randomness.
/// A new id.
pub fn made_up() -> u64 {
    RandomState::new().hash_one(0_u8).max(1)
}

/// How far writing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Writes since the store was created: each successful one counts one up.
    pub count: u64,
    /// Whether this process made the last one.
    pub ours: bool,
    /// The record's last row.
    pub last_sequence: u64,
}

/// The row that marks what is settled up to `settled` while rows for confirmed events were only given up to
/// `complete`; `count` is 0 because nobody knows it. `None` when nothing is missing.
pub fn details_lost(complete: Option<Timestamp>, settled: Option<Timestamp>) -> Option<Row> {
    let (complete, settled) = complete.zip(settled)?;
    (complete < settled).then(|| Row {
        at: settled,
        schedule: Arc::from("*"),
        revision: 0,
        first: complete.plus(1),
        last: settled,
        count: 0,
        outcome: Outcome::DetailsLost,
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    })
}

/// Up to where all rows have been given, once `commit` is written: `complete` and `set_backs` are what the store has. Where
/// the clock was set back, what was given above W says nothing any more: it is sent and recorded anew.
pub fn complete_after(complete: Option<Timestamp>, set_backs: u32, commit: &Commit) -> Option<Timestamp> {
    let complete = complete.unwrap_or(commit.settled);
    Some(if commit.set_backs > set_backs { complete.min(commit.settled) } else { complete })
}

/// Rows of the record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The rows asked for.
    pub rows: Vec<RecordRow>,
    /// The oldest row that is kept (older ones were trimmed); `last + 1` when there is none.
    pub first: u64,
    /// The newest row.
    pub last: u64,
    /// Which record it is: the [id of its store](Store::id).
    pub record: u64,
}

/// Changes of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangePage {
    /// The changes asked for, each with its number: they count up by one from 1, and none is ever used twice.
    pub changes: Vec<(u64, ChangeEntry)>,
    /// The oldest change that is kept; `last + 1` when there is none.
    pub first: u64,
    /// The newest change.
    pub last: u64,
    /// As of a [`Page`].
    pub record: u64,
}

/// Why the store can't be used. `Display` says what happened, to what, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the store {path} is in use by another process; stop the other clock, or give this one a folder of its own with --store"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to a clock of another name.
    #[error(
        "the store {path} belongs to the clock '{kept}', but this one is called '{configured}'; ids derive from the name: set clock.name = \"{kept}\", or use another folder"
    )]
    OtherClock {
        /// The folder.
        path: PathBuf,
        /// The name in the store.
        kept: String,
        /// The name in the configuration.
        configured: String,
    },
    /// A newer version of khronos wrote it, in a form that this one does not understand.
    #[error(
        "the store {path} has form {form}, written by a newer version of khronos; this one understands forms up to {known}: run that version, or give this one a folder of its own with --store"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its form.
        form: u32,
        /// The newest form that this version understands.
        known: u32,
    },
    /// A copy into it did not end, or is being made.
    #[error(
        "the store {path} is the target of a copy that did not end (`khronos store copy`, or `backup`): it may lack anything, so no clock starts on it; remove it (delete the folder, or drop the schema), then copy again"
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// It is a copy of a clock that went on, and nobody has said yet what becomes of what it does not know of.
    #[error(
        "the store {path} is a copy that is held, for it does not know what was sent since it was made: say first what becomes of that (`khronos store accept --send-again`, or `--skip`)"
    )]
    Held {
        /// The folder.
        path: PathBuf,
    },
    /// What is on the disk is not what was written.
    #[error("the store {path} is damaged: {what}; {remedy}")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The disk or the folder can't be read or written; worth trying again.
    #[error("the store {path} can't be used: {what}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        what: Arc<str>,
    },
    /// The disk has only so much room left that what is there can still be settled: nothing more is taken. What was there
    /// stays, and is sent.
    #[error(
        "the store {path} takes no more delayed events: its disk has {free} bytes left, and {needed} are needed so that what is there can be settled; make room, then send the request again"
    )]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that would have to be.
        needed: u64,
    },
    /// Another process of a clock of this name may write to it now.
    #[error(
        "the store {path} is led by another clock of this name{by}; stop that one, or give this one a name and a schema of its own"
    )]
    Led {
        /// The store.
        path: PathBuf,
        /// Where it is reached, as ` at <address>`; empty where it did not say.
        by: String,
    },
    /// A higher term was seen: another clock leads.
    #[error("the store refused term {term}: {seen} leads now")]
    Fenced {
        /// Ours.
        term: u64,
        /// The highest seen.
        seen: u64,
    },
}
