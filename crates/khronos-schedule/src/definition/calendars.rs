//! The calendars as they are now: what the files say, by name. Schedules that are read take theirs from here.

use super::Definition;
use crate::{
    calendar::{CalendarId, Days},
    calendar_store::CalendarStore,
    diagnostic::did_you_mean,
    fault::{Fault, Flaw, shown},
};
use std::{collections::BTreeMap, sync::Arc};

/// The named calendars of one load.
#[derive(Debug, Clone, Default)]
pub struct Calendars {
    /// `None`: there is such a calendar, but it could not be understood.
    named: BTreeMap<String, Option<(CalendarId, Arc<Days>)>>,
    store: CalendarStore,
}

impl Calendars {
    /// None yet, whose days are to be kept in `store`.
    pub fn new(store: CalendarStore) -> Self {
        Self { named: BTreeMap::new(), store }
    }

    /// Adds a calendar, or with `None` one whose file is wrong.
    pub fn insert(&mut self, name: &str, days: Option<Days>) {
        self.named.insert(name.to_owned(), days.map(|days| self.store.insert(days)));
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.named.keys().map(AsRef::as_ref)
    }

    /// Where their days are kept.
    pub fn store(&self) -> &CalendarStore {
        &self.store
    }

    /// Pins the calendars that a definition names to what they are now.
    ///
    /// # Errors
    /// A [`Fault`] for each that is missing or was not understood.
    pub fn pin(&self, definition: &mut Definition) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut found = BTreeMap::new();
        let lists = [("exclude", &definition.exclude), ("only", &definition.only)];
        for (key, list) in lists {
            for (index, name) in list.iter().flatten().enumerate() {
                match self.named.get_key_value(name.as_str()) {
                    Some((name, Some((id, _)))) => {
                        found.insert(name.clone(), *id);
                    }
                    Some((_, None)) => {
                        let what = format!("the calendar '{name}' can't be used: its file is wrong");
                        faults.push(Flaw::whole(what).of_item(key, index));
                    }
                    None => faults.push(self.missing(name).of_item(key, index)),
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        definition.calendars = (!found.is_empty()).then_some(found);
        Ok(())
    }

    fn missing(&self, name: &str) -> Flaw {
        let flaw = Flaw::whole(format!("there is no calendar '{}'", shown(name)));
        if self.named.is_empty() {
            return flaw.help(format!("put {0}.toml or {0}.ics into the folder of calendars", shown(name)));
        }
        flaw.help(did_you_mean(name, self.names()))
    }
}
