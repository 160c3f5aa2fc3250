//! Whom a write is waited for by: commands that are answered once it is durable, in their order, and so in that of the writes.

use super::Progress;
use crate::{Answered, LoggedChange, MessageKey, Verdict, delayed::SinceSetBack};
use ponos_event::Timestamp;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Promises {
    all: VecDeque<Promise>,
}

#[derive(Debug)]
struct Promise {
    /// The write.
    ticket: u64,
    command: u64,
    /// What became of a request for changes.
    verdicts: Option<Vec<Verdict>>,
}

/// Commands that can be answered.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) durable: Vec<u64>,
    pub(crate) decided: Vec<(u64, Vec<Verdict>)>,
}

impl Promises {
    /// One more, which waits for this write, or for that of the one before it.
    pub(super) fn add(&mut self, ticket: u64, command: u64, verdicts: Option<Vec<Verdict>>) {
        let ticket = self.all.back().map_or(0, |last| last.ticket).max(ticket);
        self.all.push_back(Promise { ticket, command, verdicts });
    }

    /// Those that can be answered, each once: the writes up to this one are durable.
    pub(super) fn kept(&mut self, durable: u64) -> Kept {
        let mut kept = Kept::default();
        while let Some(promise) = self.all.pop_front_if(|promise| promise.ticket <= durable) {
            match promise.verdicts {
                Some(verdicts) => kept.decided.push((promise.command, verdicts)),
                None => kept.durable.push(promise.command),
            }
        }
        kept
    }
}

impl Progress {
    /// Has a command answered once the latest change of a definition is durable: where it changed nothing, what it found may
    /// not be durable yet.
    pub(crate) fn promise(&mut self, command: u64) {
        self.promises.add(self.changed, command, None);
    }

    /// The same of a request for changes.
    pub(crate) fn promise_verdicts(&mut self, command: u64, verdicts: Vec<Verdict>) {
        self.promises.add(self.changed, command, Some(verdicts));
    }

    /// Has a command answered once everything that was decided so far is durable, and written at once.
    pub(crate) fn promise_all(&mut self, command: u64) {
        let waits = !self.unwritten.is_empty();
        self.urgent |= waits;
        let ticket = if waits { self.next_ticket() } else { self.last_ticket };
        self.promises.add(ticket, command, None);
    }

    /// Commands that can be answered, each once.
    pub(crate) fn kept_promises(&mut self) -> Kept {
        let durable = self.durable();
        self.promises.kept(durable)
    }

    /// The next creation number. It goes down with what is created.
    pub(crate) fn next_creation(&mut self) -> u64 {
        self.created = self.created.saturating_add(1);
        self.created
    }

    /// The highest creation number that was given.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    /// Delayed events have numbers up to this one.
    pub(crate) fn created_beside(&mut self, created: u64) {
        self.created = self.created.max(created);
    }

    /// What holds of delayed events that began since the clock was set back, where R lies above what was wanted since.
    pub(crate) fn since_set_back(&self) -> Option<SinceSetBack> {
        let reached = self.wanted.max(self.handed);
        (self.reached > reached).then_some(SinceSetBack { created: self.created_before, reached })
    }

    /// R, where what is wanted counts.
    pub(crate) fn reached(&self) -> Timestamp {
        self.reached.max(self.wanted)
    }

    /// A message was answered, with the next write; `None`: that is forgotten.
    pub(crate) fn message(&mut self, key: MessageKey, answered: Option<Answered>) {
        self.urgent |= answered.is_some();
        self.unwritten.message(key, answered);
    }

    /// Somebody changed something: that goes down with it.
    pub(crate) fn log(&mut self, change: LoggedChange) {
        self.urgent = true;
        self.unwritten.changes.push(change);
    }
}
