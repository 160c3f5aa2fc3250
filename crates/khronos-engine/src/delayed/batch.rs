//! What is written at once.

use super::{DelayedEvent, DelayedKey};
use crate::{Answered, ChangeEntry, MessageKey, Outcome, Verdict};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One atomic write: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DelayedBatch {
    /// When; what is older than is kept goes by it.
    pub now: Timestamp,
    /// The highest creation number that was ever given.
    pub created: u64,
    /// What happens to events, in this order.
    pub steps: Vec<DelayedStep>,
    /// Messages that are answered.
    pub messages: Vec<(MessageKey, Answered)>,
    /// What somebody changed.
    pub changes: Vec<ChangeEntry>,
    /// It must last whatever it is of: where the record is the only copy of what was published.
    pub lasts: bool,
}

/// What happens to one event.
#[derive(Debug, Clone, PartialEq)]
pub enum DelayedStep {
    /// It is pending from now on, new or instead of the one that is pending under its name: then nothing more is accepted.
    Put(Box<DelayedEvent>),
    /// It is not wanted any more. Where none of the name is pending, nothing happens.
    Cancel(Arc<str>),
    /// It has ended so: its row joins the record. Where nothing is pending at this place, nothing happens.
    Settle {
        /// Its place.
        key: DelayedKey,
        /// How it ended; [`Outcome::Parked`] keeps it as a [`ParkedEvent`](super::ParkedEvent).
        outcome: Outcome,
        /// Its row keeps what was published.
        keeps_content: bool,
    },
    /// A parked event of this creation is to be sent again.
    Release(u64),
    /// A parked event of this creation has ended so: it goes, and its row joins the record.
    Unpark {
        /// Its creation.
        creation: u64,
        /// How it ended; [`Outcome::Parked`]: it stays, is not released any more, and this is the reason.
        outcome: Outcome,
        /// Its row keeps what was published.
        keeps_content: bool,
    },
}

impl DelayedBatch {
    /// Whether it is to be durable before it is answered: somebody waits for it, who is told so.
    pub fn must_last(&self) -> bool {
        self.lasts
            || !self.messages.is_empty()
            || !self.changes.is_empty()
            || self.steps.iter().any(DelayedStep::is_asked_for)
    }

    /// How many events it puts, and about how many bytes the batch takes, with its answers and what goes to the log.
    pub fn puts(&self) -> (usize, usize) {
        let answers = self.messages.iter().map(|(key, answered)| {
            let verdicts = answered.verdicts.iter().map(Verdict::bytes).sum::<usize>();
            BESIDE + key.0.len() + key.1.len() + verdicts
        });
        let log = self.changes.iter().map(ChangeEntry::bytes);
        let beside = answers.chain(log).sum();
        self.steps.iter().fold((0, beside), |(count, bytes), step| match step {
            DelayedStep::Put(event) => (count + 1, bytes + event.bytes()),
            _ => (count, bytes),
        })
    }
}

impl DelayedStep {
    fn is_asked_for(&self) -> bool {
        match self {
            Self::Put(_) | Self::Cancel(_) | Self::Release(_) => true,
            Self::Settle { .. } | Self::Unpark { .. } => false,
        }
    }
}

impl DelayedEvent {
    /// About how many bytes it takes on a disk.
    pub fn bytes(&self) -> usize {
        let Self { head, content } = self;
        BESIDE + 2 * head.key.name.len() + head.event.len() + content.data.len() + content.headers.len()
    }
}

/// Bytes of what is kept of one thing beside its texts.
const BESIDE: usize = 128;

/// What became of all events of a store.
// Lies in the store, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Events that were taken.
    pub accepted: u64,
    /// Of these, ended: sent, skipped or parked.
    pub settled: u64,
    /// Of these, taken back.
    pub cancelled: u64,
    /// Of these, still to come.
    pub pending: u64,
}

impl Balance {
    /// Whether each event that was taken is in one of the three places.
    pub fn is_right(&self) -> bool {
        Some(self.accepted)
            == self.settled.checked_add(self.cancelled).and_then(|sum| sum.checked_add(self.pending))
    }
}

/// What a write brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayedWritten {
    /// The number of the record's last row.
    pub last_row: u64,
    /// What became of all events so far.
    pub balance: Balance,
    /// Whether it is durable already.
    pub is_durable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChangeKind, Refusal};

    #[test]
    fn the_room_of_a_batch_is_that_of_its_answers_and_its_log_too() {
        let name: Arc<str> = "x".repeat(100).into();
        let refused = Verdict::Refused(Refusal::Invalid { faults: "y".repeat(600).into() });
        let answered =
            Answered { digest: [0; 32], verdicts: vec![refused; 1_000], at: Timestamp::EPOCH, number: 1 };
        let entry = ChangeEntry {
            at: Timestamp::EPOCH,
            by: "billing".into(),
            door: "a test".into(),
            what: ChangeKind::Deleted,
            name: name.clone(),
            others: vec![name; 999],
            creation: 1,
            before: None,
            after: None,
            command: None,
            note: "".into(),
        };
        let messages = vec![(("billing".into(), "1".into()), answered)];
        let answers = DelayedBatch { messages, ..DelayedBatch::default() };
        let (count, bytes) = answers.puts();
        assert!(count == 0 && (600_000..700_000).contains(&bytes), "{bytes}");
        let log = DelayedBatch { changes: vec![entry], ..DelayedBatch::default() };
        let (count, bytes) = log.puts();
        assert!(count == 0 && (100_000..110_000).contains(&bytes), "{bytes}");
    }
}
