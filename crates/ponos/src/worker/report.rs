//! Counts how deliveries ended, for the report of a worker.

use super::ended::Ended;
use std::{
    collections::HashSet,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// So many are named in a report.
const NAMED: usize = 1_000;

/// The counts of a worker's deliveries until it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Done, skipped, or handled before (by the inbox).
    pub handled: u64,
    /// Handled or cancelled too, but their connection was lost before they could be acked: they will be delivered again.
    pub unsettled: u64,
    /// Put off to another attempt, or snoozed.
    pub retried: u64,
    /// Dead-lettered.
    pub dead: u64,
    /// Cancelled by somebody.
    pub cancelled: u64,
    /// How many times a message was given back to its queue.
    pub released: u64,
    /// How many messages that were: one that was given back several times counts once (of the first 10,000).
    pub given_back: u64,
    /// The tasks that were cancelled when the worker stopped: queue, name, id and attempt of each (1,000 at most).
    pub left: Vec<String>,
    /// The queues that somebody had paused when the worker stopped, a sentence each.
    pub paused: Vec<String>,
}

/// `handled 12, retried 1, dead 0, released 0` (and `, handled but not acked 1` and `, cancelled 1` if there are such), then what was left,
/// and which queues were paused by hand, a line each.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handled, unsettled, retried, dead, cancelled, released, given_back: _, left, paused } =
            self;
        write!(f, "handled {handled}, retried {retried}, dead {dead}, released {released}")?;
        if *unsettled > 0 {
            write!(f, ", handled but not acked {unsettled}")?;
        }
        if *cancelled > 0 {
            write!(f, ", cancelled {cancelled}")?;
        }
        left.iter().try_for_each(|left| write!(f, "\nleft: {left}"))?;
        paused.iter().try_for_each(|paused| write!(f, "\npaused: {paused}"))
    }
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.handled += other.handled;
        self.unsettled += other.unsettled;
        self.retried += other.retried;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
        self.released += other.released;
        self.given_back += other.given_back;
        self.left.extend(other.left);
        self.left.truncate(NAMED);
        self.paused.extend(other.paused);
    }
}

/// The most ids remembered of messages that were given back, to count each once.
const REMEMBERED: usize = 10_000;

/// Counts the ends of one queue's deliveries.
#[derive(Debug, Default)]
pub(crate) struct QueueReport {
    handled: AtomicU64,
    unsettled: AtomicU64,
    retried: AtomicU64,
    dead: AtomicU64,
    cancelled: AtomicU64,
    released: AtomicU64,
    given_back: AtomicU64,
    /// The ids of those, as far as they are remembered.
    known: Mutex<HashSet<String>>,
    left: Mutex<Vec<String>>,
}

impl QueueReport {
    /// Counts one end; `void`: it can't be acked any more.
    pub(crate) fn count(&self, ended: &Ended, void: bool, id: Option<&str>) {
        let counter = match ended {
            Ended::Done | Ended::HandledAlready | Ended::Skipped(_) | Ended::Cancelled(_) if void => {
                &self.unsettled
            }
            Ended::Done | Ended::HandledAlready | Ended::Skipped(_) => &self.handled,
            Ended::Retried { .. } | Ended::Snoozed { .. } => &self.retried,
            Ended::Dead(_) => &self.dead,
            Ended::Cancelled(_) => &self.cancelled,
            Ended::Released(_) => return self.given_back(id),
            // nothing ended: it is on its way
            Ended::Early { .. } => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One was given back, read or unread.
    pub(crate) fn given_back(&self, id: Option<&str>) {
        self.released.fetch_add(1, Ordering::Relaxed);
        let is_known = id.is_some_and(|id| {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.contains(id) || known.len() < REMEMBERED && !known.insert(id.to_owned())
        });
        if !is_known {
            self.given_back.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task was cancelled.
    pub(crate) fn left(&self, what: impl FnOnce() -> String) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < NAMED {
            left.push(what());
        }
    }

    pub(crate) fn so_far(&self) -> Report {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            handled: read(&self.handled),
            unsettled: read(&self.unsettled),
            retried: read(&self.retried),
            dead: read(&self.dead),
            cancelled: read(&self.cancelled),
            released: read(&self.released),
            given_back: read(&self.given_back),
            left: self.left.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            paused: Vec::new(),
        }
    }
}
