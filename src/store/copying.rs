//! A store's content, entry by entry, in the one form in which all stores of its kind read and write it: so one can be copied into
//! another, whichever they are, and both be compared.
//!
//! Invariant: two stores with the same entries and the same [marks](Mark) are the same to whoever opens them. A [`Target`] that is not
//! [finished](Target::finish) says so of itself, and is refused by whoever opens it ([`StoreError::Unfinished`]).
//!
//! Absent: whose turn it is, and what people are told. Each adapter has its source and its target in a file `copying.rs`.

use super::{
    StoreError, made_up,
    meta::{FORM, HELD, Meta, UNFINISHED, fingerprint},
};
use ponos::event::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// Entries of a portion, and bytes of their keys and values beyond which it ends: so many are in memory, however large a store is.
pub(crate) const ENTRIES: usize = 1_000;
pub(crate) const BYTES: usize = 4 << 20;

/// Reads a store that nobody writes to.
pub(crate) trait Source<M> {
    /// What it says of itself.
    fn meta(&self) -> &M;

    /// The next entries, a portion; none at the end. Those of the record, and those of the log of changes, come in the order of their
    /// numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    fn next(&mut self) -> Result<Vec<Entry>, StoreError>;
}

/// A store in which nothing is yet, and which says of itself what another one does.
pub(crate) trait Target<M> {
    /// Writes a portion, durably.
    ///
    /// # Errors
    /// [`StoreError`]; nothing more is written then.
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), StoreError>;

    /// Reads what was written.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read_back(&self) -> Result<Box<dyn Source<M> + '_>, StoreError>;

    /// All is there: from now on it can be opened.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish(&mut self) -> Result<(), StoreError>;
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of what kind, in words.
    pub(crate) what: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Entries, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    pub(crate) entries: Vec<Entry>,
    bytes: usize,
}

impl Portion {
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES || self.bytes >= BYTES
    }

    pub(crate) fn push(&mut self, what: &'static str, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.entries.push(Entry { what, key: key.to_vec(), value: value.to_vec() });
    }
}

/// Entries of a kind, counted; and the sum of their fingerprints, which differs where any of them does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    /// How many.
    pub(crate) count: u64,
    /// The sum.
    pub(crate) digest: u64,
}

/// By kind.
pub(crate) type Sums = BTreeMap<&'static str, Sum>;

/// Counts entries in.
pub(crate) fn count(sums: &mut Sums, entries: &[Entry]) {
    for Entry { what, key, value } in entries {
        let sum = sums.entry(what).or_default();
        sum.count += 1;
        sum.digest = sum.digest.wrapping_add(fingerprint(key, value));
    }
}

/// Something that a store says of itself, and that a copy of it says, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// What, in words.
    pub(crate) what: &'static str,
    /// As it is shown.
    pub(crate) value: String,
}

impl Mark {
    pub(crate) fn new(what: &'static str, value: impl Into<String>) -> Self {
        Self { what, value: value.into() }
    }
}

/// What says of itself how far it has come.
pub(crate) trait Marked {
    fn marks(&self) -> Vec<Mark>;
}

/// Numbers of creations that a clock may give from the moment of a copy on. The copy gives none of them, so that no id of either is the
/// other's.
pub(crate) const APART: u64 = 1 << 32;
/// So many times that, at most, a copy is ahead. Two of one copy are not as far ahead: but for one time in 65,536.
const FURTHEST: u64 = 1 << 16;

/// Behind which number of a creation a copy goes on that was accepted, where the original went on behind this one.
pub(crate) fn apart(created: u64) -> u64 {
    created.saturating_add((1 + made_up() % FURTHEST) * APART)
}

impl Meta {
    /// What a copy says of itself of which the original goes on: it is held.
    pub(crate) fn of_a_copy(self, made_at: Timestamp) -> Self {
        Self { form: HELD, made_at: Some(made_at), ..self }
    }

    /// The id that the delayed events of a copy have while that is held. It follows from what the copy is of, so those of another copy
    /// are told apart.
    pub(super) fn delayed_id(&self) -> Option<u64> {
        let made_at = self.made_at.filter(|_| self.is_held())?;
        Some(fingerprint(&self.store.to_le_bytes(), &made_at.millis().to_le_bytes()))
    }

    /// What it says once it is held no more: it is a store of its own then, whatever else became of the copy. Its creations are those of
    /// the newest form.
    pub(super) fn accepted(self) -> Self {
        Self { form: FORM, made_at: None, store: made_up(), created: apart(self.created), ..self }
    }
}

impl Marked for Meta {
    fn marks(&self) -> Vec<Mark> {
        let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        vec![
            Mark::new("store", format!("{:016x}", self.store)),
            Mark::new("W", at(self.settled)),
            Mark::new("H", at(self.handed)),
            Mark::new("R", at(self.reached.or(self.handed))),
            Mark::new("recorded up to", at(self.complete)),
            Mark::new("times set back", self.set_backs.to_string()),
            Mark::new("creations", self.created.to_string()),
            Mark::new("rows of the record", span(self.first_sequence, self.last_sequence)),
            Mark::new("numbers of changes", span(self.trimmed_changes + 1, self.last_change)),
        ]
    }
}

/// Numbers from one to another.
pub(crate) fn span(first: u64, last: u64) -> String {
    if first > last { format!("none, next {first}") } else { format!("{first} to {last}") }
}

/// Why a store of this form is not opened.
pub(crate) fn not_understood(path: &Path, form: u32, known: u32) -> StoreError {
    let path = path.to_owned();
    if form == UNFINISHED { StoreError::Unfinished { path } } else { StoreError::Newer { path, form, known } }
}
