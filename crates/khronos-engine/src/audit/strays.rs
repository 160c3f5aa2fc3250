//! Rows that no definition calls for, and notes.

use super::{Auditor, Finding, NOTES, RecordRow};
use crate::{Revision, Row};

impl Auditor {
    /// Whether the revision of that number which is kept is of the schedule that a row is about, and not of one that has
    /// its name since.
    pub(super) fn is_of_kept(&self, row: &Row) -> bool {
        let key = (&*row.schedule, row.revision);
        let kept = self.kept.get(self.place(key)).filter(|kept| kept.key() == key);
        kept.is_none_or(|kept| kept.revision.definition.creation() == row.creation)
    }

    /// A row whose definition is not at hand: forgotten since, or never accepted.
    pub(super) fn without_definition(&mut self, entry: &RecordRow) {
        let row = &entry.row;
        let after = self.place((&row.schedule, u32::MAX));
        let newest = after.checked_sub(1).and_then(|at| self.kept.get(at)).map(|kept| &kept.revision);
        // Of one that ended a later revision may be forgotten, and an earlier one be kept; and under a name that was created
        // anew revisions may count from 1 again.
        let is_its = |one: &&Revision| {
            let of_it = one.name() == &*row.schedule && one.definition.creation() == row.creation;
            of_it && one.ended.is_none()
        };
        let newest = newest.filter(is_its).map(|one| one.number);
        if newest.is_some_and(|newest| row.revision > newest) || row.revision == 0 {
            self.stray(entry, "no such revision was ever accepted");
            return;
        }
        if !self.unverifiable.contains_key(&row.schedule) {
            let (name, revision) = (&row.schedule, row.revision);
            self.note(format!("{name} revision {revision} is no longer kept: its rows can't be verified"));
        }
        *self.unverifiable.entry(row.schedule.clone()).or_default() += row.count;
    }

    pub(super) fn stray(&mut self, entry: &RecordRow, what: &str) {
        let RecordRow { sequence, row } = entry;
        let finding = Finding {
            revision: row.revision,
            first: row.first,
            last: row.last,
            count: row.count,
            sequence: Some(*sequence),
            what: what.into(),
        };
        let strays = self.unknown.entry(row.schedule.clone()).or_default();
        // One stray row is as bad as a thousand; the bound keeps a broken record from filling the memory.
        if strays.len() < NOTES {
            strays.push(finding);
        }
    }

    pub(super) fn note(&mut self, text: String) {
        if self.notes.len() < NOTES {
            self.notes.push(text);
        }
    }
}
