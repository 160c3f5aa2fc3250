//! The thread's own loop.

use super::{
    Opener, StoreEvent, Tuning,
    backlog::{Job, Queue, Shared},
    failure,
};
use crate::{
    clock,
    engine::Snapshot,
    store::{Store, StoreError, Written},
    telemetry::Counts,
};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

struct Worker<'a> {
    opener: Opener,
    tuning: Tuning,
    counts: Counts,
    shared: &'a Shared,
    events: mpsc::UnboundedSender<StoreEvent>,
    /// `None` once nothing can be written any more.
    store: Option<Box<dyn Store>>,
    /// One that is not used any more. Letting it go waits for whoever reads a page of it: first it is told.
    unused: Option<Box<dyn Store>>,
    /// Why something that was accepted was not written.
    given_up: Option<StoreError>,
}

/// Opens the store, answers with what it keeps and its id, and works until closed.
pub(super) fn run(
    mut opener: Opener,
    tuning: Tuning,
    counts: Counts,
    shared: &Shared,
    ready: oneshot::Sender<Result<(Snapshot, u64), StoreError>>,
    events: mpsc::UnboundedSender<StoreEvent>,
) {
    let opened = opener().and_then(|mut store| {
        let before = store.written().count;
        let snapshot = store.load()?;
        if store.written().count != before {
            counts.details_lost();
        }
        Ok((store, snapshot))
    });
    match opened {
        Err(error) => {
            let _ = ready.send(Err(error));
        }
        Ok((store, snapshot)) => {
            shared.read_by(Ok(store.reader()));
            if ready.send(Ok((snapshot, store.id()))).is_ok() {
                let (store, unused) = (Some(store), None);
                Worker { opener, tuning, counts, shared, events, store, unused, given_up: None }.work();
            }
        }
    }
    // Whoever asked in the meantime gets no answer, which is one.
    shared.change(Queue::end);
    shared.read_by(Err(failure("its thread has ended")));
}

impl Worker<'_> {
    fn work(&mut self) {
        loop {
            self.unused = None;
            match self.shared.next() {
                Job::Save(ticket, commit) => {
                    let term = self.tuning.term;
                    let event = match self.write(|store| store.save(term, &commit)) {
                        Ok(last_sequence) => {
                            self.counts.recorded(&commit.rows);
                            StoreEvent::Saved { ticket, last_sequence }
                        }
                        Err(error) => StoreEvent::SaveFailed { ticket, error },
                    };
                    self.tell(event);
                }
                Job::Append(rows, complete) => {
                    let term = self.tuning.term;
                    if let Ok(last_sequence) = self.write(|store| store.append(term, &rows, complete)) {
                        self.counts.recorded(&rows);
                        self.tell(StoreEvent::Appended { last_sequence });
                    }
                }
                Job::Flushed(replies) => replies.into_iter().for_each(|reply| {
                    let _ = reply.send(self.given_up.clone().map_or(Ok(()), Err));
                }),
                Job::Whole(reply) => {
                    let whole = match &self.store {
                        Some(store) => store.whole(),
                        None => Err(self.given_up.clone().unwrap_or_else(|| failure("it is closed"))),
                    };
                    let _ = reply.send(whole);
                }
                Job::Close => break,
            }
        }
        self.close(failure("it is closed"));
        let closes = self.shared.change(|queue| {
            queue.ended = true;
            std::mem::take(&mut queue.closes)
        });
        for reply in closes {
            let _ = reply.send(self.given_up.clone().map_or(Ok(()), Err));
        }
    }

    /// Makes one write, however long it takes, unless waiting can't help or the queue closes.
    fn write(
        &mut self,
        mut write: impl FnMut(&mut dyn Store) -> Result<u64, StoreError>,
    ) -> Result<u64, StoreError> {
        let mut pause = self.tuning.pause;
        let mut failing = false;
        let mut last = false;
        loop {
            let Some(store) = &mut self.store else {
                return Err(self.given_up.clone().unwrap_or_else(|| failure("it is closed")));
            };
            let before = store.written();
            let begun = clock::stopwatch();
            let error = match write(store.as_mut()) {
                Ok(sequence) => {
                    self.counts.flushed(begun.elapsed());
                    self.recovered(failing);
                    return Ok(sequence);
                }
                Err(error) => error,
            };
            self.counts.write_failed();
            if !matches!(error, StoreError::Io { .. }) {
                // A term that is too low leaves the store as it was, for readers.
                if !matches!(error, StoreError::Fenced { .. }) {
                    self.stop(error.clone());
                }
                return Err(self.give_up(error));
            }
            if !failing {
                // First, so that no page is begun after this is told: the next one comes of another opening.
                self.shared.read_by(Err(error.clone()));
                self.tell(StoreEvent::Failing { error: error.clone() });
                failing = true;
            }
            if last {
                return Err(self.give_up(error));
            }
            let (now, closing) = self.reopen(&error, &mut pause)?;
            last = closing;
            if now.count == before.count + 1 && now.ours {
                // The write was kept, only its answer was lost.
                self.recovered(failing);
                return Ok(now.last_sequence);
            }
            if now.count != before.count {
                let error = failure(
                    "another process wrote to it while it was closed after a failure; start this clock again",
                );
                self.stop(error.clone());
                return Err(self.give_up(error));
            }
        }
    }

    /// Opens the store again, with growing pauses. Gives how far writing has come, and whether the queue is closing, so
    /// that there is one more attempt and not another.
    fn reopen(&mut self, cause: &StoreError, pause: &mut Duration) -> Result<(Written, bool), StoreError> {
        // Closed first: it holds locks.
        self.close(cause.clone());
        loop {
            let closing = self.shared.pause(*pause);
            *pause = pause.saturating_mul(2).min(self.tuning.longest_pause);
            match (self.opener)() {
                Ok(store) => {
                    let written = store.written();
                    self.shared.read_by(Ok(store.reader()));
                    self.store = Some(store);
                    return Ok((written, closing));
                }
                Err(StoreError::Io { .. } | StoreError::Locked { .. }) if !closing => {}
                Err(error) => {
                    self.shared.read_by(Err(error.clone()));
                    return Err(self.give_up(error));
                }
            }
        }
    }

    /// Nothing is read or written any more: who wants to is told why. The store is let go once that is told.
    fn stop(&mut self, why: StoreError) {
        self.shared.read_by(Err(why));
        self.unused = self.store.take();
    }

    /// The same, and lets the store go: waits for whoever reads a page of it.
    fn close(&mut self, why: StoreError) {
        self.stop(why);
        self.unused = None;
    }

    fn recovered(&mut self, failing: bool) {
        if failing {
            self.tell(StoreEvent::Reopened);
        }
    }

    fn give_up(&mut self, error: StoreError) -> StoreError {
        self.given_up.get_or_insert(error).clone()
    }

    fn tell(&self, event: StoreEvent) {
        // Nobody listens while the program ends.
        let _ = self.events.send(event);
    }
}
