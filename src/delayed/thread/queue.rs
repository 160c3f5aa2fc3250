//! What waits for the threads, all of it bounded, and what they tell each other.

#[cfg(test)]
mod tests;

use super::{
    DelayedStoreEvent, DelayedTuning,
    questions::{Finding, Question, Questions},
};
use crate::{
    clock,
    delayed::{Balance, DelayedBatch, DelayedReader},
    store::{Closed, StoreError, failure},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};

/// Who waits for the end, at most.
const CLOSES: usize = 1024;

pub(super) type Reply = oneshot::Sender<Result<(), StoreError>>;

pub(super) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

pub(super) struct Queue {
    tuning: DelayedTuning,
    writes: VecDeque<(u64, DelayedBatch)>,
    questions: Questions,
    /// What reads the store at present, or why nothing does: it is as new as the latest write that was told.
    reader: Result<Arc<dyn DelayedReader>, StoreError>,
    /// How often there was another one.
    openings: u64,
    /// Why reading failed, in this opening.
    failed: Option<StoreError>,
    /// Why nothing is read any more, of no opening.
    broken: Option<StoreError>,
    trial: Trial,
    /// As of the latest write.
    pub(super) balance: Balance,
    /// The number of the record's last row, as of that.
    pub(super) last_row: watch::Sender<u64>,
    closes: Vec<Reply>,
    /// Ends once everything is written and answered.
    pub(super) closing: bool,
    /// Nothing is written any more, nor opened again.
    over: bool,
    ended: bool,
    /// Why something that was accepted was not written.
    given_up: Option<StoreError>,
}

/// What the thread that writes does next.
#[derive(Debug)]
pub(super) enum Job {
    /// Reading failed.
    Failed(StoreError),
    /// Nothing is read any more.
    Broken(StoreError),
    /// Something was read since it was opened.
    Works,
    /// What was written has waited long enough.
    Flush,
    Write(u64, Box<DelayedBatch>),
    Close,
}

/// Whether a store that was opened again, maybe because reading failed, is any better: that shows when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    None,
    Begun,
    Passed,
}

impl Shared {
    pub(super) fn new(tuning: DelayedTuning) -> Self {
        let queue = Queue {
            tuning,
            writes: VecDeque::new(),
            questions: Questions::default(),
            reader: Err(failure("it is not open yet")),
            openings: 0,
            failed: None,
            broken: None,
            trial: Trial::None,
            balance: Balance::default(),
            last_row: watch::Sender::new(0),
            closes: Vec::new(),
            closing: false,
            over: false,
            ended: false,
            given_up: None,
        };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Changes the queue and wakes the threads.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.notify_all();
        done
    }

    /// So it is since the latest write.
    pub(super) fn stands(&self, last_row: u64, balance: Balance) {
        self.change(|queue| {
            queue.balance = balance;
            queue.last_row.send_if_modified(|last| std::mem::replace(last, last_row) != last_row);
        });
    }

    /// Waits for the next job. On the boot clock: when what was written is to be durable, if something is not.
    pub(super) fn next(&self, flush_at: Option<i64>) -> Job {
        let mut queue = self.lock();
        loop {
            let now = clock::reading().boot;
            if let Some(job) = queue.next(now, flush_at) {
                return job;
            }
            queue = match flush_at.map(|at| Duration::from_millis(at.saturating_sub(now).unsigned_abs())) {
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

    /// Waits for the next question. `None`: there will be none.
    pub(super) fn question(&self) -> Option<Question> {
        let mut queue = self.lock();
        loop {
            match queue.questions.next() {
                None if queue.over => return None,
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                question => return question,
            }
        }
    }

    /// Waits for what reads, and gives its opening. `None`: there will be none.
    pub(super) fn reader(&self) -> Option<(u64, Arc<dyn DelayedReader>)> {
        let mut queue = self.lock();
        loop {
            match queue.reader() {
                Ok(reader) => return Some(reader),
                Err(_) if queue.over => return None,
                Err(_) => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    pub(super) fn write(&mut self, ticket: u64, batch: DelayedBatch) -> Result<(), Closed> {
        if self.closing || self.writes.len() >= self.tuning.writes {
            return Err(Closed);
        }
        self.writes.push_back((ticket, batch));
        Ok(())
    }

    pub(super) fn ask(&mut self, question: Question) -> Result<(), Closed> {
        if self.closing || self.questions.len() >= self.tuning.questions {
            return Err(Closed);
        }
        self.questions.push(question);
        Ok(())
    }

    /// The rest of a question is read after what comes before it.
    pub(super) fn go_on(&mut self, question: Finding) {
        // What was given up on is not answered any more.
        if self.given_up.is_none() {
            self.questions.go_on(question);
        }
    }

    /// Who asks is answered when it has ended; at once, if it has.
    pub(super) fn close(&mut self, reply: Reply) -> Option<Result<(), StoreError>> {
        self.closing = true;
        if self.ended {
            return Some(self.outcome());
        }
        self.closes.retain(|reply| !reply.is_closed());
        if self.closes.len() >= CLOSES {
            return Some(Err(failure("its thread accepts no more questions")));
        }
        self.closes.push(reply);
        None
    }

    /// What reads at present, and its opening, or why nothing does.
    pub(super) fn reader(&self) -> Result<(u64, Arc<dyn DelayedReader>), StoreError> {
        self.reader.clone().map(|reader| (self.openings, reader))
    }

    /// From now on it is read so: a store is open, and has all that was told as written.
    pub(super) fn opened(&mut self, reader: Arc<dyn DelayedReader>) {
        self.openings += 1;
        self.reader = Ok(reader);
        self.failed = None;
        // Before anybody reads of it.
        self.trial = Trial::Begun;
    }

    /// Nothing is read until it is opened again. What is being read does not count any more.
    pub(super) fn closed(&mut self, why: &StoreError) {
        self.reader = Err(why.clone());
        self.failed = None;
    }

    /// Says what was read in that opening, unless that is over: then it has to be read again. Whether it was said.
    pub(super) fn answer(
        &mut self,
        opening: u64,
        events: &UnboundedSender<DelayedStoreEvent>,
        event: DelayedStoreEvent,
    ) -> bool {
        let counts = self.reader.is_ok() && opening == self.openings;
        if counts {
            self.works();
            // Nobody listens while the program ends.
            let _ = events.send(event);
        }
        counts
    }

    /// Reading failed in that opening. It is opened again, unless that has begun.
    pub(super) fn failed(&mut self, opening: u64, error: &StoreError) {
        if self.reader.is_ok() && opening == self.openings {
            self.closed(error);
            self.failed = Some(error.clone());
        }
    }

    /// Nothing is read any more, of no opening.
    pub(super) fn broken(&mut self, error: StoreError) {
        self.broken = Some(error);
    }

    /// Something was read.
    pub(super) fn works(&mut self) {
        if self.trial == Trial::Begun {
            self.trial = Trial::Passed;
        }
    }

    /// That it works is known.
    pub(super) fn recovered(&mut self) {
        self.trial = Trial::None;
    }

    /// It ends, without what was accepted and not written.
    pub(super) fn give_up(&mut self, why: &StoreError) {
        self.closed(why);
        self.given_up = Some(why.clone());
        self.closing = true;
        self.writes.clear();
        self.questions = Questions::default();
    }

    /// Nothing is written any more, nor opened again.
    pub(super) fn over(&mut self) {
        self.over = true;
    }

    /// Both threads have ended.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.closing = true;
        self.ended = true;
        if self.reader.is_ok() {
            self.closed(&failure("its thread has ended"));
        }
        for reply in std::mem::take(&mut self.closes) {
            // Whoever asked may have gone.
            let _ = reply.send(self.outcome());
        }
    }

    fn outcome(&self) -> Result<(), StoreError> {
        self.given_up.clone().map_or(Ok(()), Err)
    }

    fn next(&mut self, now: i64, flush_at: Option<i64>) -> Option<Job> {
        if let Some(error) = self.broken.take() {
            return Some(Job::Broken(error));
        }
        if let Some(error) = self.failed.take() {
            return Some(Job::Failed(error));
        }
        if self.trial == Trial::Passed {
            return Some(Job::Works);
        }
        if flush_at.is_some_and(|at| at <= now) {
            return Some(Job::Flush);
        }
        if let Some((ticket, batch)) = self.writes.pop_front() {
            return Some(Job::Write(ticket, Box::new(batch)));
        }
        self.closing.then_some(Job::Close)
    }
}
