//! The state that the records of the stream make. Pure: the place of a record and the time are arguments.
//!
//! Of each key it keeps the record that stands last. A record that repeats another one (`folded_from`) counts as if it stood in the
//! place of that: so whoever writes the state anew while others write brings nothing back that was taken back meanwhile. For the same
//! reason a record that takes something back is kept like others.

use super::{
    Limit, PausedByHand, Steered,
    cancelled::{Cancellations, CancelledIds, Said},
};
use crate::{
    broker::Delivery,
    event::{
        Event, EventId, Timestamp,
        control::{CONTROL_CANCELLED, CONTROL_CHANGED, Cancellation, Change, Key},
        from_json,
    },
    text::shortened,
};
use std::{collections::BTreeMap, sync::Arc};

/// The most keys kept, …
const KEYS: usize = 10_000;
/// … and the most bytes of their records together.
const BYTES: usize = 8 << 20;
/// The longest record; a longer one is none of ours.
const RECORD: usize = 16 << 10;
/// The most bytes of a queue's name, and of a message's id.
const NAME: usize = 255;
/// The most characters of who said it, …
const BY: usize = 100;
/// … and of why.
const WHY: usize = 500;
/// A record of so many bytes counts as one more when the state is written anew after so many.
const WEIGHT: usize = 4 << 10;

/// Which records are kept.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// All.
    All,
    /// Those of these queues.
    Queues(Vec<Arc<str>>),
}

/// The record that counts of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) time: Option<Timestamp>,
    pub(crate) change: Change,
    /// Where it stands, or the one that it repeats.
    pub(crate) place: u64,
    bytes: usize,
}

/// What a message of the stream is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Changed(Box<Entry>),
    /// Messages are cancelled; `true`: it repeats what stands before it.
    Cancelled(CancelledIds, bool),
    /// Nothing that this version knows.
    Other,
}

impl Record {
    /// Reads a message, which anybody may have written who may write there.
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self::known(delivery).unwrap_or(Self::Other)
    }

    fn known(delivery: &Delivery) -> Option<Self> {
        let bytes = delivery.message.body.len();
        if bytes > RECORD {
            return None;
        }
        let place = place(delivery)?;
        let event = Event::from_message(&delivery.message).ok()?;
        match event.name.as_str() {
            CONTROL_CHANGED => Self::changed(event, place, bytes),
            CONTROL_CANCELLED => Self::cancelled(&event),
            _ => None,
        }
    }

    fn cancelled(event: &Event) -> Option<Self> {
        let Cancellation { service, queue, name, ids, until, by, why, folded } =
            from_json(&event.data).ok()?;
        let (by, why) = (in_a_line(&by, BY), in_a_line(&why, WHY));
        let are_short = [Some(&service), queue.as_ref(), name.as_ref()];
        if are_short.into_iter().flatten().any(|text| text.len() > NAME) {
            return None;
        }
        let said = Arc::new(Said { until, service, queue, name, by, why });
        let ids = ids.into_iter().filter(|id| id.len() <= NAME).map(Arc::from).collect();
        Some(Self::Cancelled(CancelledIds { ids, said }, folded))
    }

    fn changed(event: Event, place: u64, bytes: usize) -> Option<Self> {
        let mut change: Change = from_json(&event.data).ok()?;
        (change.by, change.why) = (in_a_line(&change.by, BY), in_a_line(&change.why, WHY));
        let place = change.folded_from.unwrap_or(place).min(place);
        let is_limit = matches!(change.key, Key::Limit { .. });
        let is_known = !is_limit || change.value.as_ref().is_none_or(|value| Limit::of(value).is_some());
        let entry = Entry { id: event.id, time: event.time, change, place, bytes };
        (is_known && entry.change.key.queue().len() <= NAME).then(|| Self::Changed(Box::new(entry)))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Changed(entry) => entry.bytes,
            Self::Cancelled(cancelled, _) => cancelled.ids.iter().map(|id| id.len()).sum(),
            Self::Other => 0,
        }
    }
}

/// A text for health checks and logs, which have one line for it.
fn in_a_line(text: &str, chars: usize) -> String {
    shortened(text, chars).replace(char::is_control, " ")
}

/// Where a message of the stream stands.
pub(crate) fn place(delivery: &Delivery) -> Option<u64> {
    u64::try_from(delivery.message.headers.int("x-stream-offset")?).ok()
}

/// The records that count.
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    scope: Scope,
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    cancelled: Cancellations,
    /// Records since the state was written anew, this stream's beginning included.
    since_written: u64,
    left_out: bool,
}

impl Fold {
    pub(crate) fn new(scope: Scope) -> Self {
        let (entries, cancelled) = (BTreeMap::new(), Cancellations::default());
        Self { scope, entries, bytes: 0, cancelled, since_written: 0, left_out: false }
    }

    /// The same scope, and nothing read.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.scope.clone())
    }

    /// Takes the next record in; whether something may be otherwise by it.
    pub(crate) fn take(&mut self, record: Record, now: Timestamp) -> bool {
        self.since_written += 1 + (record.bytes() / WEIGHT) as u64;
        let entry = match record {
            Record::Changed(entry) => entry,
            Record::Cancelled(cancelled, folded) => return self.cancel(&cancelled, folded, now),
            Record::Other => return false,
        };
        if entry.change.folded_from.is_some() {
            self.since_written = 0;
        }
        let known = self.entries.get(&entry.change.key);
        if !self.concerns(entry.change.key.queue()) || known.is_some_and(|known| known.place > entry.place) {
            return false;
        }
        let before = known.map(|known| known.bytes);
        if before.is_none() && self.is_full(entry.bytes) {
            self.forget_over(now);
            if self.is_full(entry.bytes) {
                self.leave_out(entry.change.key.queue());
                return false;
            }
        }
        self.bytes = self.bytes + entry.bytes - before.unwrap_or(0);
        self.entries.insert(entry.change.key.clone(), *entry);
        true
    }

    fn cancel(&mut self, cancelled: &CancelledIds, folded: bool, now: Timestamp) -> bool {
        if folded {
            self.since_written = 0;
        }
        let concerns = match (&self.scope, &cancelled.said.queue) {
            (Scope::All, _) => true,
            (Scope::Queues(_), Some(queue)) => self.concerns(queue),
            (Scope::Queues(queues), None) => queues.iter().any(|queue| {
                queue.split_once('.').is_some_and(|(service, _)| service == cancelled.said.service)
            }),
        };
        if !concerns {
            return false;
        }
        if !self.cancelled.add(cancelled, now) {
            self.leave_out(cancelled.said.queue.as_deref().unwrap_or(&cancelled.said.service));
        }
        true
    }

    /// Whether there is room for these as well.
    pub(crate) fn has_room(&self, cancelled: &CancelledIds, now: Timestamp) -> bool {
        self.cancelled.clone().add(cancelled, now)
    }

    /// What is cancelled, of which some may be over.
    pub(crate) fn cancelled(&self) -> &Cancellations {
        &self.cancelled
    }

    fn concerns(&self, queue: &str) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Queues(queues) => queues.iter().any(|known| **known == *queue),
        }
    }

    fn is_full(&self, more: usize) -> bool {
        self.entries.len() >= KEYS || self.bytes + more > BYTES
    }

    fn forget_over(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.change.until > now);
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
    }

    fn leave_out(&mut self, queue: &str) {
        if !std::mem::replace(&mut self.left_out, true) {
            tracing::error!(
                queue,
                "the control stream says more than is kept ({KEYS} keys, {BYTES} bytes; 100,000 cancelled messages): the rest is not obeyed; find out who writes to it"
            );
        }
    }

    /// The records of what holds now.
    pub(crate) fn holding(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.change.value.is_some() && entry.change.until > now)
    }

    fn holds(&self, key: &Key, now: Timestamp) -> Option<&Entry> {
        let entry = self.entries.get(key)?;
        (entry.change.value.is_some() && entry.change.until > now).then_some(entry)
    }

    /// Whether something holds of that key now.
    pub(crate) fn is_held(&self, key: &Key, now: Timestamp) -> bool {
        self.holds(key, now).is_some()
    }

    /// When the first of what holds now ends.
    pub(crate) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let entries = self.holding(now).map(|entry| entry.change.until).min();
        entries.into_iter().chain(self.cancelled.next_end(now)).min()
    }

    /// What is said of a queue now.
    pub(crate) fn steered(&self, queue: &Arc<str>, now: Timestamp) -> Steered {
        let paused = self.holds(&Key::Pause { queue: queue.to_string() }, now);
        let limit = self.holds(&Key::Limit { queue: queue.to_string() }, now);
        Steered {
            paused: paused.map(|entry| PausedByHand {
                queue: Arc::clone(queue),
                by: entry.change.by.clone(),
                why: entry.change.why.clone(),
                until: entry.change.until,
            }),
            limit: limit.and_then(|entry| Limit::of(entry.change.value.as_ref()?)),
        }
    }

    /// How many records were read since the state was written anew.
    pub(crate) fn since_written(&self) -> u64 {
        self.since_written
    }

    /// The records that are to be written anew, those that take something back included, oldest first.
    pub(crate) fn to_write(&self, now: Timestamp) -> Vec<Entry> {
        let lasting = self.entries.values().filter(|entry| entry.change.until > now);
        let mut entries: Vec<Entry> = lasting.cloned().collect();
        entries.sort_by_key(|entry| entry.place);
        for entry in &mut entries {
            entry.change.folded_from = Some(entry.place);
        }
        entries
    }
}

#[cfg(test)]
mod tests;
