//! One schedule as it runs: what is held of each, so every byte of it counts a million times.

use super::{Era, Revision, Sent, progress::SpanKey};
use khronos_schedule::{Packed, Schedule, Timing};
use ponos_event::Timestamp;
use std::sync::Arc;

/// One schedule as it runs.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) definition: Packed,
    due: Due,
    effective_from: Timestamp,
    /// `None`: nothing was before, the revision opens where it takes effect.
    before: Option<Box<Before>>,
    /// 0: vacant.
    number: u32,
    skipped: u32,
    pub(super) sent: Sent,
}

/// What most revisions have no need of.
#[derive(Debug)]
struct Before {
    counts_from: Timestamp,
    opens: Timestamp,
    previous: Option<Timestamp>,
    set_backs: u32,
}

impl Slot {
    /// The revision as it begins to run, with nothing in the queue.
    pub(super) fn new(revision: &Revision) -> Self {
        let Revision { number, effective_from, counts_from, opens, previous, set_backs, .. } = *revision;
        let usual = (counts_from, opens, previous, set_backs) == (effective_from, effective_from, None, 0);
        let before = (!usual).then_some(Before { counts_from, opens, previous, set_backs });
        Self {
            definition: revision.definition.counting_since(counts_from),
            due: Due::NONE,
            effective_from,
            before: before.map(Box::new),
            number,
            skipped: 0,
            sent: Sent::default(),
        }
    }

    /// The same; these events of it were sent before.
    pub(super) fn having_sent(self, sent: Sent) -> Self {
        Self { sent, ..self }
    }

    /// A slot in which nothing runs.
    pub(super) fn vacant(definition: &Packed) -> Self {
        Self::new(&Era::first(0, Timestamp::EPOCH).of(definition.clone()))
    }

    /// Whether it is not vacant.
    pub(super) fn runs(&self) -> bool {
        self.number() > 0
    }

    pub(super) fn name(&self) -> Arc<str> {
        self.definition.name().into()
    }

    /// By what its spans are known.
    pub(super) fn key(&self) -> SpanKey {
        (self.name(), self.number())
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// See [`Revision::set_backs`].
    pub(super) fn set_backs(&self) -> u32 {
        self.before.as_deref().map_or(0, |before| before.set_backs)
    }

    pub(super) fn era(&self) -> Era {
        let before = self.before.as_deref();
        Era {
            number: self.number(),
            effective_from: self.effective_from,
            counts_from: before.map_or(self.effective_from, |before| before.counts_from),
            opens: before.map_or(self.effective_from, |before| before.opens),
            previous: before.and_then(|before| before.previous),
            set_backs: self.set_backs(),
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.era().of(self.definition.clone())
    }

    pub(super) fn timing(&self) -> Timing {
        self.definition.timing()
    }

    /// When the occurrence of this due time is to be sent.
    pub(super) fn send_time(&self, due: Timestamp) -> Timestamp {
        match self.definition.has_jitter() {
            true => self.timing().send_time(due),
            false => due,
        }
    }

    /// `None` only for what is not understood, and that gets no slot.
    pub(super) fn schedule(&self) -> Option<Arc<Schedule>> {
        self.definition.schedule().map(Arc::new)
    }

    /// The due time that stands in the queue.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.get(false)
    }

    /// The due time that was handed over on time and is not answered.
    pub(super) fn in_flight(&self) -> Option<Timestamp> {
        self.due.get(true)
    }

    /// Whether it neither waits for a due time nor has one in flight.
    pub(super) fn is_idle(&self) -> bool {
        (self.next(), self.in_flight()) == (None, None)
    }

    pub(super) fn wait_for(&mut self, next: Option<Timestamp>) {
        self.due = next.map_or(Due::NONE, |due| Due::new(due, false));
    }

    pub(super) fn hand_over(&mut self, due: Timestamp) {
        self.due = Due::new(due, true);
    }

    pub(super) fn answered(&mut self) {
        self.due = Due::NONE;
    }

    /// Counts occurrences that were skipped since the last event.
    pub(super) fn skip(&mut self, count: u64) {
        self.skipped = self.skipped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// How many were skipped since the last event.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.into()
    }

    /// The same; none from now on.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped).into()
    }
}

/// A due time that is waited for or in flight, or none of both, in eight bytes: due times need forty-two bits.
#[derive(Debug, Clone, Copy)]
struct Due(i64);

impl Due {
    const NONE: Self = Self(i64::MIN);

    fn new(due: Timestamp, in_flight: bool) -> Self {
        Self(due.millis() << 1 | i64::from(in_flight))
    }

    fn get(self, in_flight: bool) -> Option<Timestamp> {
        let is = self.0 != Self::NONE.0 && (self.0 & 1 == 1) == in_flight;
        is.then(|| Timestamp::from_millis(self.0 >> 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use khronos_schedule::{Definition, jitter_offset};

    #[test]
    fn a_due_time_is_waited_for_or_in_flight_or_there_is_none() {
        for millis in [-1, 0, 1, Timestamp::HORIZON.millis()] {
            let due = Timestamp::from_millis(millis);
            for in_flight in [false, true] {
                assert_eq!(Due::new(due, in_flight).get(in_flight), Some(due));
                assert_eq!(Due::new(due, in_flight).get(!in_flight), None);
            }
        }
        assert_eq!((Due::NONE.get(false), Due::NONE.get(true)), (None, None));
        assert_eq!(size_of::<Slot>(), 72);
    }

    #[test]
    fn what_has_jitter_is_sent_as_much_later_than_it_is_due() {
        let definition = Definition {
            name: "a".into(),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            jitter: Some("50s".into()),
            ..Definition::default()
        };
        let revision = Era::first(1, Timestamp::EPOCH).of(Packed::build(&definition).unwrap());
        let slot = Slot::new(&revision);
        let minutes = (1..10).map(|minute| Timestamp::from_millis(minute * 60_000));
        let later: Vec<i64> = minutes.clone().map(|due| slot.send_time(due).since(due)).collect();
        let jitter: Vec<i64> = minutes.map(|due| jitter_offset("a", due, 50_000)).collect();
        assert_eq!(later, jitter);
        assert!(jitter.iter().any(|jitter| *jitter > 0));
    }
}
