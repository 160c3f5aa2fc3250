//! What was handed to the publisher and is not answered yet. Bounded by the engine's `in_flight`.

use super::{Coalesced, progress::SpanKey, slots::SlotId};
use ponos_event::{EventKind, Numbered, Timestamp};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Places kept for each of those that may be unanswered.
const PLACES: usize = 16;

/// Whose handover it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A schedule's, on time.
    OnTime(SlotId),
    /// A span's: by schedule and revision.
    Span(Arc<str>, u32),
    /// A parked entry's: by number.
    Parked(u64),
    /// Nobody's any more: the clock was set back over it.
    Nobody,
}

/// One event that is handed over and not answered.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) owner: Owner,
    /// Its name.
    pub(super) schedule: Arc<str>,
    pub(super) kind: EventKind,
    /// The number of its creation; 0 for a file's.
    pub(super) creation: u64,
    pub(super) stands_for: Coalesced,
    pub(super) sent_at: Timestamp,
    pub(super) lateness: i64,
}

impl Sending {
    fn send_time(&self) -> Timestamp {
        self.sent_at.plus(-self.lateness)
    }
}

/// By token. The lowest send time of those on time bounds W.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    window: Numbered<Sending>,
    /// Send times of those on time, counted.
    on_time: BTreeMap<Timestamp, u32>,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.window.len()
    }

    /// When the oldest that is unanswered was handed over.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.window.oldest().map(|(_, sending)| sending.sent_at)
    }

    /// Whether `limit` are unanswered, or so many places are kept behind one that gets no answer that memory counts.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.window.len() >= limit || self.window.places() >= limit.saturating_mul(PLACES)
    }

    /// How many of them are on time.
    pub(super) fn on_time(&self) -> usize {
        self.on_time.values().map(|count| *count as usize).sum()
    }

    /// The lowest send time among those on time.
    pub(super) fn lowest(&self) -> Option<Timestamp> {
        self.on_time.first_key_value().map(|(send, _)| *send)
    }

    /// Gives its token.
    pub(super) fn insert(&mut self, sending: Sending) -> u64 {
        if matches!(sending.owner, Owner::OnTime(_)) {
            *self.on_time.entry(sending.send_time()).or_default() += 1;
        }
        self.window.push(sending)
    }

    /// It is answered.
    pub(super) fn remove(&mut self, token: u64) -> Option<Sending> {
        let sending = self.window.remove(token)?;
        if matches!(sending.owner, Owner::OnTime(_)) {
            self.forget_on_time(sending.send_time());
        }
        Some(sending)
    }

    /// Gives those that are on time, of these slots, to spans.
    pub(super) fn reassign_to_spans(&mut self, mut spans: HashMap<SlotId, SpanKey>) {
        let mut on_time = Vec::with_capacity(spans.len());
        // One pass for all of them, which ends with the last.
        for sending in self.window.iter_mut() {
            if spans.is_empty() {
                break;
            }
            if let Owner::OnTime(id) = sending.owner
                && let Some((schedule, revision)) = spans.remove(&id)
            {
                sending.owner = Owner::Span(schedule, revision);
                on_time.push(sending.send_time());
            }
        }
        on_time.into_iter().for_each(|send| self.forget_on_time(send));
    }

    /// Gives up on those of which this is so, by owner and send time. Gives the spans whose they were.
    pub(super) fn abandon(&mut self, which: impl Fn(&Owner, Timestamp) -> bool) -> HashSet<SpanKey> {
        let (mut on_time, mut spans) = (Vec::new(), HashSet::new());
        for sending in self.window.iter_mut() {
            let send = sending.send_time();
            if !which(&sending.owner, send) {
                continue;
            }
            match std::mem::replace(&mut sending.owner, Owner::Nobody) {
                Owner::OnTime(_) => on_time.push(send),
                Owner::Span(schedule, revision) => drop(spans.insert((schedule, revision))),
                Owner::Parked(_) | Owner::Nobody => {}
            }
        }
        on_time.into_iter().for_each(|send| self.forget_on_time(send));
        spans
    }

    fn forget_on_time(&mut self, send: Timestamp) {
        if let Some(count) = self.on_time.get_mut(&send) {
            *count -= 1;
            if *count == 0 {
                self.on_time.remove(&send);
            }
        }
    }
}
