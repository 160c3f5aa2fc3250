//! A store on redb that is copied, or copied into.

use super::{
    RedbDelayed, RedbOptions,
    encoding::{self, Unreadable},
    guard::{Failed, closed, damaged, guarded},
    meta::{self, FORM, Meta},
    open, tables,
};
use crate::{
    delayed::copying::{ANSWERS, CHANGES, OWNERS, PARKED, PENDING, RECORD, RELEASED, TOMBSTONES},
    engine::{
        Answered, ChangeEntry,
        delayed::{DelayedWhole, Tombstone},
    },
    store::{
        StoreError, UNFINISHED,
        copying::{Entry, Portion, Source, Target},
    },
};
use ::redb::{Database, Durability, ReadTransaction, ReadableDatabase as _, WriteTransaction};
use std::{
    borrow::Borrow,
    collections::VecDeque,
    ops::Bound,
    path::{Path, PathBuf},
};

/// What is read, table by table; all else follows from it.
const KINDS: [(&str, tables::Definition); 7] = [
    (PENDING, tables::PENDING),
    (PARKED, tables::PARKED),
    (TOMBSTONES, tables::TOMBSTONES),
    (ANSWERS, tables::MESSAGES),
    (OWNERS, tables::OWNERS),
    (RECORD, tables::RECORD),
    (CHANGES, tables::CHANGES),
];

/// Reads a store: one that is its own, or one that is being written.
pub(crate) struct RedbSource<S> {
    store: S,
    meta: Meta,
    place: Place,
}

/// How far it was read: in which table of [`KINDS`], and behind which key.
#[derive(Default)]
struct Place {
    kind: usize,
    after: Option<Vec<u8>>,
}

impl Place {
    /// The next portion; nothing at the end.
    fn read(&mut self, transaction: &ReadTransaction) -> Result<Portion, Failed> {
        let mut portion = Portion::default();
        while let Some((what, table)) = KINDS.get(self.kind)
            && !portion.is_full()
        {
            match read(transaction, (what, *table), self.after.as_deref(), &mut portion)? {
                Some(last) => self.after = Some(last),
                None => *self = Self { kind: self.kind + 1, after: None },
            }
        }
        Ok(portion)
    }
}

impl RedbSource<RedbDelayed> {
    /// Opens the store in a folder, and brings it to today's form.
    ///
    /// # Errors
    /// As of [`RedbDelayed::open`].
    pub(crate) fn open(path: &Path, clock: &str, options: &RedbOptions) -> Result<Self, StoreError> {
        let store = RedbDelayed::open(path, clock, options)?;
        let meta = store.meta.clone();
        Ok(Self { store, meta, place: Place::default() })
    }
}

impl<S: Borrow<RedbDelayed>> Source<Meta> for RedbSource<S> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let store = self.store.borrow();
        let db = store.db.as_ref().ok_or_else(|| closed(&store.path))?;
        let place = &mut self.place;
        let portion = guarded(&store.path, || place.read(&db.begin_read()?))?;
        Ok(portion.entries)
    }
}

/// Those of a table behind a key, until the portion is full: the key of the last one; none where there is no more.
fn read(
    transaction: &ReadTransaction,
    (what, table): (&'static str, tables::Definition),
    after: Option<&[u8]>,
    portion: &mut Portion,
) -> Result<Option<Vec<u8>>, Failed> {
    let released = tables::read(transaction, tables::RELEASED)?;
    let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
    for entry in tables::read(transaction, table)?.range::<&[u8]>((behind, Bound::Unbounded))? {
        let (key, value) = entry?;
        let (key, value) = (key.value(), value.value());
        portion.push(what, key, value);
        // Before form 2 the row itself said it.
        if what == PARKED && (released.get(key)?.is_some() || encoding::read_parked(value)?.released) {
            portion.push(RELEASED, key, &[]);
        }
        if portion.is_full() {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}

/// All that a store holds, read by and by in the transaction that was begun for it.
pub(super) struct Reading {
    path: PathBuf,
    transaction: ReadTransaction,
    place: Place,
    read: VecDeque<Entry>,
}

/// What a store says of itself, before all else of it.
const META: &str = "what the store says of itself";

impl Reading {
    pub(super) fn begin(path: &Path, db: &Database) -> Result<Self, StoreError> {
        guarded(path, || {
            let transaction = db.begin_read()?;
            let meta = tables::read(&transaction, tables::META)?.get(encoding::META)?;
            let meta = meta.ok_or_else(|| Failed::Unreadable("it does not say what it is".into()))?;
            let first = Entry { what: META, key: encoding::META.to_vec(), value: meta.value().to_vec() };
            drop(meta);
            let read = VecDeque::from([first]);
            Ok(Self { path: path.to_owned(), transaction, place: Place::default(), read })
        })
    }

    fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        if self.read.is_empty() {
            let (place, transaction) = (&mut self.place, &self.transaction);
            self.read = guarded(&self.path, || place.read(transaction))?.entries.into();
        }
        Ok(self.read.pop_front())
    }
}

impl Iterator for Reading {
    type Item = Result<(&'static str, Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = Self::next(self).transpose()?;
        Some(next.map(|Entry { what, key, value }| (what, key, value)))
    }
}

/// Reads what a store that goes on held at one moment.
pub(crate) struct DelayedWholeSource {
    whole: DelayedWhole,
    meta: Meta,
}

impl DelayedWholeSource {
    /// `id`: that of the copy.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn new(mut whole: DelayedWhole, id: u64) -> Result<Self, StoreError> {
        let broken = |what: String| damaged(Path::new("(running)"), what);
        let first = whole.next().transpose()?;
        let bytes = first.filter(|(what, ..)| *what == META).map(|(.., bytes)| bytes);
        let bytes = bytes.ok_or_else(|| broken("it does not say what it is".into()))?;
        let meta = encoding::read(&bytes).map_err(|Unreadable(what)| broken(what))?;
        Ok(Self { whole, meta: Meta { store: id, ..meta } })
    }
}

impl Source<Meta> for DelayedWholeSource {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut portion = Portion::default();
        while !portion.is_full() {
            let Some((what, key, value)) = self.whole.next().transpose()? else { break };
            portion.push(what, &key, &value);
        }
        Ok(portion.entries)
    }
}

/// A store in a folder that is being filled.
pub(crate) struct RedbTarget {
    store: RedbDelayed,
    changes_bytes: u64,
}

impl RedbTarget {
    /// Makes one in a folder in which nothing is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn create(path: &Path, options: &RedbOptions, of: &Meta) -> Result<Self, StoreError> {
        let meta = Meta {
            form: UNFINISHED,
            // Some clock wrote it.
            generation: of.generation.max(1),
            writer: meta::writer(),
            // Who leads there begins anew; in a folder nobody has a term.
            term: 0,
            ..of.clone()
        };
        Ok(Self { store: open::begin(path, meta, options)?, changes_bytes: 0 })
    }

    fn write(
        &self,
        for_good: bool,
        write: impl FnOnce(&WriteTransaction) -> Result<(), Failed>,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let db = store.db.as_ref().ok_or_else(|| closed(&store.path))?;
        guarded(&store.path, || {
            let mut transaction = db.begin_write()?;
            transaction.set_quick_repair(for_good);
            transaction.set_durability(Durability::Immediate)?;
            write(&transaction)?;
            transaction.commit()?;
            Ok(())
        })
    }
}

impl Target<Meta> for RedbTarget {
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut bytes = 0;
        self.write(false, |transaction| {
            entries.iter().try_for_each(|entry| insert(transaction, entry, &mut bytes))
        })?;
        self.changes_bytes += bytes;
        Ok(())
    }

    fn read_back(&self) -> Result<Box<dyn Source<Meta> + '_>, StoreError> {
        let store = &self.store;
        let db = store.db.as_ref().ok_or_else(|| closed(&store.path))?;
        let meta = guarded(&store.path, || {
            let transaction = db.begin_read()?;
            let entry = tables::read(&transaction, tables::META)?.get(encoding::META)?;
            let entry = entry.ok_or_else(|| Failed::Unreadable("it does not say what it is".into()))?;
            Ok(encoding::read(entry.value())?)
        })?;
        Ok(Box::new(RedbSource { store, meta, place: Place::default() }))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        let meta = Meta { form: FORM, ..self.store.meta.clone() };
        let bytes = self.changes_bytes;
        self.write(true, |transaction| {
            let mut entry = tables::written(transaction, tables::META)?;
            if bytes > 0 {
                entry.insert(encoding::CHANGES_BYTES, &encoding::value(&bytes)?[..])?;
            }
            entry.insert(encoding::META, &encoding::value(&meta)?[..])?;
            Ok(())
        })?;
        self.store.files.seal(&meta)?;
        self.store.meta = meta;
        Ok(())
    }
}

/// Writes an entry, and what follows from it; `bytes` is told how many one of the log of changes counts for.
fn insert(transaction: &WriteTransaction, entry: &Entry, bytes: &mut u64) -> Result<(), Failed> {
    let Entry { what, key, value } = entry;
    let put = |table, key: &[u8], value: &[u8]| -> Result<(), Failed> {
        tables::written(transaction, table)?.insert(key, value)?;
        Ok(())
    };
    match *what {
        PENDING => {
            let (send, name) = encoding::read_timed(key)?;
            put(tables::PENDING, key, value)?;
            put(tables::NAMES, name, &encoding::time(send))
        }
        PARKED => put(tables::PARKED, key, value),
        RELEASED => put(tables::RELEASED, key, value),
        TOMBSTONES => {
            let at = encoding::read::<Tombstone>(value)?.at;
            put(tables::TOMBSTONES, key, value)?;
            put(tables::TOMBSTONE_AGES, &encoding::timed(at, key), &[])
        }
        ANSWERS => {
            let at = encoding::read::<Answered>(value)?.at;
            put(tables::MESSAGES, key, value)?;
            put(tables::MESSAGE_AGES, &encoding::timed(at, key), &[])
        }
        OWNERS => put(tables::OWNERS, key, value),
        RECORD => put(tables::RECORD, key, value),
        CHANGES => {
            *bytes += encoding::read::<ChangeEntry>(value)?.bytes() as u64;
            put(tables::CHANGES, key, value)
        }
        other => Err(Failed::Unreadable(format!("{other} do not belong there"))),
    }
}
