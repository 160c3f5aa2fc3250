//! The store on Postgres: for several clocks of one name, of which one leads.
//!
//! Invariant: each write is one transaction of the clock's one writer ([`Session`]), which begins with the compare-and-swap on
//! the row of the shard: W, H and what the store says of itself lie in that row, all else in tables beside it, written in the
//! same transaction. Numbers of the record come from the row in the transaction that writes them: there are no gaps, and they
//! are seen in their order. After any failed write nothing more is written until the store is opened again.
//!
//! Keys and values are those of the store on sled: one set of forms, whichever store they lie in.

mod copying;
mod held;
mod load;
mod looks;
mod reader;
mod tables;
mod told;
mod touched;
mod trim;
mod warm;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod following;

use super::{
    Limits, PageReader, Store, StoreError, Written,
    changes::Changes,
    complete_after, details_lost,
    encoding::{self, Unreadable},
    made_up,
    meta::{self, FORM, Meta},
};
use crate::{
    engine::{ChangeEntry, Commit, LoggedChange, Row, Snapshot},
    postgres::{Added, Door, Failed, Numbered, Progress, Reads, Session, Writing, note_leadership},
    schedule::CalendarStore,
};
pub(crate) use copying::{PostgresSource, PostgresTarget};
use held::{Difference, Held, Parts};
use load::Found;
use ponos::event::Timestamp;
pub(crate) use reader::page_reader;
use reader::{PostgresReader, RECORD};
use std::{collections::BTreeSet, fmt, sync::Arc};
pub use warm::{Look, TakeOver, WarmStore, Warmth};

/// How a [`PostgresStore`] is opened.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// How much of the record is kept.
    pub limits: Limits,
    /// Where the days of the calendars go that its definitions name, and the rules of the zones.
    pub calendars: CalendarStore,
    /// What was held of it while another clock led: then the first load reads what has changed since.
    pub warm: Option<TakeOver>,
}

/// The store on Postgres.
pub struct PostgresStore {
    door: Door,
    session: Arc<Session>,
    reader: Arc<PostgresReader>,
    meta: Meta,
    record: Numbered,
    log: Numbered,
    /// Whether it is noted who leads while this opening adds to the record.
    is_noted: bool,
    limits: Limits,
    calendars: CalendarStore,
    ahead: Option<Ahead>,
    /// Tells the writes of this opening from all others.
    opening: u64,
    /// The keys of calendars and zones that no revision referred to when it was loaded; they go with the next commit.
    unused: Vec<Vec<u8>>,
    /// Why nothing more is written.
    broken: Option<StoreError>,
}

/// What was loaded, and the keys of calendars and zones in it that no revision refers to.
type WithUnused = (Snapshot, BTreeSet<Vec<u8>>);

/// What was held while another clock led, and what was written since.
struct Ahead {
    warm: TakeOver,
    held: Box<Held>,
    difference: Difference,
}

/// What a write adds to the record, and to the log of changes.
#[derive(Default)]
struct Adds<'a> {
    rows: &'a [Row],
    logged: &'a [LoggedChange],
}

impl From<Unreadable> for Failed {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl PostgresStore {
    /// Opens the clock's store, or creates it: the shard is acquired where this process does not hold it yet.
    ///
    /// # Errors
    /// [`StoreError::Led`] while another process holds it, [`StoreError::OtherClock`], [`StoreError::Newer`],
    /// [`StoreError::Damaged`], or [`StoreError::Io`].
    pub fn open(door: &Door, options: &PostgresOptions) -> Result<Self, StoreError> {
        let session = door.session()?;
        let reads = Arc::new(Reads::new(door));
        let shard = door.shard();
        let warm = options.warm.as_ref().and_then(|warm| Some((warm.clone(), warm.take()?)));
        // Under the grant of this clock, so that nothing is written beside it until it writes.
        let read = reads.at_once_by(&session, async |calls| {
            let found = load::meta(calls, shard).await?;
            let difference = match (&found, &warm) {
                (Found::Kept(meta), Some((_, held))) => held.at.difference(calls, shard, meta).await?,
                _ => None,
            };
            Ok((found, difference))
        });
        let (found, difference) = match read {
            Ok(read) => read,
            Err(error) => {
                warm.into_iter().for_each(|(warm, held)| warm.keep(held));
                return Err(error);
            }
        };
        let ahead = warm.zip(difference);
        let ahead = ahead.map(|((warm, held), difference)| Ahead { warm, held, difference });
        let mut store = Self {
            door: door.clone(),
            session,
            reader: Arc::new(PostgresReader::new(door, reads)),
            meta: Meta { form: FORM, ..Meta::new(&shard.clock) },
            record: Numbered::new(RECORD),
            log: Numbered::new("change"),
            is_noted: false,
            limits: options.limits,
            calendars: options.calendars.clone(),
            ahead,
            opening: made_up(),
            unused: Vec::new(),
            broken: None,
        };
        match found.understood(door)? {
            Some(meta) => store.meta = meta,
            // So that its id stays; it counts as no write.
            None => store.commit(store.meta.clone(), Changes::default(), &Adds::default())?,
        }
        Ok(store)
    }

    /// Makes one write of it: `change` says what, by way of the changes and the new meta.
    fn write(
        &mut self,
        adds: &Adds<'_>,
        change: impl FnOnce(&mut Changes, &mut Meta) -> Result<(), Unreadable>,
    ) -> Result<u64, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let (mut meta, mut changes) = (self.meta.clone(), Changes::default());
        let written = change(&mut changes, &mut meta)
            .map_err(|Unreadable(what)| self.door.address().damaged(what))
            .and_then(|()| {
                meta.generation += 1;
                // An older version must not read what this one writes.
                meta.form = meta.form.max(FORM);
                meta.writer = meta::writer();
                self.commit(meta, changes, adds)
            });
        match written {
            Ok(()) => Ok(self.meta.last_sequence),
            Err(error) => {
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    fn commit(&mut self, mut meta: Meta, changes: Changes, adds: &Adds<'_>) -> Result<(), StoreError> {
        let door = self.door.clone();
        let failed = |failed: Failed| door.address().explain(failed, 0);
        let (rows, logged) = (rows(adds.rows).map_err(failed)?, logged(adds.logged).map_err(failed)?);
        let (last_row, last_change) = (meta.last_sequence, meta.last_change);
        let notes = !self.is_noted && !rows.values.is_empty();
        let trimmed = self.trim(&mut meta, &rows, &logged)?;
        meta.last_sequence += rows.values.len() as u64;
        meta.last_change += logged.values.len() as u64;
        let progress = progress(&meta).map_err(failed)?;
        let shard = self.door.shard();
        let (record, log) = (&self.record, &self.log);
        let keys: Vec<_> = changes.all.keys().cloned().collect();
        let write = (meta.generation, self.opening);
        // It renews the lease, so nothing else goes before it.
        let writing = Writing { progress, goes_first: true, ..Writing::default() };
        self.session.write(writing, async |calls| {
            tables::write(calls, shard, changes).await?;
            touched::note(calls, shard, write, &keys).await?;
            record.write(calls, shard, last_row, &rows, trimmed.rows).await?;
            if notes {
                note_leadership(calls, shard, RECORD, last_row).await?;
            }
            log.write(calls, shard, last_change, &logged, trimmed.changes).await
        })?;
        (self.meta, self.is_noted) = (meta, self.is_noted || notes);
        Ok(())
    }

    /// Everything.
    fn load_everything(&self) -> Result<WithUnused, StoreError> {
        let (shard, calendars) = (self.door.shard(), &self.calendars);
        let reads = self.reader.reads();
        let loaded =
            reads.at_once_by(&self.session, async |calls| load::everything(calls, shard, calendars).await)?;
        Ok((loaded.snapshot, loaded.unused))
    }

    /// The same from what was held while another clock led, and what was written since; `None` where that is not known.
    fn load_what_changed(&mut self) -> Option<WithUnused> {
        let Ahead { warm, held, difference } = self.ahead.take()?;
        // What can't be read of it is found again where all is read, and told by that.
        let Parts { snapshot, warm: made, calendars, unused } =
            held.apply(difference).and_then(Held::into_parts).ok()?;
        warm.give(made, calendars);
        Some((snapshot, unused))
    }

    fn fence(&self, term: u64) -> Result<(), StoreError> {
        let seen = self.meta.term;
        if term < seen { Err(StoreError::Fenced { term, seen }) } else { Ok(()) }
    }

    fn add(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.write(&Adds { rows, logged: &[] }, |_, meta| {
            meta.term = term;
            // Before the first commit nothing was sent, so nothing can be missing.
            meta.complete = meta.complete.map(|kept| kept.max(complete));
            Ok(())
        })
    }
}

impl Store for PostgresStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        if let Some(row) = details_lost(self.meta.complete, self.meta.settled) {
            let complete = row.last;
            self.add(self.meta.term, &[row], complete)?;
        }
        self.meta.complete = self.meta.complete.min(self.meta.settled);
        let (loaded, unused) = match self.load_what_changed() {
            Some(loaded) => loaded,
            None => self.load_everything()?,
        };
        self.unused = unused.into_iter().collect();
        let Meta { settled, handed, reached, set_backs, last_sequence, created, .. } = self.meta;
        Ok(Snapshot {
            settled,
            handed,
            reached: reached.or(handed),
            set_backs,
            last_sequence,
            created,
            ..loaded
        })
    }

    fn save(&mut self, term: u64, commit: &Commit) -> Result<u64, StoreError> {
        self.fence(term)?;
        let unused = std::mem::take(&mut self.unused);
        self.write(&Adds { rows: &commit.rows, logged: &commit.changes }, |changes, meta| {
            meta.term = term;
            meta.settled = Some(commit.settled);
            meta.handed = Some(commit.handed);
            meta.reached = Some(commit.reached);
            meta.complete = complete_after(meta.complete, meta.set_backs, commit);
            meta.set_backs = commit.set_backs;
            meta.created = meta.created.max(commit.created);
            changes.commit(commit)?;
            for key in unused {
                if !changes.concerns(&key) {
                    changes.remove(key);
                }
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
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        // It was not loaded: for the next one who tries.
        if let Some(Ahead { warm, held, .. }) = self.ahead.take() {
            warm.keep(held);
        }
        self.reader.reads().close();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("door", &self.door)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// What is left in the row of the shard.
fn progress(meta: &Meta) -> Result<Progress, Failed> {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    Ok(Progress {
        settled: millis(meta.settled),
        handed: millis(meta.handed),
        complete: millis(meta.complete),
        state: Some(encoding::value(meta)?),
    })
}

/// Each row as a block of one.
fn rows(rows: &[Row]) -> Result<Added, Failed> {
    let mut added = Added::default();
    for row in rows {
        added.at.push(row.at);
        added.values.push(encoding::row_value(row)?);
    }
    Ok(added)
}

fn logged(logged: &[LoggedChange]) -> Result<Added, Failed> {
    let mut added = Added::default();
    for change in logged {
        added.at.push(change.at);
        added.values.push(encoding::value(&ChangeEntry::from(change))?);
    }
    Ok(added)
}
