//! What the store says about itself: written with every write into the database.

use crate::engine::{delayed::Balance, store::made_up};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The newest form in which entries are written; a newer one is refused.
pub(super) const FORM: u32 = 2;

/// What the store says about itself.
// Lies in the store: what is added goes behind what is there, and first in every form is the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// At most [`FORM`].
    pub(super) form: u32,
    /// Made up when the store was created.
    pub(super) store: u64,
    /// The clock's name.
    pub(super) clock: String,
    /// Writes so far.
    pub(super) generation: u64,
    /// The process that made the last write.
    pub(super) writer: u64,
    /// The highest fencing term.
    pub(super) term: u64,
    /// The highest creation number that was given.
    pub(super) created: u64,
    /// What became of all events so far.
    pub(super) balance: Balance,
    /// The number of the oldest row that is kept.
    pub(super) first_row: u64,
    /// The number of the newest row.
    pub(super) last_row: u64,
    /// The same of the log of changes.
    pub(super) first_change: u64,
    pub(super) last_change: u64,
}

impl Meta {
    /// A store in creation.
    pub(super) fn new(clock: &str) -> Self {
        Self {
            form: FORM,
            store: made_up(),
            clock: clock.to_owned(),
            generation: 0,
            writer: 0,
            term: 0,
            created: 0,
            balance: Balance::default(),
            first_row: 1,
            last_row: 0,
            first_change: 1,
            last_change: 0,
        }
    }
}

/// This process, among all that ever wrote to a store.
pub(super) fn writer() -> u64 {
    static WRITER: OnceLock<u64> = OnceLock::new();
    *WRITER.get_or_init(made_up)
}
