//! What a simulated life left behind, in which its promises are looked for.

use crate::{Coalesced, Outcome, RecordRow, Revision, Row, Snapshot};
use ponos_event::{EventKind, Timestamp};
use std::{collections::HashSet, sync::Arc};

/// An event that reached the broker's queues.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
    pub(super) schedule: Arc<str>,
    pub(super) creation: u64,
    pub(super) revision: u32,
    pub(super) stands_for: Coalesced,
    pub(super) send_time: Timestamp,
    /// The highest wall clock reading that the engine had been given.
    pub(super) highest: Timestamp,
    /// How often the operator had let the clock go on from a lower reading.
    pub(super) era: u32,
}

impl Arrival {
    /// Of which revision it is: name, creation and number.
    pub(super) fn of(&self) -> (&Arc<str>, u64, u32) {
        (&self.schedule, self.creation, self.revision)
    }
}

/// Whether it is this revision.
pub(super) fn is_of(revision: &Revision, (name, creation, number): (&Arc<str>, u64, u32)) -> bool {
    (revision.name(), revision.definition.creation(), revision.number) == (&**name, creation, number)
}

/// What arrived, and what is kept.
pub(super) struct Evidence<'a> {
    pub(super) arrivals: &'a [Arrival],
    pub(super) record: &'a [RecordRow],
    /// What was durable in the end.
    pub(super) disk: &'a Snapshot,
    /// All revisions that ever were durable, as they were last.
    pub(super) revisions: &'a [Revision],
    /// What was ever refused: by schedule and due time.
    pub(super) refused: &'a HashSet<(Arc<str>, Timestamp)>,
    /// How often the operator had let the clock go on from a lower reading.
    pub(super) era: u32,
}

impl Evidence<'_> {
    /// What the record says of occurrences.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.record.iter().map(|entry| &entry.row).filter(|row| row.kind == EventKind::Occurrence)
    }

    /// Whether what an event stands for was parked.
    pub(super) fn was_parked(&self, event: &Arrival) -> bool {
        let run = event.stands_for;
        self.rows().any(|row| {
            matches!(row.outcome, Outcome::Parked(_))
                && row.schedule == event.schedule
                && (row.first, row.last) == (run.first, run.last)
        })
    }

    /// What became of a schedule, for people who look for the reason.
    pub(super) fn story(&self, schedule: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for revision in self.revisions.iter().filter(|r| r.name() == schedule) {
            lines.push(format!("revision {revision:?}"));
        }
        for arrival in self.arrivals.iter().filter(|a| *a.schedule == *schedule) {
            lines.push(format!(
                "arrived r{} {:?} at {}",
                arrival.revision, arrival.stands_for, arrival.highest
            ));
        }
        for row in self.rows().filter(|row| [schedule, "*"].contains(&&*row.schedule)) {
            lines.push(format!("row {row:?}"));
        }
        lines.join("\n")
    }
}
