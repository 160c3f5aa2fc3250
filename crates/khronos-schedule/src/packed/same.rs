//! When two of them are the same.

use super::Packed;
use crate::schedule::Schedule;
use ponos_event::Timestamp;
use std::sync::Arc;

impl Packed {
    /// Whether both, however they are written and whoever created them, make the same schedule, and say the same of it.
    pub fn means_the_same(&self, other: &Self) -> bool {
        if !self.is_annotated_as(other) {
            return false;
        }
        let same = |ours: Schedule, theirs: Schedule| {
            ours.timing.is_read_as(&theirs.timing) && ours == Schedule { creation: ours.creation, ..theirs }
        };
        self == other
            || self.schedule().zip(other.schedule()).is_some_and(|(ours, theirs)| same(ours, theirs))
    }

    /// As [`means_the_same`](Self::means_the_same), where what the rules of a zone were before `since` is no matter, nor on
    /// which days a calendar was: newer data that says the same from then on makes no other schedule.
    pub fn means_the_same_from(&self, other: &Self, since: Timestamp) -> bool {
        if self == other {
            return true;
        }
        if !self.is_annotated_as(other) {
            return false;
        }
        let (Some(ours), Some(theirs)) = (self.schedule(), other.schedule()) else { return false };
        if !theirs.timing.zones_changed(&ours.timing, since).is_empty() {
            return false;
        }
        let timing = theirs.timing.with_rules_of(&ours.timing).with_past_days_of(&ours.timing, since);
        ours.timing.is_read_as(&timing) && ours == Schedule { timing, creation: ours.creation, ..theirs }
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
            && self.zone == other.zone
            && self.more_zones() == other.more_zones()
            && match (self.rules(), other.rules()) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.is_written_as(other),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}

impl Eq for Packed {}
