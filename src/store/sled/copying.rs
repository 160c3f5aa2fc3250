//! A store on sled that is copied, or copied into.

use super::{
    Added, Changes, Failed, SledOptions, SledStore, Unreadable, damaged, encoding, guarded,
    meta::{self, Meta, UNFINISHED},
    open,
    scan::Pair,
};
use crate::{
    engine::Commit,
    store::{
        Store as _, StoreError, Whole,
        copying::{Entry, Portion, Source, Target},
    },
};
use ponos::event::Timestamp;
use std::{borrow::Borrow, ops::Bound, path::Path};

/// Reads a store: one that is its own, or one that is being written.
pub(crate) struct SledSource<S> {
    store: S,
    meta: Meta,
    after: Vec<u8>,
}

impl SledSource<SledStore> {
    /// Opens the store in a folder; what an earlier version left to be amended is amended now.
    ///
    /// # Errors
    /// As of [`SledStore::open`].
    pub(crate) fn open(path: &Path, clock: &str, options: &SledOptions) -> Result<Self, StoreError> {
        let mut store = SledStore::open(path, clock, options)?;
        store.loaded = None;
        while !store.without_rules.is_empty() {
            store.amend()?;
        }
        let meta = store.meta.clone();
        Ok(Self { store, meta, after: Vec::new() })
    }
}

impl<S: Borrow<SledStore>> Source<Meta> for SledSource<S> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let store = self.store.borrow();
        let behind = (Bound::Excluded(self.after.clone()), Bound::Unbounded);
        let mut entries = store.db()?.range::<Vec<u8>, _>(behind);
        let mut portion = Portion::default();
        while !portion.is_full() {
            let Some((key, value)) = guarded(&store.path, || entries.next().transpose())? else { break };
            self.after = key.to_vec();
            push(&mut portion, &key, &value).map_err(|Unreadable(what)| damaged(&store.path, what))?;
        }
        Ok(portion.entries)
    }
}

/// An entry of the tree, as an entry of its own, or as several: blocks of rows are of as many as were written at once.
fn push(portion: &mut Portion, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
    match encoding::what(key) {
        _ if key == encoding::META => {}
        encoding::RECORD => {
            let first = encoding::rows_number(key)?;
            for (number, row) in (first..).zip(&encoding::read_rows(value)?) {
                portion.push(encoding::RECORD, &encoding::rows_key(number), &encoding::row_value(row)?);
            }
        }
        what => portion.push(what, key, value),
    }
    Ok(())
}

/// All that a store holds. What sled has of it in memory is shared, and not copied.
pub(super) fn whole(store: &SledStore) -> Result<Whole, StoreError> {
    let db = store.db()?;
    let entries: Vec<Pair> = guarded(&store.path, || db.iter().collect())?;
    Ok(Whole(Box::new(entries.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())))))
}

/// Reads what a store that goes on held at one moment.
pub(crate) struct WholeSource {
    whole: Whole,
    meta: Meta,
}

impl WholeSource {
    /// `as_copy` makes of what it says of itself what its copy says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(crate) fn new(mut whole: Whole, as_copy: impl FnOnce(Meta) -> Meta) -> Result<Self, StoreError> {
        // It sorts before all others.
        let first = whole.0.next().filter(|(key, _)| key == encoding::META);
        let (_, bytes) = first.ok_or_else(|| broken("it does not say what it is"))?;
        let meta = encoding::read_meta(&bytes).map_err(|Unreadable(what)| broken(what))?;
        Ok(Self { whole, meta: as_copy(meta) })
    }

    /// The id of the delayed events that are copied along.
    pub(crate) fn delayed_id(&self) -> Option<u64> {
        self.meta.delayed_id()
    }
}

fn broken(what: impl Into<String>) -> StoreError {
    damaged(Path::new("(running)"), what)
}

impl Source<Meta> for WholeSource {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut portion = Portion::default();
        while !portion.is_full() {
            let Some((key, value)) = self.whole.0.next() else { break };
            push(&mut portion, &key, &value).map_err(|Unreadable(what)| broken(what))?;
        }
        Ok(portion.entries)
    }
}

/// A store in a folder that is being filled.
pub(crate) struct SledTarget {
    store: SledStore,
    form: u32,
}

impl SledTarget {
    /// Makes one in a folder in which nothing is; none where something is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn create(path: &Path, options: &SledOptions, of: &Meta) -> Result<Option<Self>, StoreError> {
        let meta = Meta {
            form: UNFINISHED,
            generation: 0,
            // Who leads there begins anew; in a folder nobody has a term.
            term: 0,
            last_sequence: of.first_sequence - 1,
            entries: 0,
            digest: 0,
            ..of.clone()
        };
        let begun = open::begin(path, meta, options)?;
        Ok(begun.map(|store| Self { store, form: of.form }))
    }

    fn write(&mut self, entries: Vec<Entry>, form: u32) -> Result<(), StoreError> {
        let store = &mut self.store;
        let path = store.path.clone();
        let unreadable = |Unreadable(what)| damaged(&path, what);
        let mut meta = Meta { writer: meta::writer(), ..store.meta.clone() };
        let (mut changes, mut rows) = (Changes::default(), Vec::new());
        for Entry { what, key, value } in entries {
            match what {
                encoding::RECORD => rows.extend(encoding::read_rows(&value).map_err(unreadable)?),
                _ => changes.put(key, value),
            }
        }
        store.record.append(&rows, &mut meta, &mut changes).map_err(unreadable)?;
        meta.generation += 1;
        meta.form = form;
        store.commit(changes, meta)
    }
}

impl Target<Meta> for SledTarget {
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.write(entries, UNFINISHED)
    }

    fn read_back(&self) -> Result<Box<dyn Source<Meta> + '_>, StoreError> {
        let store = &self.store;
        let kept = store.kept(encoding::META)?;
        let unreadable = |Unreadable(what)| damaged(&store.path, what);
        let meta = match kept {
            Some(bytes) => encoding::read_meta(&bytes).map_err(unreadable)?,
            None => store.meta.clone(),
        };
        Ok(Box::new(SledSource { store, meta, after: Vec::new() }))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.write(Vec::new(), self.form)
    }
}

impl SledStore {
    /// When the copy was made that it is, and held as such.
    pub(crate) fn held(&self) -> Option<Timestamp> {
        self.meta.made_at.filter(|_| self.meta.is_held())
    }

    /// The id of the delayed events beside it, as long as it is held.
    pub(crate) fn delayed_id(&self) -> Option<u64> {
        self.meta.delayed_id()
    }

    /// # Errors
    /// [`StoreError`]: why nothing more is written until it is opened again.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// That something is not done to it.
    pub(crate) fn refusal(&self, why: &str) -> StoreError {
        StoreError::Io { path: self.path.clone(), what: why.into() }
    }

    /// Has it be held no more, as a store of its own, and makes this commit, in one write.
    ///
    /// # Errors
    /// [`StoreError`]; it is held then, or accepted: the next opening shows which, for nothing more is written before.
    pub(crate) fn accept(&mut self, commit: Option<&Commit>) -> Result<(), StoreError> {
        self.meta = self.meta.clone().accepted();
        let accepted = match commit {
            Some(commit) => self.save(0, commit),
            None => self.write(Added { rows: &[], logged: &[] }, |_, _| Ok(())),
        };
        accepted.map(drop)
    }

    /// Writes some of what an earlier version left to be amended.
    fn amend(&mut self) -> Result<(), StoreError> {
        let amended = self.with_rules()?;
        let mut changes = Changes::default();
        changes.amend(amended);
        let mut meta = Meta { writer: meta::writer(), ..self.meta.clone() };
        if changes.has_zones() {
            meta.form = meta.form.max(meta::FORM_OF_ZONES);
        }
        meta.generation += 1;
        self.commit(changes, meta)
    }

    /// Writes these changes and what the store says of itself then, durably.
    pub(super) fn commit(&mut self, changes: Changes, mut meta: Meta) -> Result<(), StoreError> {
        let batch = changes.batch(&mut meta, |key| self.kept(key).map_err(Failed::Store));
        let batch = batch.map_err(|failed| failed.explain(&self.path))?;
        let db = self.db()?;
        self.reader.trims(&meta);
        guarded(&self.path, || db.apply_batch(batch).and_then(|()| db.flush()))?;
        self.files.sync()?;
        super::point("flushed");
        self.files.seal(&meta)?;
        super::point("sealed");
        self.reader.written(&meta);
        self.meta = meta;
        Ok(())
    }
}
