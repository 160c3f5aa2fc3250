//! A clock that does not run: what its store holds.

use super::{OpsError, PauseView, RecordReader};
use crate::{
    delayed::{self, DelayedHandle, DelayedTuning, RedbOptions},
    engine::{Pause, Revision, ScheduleStatus, Sent, Snapshot, Span},
    schedule::CalendarStore,
    store::{StoreError, StoreHandle},
};
use ponos::event::Timestamp;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::OnceCell;

/// The store of a clock that does not run, open. Clones share it.
#[derive(Debug, Clone)]
pub struct StoppedClock {
    pub(super) name: String,
    /// Its revisions are sorted by name and number, what is outstanding and what is pending by name,
    /// parked events by number.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) record: RecordReader,
    pub(super) calendars: CalendarStore,
    store: StoreHandle,
    /// Where its delayed events lie, …
    delayed: Option<PathBuf>,
    /// … which id the copy gave them that is held, if it is one, …
    held: Option<u64>,
    /// … and their store, once somebody asked for something of it.
    delayed_store: Arc<OnceCell<DelayedHandle>>,
}

impl StoppedClock {
    /// The clock of this name, with the store as it was opened.
    pub fn new(name: String, store: StoreHandle, mut snapshot: Snapshot, calendars: CalendarStore) -> Self {
        snapshot.revisions.sort_by(|a, b| (a.name(), a.number).cmp(&(b.name(), b.number)));
        snapshot.spans.sort_by(|(a, _), (b, _)| a.cmp(b));
        snapshot.one_shots.sort_by(|(a, _), (b, _)| a.cmp(b));
        snapshot.parked.sort_by_key(|(number, _)| *number);
        snapshot.named_pauses.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (snapshot, record) = (Arc::new(snapshot), store.clone().into());
        Self {
            name,
            snapshot,
            record,
            calendars,
            store,
            delayed: None,
            held: None,
            delayed_store: Arc::default(),
        }
    }

    /// The same, whose delayed events lie in this folder, if it keeps any; under this id where they are part of a copy that is held.
    #[must_use]
    pub fn with_delayed(self, folder: PathBuf, held: Option<u64>) -> Self {
        // Opening creates what is missing: who only reads must not leave an empty store behind.
        let is_there = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_some(),
            // What can't be read is said by whoever asks for something of it; a link is there, though its disk may not be.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound || folder.symlink_metadata().is_ok(),
        };
        Self { delayed: is_there.then_some(folder), held, ..self }
    }

    pub(super) fn has_delayed(&self) -> bool {
        self.delayed.is_some()
    }

    /// Where its delayed events are kept, opened when it is asked for first.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: it keeps none, or they can't be read.
    pub(super) async fn delayed(&self) -> Result<DelayedHandle, OpsError> {
        let Some(folder) = self.delayed.clone() else {
            return Err(OpsError::Unavailable("this clock keeps no delayed events".to_owned()));
        };
        let open = || async {
            let options = RedbOptions { held: self.held, ..RedbOptions::default() };
            let tuning = DelayedTuning::default();
            delayed::open_redb(folder, self.name.clone(), options, tuning).await.map(|(store, ..)| store)
        };
        let opened = self.delayed_store.get_or_try_init(open).await.cloned();
        opened.map_err(|error| OpsError::Unavailable(format!("delayed events can't be read: {error}")))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pause that its store holds.
    pub fn paused(&self) -> Option<PauseView> {
        self.snapshot.pauses.paused.as_ref().map(Into::into)
    }

    /// The pause of one name that its store holds.
    fn paused_by_name(&self, name: &str) -> Option<&Pause> {
        let all = &self.snapshot.named_pauses;
        let at = all.binary_search_by(|(paused, _)| (**paused).cmp(name)).ok()?;
        all[at].1.paused.as_ref()
    }

    /// The days of the calendars that its definitions name.
    pub fn calendars(&self) -> &CalendarStore {
        &self.calendars
    }

    /// Closes its stores, so that the next one who opens it finds it in order: each, whatever becomes of the other.
    ///
    /// # Errors
    /// [`StoreError`]: the first.
    pub async fn close(self) -> Result<(), StoreError> {
        let delayed = match self.delayed_store.get() {
            Some(delayed) => delayed.close().await,
            None => Ok(()),
        };
        let schedules = self.store.close().await;
        delayed.and(schedules)
    }

    /// The accepted definitions by name, from the first after the one that is named.
    pub(super) fn live_after(&self, name: Option<&str>) -> impl Iterator<Item = &Revision> {
        let all = &self.snapshot.revisions;
        let from = name.map_or(0, |name| all.partition_point(|revision| revision.name() <= name));
        all[from..].iter().filter(|revision| revision.ended.is_none())
    }

    /// The schedule of this name.
    pub(super) fn schedule(&self, name: &str) -> Option<ScheduleStatus> {
        let all = &self.snapshot.revisions;
        let from = all.partition_point(|revision| revision.name() < name);
        let mut named = all[from..].iter().take_while(|revision| revision.name() == name);
        named.find(|revision| revision.ended.is_none()).map(|revision| self.status(revision))
    }

    /// The last definition of this name, ended or not.
    pub(super) fn newest(&self, name: &str) -> Option<&Revision> {
        let all = &self.snapshot.revisions;
        let through = all.partition_point(|revision| revision.name() <= name);
        all[..through].last().filter(|revision| revision.name() == name)
    }

    /// What is stored of a schedule, with what is due next after what is settled.
    pub(super) fn status(&self, revision: &Revision) -> ScheduleStatus {
        let settled = self.snapshot.settled.unwrap_or(Timestamp::EPOCH);
        let timing = revision.timing();
        let outstanding = self.outstanding(revision);
        let next = match timing.is_one_shot() {
            // W says nothing of it.
            true => self.pending(revision).filter(|_| outstanding.is_empty()),
            false => timing.after(timing.due_by(settled).max(revision.effective_from)),
        };
        ScheduleStatus {
            revision: revision.clone(),
            next,
            in_flight: None,
            finished: next.is_none() && outstanding.is_empty() && revision.definition.is_understood(),
            outstanding,
            sent: Sent::of(&self.snapshot.sent, &revision.definition),
            refused: None,
            paused: self.paused_by_name(revision.name()).cloned(),
        }
    }

    /// When a one-shot that is not settled is due.
    fn pending(&self, revision: &Revision) -> Option<Timestamp> {
        let all = &self.snapshot.one_shots;
        let at = all.binary_search_by(|(name, _)| (**name).cmp(revision.name())).ok()?;
        Some(all[at].1).filter(|row| row.revision == revision.number).map(|row| row.due)
    }

    fn outstanding(&self, revision: &Revision) -> Vec<Span> {
        let all = &self.snapshot.spans;
        let from = all.partition_point(|(name, _)| **name < *revision.name());
        let named = all[from..].iter().take_while(|(name, _)| **name == *revision.name());
        let timing = revision.timing();
        let by = timing.due_by(self.snapshot.settled.unwrap_or(Timestamp::EPOCH));
        let its = named.filter(|(_, span)| span.revision == revision.number);
        its.map(|(_, span)| span.closed(&timing, by)).collect()
    }
}
