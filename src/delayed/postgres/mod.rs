//! The store of delayed events on Postgres, beside the one of the progress: for several clocks of one name, of which one leads.
//!
//! Invariant: every batch is one transaction of the clock's one writer ([`Session`]), which begins with the compare-and-swap on
//! the row of the shard; what a batch is about is read within it. What only settles does not wait for the disk of the server
//! (`synchronous_commit` is off for its transaction alone), and lasts with the next write that does, of whichever store. After
//! any failed write nothing more is written until the store is opened again.
//!
//! Absent: a look at the server's disk. It answers itself when it is full, and nothing of that batch is kept.

mod answers;
mod apply;
mod copying;
mod keyed;
mod overlay;
mod reader;
mod state;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod pooled;

use super::meta;
use crate::{
    engine::delayed::{
        DelayedBatch, DelayedLimits, DelayedReader, DelayedRoom, DelayedSnapshot, DelayedStore,
        DelayedWritten,
    },
    postgres::{Door, Numbered, Reads, Session, Writing, note_leadership},
    store::{StoreError, Written},
};
pub(crate) use copying::{PostgresDelayedSource, PostgresDelayedTarget};
pub(crate) use reader::delayed_reader;
use reader::{PostgresDelayedReader, RECORD};
use state::State;
use std::{fmt, sync::Arc};

/// The store of delayed events on Postgres.
pub struct PostgresDelayed {
    door: Door,
    session: Arc<Session>,
    reader: Arc<PostgresDelayedReader>,
    state: State,
    record: Numbered,
    log: Numbered,
    /// Whether it is noted who leads while this opening adds to the record.
    is_noted: bool,
    limits: DelayedLimits,
    /// Whether all that was written is durable.
    is_durable: bool,
    /// Why nothing more is written.
    broken: Option<StoreError>,
}

impl PostgresDelayed {
    /// Opens the clock's store, or creates it: the shard is acquired where this process does not hold it yet. What it holds is
    /// not read.
    ///
    /// # Errors
    /// [`StoreError::Led`] while another process holds it, [`StoreError::OtherClock`], [`StoreError::Newer`],
    /// [`StoreError::Damaged`], or [`StoreError::Io`].
    pub fn open(door: &Door, limits: DelayedLimits) -> Result<Self, StoreError> {
        let session = door.session()?;
        let reader = Arc::new(PostgresDelayedReader::new(door, Arc::new(Reads::new(door))));
        let shard = door.shard();
        let read = reader.reads().at_once_by(&session, async |calls| state::read(calls, shard).await)?;
        let state = match read.understood(door)? {
            Some(state) => state,
            None => {
                let state = State::new(&shard.clock);
                // So that its id stays; it counts as no write.
                session.write(Writing::default(), async |calls| state.write(calls, shard).await)?;
                state
            }
        };
        Ok(Self {
            door: door.clone(),
            session,
            reader,
            state,
            record: Numbered::new(RECORD),
            log: Numbered::weighed("delayed_change"),
            is_noted: false,
            limits,
            is_durable: true,
            broken: None,
        })
    }

    fn ready(&self, term: u64) -> Result<(), StoreError> {
        let seen = self.state.meta.term;
        if term < seen {
            return Err(StoreError::Fenced { term, seen });
        }
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Makes one transaction of it.
    fn commit(&mut self, term: u64, batch: &DelayedBatch, lasts: bool) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.meta.term = term;
        state.meta.generation += 1;
        // An older version must not read what this one writes.
        state.meta.form = state.meta.form.max(meta::FORM);
        state.meta.writer = meta::writer();
        let writing = Writing { may_be_lost: !lasts, ..Writing::default() };
        let (shard, limits) = (self.door.shard(), self.limits);
        let numbered = (&mut self.record, &mut self.log);
        let (is_noted, last) = (self.is_noted, state.meta.last_row);
        let written = self.session.write(writing, async |calls| {
            apply::apply(calls, shard, batch, &limits, numbered, &mut state).await?;
            let adds = state.meta.last_row > last;
            if adds && !is_noted {
                note_leadership(calls, shard, RECORD, last).await?;
            }
            Ok((state, is_noted || adds))
        });
        match written {
            Ok((state, is_noted)) => {
                (self.state, self.is_noted) = (state, is_noted);
                self.is_durable = lasts;
                Ok(())
            }
            Err(error) => {
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl DelayedStore for PostgresDelayed {
    fn load(&mut self) -> Result<DelayedSnapshot, StoreError> {
        let meta = &self.state.meta;
        let (created, balance, last_row) = (meta.created, meta.balance, meta.last_row);
        Ok(DelayedSnapshot { created, balance, last_row, owners: self.reader.owners(&self.session)? })
    }

    fn write(&mut self, term: u64, batch: &DelayedBatch) -> Result<DelayedWritten, StoreError> {
        self.ready(term)?;
        self.commit(term, batch, batch.must_last())?;
        let meta = &self.state.meta;
        Ok(DelayedWritten { last_row: meta.last_row, balance: meta.balance, is_durable: self.is_durable })
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
        Arc::new(|_, _| Ok(()))
    }

    fn written(&self) -> Written {
        let meta = &self.state.meta;
        let ours = meta.writer == meta::writer();
        Written { count: meta.generation, ours, last_sequence: meta.last_row }
    }

    fn id(&self) -> u64 {
        self.state.meta.store
    }
}

impl Drop for PostgresDelayed {
    fn drop(&mut self) {
        self.reader.reads().close();
    }
}

impl fmt::Debug for PostgresDelayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDelayed")
            .field("door", &self.door)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
