//! What is known of the events of a schedule that were sent.

use super::{
    Outcome, Row,
    faults::{Fault, planted},
};
use khronos_schedule::{Packed, id_name};
use ponos_event::Timestamp;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// Events of a schedule that were confirmed, whatever its revision: as far as the record goes back, and since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How many; it stays at 2³² − 1.
    pub confirmed: u32,
    /// Of these, how many reached nobody.
    pub returned: u32,
    /// When the last one was handed over, in eight bytes: 1970 before the first.
    last: Timestamp,
}

impl Default for Sent {
    fn default() -> Self {
        Self { confirmed: 0, returned: 0, last: Timestamp::EPOCH }
    }
}

impl Sent {
    /// One more.
    pub fn note(&mut self, sent_at: Timestamp, returned: bool) {
        self.confirmed = self.confirmed.saturating_add(1);
        self.returned = self.returned.saturating_add(returned.into());
        self.last = self.last.max(sent_at);
    }

    /// When the last one was handed over; `None` before the first.
    pub fn last(&self) -> Option<Timestamp> {
        Some(self.last).filter(|last| *last > Timestamp::EPOCH)
    }

    /// Notes what a row of the record says. See [`Snapshot::sent`](super::Snapshot::sent).
    pub fn note_row(all: &mut BTreeMap<Arc<str>, Self>, row: &Row) {
        let Outcome::Confirmed { sent_at, returned, .. } = row.outcome else { return };
        let of =
            if planted(Fault::TakeThePredecessorsFigures) { (&*row.schedule).into() } else { row.id_name() };
        match all.get_mut(&*of) {
            Some(sent) => sent.note(sent_at, returned),
            None => {
                let of = if row.creation == 0 { row.schedule.clone() } else { (&*of).into() };
                all.entry(of).or_default().note(sent_at, returned);
            }
        }
    }

    /// Of the schedule with this definition. See [`Snapshot::sent`](super::Snapshot::sent).
    pub fn of(all: &BTreeMap<Arc<str>, Self>, definition: &Packed) -> Self {
        all.get(&*sent_key(definition)).copied().unwrap_or_default()
    }
}

/// By what the events are known that were sent of a schedule: what is created anew under a name has none.
pub(super) fn sent_key(definition: &Packed) -> Cow<'_, str> {
    let creation = definition.creation();
    id_name(definition.name(), if planted(Fault::TakeThePredecessorsFigures) { 0 } else { creation })
}
