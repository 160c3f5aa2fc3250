//! A delayed event, and what is kept of it once it is over: plain data. What is due soon is known by little of it
//! ([`DueEvent`]); the rest is read when it is handed over.

use crate::{Outcome, Row};
use ponos_event::{EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of all that a client asked for of an event: equal requests have equal ones. Long enough to tell an owner's own apart.
pub type ContentDigest = [u8; 16];

/// Where an event stands among those that are pending: by send time, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayedKey {
    /// When it is to be sent: its due time and the offset by its jitter.
    pub send: Timestamp,
    /// Its name.
    pub name: Arc<str>,
}

/// A delayed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedEvent {
    /// What is known of it without its content.
    pub head: DelayedHead,
    /// What is published.
    pub content: DelayedContent,
}

/// What is known of an event without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedHead {
    /// Its place.
    pub key: DelayedKey,
    /// Its due time, of which its id is made.
    pub due: Timestamp,
    /// The number of its creation, which edits keep.
    pub creation: u64,
    /// Counts up with every edit, from 1.
    pub revision: u32,
    /// Whose it is.
    pub owner: Arc<str>,
    /// The event's name; of a task, the task's.
    pub event: Arc<str>,
    /// The queue of a task, which goes to it alone.
    pub queue: Option<Arc<str>>,
    /// The caller chose its name: it is known by it for a while after it is settled.
    pub is_named: bool,
    /// How often the broker refused it: then its send time is that of the next attempt.
    pub refused: u8,
    /// When it was accepted, or last changed.
    pub at: Timestamp,
    /// Of what was asked for.
    pub digest: ContentDigest,
}

/// What is published of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DelayedContent {
    /// Its data, byte for byte as the client gave them.
    pub data: Arc<[u8]>,
    /// Of what type they are; without, JSON.
    pub content_type: Option<Arc<str>>,
    /// Headers in JSON, as the client gave them; empty: none.
    pub headers: Arc<str>,
    /// What it belongs to.
    pub correlation_id: Option<Arc<str>>,
    /// Milliseconds after its due time from which on it is of no use.
    pub expires: Option<i64>,
    /// It is parked where nobody is bound.
    pub parks_unrouted: bool,
}

/// What the near future is made of: an event that is due soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEvent {
    /// Its place.
    pub key: DelayedKey,
    /// Its due time.
    pub due: Timestamp,
    /// The number of its creation.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// How often the broker refused it.
    pub refused: u8,
    /// It was parked, and a person released it: it lies with the parked ones, and is known there by its creation.
    pub is_parked: bool,
    /// The event's name, by which it counts for a rate ceiling. None of a task, which is a matter of its queue; nor where it is
    /// known that no ceiling covers it.
    pub topic: Option<Arc<str>>,
}

impl From<&DelayedHead> for DueEvent {
    fn from(head: &DelayedHead) -> Self {
        let topic = head.queue.is_none().then(|| head.event.clone());
        let DelayedHead { key, due, creation, revision, refused, .. } = head;
        let (key, due, creation, revision, refused) = (key.clone(), *due, *creation, *revision, *refused);
        Self { key, due, creation, revision, refused, is_parked: false, topic }
    }
}

/// How an event ended.
#[derive(Debug, Clone, PartialEq)]
pub struct DelayedRow {
    /// When it was recorded.
    pub at: Timestamp,
    /// Its name.
    pub name: Arc<str>,
    /// The number of its creation.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// Its due time.
    pub due: Timestamp,
    /// Whose it was.
    pub owner: Arc<str>,
    /// The event's name, or the task's.
    pub event: Arc<str>,
    /// The queue of a task.
    pub queue: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was published, where the record is all that has it: the embedded broker's feed goes on from here after a restart.
    pub content: Option<DelayedContent>,
}

impl DelayedRow {
    /// Of an event that ends now.
    pub fn of(head: &DelayedHead, at: Timestamp, outcome: Outcome, content: Option<DelayedContent>) -> Self {
        Self {
            at,
            name: head.key.name.clone(),
            creation: head.creation,
            revision: head.revision,
            due: head.due,
            owner: head.owner.clone(),
            event: head.event.clone(),
            queue: head.queue.clone(),
            outcome,
            content,
        }
    }

    /// About how many bytes of content it keeps.
    pub fn content_bytes(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.data.len() + content.headers.len())
    }

    /// The same as a row of a schedule's record.
    pub fn row(&self) -> Row {
        Row {
            at: self.at,
            schedule: self.name.clone(),
            revision: self.revision,
            first: self.due,
            last: self.due,
            count: 1,
            outcome: self.outcome.clone(),
            kind: EventKind::Delayed,
            creation: self.creation,
            queue: self.queue.clone(),
        }
    }
}

/// A row with its number in the record.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedRow {
    /// Counts up by one from 1; never used twice.
    pub number: u64,
    /// The row.
    pub row: DelayedRow,
}

/// What is known of a settled event by its name, for [an hour](super::TOMBSTONES_KEPT): so that a late retry does not have it
/// sent twice.
// Lies in the store, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// When it was settled.
    pub at: Timestamp,
    /// When it was due.
    pub due: Timestamp,
    /// The number of its creation.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// Whose it was.
    pub owner: Arc<str>,
    /// The event's name, or the task's.
    pub event: Arc<str>,
    /// Of what was asked for.
    pub digest: ContentDigest,
}

impl Tombstone {
    /// Of an event that is settled now.
    pub fn of(head: &DelayedHead, at: Timestamp) -> Self {
        Self {
            at,
            due: head.due,
            creation: head.creation,
            revision: head.revision,
            owner: head.owner.clone(),
            event: head.event.clone(),
            digest: head.digest,
        }
    }
}

/// An event that was given up on, and that a person may release or drop. It is settled as far as the balance goes; by its
/// creation it is told from a later one of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// It.
    pub event: DelayedEvent,
    /// Why.
    pub reason: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// A person asked to have it sent again: it is being sent.
    pub released: bool,
}
