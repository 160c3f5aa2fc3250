//! Rows that no definition calls for, and notes.

use super::{Auditor, Finding, Kept, NOTES, RecordRow};

impl Auditor {
    /// A row whose definition is not at hand: forgotten since, or never accepted.
    pub(super) fn without_definition(&mut self, entry: &RecordRow) {
        let row = &entry.row;
        let after = self.place((&row.schedule, u32::MAX));
        let newest = after.checked_sub(1).and_then(|at| self.kept.get(at)).map(Kept::key);
        let newest = newest.filter(|(name, _)| **name == *row.schedule);
        if newest.is_some_and(|(_, newest)| row.revision > newest) || row.revision == 0 {
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
