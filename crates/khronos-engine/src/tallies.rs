//! What is counted of all schedules that run: whose they are, which calendars they name, and how much they demand together.

use super::{calendar_users::CalendarUsers, slots::SlotId};
use khronos_schedule::{Demand, Packed};
use std::collections::{BTreeSet, HashMap};

/// Kept with each that comes and goes.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// How many each owner created at run time.
    owned: HashMap<Box<str>, usize>,
    users: CalendarUsers,
    demand: Demand,
    /// Of those alone that were created at run time.
    created: Demand,
}

impl Tallies {
    /// This runs.
    pub(super) fn note(&mut self, id: SlotId, definition: &Packed) {
        self.users.note(id, definition);
        let one = Demand::of_packed(definition);
        self.demand = self.demand.and(one);
        if let Some(created) = definition.created() {
            self.created = self.created.and(one);
            *self.owned.entry(created.owner.into()).or_default() += 1;
        }
    }

    /// This ran, and does not any more.
    pub(super) fn forget(&mut self, id: SlotId, definition: &Packed) {
        self.users.forget(id, definition);
        let one = Demand::of_packed(definition);
        self.demand = self.demand.without(one);
        let Some(created) = definition.created() else { return };
        self.created = self.created.without(one);
        match self.owned.get_mut(created.owner.as_str()) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.owned.remove(created.owner.as_str())),
        }
    }

    /// Those that were created at run time and name this calendar.
    pub(super) fn users_of(&self, calendar: &str) -> Option<&BTreeSet<SlotId>> {
        self.users.of(calendar)
    }

    /// How many this owner created at run time. Edits keep it, whoever makes them.
    pub(super) fn owned(&self, owner: &str) -> usize {
        self.owned.get(owner).copied().unwrap_or_default()
    }

    /// What all of them demand together.
    pub(super) fn demand(&self) -> Demand {
        self.demand
    }

    /// The same of those alone that were created at run time.
    pub(super) fn created_demand(&self) -> Demand {
        self.created
    }
}
