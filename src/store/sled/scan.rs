//! One pass over the whole tree at opening: everything is read, counted and compared with what the store says of
//! itself. A database that lost anything, wherever it did, does not pass.

use super::{
    encoding::{self, Entry, Unreadable},
    meta::Meta,
    record::Record,
};
use crate::{engine::Snapshot, schedule::CalendarId};
use std::collections::BTreeSet;

/// What the tree holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// As the last write left it; `None` in an empty tree.
    pub(super) meta: Option<Meta>,
    /// All but the rows.
    pub(super) snapshot: Snapshot,
    /// The ends of the record.
    pub(super) record: Record,
    /// Calendars that no revision refers to any more.
    pub(super) unused: BTreeSet<CalendarId>,
    entries: u64,
    digest: u64,
    first_row: Option<u64>,
    next_row: u64,
}

impl Scan {
    /// Takes the next entry, in the order of keys.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        if key != encoding::META {
            self.entries += 1;
            self.digest = self.digest.wrapping_add(super::meta::fingerprint(key, value));
        }
        match encoding::entry(key, value)? {
            Entry::Meta(bytes) => self.meta = Some(encoding::read(&bytes)?),
            Entry::Calendar(id) => {
                self.unused.insert(id);
            }
            Entry::Revision(revision, calendars) => {
                self.snapshot.revisions.push(revision);
                self.unused.retain(|id| !calendars.contains(id));
            }
            Entry::Span(schedule, span) => self.snapshot.spans.push((schedule, span)),
            Entry::OneShot(schedule, one_shot) => self.snapshot.one_shots.push((schedule, one_shot)),
            Entry::Parked(number, parked) => self.snapshot.parked.push((number, parked)),
            Entry::Rows(first, rows) => {
                if self.first_row.is_some() && first != self.next_row {
                    return Err(Unreadable(format!("row {} is missing", self.next_row)));
                }
                self.first_row = self.first_row.or(Some(first));
                self.next_row = first + rows.len() as u64;
                self.record.resume(first, &rows)?;
            }
        }
        Ok(())
    }

    /// Compares what was read with what the tree says of itself.
    pub(super) fn verify(&self) -> Result<(), Unreadable> {
        let wrong = |what: String| Err(Unreadable(what));
        let Some(meta) = &self.meta else {
            return match self.entries {
                0 => Ok(()),
                some => wrong(format!("{some} entries, and nothing that says what they belong to")),
            };
        };
        if meta.form != super::meta::FORM {
            return wrong(format!("it has form {}, written by another version of khronos", meta.form));
        }
        if self.entries != meta.entries {
            return wrong(format!("it has {} entries and should have {}", self.entries, meta.entries));
        }
        let rows = self.first_row.map_or((meta.last_sequence + 1, meta.last_sequence), |first| {
            (first, self.next_row.saturating_sub(1))
        });
        if rows != (meta.first_sequence, meta.last_sequence) {
            return wrong(format!(
                "it has rows {} to {} of the record and should have {} to {}",
                rows.0, rows.1, meta.first_sequence, meta.last_sequence
            ));
        }
        if self.digest != meta.digest {
            return wrong("an entry is not what was written".into());
        }
        Ok(())
    }
}
