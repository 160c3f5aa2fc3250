//! The loop of the thread that writes, and that opens the store again.

use super::{
    DelayedOpener, DelayedStoreEvent, DelayedTuning,
    queue::{Job, Queue, Shared},
    reading,
    unflushed::Unflushed,
};
use crate::{
    delayed::{DelayedBatch, DelayedRoom, DelayedSnapshot, DelayedStore, DelayedWritten},
    store::{StoreError, failure},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

/// What is known of a store once it is open.
pub(super) struct Kept {
    pub(super) snapshot: DelayedSnapshot,
    pub(super) id: u64,
    pub(super) room: DelayedRoom,
}

struct Worker<'a> {
    opener: DelayedOpener,
    tuning: DelayedTuning,
    shared: &'a Shared,
    events: &'a UnboundedSender<DelayedStoreEvent>,
    /// `None` while it is opened again.
    store: Option<Box<dyn DelayedStore>>,
    unflushed: Unflushed,
    /// Before the next attempt.
    pause: Duration,
    /// That it fails was told.
    failing: bool,
    /// The queue is closing: there is no other attempt.
    last: bool,
}

/// Why a store was not opened again.
enum Trouble {
    /// It may be better later.
    Passing(StoreError),
    Lasting(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { .. } | StoreError::Locked { .. } | StoreError::NoRoom { .. } => {
                Self::Passing(error)
            }
            _ => Self::Lasting(error),
        }
    }
}

/// What is said of a thread that panicked; the panic itself is in the log.
fn panicked() -> StoreError {
    failure("its thread panicked; this is a defect, please report it")
}

/// Opens the store, answers with what is known of it, and works until closed.
pub(super) fn run(
    mut opener: DelayedOpener,
    tuning: DelayedTuning,
    shared: &Shared,
    ready: oneshot::Sender<Result<Kept, StoreError>>,
    events: UnboundedSender<DelayedStoreEvent>,
) {
    let opened = opener().and_then(|mut store| Ok((store.load()?, store)));
    match opened {
        Err(error) => {
            let _ = ready.send(Err(error));
        }
        Ok((snapshot, store)) => {
            let kept = Kept { id: store.id(), room: store.room(), snapshot };
            shared.stands(kept.snapshot.last_row, kept.snapshot.balance);
            shared.change(|queue| queue.opened(store.reader()));
            let mut worker = Worker {
                opener,
                tuning,
                shared,
                events: &events,
                unflushed: Unflushed::none(store.written()),
                store: Some(store),
                pause: tuning.pause,
                failing: false,
                last: false,
            };
            thread::scope(|scope| {
                let reading = || {
                    let reading = catch_unwind(AssertUnwindSafe(|| reading::run(shared, tuning, &events)));
                    if reading.is_err() {
                        shared.change(|queue| queue.broken(panicked()));
                    }
                };
                let spawned =
                    thread::Builder::new().name("delayed-reader".into()).spawn_scoped(scope, reading);
                match spawned {
                    Err(error) => {
                        let error = failure(&format!("its thread could not be started: {error}"));
                        let _ = ready.send(Err(error));
                    }
                    Ok(_) if ready.send(Ok(kept)).is_err() => {}
                    Ok(_) => worker.work(),
                }
                // What was asked before is answered as long as the store is open.
                shared.change(Queue::over);
            });
        }
    }
    shared.change(Queue::end);
}

impl Worker<'_> {
    fn work(&mut self) {
        // A thread that is gone without a word would leave everybody waiting.
        let done = catch_unwind(AssertUnwindSafe(|| self.write_all())).unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = done {
            self.shared.change(|queue| queue.give_up(&error));
            self.tell(DelayedStoreEvent::Gone { error });
        }
    }

    fn write_all(&mut self) -> Result<(), StoreError> {
        loop {
            match self.shared.next(self.unflushed.due(self.tuning.pace)) {
                Job::Failed(error) => {
                    self.get_over(error, false)?;
                }
                Job::Broken(error) => return Err(error),
                Job::Works => self.recovered(),
                Job::Flush => self.flush()?,
                Job::Write(ticket, batch) => self.write(ticket, *batch)?,
                Job::Close => return self.flush(),
            }
        }
    }

    /// Writes a batch, however long it takes, and says so.
    fn write(&mut self, ticket: u64, batch: DelayedBatch) -> Result<(), StoreError> {
        let written = loop {
            let term = self.tuning.term;
            let store = self.store()?;
            let error = match store.write(term, &batch) {
                Ok(written) => {
                    match written.is_durable {
                        true => self.unflushed = Unflushed::none(store.written()),
                        false => self.unflushed.push(batch),
                    }
                    break written;
                }
                Err(error) => error,
            };
            if matches!(error, StoreError::NoRoom { .. }) {
                // It may wait for long, and what is there needs no more room than is kept for it.
                self.make_durable()?;
            }
            if let Some(DelayedSnapshot { last_row, balance, .. }) = self.get_over(error, true)? {
                // It was kept, only its answer was lost.
                let is_durable = batch.must_last();
                self.unflushed.push(batch);
                if is_durable {
                    self.make_durable()?;
                }
                break DelayedWritten { last_row, balance, is_durable };
            }
        };
        self.recovered();
        self.shared.stands(written.last_row, written.balance);
        self.tell(DelayedStoreEvent::Written { ticket, written });
        if self.unflushed.steps() >= self.tuning.steps { self.flush() } else { Ok(()) }
    }

    /// Makes durable what was written, however long it takes.
    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.unflushed.is_empty() {
            self.make_durable()?;
            self.recovered();
        }
        Ok(())
    }

    fn make_durable(&mut self) -> Result<(), StoreError> {
        let term = self.tuning.term;
        while !self.unflushed.is_empty() {
            let store = self.store()?;
            let flushed = store.flush(term);
            // It may have been kept, with its answer lost: it is the store that knows, so it is asked again.
            match flushed {
                Ok(()) => self.unflushed = Unflushed::none(store.written()),
                Err(error) => {
                    if self.get_over(error, true)?.is_some() {
                        self.unflushed = Unflushed::none(self.store()?.written());
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until what failed can be tried again: for room, or until the store was opened again. What it holds then, if that
    /// which was `tried` was kept.
    ///
    /// # Errors
    /// What waiting can't help; what has just failed, if there is no other attempt.
    fn get_over(&mut self, error: StoreError, tried: bool) -> Result<Option<DelayedSnapshot>, StoreError> {
        let is_full = tried && matches!(error, StoreError::NoRoom { .. });
        if !is_full && !matches!(error, StoreError::Io { .. }) {
            return Err(error);
        }
        if !is_full {
            // First, so that nothing is read any more after this is told.
            self.shared.change(|queue| queue.closed(&error));
        }
        if !std::mem::replace(&mut self.failing, true) {
            self.tell(DelayedStoreEvent::Failing { error: error.clone() });
        }
        if self.last {
            return Err(error);
        }
        if is_full {
            self.rest();
            return Ok(None);
        }
        // Closed first, for it holds locks: that waits for whoever reads of it.
        self.store = None;
        loop {
            self.rest();
            match self.open_again(tried) {
                Ok(kept) => return Ok(kept),
                Err(Trouble::Passing(_)) if !self.last => {}
                Err(Trouble::Passing(error) | Trouble::Lasting(error)) => return Err(error),
            }
        }
    }

    /// Opens the store and writes again what it lost, before anything is read of it.
    fn open_again(&mut self, tried: bool) -> Result<Option<DelayedSnapshot>, Trouble> {
        let mut store = (self.opener)()?;
        let compared = self.unflushed.compare(store.written(), tried).map_err(Trouble::Lasting)?;
        for batch in self.unflushed.lost(&compared) {
            store.write(self.tuning.term, batch)?;
        }
        let kept = if compared.tried { Some(store.load()?) } else { None };
        self.shared.change(|queue| queue.opened(store.reader()));
        self.store = Some(store);
        Ok(kept)
    }

    fn rest(&mut self) {
        self.last = self.shared.pause(self.pause);
        self.pause = self.pause.saturating_mul(2).min(self.tuning.longest_pause);
    }

    fn recovered(&mut self) {
        self.pause = self.tuning.pause;
        self.last = false;
        self.shared.change(Queue::recovered);
        if std::mem::take(&mut self.failing) {
            self.tell(DelayedStoreEvent::Reopened);
        }
    }

    fn store(&mut self) -> Result<&mut (dyn DelayedStore + 'static), StoreError> {
        self.store.as_deref_mut().ok_or_else(|| failure("it is closed"))
    }

    fn tell(&self, event: DelayedStoreEvent) {
        // Nobody listens while the program ends.
        let _ = self.events.send(event);
    }
}
