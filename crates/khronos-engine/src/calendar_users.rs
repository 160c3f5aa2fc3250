//! Which schedules name which calendar, of those that were created at run time: those of files name the files' calendars alone.

use super::slots::SlotId;
use khronos_schedule::Packed;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(super) struct CalendarUsers(BTreeMap<Arc<str>, BTreeSet<SlotId>>);

impl CalendarUsers {
    /// This slot has this definition from now on.
    pub(super) fn note(&mut self, id: SlotId, definition: &Packed) {
        if definition.is_created() {
            for calendar in definition.calendar_names() {
                self.0.entry(calendar.clone()).or_default().insert(id);
            }
        }
    }

    /// It has it no longer.
    pub(super) fn forget(&mut self, id: SlotId, definition: &Packed) {
        for calendar in definition.calendar_names() {
            if let Some(users) = self.0.get_mut(calendar)
                && users.remove(&id)
                && users.is_empty()
            {
                self.0.remove(calendar);
            }
        }
    }

    /// Those that name this calendar.
    pub(super) fn of(&self, calendar: &str) -> Option<&BTreeSet<SlotId>> {
        self.0.get(calendar)
    }
}
