//! The store on sled, hardened against what sled was measured to do: lose a truncated file's content without a word,
//! panic on damaged pages, flush without fsync, stay broken after a full disk.
//!
//! Invariant: the folder holds a database that is exactly as old as its [`seal`], or one write ahead of it (a crash
//! between the two); whatever else is found is refused with the remedy, and never replaced by an empty store. Every
//! write is one atomic batch, flushed, synced on an own handle, then sealed. After any failed write nothing more is
//! written until the store is opened again.
//!
//! Absent: several processes (a lock file refuses the second), and a bulk store (the record is bounded).

mod batch;
mod copying;
mod files;
mod guard;
mod log;
mod open;
mod reader;
mod record;
mod scan;
mod seal;

#[cfg(test)]
mod beside;
#[cfg(test)]
mod calendars;
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
#[cfg(test)]
mod run_time_bytes;
#[cfg(test)]
mod zones;

use super::{
    Limits, PageReader, Store, StoreError, Whole, Written, changes, complete_after, details_lost, encoding,
    meta,
};
use crate::{
    engine::{Commit, LoggedChange, Revision, Row, Snapshot},
    schedule::CalendarStore,
};
use changes::{Changes, has_pauses, is_of_run_time};
pub(crate) use copying::{SledSource, SledTarget, WholeSource};
use encoding::{Entry, Unreadable};
use files::Files;
pub(crate) use files::{exposed, is_empty};
#[cfg(test)]
pub(crate) use fixture::{child, child_folder, copy, scale};
pub use guard::NO_ROOM;
pub(crate) use guard::io_error;
use guard::{damaged, guarded};
use meta::{FORM_OF_CREATIONS, FORM_OF_ORIGINS, FORM_OF_PAUSES, FORM_OF_RETRIES, FORM_OF_ZONES, Meta};
pub(crate) use open::{held_delayed_id, seems_held};
use ponos::event::Timestamp;
use reader::SledReader;
use record::Record;
#[cfg(test)]
pub(crate) use seal::NAME as SEAL;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How a [`SledStore`] is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Bytes that sled keeps of its pages in memory.
    pub cache: u64,
    /// How much of the record is kept.
    pub limits: Limits,
    /// Where the days of the calendars go that its definitions name, and the rules of the zones.
    pub calendars: CalendarStore,
    /// Whether it may be a copy that is held: for who reads it, or has it accepted.
    pub held: bool,
}

impl Default for SledOptions {
    /// 4 MiB of cache, so that a small clock stays small; a million rows, 90 days.
    fn default() -> Self {
        Self { cache: 4 << 20, limits: Limits::default(), calendars: CalendarStore::default(), held: false }
    }
}

/// The store on sled.
pub struct SledStore {
    path: PathBuf,
    /// `None` once sled can't be trusted any more.
    db: Option<::sled::Db>,
    /// Reads the record on other threads.
    reader: Arc<SledReader>,
    meta: Meta,
    record: Record,
    limits: Limits,
    calendars: CalendarStore,
    /// What the scan at opening read, until it is loaded or outdated.
    loaded: Option<Snapshot>,
    /// The keys of calendars and zones that no revision referred to when it was opened; they go with the next commit.
    unused: Vec<Vec<u8>>,
    /// The keys of revisions that an earlier version wrote; they get the rules of their zones with the next commits.
    without_rules: Vec<Vec<u8>>,
    /// Why nothing more is written.
    broken: Option<StoreError>,
    /// Last, so that the lock goes after the database is closed.
    files: Files,
}

impl SledStore {
    /// Opens the store in a folder, or creates it there if the folder is empty or missing. Reads everything once.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherClock`], [`StoreError::Held`], [`StoreError::Damaged`], or [`StoreError::Io`].
    pub fn open(path: &Path, clock: &str, options: &SledOptions) -> Result<Self, StoreError> {
        open::open(path, clock, options)
    }

    fn db(&self) -> Result<&::sled::Db, StoreError> {
        self.db.as_ref().ok_or_else(|| self.given_up())
    }

    fn kept(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db()?;
        Ok(guarded(&self.path, || db.get(key))?.map(|value| value.to_vec()))
    }

    /// Makes one write of it: `change` says what, by way of the changes and the new meta.
    fn write(
        &mut self,
        added: Added<'_>,
        change: impl FnOnce(&mut Changes, &mut Meta) -> Result<(), Unreadable>,
    ) -> Result<u64, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.loaded = None;
        let written = self.try_write(added, change);
        if let Err(error) = &written {
            self.broken = Some(error.clone());
            if matches!(error, StoreError::Damaged { .. }) {
                self.abandon();
            }
        }
        written
    }

    fn try_write(
        &mut self,
        Added { rows, logged }: Added<'_>,
        change: impl FnOnce(&mut Changes, &mut Meta) -> Result<(), Unreadable>,
    ) -> Result<u64, StoreError> {
        let mut meta = self.meta.clone();
        let mut changes = Changes::default();
        let mut record = std::mem::take(&mut self.record);
        let prepared = (|| {
            change(&mut changes, &mut meta)?;
            record.append(rows, &mut meta, &mut changes)?;
            let kept = |key: &[u8]| self.kept(key).map_err(Failed::Store);
            record.trim(self.limits, &mut meta, &mut changes, kept)?;
            log::append(logged, self.limits, &mut meta, &mut changes, kept)?;
            Ok::<_, Failed>(())
        })();
        self.record = record;
        prepared.map_err(|failed| failed.explain(&self.path))?;
        meta.generation += 1;
        meta.writer = meta::writer();
        self.commit(changes, meta)?;
        Ok(self.meta.last_sequence)
    }

    /// Sled's own clean-up after a panic could wait for ever for what the panic left half done: it is left alone.
    fn abandon(&mut self) {
        if let Some(db) = self.db.take() {
            std::mem::forget(db);
        }
        self.reader.give_up(self.given_up());
    }

    /// Why it is not used any more.
    fn given_up(&self) -> StoreError {
        self.broken.clone().unwrap_or_else(|| damaged(&self.path, "it was given up on"))
    }

    fn fence(&self, term: u64) -> Result<(), StoreError> {
        let seen = self.meta.term;
        if term < seen { Err(StoreError::Fenced { term, seen }) } else { Ok(()) }
    }

    fn add(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.write(Added { rows, logged: &[] }, |_, meta| {
            meta.term = term;
            // Before the first commit nothing was sent, so nothing can be missing.
            meta.complete = meta.complete.map(|kept| kept.max(complete));
            Ok(())
        })
    }

    /// The next revisions that an earlier version wrote, as they are to lie there, and the rules of their zones.
    fn with_rules(&mut self) -> Result<Vec<KeyValue>, StoreError> {
        let keys = self.without_rules.split_off(self.without_rules.len().saturating_sub(AMENDED));
        let mut amended = Vec::new();
        for key in keys {
            // One that was forgotten meanwhile needs none.
            let Some(bytes) = self.kept(&key)? else { continue };
            let unreadable = |Unreadable(what)| damaged(&self.path, what);
            let entry = encoding::entry(&key, &bytes, &self.calendars).map_err(unreadable)?;
            if let Entry::Revision(revision, _) = entry {
                let rules = revision.definition.zone_rules();
                amended.extend(
                    rules.map(|rules| (encoding::zone_key(rules.id()).to_vec(), rules.tzif().to_vec())),
                );
            }
            amended.push((key, encoding::with_rules(&bytes).map_err(unreadable)?));
        }
        Ok(amended)
    }

    fn snapshot(&mut self) -> Result<Snapshot, StoreError> {
        match self.loaded.take() {
            Some(snapshot) => Ok(snapshot),
            None => Ok(open::scan(&self.path, self.db()?, &self.calendars)?.snapshot),
        }
    }
}

impl Store for SledStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.snapshot()?;
        if let Some(row) = details_lost(self.meta.complete, self.meta.settled) {
            let complete = row.last;
            self.add(self.meta.term, &[row], complete)?;
        }
        self.meta.complete = self.meta.complete.min(self.meta.settled);
        snapshot.settled = self.meta.settled;
        snapshot.handed = self.meta.handed;
        snapshot.reached = self.meta.reached.or(self.meta.handed);
        snapshot.set_backs = self.meta.set_backs;
        snapshot.last_sequence = self.meta.last_sequence;
        snapshot.created = self.meta.created;
        Ok(snapshot)
    }

    fn save(&mut self, term: u64, commit: &Commit) -> Result<u64, StoreError> {
        self.fence(term)?;
        let unused = std::mem::take(&mut self.unused);
        let amended = self.with_rules()?;
        self.write(Added { rows: &commit.rows, logged: &commit.changes }, |changes, meta| {
            meta.term = term;
            meta.settled = Some(commit.settled);
            meta.handed = Some(commit.handed);
            meta.reached = Some(commit.reached);
            meta.complete = complete_after(meta.complete, meta.set_backs, commit);
            meta.set_backs = commit.set_backs;
            meta.created = meta.created.max(commit.created);
            let is_created = |revision: &Revision| revision.definition.is_created();
            let creations = meta.created > 0 || commit.revisions.iter().any(is_created);
            if creations || is_of_run_time(commit) {
                meta.form = meta.form.max(FORM_OF_CREATIONS);
            }
            let older_knows = |revision: &Revision| revision.set_backs == 0;
            if commit.set_backs > 0 || !commit.revisions.iter().all(older_knows) {
                meta.form = meta.form.max(FORM_OF_ORIGINS);
            }
            let mut parked = commit.parked.iter().filter_map(|(_, parked)| parked.as_ref());
            changes.commit(commit)?;
            // An older version does not know the key either, and would take the definition for damaged.
            if meta.form < FORM_OF_RETRIES
                && (changes.has_resends() || parked.any(|parked| encoding::retries(parked).is_some()))
            {
                meta.form = FORM_OF_RETRIES;
            }
            changes.amend(amended);
            for key in unused {
                if !changes.concerns(&key) {
                    changes.remove(key);
                }
            }
            if meta.form < FORM_OF_ZONES && changes.has_zones() {
                meta.form = FORM_OF_ZONES;
            }
            if has_pauses(commit) {
                meta.form = meta.form.max(FORM_OF_PAUSES);
            }
            Ok(())
        })
    }

    fn append(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.fence(term)?;
        self.add(term, rows, complete)
    }

    fn reader(&self) -> Arc<dyn PageReader> {
        self.reader.clone()
    }

    fn written(&self) -> Written {
        let Meta { generation, writer, last_sequence, .. } = self.meta;
        Written { count: generation, ours: writer == meta::writer(), last_sequence }
    }

    fn id(&self) -> u64 {
        self.meta.store
    }

    fn whole(&self) -> Result<Option<Whole>, StoreError> {
        copying::whole(self).map(Some)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let db = self.db.take();
        if db.is_some() {
            self.reader.close();
        }
        // Sled unwraps a sync while it closes.
        if let Some(db) = db {
            if catch_unwind(AssertUnwindSafe(move || drop(db))).is_err() {
                tracing::warn!(store = %self.path.display(), "sled could not close its file; what was saved was synced before");
            }
            files::await_release(&self.path);
        }
        // What it wrote while it closed; where that does not succeed, it is done at the next opening.
        let _ = files::close(&self.path);
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.path)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// Revisions of an earlier version that get the rules of their zones with one commit.
const AMENDED: usize = 1_000;

/// What a write adds to the record, and to the log of changes.
#[derive(Clone, Copy)]
struct Added<'a> {
    rows: &'a [Row],
    logged: &'a [LoggedChange],
}

/// A key, and what is to lie there.
type KeyValue = (Vec<u8>, Vec<u8>);

/// Why a write could not be prepared, or a scan not finished.
enum Failed {
    Store(StoreError),
    Unreadable(Unreadable),
}

impl Failed {
    fn explain(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Unreadable(Unreadable(what)) => damaged(path, what),
        }
    }
}

impl From<Unreadable> for Failed {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
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
