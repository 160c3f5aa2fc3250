//! What was decided and has not come to its end: what is in flight, the spans that are behind, what is parked, and for
//! people, which schedules the broker refuses and which events reach nobody.
//!
//! Invariants: what is in flight belongs to a slot on time, to a span, to a parked entry, or to nobody any more;
//! W lies below what is on time. What is not on time takes at most half of the room. A revision is kept as long as
//! something here refers to it.

use super::{
    Parked,
    backlog::{Backlogs, State},
    in_flight::{InFlight, Owner},
    parked_set::ParkedSet,
    progress::SpanKey,
    refusals::Refusals,
    unheard::Unheard,
};
use ponos_event::{EventKind, Timestamp};
use std::collections::HashSet;

/// Each of them has its own invariants.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) in_flight: InFlight,
    pub(super) backlogs: Backlogs,
    pub(super) parked: ParkedSet,
    pub(super) refusals: Refusals,
    pub(super) unheard: Unheard,
    /// At most so many are unanswered.
    most: usize,
}

impl Outstanding {
    /// With what was kept parked, at `now`. At most `most` are in flight.
    pub(super) fn new(parked: Vec<(u64, Parked)>, most: usize, now: Timestamp) -> Self {
        Self {
            in_flight: InFlight::default(),
            backlogs: Backlogs::default(),
            parked: ParkedSet::new(parked, now),
            refusals: Refusals::default(),
            unheard: Unheard::default(),
            most,
        }
    }

    /// Whether one more can be handed over on time.
    pub(super) fn has_room(&self) -> bool {
        !self.in_flight.is_full(self.most)
    }

    /// The same for what is caught up with, or was parked.
    pub(super) fn has_room_behind(&self) -> bool {
        !self.in_flight.is_full(self.most.div_ceil(2))
    }

    /// Whether something refers to this revision.
    pub(super) fn refers_to(&self, key: &SpanKey) -> bool {
        self.backlogs.contains(key) || self.parked.holds(key)
    }

    /// Whether something of a parked entry is on its way, or a person wants it to be; or a span has still to pass over it.
    pub(super) fn is_being_sent(&self, number: u64) -> bool {
        self.parked.is_being_sent(number) || self.stands_in_span(number)
    }

    /// Of what kind an event is that is handed over.
    pub(super) fn kind_of(&self, owner: &Owner) -> EventKind {
        match owner {
            Owner::Parked(number) => self.parked.get(*number).map(|parked| parked.kind.clone()),
            Owner::OnTime(_) | Owner::Span(..) | Owner::Nobody => None,
        }
        .unwrap_or_default()
    }

    /// Whether a span has still to pass over a parked entry, as after a restart: it would not know of what is gone by then.
    pub(super) fn stands_in_span(&self, number: u64) -> bool {
        self.parked.get(number).filter(|parked| !parked.is_asked_for()).is_some_and(|parked| {
            let backlog = self.backlogs.get(&(parked.schedule.clone(), parked.revision));
            let run = parked.stands_for;
            backlog.is_some_and(|b| b.span.after < run.last && run.first <= b.span.through)
        })
    }

    /// When the next span or parked entry wants its turn, of those that wait for an instant after `now`.
    pub(super) fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        let timers = [self.backlogs.next_timer(), self.parked.next_timer()];
        timers.into_iter().flatten().filter(|until| *until > now).min()
    }

    /// Spans and parked entries whose write is durable go on, or end.
    pub(super) fn saved(&mut self, is_durable: impl Fn(u64) -> bool) {
        self.parked.saved(&is_durable);
        while let Some(key) = self.backlogs.next_saved(&is_durable) {
            match self.backlogs.get_mut(&key).map(|backlog| backlog.state) {
                Some(State::Closing(_)) => self.backlogs.remove(&key),
                _ => self.backlogs.set(&key, State::Ready),
            }
        }
    }

    /// Gives up on what is in flight above an instant to which the clock was set back, where somebody calls for it again:
    /// a slot, or the revision that `runs`. Gives the spans whose it was.
    pub(super) fn abandon_above(
        &mut self,
        to: Timestamp,
        runs: impl Fn(&str, u32) -> bool,
    ) -> HashSet<SpanKey> {
        self.parked.wake(to);
        self.in_flight.abandon(|owner, send| match owner {
            Owner::OnTime(_) => send > to,
            Owner::Span(name, number) => send > to && runs(name, *number),
            Owner::Parked(_) | Owner::Nobody => false,
        })
    }
}
