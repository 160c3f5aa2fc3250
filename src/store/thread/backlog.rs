//! What waits for the store's thread, all of it bounded.

#[cfg(test)]
mod tests;

use super::{Backlog, Closed, Tuning, failure};
use crate::{
    clock,
    engine::{Commit, Outcome, Row},
    store::{PageReader, StoreError, Whole},
};
use ponos::event::{EventKind, Timestamp};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// Questions (flushes, closes) that may wait.
const QUESTIONS: usize = 1024;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    reader: Mutex<Result<Arc<dyn PageReader>, StoreError>>,
}

#[derive(Debug)]
pub(super) struct Queue {
    tuning: Tuning,
    saves: VecDeque<(u64, Commit)>,
    rows: VecDeque<Row>,
    /// Rows ever taken into `rows`.
    accepted: u64,
    /// Rows ever taken out of it.
    taken: u64,
    /// How much was ever given to the queue, …
    given: Progress,
    /// … and how much of it the thread has taken. It does one job after the other: once it asks for the next, what it
    /// took is written.
    begun: Progress,
    /// When rows were last taken, on the boot clock: the next ones wait for [`Tuning::pace`] after it.
    paced_at: Option<i64>,
    /// Calls that are not wholly taken, oldest first.
    calls: VecDeque<Call>,
    /// Of the last save.
    set_backs: u32,
    /// A row that stands for those that had no room.
    lost: Option<Row>,
    dropped: u64,
    /// What was given before each, oldest first.
    flushes: VecDeque<(Progress, Reply<()>)>,
    /// Those who wait for all that the store holds.
    pub(super) wholes: Vec<Reply<Option<Whole>>>,
    pub(super) closes: Vec<Reply<()>>,
    /// Ends once everything is written.
    pub(super) closing: bool,
    /// The thread is gone.
    pub(super) ended: bool,
}

/// Saves and calls of [`Queue::append`], counted.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    saves: u64,
    calls: u64,
}

impl Progress {
    fn reached(self, mark: Self) -> bool {
        self.saves >= mark.saves && self.calls >= mark.calls
    }
}

/// One call of [`Queue::append`], or several of which the later ones had no rows.
#[derive(Debug)]
struct Call {
    /// The number of the last of them.
    number: u64,
    /// `accepted` after it.
    accepted: u64,
    complete: Timestamp,
}

/// What the thread does next.
#[derive(Debug)]
pub(super) enum Job {
    Save(u64, Box<Commit>),
    Append(Vec<Row>, Timestamp),
    /// All that was accepted before these asked is written.
    Flushed(Vec<Reply<()>>),
    /// All that the store holds is asked for.
    Whole(Reply<Option<Whole>>),
    Close,
}

impl Shared {
    pub(super) fn new(tuning: Tuning) -> Self {
        let queue = Queue {
            tuning,
            saves: VecDeque::new(),
            rows: VecDeque::new(),
            accepted: 0,
            taken: 0,
            given: Progress::default(),
            begun: Progress::default(),
            paced_at: None,
            calls: VecDeque::new(),
            set_backs: 0,
            lost: None,
            dropped: 0,
            flushes: VecDeque::new(),
            wholes: Vec::new(),
            closes: Vec::new(),
            closing: false,
            ended: false,
        };
        let reader = Mutex::new(Err(failure("it is not open yet")));
        Self { queue: Mutex::new(queue), changed: Condvar::new(), reader }
    }

    /// Changes the queue and wakes the thread.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.notify_all();
        done
    }

    /// Waits for the next job.
    pub(super) fn next(&self) -> Job {
        let mut queue = self.lock();
        loop {
            let now = clock::reading().boot;
            if let Some(job) = queue.next(now) {
                return job;
            }
            queue = match queue.rows_wait(now) {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let waited = self.changed.wait_timeout(queue, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits for that long, or until the queue is closing. Whether it is closing.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), pause, |queue| !queue.closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// What reads the record at present, or why nothing does. It needs no turn in the queue.
    pub(super) fn reader(&self) -> Result<Arc<dyn PageReader>, StoreError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the record is read so.
    pub(super) fn read_by(&self, reader: Result<Arc<dyn PageReader>, StoreError>) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    pub(super) fn save(&mut self, ticket: u64, commit: Commit) -> Result<(), Closed> {
        if self.closing || self.saves.len() >= self.tuning.saves {
            return Err(Closed);
        }
        // What was given before the clock was set back must not raise `complete` above W again, once this is written.
        if commit.set_backs > std::mem::replace(&mut self.set_backs, commit.set_backs) {
            self.calls.iter_mut().for_each(|call| call.complete = call.complete.min(commit.settled));
        }
        self.given.saves += 1;
        self.saves.push_back((ticket, commit));
        Ok(())
    }

    pub(super) fn append(&mut self, mut rows: Vec<Row>, complete: Timestamp) -> Result<Backlog, Closed> {
        if self.closing {
            return Err(Closed);
        }
        let room = self.tuning.rows.saturating_sub(self.rows.len());
        let surplus = rows.split_off(rows.len().min(room));
        self.accepted += rows.len() as u64;
        self.rows.extend(rows);
        self.dropped += surplus.len() as u64;
        for row in surplus {
            self.lose(row);
        }
        self.given.calls += 1;
        let call = Call { number: self.given.calls, accepted: self.accepted, complete };
        match self.calls.back_mut() {
            // Calls without rows don't make the list longer.
            Some(last) if last.accepted == call.accepted => *last = call,
            _ => self.calls.push_back(call),
        }
        Ok(Backlog { waiting: self.rows.len(), dropped: self.dropped })
    }

    /// Answered once all that was given before is written; what is given later is not waited for.
    pub(super) fn flush(&mut self, reply: Reply<()>) {
        self.flushes.push_back((self.given, reply));
    }

    /// Nothing is written any more: the dropped senders tell those who wait.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.closing = true;
        self.flushes.clear();
        self.wholes.clear();
        self.closes.clear();
    }

    /// Whether another question may wait. Those that nobody waits for any more take no room.
    pub(super) fn has_room(&mut self) -> bool {
        self.flushes.retain(|(_, reply)| !reply.is_closed());
        self.flushes.len() + self.wholes.len() + self.closes.len() < QUESTIONS
    }

    fn lose(&mut self, row: Row) {
        // What is said of all schedules speaks of occurrences; rows of other kinds come with a commit.
        if row.kind != EventKind::Occurrence {
            return;
        }
        // A row of all schedules speaks of send times.
        let sent = match row.outcome {
            Outcome::Confirmed { sent_at, lateness, .. } => sent_at.plus(-lateness).max(row.last),
            _ => row.last,
        };
        let row = Row { last: sent, ..row };
        match &mut self.lost {
            Some(lost) => {
                lost.at = lost.at.max(row.at);
                lost.first = lost.first.min(row.first);
                lost.last = lost.last.max(row.last);
                lost.count += row.count;
            }
            None => {
                let all = Row { schedule: Arc::from("*"), revision: 0, outcome: Outcome::DetailsLost, ..row };
                self.lost = Some(all);
            }
        }
    }

    /// How much longer rows wait for the pace; `None` when there are none, or nothing keeps them.
    fn rows_wait(&self, now: i64) -> Option<Duration> {
        let since = now.saturating_sub(self.paced_at?);
        let pace = i64::try_from(self.tuning.pace.as_millis()).unwrap_or(i64::MAX);
        // A whole batch need not wait, nor do rows that somebody waits for.
        let wanted = self.flushes.iter().any(|(_, reply)| !reply.is_closed());
        let kept = self.rows.len() < self.tuning.batch && !wanted && !self.closing;
        let left = u64::try_from(pace.saturating_sub(since)).ok().filter(|left| *left > 0 && since >= 0)?;
        (kept && !self.calls.is_empty()).then(|| Duration::from_millis(left))
    }

    fn next(&mut self, now: i64) -> Option<Job> {
        let written = |(mark, _): &(Progress, _)| self.begun.reached(*mark);
        let flushed = self.flushes.iter().take_while(|flush| written(flush)).count();
        if flushed > 0 {
            return Some(Job::Flushed(self.flushes.drain(..flushed).map(|(_, reply)| reply).collect()));
        }
        if let Some(reply) = self.wholes.pop() {
            return Some(Job::Whole(reply));
        }
        if let Some((ticket, commit)) = self.saves.pop_front() {
            self.begun.saves += 1;
            return Some(Job::Save(ticket, Box::new(commit)));
        }
        if self.rows_wait(now).is_none()
            && let Some((rows, complete)) = self.batch()
        {
            self.paced_at = Some(now);
            return Some(Job::Append(rows, complete));
        }
        self.closing.then_some(Job::Close)
    }

    /// Up to a batch of rows, and up to where rows are complete with them.
    fn batch(&mut self) -> Option<(Vec<Row>, Timestamp)> {
        let oldest = self.calls.front()?.complete;
        let count = self.rows.len().min(self.tuning.batch);
        let mut rows: Vec<Row> = self.rows.drain(..count).collect();
        self.taken += count as u64;
        let mut complete = None;
        while let Some(call) = self.calls.pop_front_if(|call| call.accepted <= self.taken) {
            complete = Some(call.complete);
            self.begun.calls = call.number;
        }
        // Before the first call's rows are all written, nothing is complete; the store keeps what it has.
        let complete = complete.unwrap_or_else(|| oldest.min(Timestamp::EPOCH));
        // With the next write, whatever waits: what is complete once this call's rows are written includes these.
        rows.extend(self.lost.take());
        Some((rows, complete))
    }
}
