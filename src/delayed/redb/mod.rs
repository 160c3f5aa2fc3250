//! The store of delayed events on redb: some hundred bytes beside each event's content, a memory that does not grow with them, and
//! an opening that takes no longer after a crash.
//!
//! Invariant: the folder holds a database that is at least as new as its [`seal`], and has its id (or is ahead of it by an accept of
//! a copy that is [`held`]); whatever else is found is refused with the
//! remedy, and never replaced by an empty store. Every batch is one transaction. Every [page](pages) that is read is held against
//! its sum, for redb reads without a look at its own. After any failed write nothing more is written until the store is opened
//! again.
//!
//! Absent: several processes (a lock file refuses the second), and what the steps of a batch mean.

mod apply;
mod copying;
mod files;
mod guard;
mod held;
mod open;
mod pages;
mod reader;
mod room;
mod seal;
mod tables;
mod trim;
mod upgrade;

#[cfg(test)]
mod faults;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod kills;
#[cfg(unix)]
#[cfg(test)]
mod others;

use super::{encoding, meta};
use crate::{
    engine::delayed::{
        DelayedBatch, DelayedLimits, DelayedReader, DelayedRoom, DelayedSnapshot, DelayedStore,
        DelayedWritten,
    },
    store::{StoreError, Written},
};
use ::redb::{Database, Durability};
pub(crate) use copying::{DelayedWholeSource, RedbSource, RedbTarget};
use files::Files;
#[cfg(test)]
pub(crate) use full_disk::on_a_small_disk;
use guard::{damaged, guarded};
use meta::Meta;
use reader::RedbReader;
pub(crate) use room::free as room;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How a [`RedbDelayed`] is opened.
#[derive(Debug, Clone)]
pub struct RedbOptions {
    /// Bytes that redb keeps of its pages in memory.
    pub cache: usize,
    /// Bytes of the disk that are left for settling what is there: nothing is let in that would take of them. What was let in is
    /// written as long as half of them are left, for others may use the disk meanwhile.
    pub reserve: u64,
    /// How much is kept of what is over.
    pub limits: DelayedLimits,
    /// It is part of a copy that is held, which gave it this id: it may have become a store of its own, and its seal not know yet.
    pub held: Option<u64>,
}

impl Default for RedbOptions {
    /// 16 MiB of cache; 64 MiB of reserve.
    fn default() -> Self {
        Self { cache: 16 << 20, reserve: 64 << 20, limits: DelayedLimits::default(), held: None }
    }
}

/// The store of delayed events on redb.
pub struct RedbDelayed {
    path: PathBuf,
    /// `None` once redb can't be trusted any more.
    db: Option<Arc<Database>>,
    /// Reads on other threads.
    reader: Arc<RedbReader>,
    meta: Meta,
    /// Whether all that was written is durable.
    is_durable: bool,
    reserve: u64,
    limits: DelayedLimits,
    /// Why nothing more is written.
    broken: Option<StoreError>,
    /// Last, so that the lock goes after the database is closed.
    files: Files,
}

impl RedbDelayed {
    /// Opens the store in a folder, or creates it there if the folder is empty or missing. What it holds is not read.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherClock`], [`StoreError::Newer`], [`StoreError::Damaged`], or
    /// [`StoreError::Io`].
    pub fn open(path: &Path, clock: &str, options: &RedbOptions) -> Result<Self, StoreError> {
        open::open(path, clock, options)
    }

    fn ready(&self, term: u64) -> Result<Arc<Database>, StoreError> {
        let seen = self.meta.term;
        if term < seen {
            return Err(StoreError::Fenced { term, seen });
        }
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.db.clone().ok_or_else(|| damaged(&self.path, "it was given up on")),
        }
    }

    /// Makes one transaction of it.
    fn commit(&mut self, term: u64, batch: &DelayedBatch, lasts: bool) -> Result<(), StoreError> {
        let db = self.ready(term)?;
        let mut meta = self.meta.clone();
        meta.term = term;
        meta.generation += 1;
        meta.writer = meta::writer();
        let limits = self.limits;
        let written = guarded(&self.path, || {
            let mut transaction = db.begin_write()?;
            // A durable write keeps what redb needs to open at once after a crash; one that is not has no use for that.
            transaction.set_quick_repair(lasts);
            transaction.set_durability(if lasts { Durability::Immediate } else { Durability::None })?;
            apply::apply(&transaction, batch, &limits, &mut meta)?;
            point("applied");
            transaction.commit()?;
            Ok(meta)
        });
        point("committed");
        self.meta = written.map_err(|error| self.fail(error))?;
        self.is_durable = lasts;
        if lasts {
            let sealed = self.files.seal(&self.meta);
            sealed.map_err(|error| self.fail(error))?;
        }
        point("sealed");
        Ok(())
    }

    fn fail(&mut self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Damaged { .. }) {
            // What is damaged is not asked to close properly, nor read any more.
            self.reader.close(&error);
            if let Some(db) = self.db.take() {
                std::mem::forget(db);
            }
        }
        self.broken = Some(error.clone());
        error
    }
}

impl DelayedStore for RedbDelayed {
    fn load(&mut self) -> Result<DelayedSnapshot, StoreError> {
        let Meta { created, balance, last_row, .. } = self.meta;
        Ok(DelayedSnapshot { created, balance, last_row, owners: self.reader.owners()? })
    }

    fn write(&mut self, term: u64, batch: &DelayedBatch) -> Result<DelayedWritten, StoreError> {
        self.ready(term)?;
        let (count, bytes) = batch.puts();
        if count > 0 {
            room::check(&self.path, self.reserve / 2, bytes, count)?;
        }
        self.commit(term, batch, batch.must_last())?;
        let Meta { last_row, balance, .. } = self.meta;
        Ok(DelayedWritten { last_row, balance, is_durable: self.is_durable })
    }

    fn flush(&mut self, term: u64) -> Result<(), StoreError> {
        self.ready(term)?;
        if self.is_durable {
            return Ok(());
        }
        // It says no time: nothing goes by its age.
        self.commit(term, &DelayedBatch::default(), true)
    }

    fn reader(&self) -> Arc<dyn DelayedReader> {
        self.reader.clone()
    }

    fn room(&self) -> DelayedRoom {
        let (path, reserve) = (self.path.clone(), self.reserve);
        Arc::new(move |bytes, count| room::check(&path, reserve, bytes, count))
    }

    fn written(&self) -> Written {
        let Meta { generation, writer, last_row, .. } = self.meta;
        Written { count: generation, ours: writer == meta::writer(), last_sequence: last_row }
    }

    fn id(&self) -> u64 {
        self.meta.store
    }
}

impl Drop for RedbDelayed {
    fn drop(&mut self) {
        self.reader.close(&guard::closed(&self.path));
        if let Some(db) = self.db.take() {
            // Redb makes what was written durable while it closes; where it can't, that was said when it was written.
            let _ = guarded(&self.path, || {
                drop(db);
                Ok(())
            });
        }
    }
}

impl fmt::Debug for RedbDelayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbDelayed")
            .field("path", &self.path)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// Where tests stop the process.
#[cfg(test)]
fn point(name: &str) {
    if std::env::var_os("KHRONOS_TEST_ABORT").is_some_and(|wanted| wanted == name) {
        std::process::abort();
    }
}

#[cfg(not(test))]
fn point(_: &str) {}
