//! Reads the record beside the thread that writes it: sled lets any thread read. What no reader waits for is what takes
//! longest of a write: the sync of the files, and the seal. It waits for sled: while a batch is put into its pages; and where it
//! needs a page that is neither in sled's cache nor in sled's file yet, until that is there, which the flush of the write
//! does, or sled in the reader's place. Where it meets a page that is being split or merged, it does its part of that, which
//! takes room in sled's buffer. So of a disk that hangs a reader may hang too.
//!
//! A page is made of several reads, and meanwhile rows are added and trimmed. So what may be read is said apart from the
//! tree: up to the last row that is durable, which is raised behind a write; from the first row that is kept, which is raised
//! before the write that trims. Rows are counted from block to block: where one is missing, it was trimmed, and the page is
//! read anew from what is kept by then; or else the store is damaged.

use super::{
    encoding::{self, Unreadable},
    guard::{damaged, guarded},
    meta::Meta,
};
use crate::{
    engine::{ChangeEntry, RecordRow},
    store::{ChangePage, Page, PageReader, StoreError},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

/// How often a page is read anew because its first rows were trimmed meanwhile: each time a write came between.
const TRIES: usize = 16;

pub(super) struct SledReader {
    path: PathBuf,
    /// `None` once the store is closed, which waits for those who read.
    db: RwLock<Option<::sled::Db>>,
    /// Or why nothing is read any more.
    bounds: Mutex<Result<Bounds, StoreError>>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    record: u64,
    first: u64,
    last: u64,
    /// Of the log of changes.
    first_change: u64,
    last_change: u64,
}

impl SledReader {
    /// Of a database that is being opened: nothing can be read before the [bounds are said](Self::written).
    pub(super) fn new(path: &Path, db: ::sled::Db) -> Self {
        let closed = Mutex::new(Err(closed(path)));
        Self { path: path.to_owned(), db: RwLock::new(Some(db)), bounds: closed }
    }

    /// What this says of the record is durable.
    pub(super) fn written(&self, meta: &Meta) {
        let (first, last) = (meta.first_sequence, meta.last_sequence);
        let (first_change, last_change) = (meta.trimmed_changes + 1, meta.last_change);
        *self.bounds() = Ok(Bounds { record: meta.store, first, last, first_change, last_change });
    }

    /// Rows, and changes, before what this says are about to go.
    pub(super) fn trims(&self, meta: &Meta) {
        if let Ok(bounds) = &mut *self.bounds() {
            bounds.first = bounds.first.max(meta.first_sequence);
            bounds.first_change = bounds.first_change.max(meta.trimmed_changes + 1);
        }
    }

    /// Nothing more is read of it, and those who read now are not waited for.
    pub(super) fn give_up(&self, why: StoreError) {
        *self.bounds() = Err(why);
    }

    /// Waits for those who read, and lets the database go.
    pub(super) fn close(&self) {
        self.give_up(closed(&self.path));
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        // Another one is held by the store: this is not the last, which closes it.
        drop(db);
    }

    fn bounds(&self) -> MutexGuard<'_, Result<Bounds, StoreError>> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows from this one on, as far as they are kept and wanted; `None` where one is missing.
    fn rows(
        &self,
        db: &::sled::Db,
        Bounds { first, last, .. }: Bounds,
        from: u64,
        most: usize,
    ) -> Result<Option<Vec<RecordRow>>, StoreError> {
        let unreadable = |Unreadable(what)| damaged(&self.path, format!("the record: {what}"));
        let mut rows = Vec::new();
        if from > last || most == 0 {
            return Ok(Some(rows));
        }
        let begins_by = encoding::rows_key(first)..=encoding::rows_key(from);
        let block = guarded(&self.path, || db.range(begins_by).next_back().transpose())?;
        let Some((key, mut block)) = block else { return Ok(None) };
        let mut number = encoding::rows_number(&key).map_err(unreadable)?;
        loop {
            let all = encoding::read_rows(&block).map_err(unreadable)?;
            let next = number + all.len() as u64;
            if next <= number.max(from) {
                return Ok(None);
            }
            // More than `last` may be there that is not durable yet.
            let wanted = (number..=last).zip(all).filter(|(sequence, _)| *sequence >= from);
            let room = most - rows.len();
            rows.extend(wanted.take(room).map(|(sequence, row)| RecordRow { sequence, row }));
            if rows.len() == most || next > last {
                return Ok(Some(rows));
            }
            let kept = guarded(&self.path, || db.get(encoding::rows_key(next)))?;
            let Some(kept) = kept else { return Ok(None) };
            (number, block) = (next, kept);
        }
    }
}

impl SledReader {
    /// Changes from this one through that one; `None` where one is missing.
    fn entries(
        &self,
        db: &::sled::Db,
        (from, through): (u64, u64),
    ) -> Result<Option<Vec<(u64, ChangeEntry)>>, StoreError> {
        let unreadable = |Unreadable(what)| damaged(&self.path, format!("the log of changes: {what}"));
        let mut found = Vec::new();
        if from > through {
            return Ok(Some(found));
        }
        let mut all = db.range(encoding::change_key(from)..=encoding::change_key(through));
        while let Some((key, value)) = guarded(&self.path, || all.next().transpose())? {
            let number = encoding::change_number(&key).map_err(unreadable)?;
            if number != from + found.len() as u64 {
                return Ok(None);
            }
            found.push((number, encoding::read(&value).map_err(unreadable)?));
        }
        let whole = from + found.len() as u64 == through + 1;
        Ok(whole.then_some(found))
    }
}

impl PageReader for SledReader {
    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(|| closed(&self.path))?;
        for _ in 0..TRIES {
            let Bounds { record, first_change: first, last_change: last, .. } = self.bounds().clone()?;
            let from = after.saturating_add(1).max(first);
            let most = u64::try_from(most).unwrap_or(u64::MAX);
            let through = last.min(from.saturating_add(most).saturating_sub(1));
            if let Some(changes) = self.entries(db, (from, through))? {
                return Ok(ChangePage { changes, first, last, record });
            }
            if self.bounds().clone()?.first_change == first {
                return Err(damaged(&self.path, format!("a change after change {after} is missing")));
            }
        }
        let what = Arc::from("the log of changes is trimmed faster than it is read; try again");
        Err(StoreError::Io { path: self.path.clone(), what })
    }

    fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(|| closed(&self.path))?;
        for _ in 0..TRIES {
            let bounds = self.bounds().clone()?;
            let Bounds { record, first, last, .. } = bounds;
            let from = after.saturating_add(1).max(first);
            if let Some(rows) = self.rows(db, bounds, from, most)? {
                return Ok(Page { rows, first, last, record });
            }
            if self.bounds().clone()?.first == first {
                return Err(damaged(&self.path, format!("a row of the record after row {after} is missing")));
            }
        }
        let what = Arc::from("the record is trimmed faster than it is read; try again");
        Err(StoreError::Io { path: self.path.clone(), what })
    }
}

fn closed(path: &Path) -> StoreError {
    StoreError::Io { path: path.to_owned(), what: Arc::from("it is closed") }
}
