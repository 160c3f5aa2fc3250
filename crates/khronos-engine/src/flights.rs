//! What was handed to the publisher and is not answered yet. Bounded by the engine's `in_flight`.

use super::{Coalesced, slots::SlotId};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Places kept for each flight that may be unanswered.
const PLACES: usize = 16;

/// Whose handover it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A schedule's, on time.
    OnTime(SlotId),
    /// A span's: by schedule and revision.
    Span(Arc<str>, u32),
    /// A released parked event's: by number.
    Parked(u64),
    /// Nobody's any more: the clock was set back over it.
    Nobody,
}

#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) owner: Owner,
    /// Its name.
    pub(super) schedule: Arc<str>,
    pub(super) stands_for: Coalesced,
    pub(super) sent_at: Timestamp,
    pub(super) lateness: i64,
}

impl Flight {
    fn send_time(&self) -> Timestamp {
        self.sent_at.plus(-self.lateness)
    }
}

/// Tokens count up, and answers come roughly in their order: a flight's place is its token less that of the first.
#[derive(Debug, Default)]
pub(super) struct Flights {
    places: VecDeque<Option<Flight>>,
    /// The token of the first place.
    first: u64,
    taken: usize,
    /// Send times of those on time, counted: the lowest bounds the settled mark.
    on_time: BTreeMap<Timestamp, u32>,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// When the oldest that is unanswered was handed over.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        // The first place is never one that is empty.
        self.places.front()?.as_ref().map(|flight| flight.sent_at)
    }

    /// Whether `limit` are unanswered, or so many places are kept behind one that gets no answer that memory counts.
    pub(super) fn are_full(&self, limit: usize) -> bool {
        self.taken >= limit || self.places.len() >= limit.saturating_mul(PLACES)
    }

    /// The lowest send time among those on time.
    pub(super) fn lowest(&self) -> Option<Timestamp> {
        self.on_time.first_key_value().map(|(send, _)| *send)
    }

    pub(super) fn take_off(&mut self, flight: Flight) -> u64 {
        if matches!(flight.owner, Owner::OnTime(_)) {
            *self.on_time.entry(flight.send_time()).or_default() += 1;
        }
        let token = self.first + self.places.len() as u64;
        self.places.push_back(Some(flight));
        self.taken += 1;
        token
    }

    pub(super) fn land(&mut self, token: u64) -> Option<Flight> {
        let place = usize::try_from(token.checked_sub(self.first)?).ok()?;
        let flight = self.places.get_mut(place)?.take()?;
        self.taken -= 1;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        if matches!(flight.owner, Owner::OnTime(_)) {
            self.forget_on_time(flight.send_time());
        }
        Some(flight)
    }

    /// Gives the flight that is on time, of this slot, to a span.
    pub(super) fn leave(&mut self, id: SlotId, span: Owner) {
        let flight = self.places.iter_mut().flatten().find(|flight| flight.owner == Owner::OnTime(id));
        if let Some(flight) = flight {
            flight.owner = span;
            let send = flight.send_time();
            self.forget_on_time(send);
        }
    }

    /// Gives up on those of which this is so, by owner and send time; whether there were any.
    pub(super) fn abandon(&mut self, which: impl Fn(&Owner, Timestamp) -> bool) -> bool {
        let mut on_time = Vec::new();
        let mut any = false;
        for flight in self.places.iter_mut().flatten() {
            let send = flight.send_time();
            if which(&flight.owner, send) {
                any = true;
                if let Owner::OnTime(_) = std::mem::replace(&mut flight.owner, Owner::Nobody) {
                    on_time.push(send);
                }
            }
        }
        on_time.into_iter().for_each(|send| self.forget_on_time(send));
        any
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
