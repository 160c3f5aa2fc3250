//! One write in preparation: what each key is to hold, in whichever store.

use super::encoding::{self, Unreadable};
use crate::engine::{Commit, Parked, Pauses};
use std::collections::BTreeMap;

/// Whether a commit has a pause to be kept.
pub(super) fn has_pauses(commit: &Commit) -> bool {
    commit.pauses.as_ref().is_some_and(|pauses| *pauses != Pauses::default())
}

/// Whether a commit has something that was done to schedules at run time, their creation apart: what an older version does not
/// know.
pub(super) fn is_of_run_time(commit: &Commit) -> bool {
    !commit.messages.is_empty()
        || !commit.changes.is_empty()
        || !commit.calendars.is_empty()
        || commit.named_pauses.iter().any(|(_, pauses)| pauses.is_some())
        || commit.pauses.as_ref().is_some_and(encoding::has_set_backs)
        || commit.operations.iter().any(|(_, operation)| operation.is_some())
        || commit.triggers.iter().any(|(_, due)| due.is_some())
        || commit.parked.iter().any(|(_, parked)| parked.as_ref().is_some_and(Parked::is_asked_for))
}

/// By key; `None` removes. What is said last about a key holds.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) all: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    has_resends: bool,
}

impl Changes {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.all.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.all.insert(key, None);
    }

    /// Whether the key is to change.
    pub(super) fn concerns(&self, key: &[u8]) -> bool {
        self.all.contains_key(key)
    }

    /// All of a commit but its rows.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<(), Unreadable> {
        for revision in &commit.revisions {
            let key = encoding::revision_key(revision.name(), revision.number);
            let definition = revision.definition.definition();
            self.has_resends |= definition.resends.is_some();
            self.put(key, encoding::revision_value(revision, &definition)?);
            // Of one that is not understood they lie there since it was accepted.
            for (id, days) in revision.definition.calendars() {
                let key = encoding::calendar_key(id);
                if !self.concerns(&key) {
                    self.put(key.to_vec(), days.to_bytes());
                }
            }
            for rules in revision.definition.zone_rules() {
                let key = encoding::zone_key(rules.id());
                if !self.concerns(&key) {
                    self.put(key.to_vec(), rules.tzif().to_vec());
                }
            }
        }
        for (schedule, number) in &commit.forgotten {
            self.remove(encoding::revision_key(schedule, *number));
        }
        for (schedule, number, span) in &commit.spans {
            let value = span.as_ref().map(encoding::span_value).transpose()?;
            self.all.insert(encoding::span_key(schedule, *number), value);
        }
        for (schedule, one_shot) in &commit.one_shots {
            let value = one_shot.as_ref().map(encoding::value).transpose()?;
            self.all.insert(encoding::one_shot_key(schedule), value);
        }
        for (number, parked) in &commit.parked {
            let value = parked.as_ref().map(encoding::parked_value).transpose()?;
            self.all.insert(encoding::parked_key(*number), value);
        }
        for (name, calendar) in &commit.calendars {
            let value = calendar.as_deref().map(encoding::created_calendar_value).transpose()?;
            self.all.insert(encoding::created_calendar_key(name), value);
        }
        for (key, answered) in &commit.messages {
            let value = answered.as_ref().map(encoding::value).transpose()?;
            self.all.insert(encoding::message_key(key), value);
        }
        if let Some(pauses) = &commit.pauses {
            let value = has_pauses(commit).then(|| encoding::pauses_value(pauses)).transpose()?;
            self.all.insert(encoding::pauses_key(), value);
        }
        for (id, operation) in &commit.operations {
            let value = operation.as_ref().map(encoding::value).transpose()?;
            self.all.insert(encoding::operation_key(id), value);
        }
        for (key, due) in &commit.triggers {
            let value = due.as_ref().map(encoding::value).transpose()?;
            self.all.insert(encoding::trigger_key(key), value);
        }
        for (name, pauses) in &commit.named_pauses {
            let value = pauses.as_ref().map(encoding::pauses_value).transpose()?;
            self.all.insert(encoding::named_pauses_key(name), value);
        }
        Ok(())
    }

    /// What an earlier version wrote, as it is to lie there from now on; what changes anyway is left as that says.
    pub(super) fn amend(&mut self, amended: Vec<(Vec<u8>, Vec<u8>)>) {
        for (key, value) in amended {
            self.all.entry(key).or_insert(Some(value));
        }
    }

    /// Whether it puts a definition that says something of resends, be it nothing (`resends = {}`).
    pub(super) fn has_resends(&self) -> bool {
        self.has_resends
    }

    /// Whether it puts rules of zones.
    pub(super) fn has_zones(&self) -> bool {
        self.all.iter().any(|(key, value)| value.is_some() && encoding::is_of_zones(key))
    }
}
