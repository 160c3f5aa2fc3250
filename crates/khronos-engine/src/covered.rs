//! What of a schedule's past needs no backfill: what is on its way, or still to come by itself. What was sent, the record
//! knows.

use super::{
    ScheduleStatus,
    core::Engine,
    faults::{Fault, planted},
};
use ponos_event::Timestamp;

/// What of a schedule's past needs no backfill, all of it in one moment: what leaves it later is in the record then.
#[derive(Debug, Clone)]
pub struct Covered {
    /// The schedule.
    pub status: ScheduleStatus,
    /// When this was so.
    pub at: Timestamp,
    /// What is due from here on comes by itself: it is ahead, or due and not handed over yet.
    pub comes_from: Timestamp,
    /// Due times that are outstanding, parked, or still to be sent by an operation: first and last included.
    pub ranges: Vec<(Timestamp, Timestamp)>,
}

impl Engine {
    /// What of this schedule's past needs no backfill: to all that are bound, or to this queue alone.
    pub fn covered(&self, name: &str, queue: Option<&str>) -> Option<Covered> {
        let status = self.running(name)?;
        let creation = status.revision.definition.creation();
        let is_its = |schedule: &str, revision| {
            schedule == name && self.creation_of(&(schedule.into(), revision)) == creation
        };
        let arrives = |to: Option<&str>| to.is_none() || to == queue;
        let spans = status.outstanding.iter().filter(|span| is_its(name, span.revision));
        let mut ranges: Vec<_> = spans.map(|span| (span.after.plus(1), span.through)).collect();
        ranges.extend(status.in_flight.map(|due| (due, due)));
        // By their revisions, for there may be very many of other schedules.
        let set = &self.outstanding.parked;
        let earlier = self.resting.all_of(name, creation);
        let numbers = earlier.map(|one| one.number).chain([status.revision.number]);
        let occurrences = numbers.flat_map(|number| set.occurrences_of(&(name.into(), number)));
        let made = self.operations.made_of(name).filter(|(one, _)| arrives(one.queue.as_deref()));
        let made = made.filter_map(|(_, number)| set.get(number));
        let parked = occurrences.chain(made.filter(|one| is_its(name, one.revision)));
        ranges.extend(parked.map(|one| (one.stands_for.first, one.stands_for.last)));
        let running = self.operations.running().map(|(_, one)| one);
        let running = running.filter(|one| *one.schedule == *name && one.creation == creation);
        let left = running.filter(|one| arrives(one.queue.as_deref())).flat_map(|one| &one.left);
        ranges.extend(left.map(|run| (run.first, run.last)));
        let at = self.now();
        let next = status.next.filter(|_| !planted(Fault::BackfillWhatIsStillToCome));
        let comes_from = next.unwrap_or(Timestamp::HORIZON).min(at.plus(1));
        Some(Covered { status, at, comes_from, ranges })
    }
}
