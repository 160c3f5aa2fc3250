//! Which schedules name which calendar, of those that were created at run time: those of files name the files' calendars alone.
//! And of which of them a change would leave nothing due.

use super::{core::Engine, slots::SlotId};
use khronos_schedule::{Calendar, Calendars, Packed};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Schedules that are named as those that use a calendar.
pub(super) const SHOWN: usize = 5;
/// So many are read by a calendar that is wanted, before it is accepted: some 20 ms. What a larger change leaves of others
/// shows when they are read anew.
const JUDGED: usize = if cfg!(test) { 4 } else { 1_000 };
/// So much of [`Calendars::effort`] is made in a step at most, and that of one schedule: some 15 ms.
pub(super) const EFFORT: u64 = if cfg!(test) { 5_000 } else { 500_000 };

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

impl Engine {
    /// Schedules of which something is due, and of which nothing would be if the calendar of this name were this one: some of
    /// them.
    pub(super) fn left_without(&self, name: &str, wanted: &Calendar) -> Vec<Arc<str>> {
        let users = self.schedules.tallies.users_of(name).zip(self.calendars.named.as_ref());
        let Some((users, named)) = users else { return Vec::new() };
        let mut by = named.clone();
        by.insert(name, Some(wanted.clone()));
        let is_tired = tired(&by);
        let judged = users.iter().take(JUDGED).take_while(|_| !is_tired(&by));
        let without = judged.filter(|id| self.has_nothing_left_by(**id, &by));
        without.take(SHOWN).map(|id| self.schedules[*id].name()).collect()
    }
}

/// Whether as much effort was made, from now on, as a step may make.
pub(super) fn tired(calendars: &Calendars) -> impl Fn(&Calendars) -> bool + use<> {
    let before = calendars.effort();
    move |calendars| calendars.effort().saturating_sub(before) >= EFFORT
}
