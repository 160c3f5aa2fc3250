//! The calendars as they are now: what the files say, by name. Schedules that are read take theirs from here.

use super::Definition;
use crate::{
    calendar::{Calendar, CalendarId, Days},
    calendar_store::CalendarStore,
    diagnostic::did_you_mean,
    fault::{Fault, FaultCode, Flaw, shown},
    zone::{Zone, rules::ZoneId},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Days as a store keeps them.
type Kept = (CalendarId, Arc<Days>);

/// The most calendars in one list.
pub(crate) const MOST_CALENDARS: usize = 32;

/// The named calendars of one load.
#[derive(Debug, Clone, Default)]
pub struct Calendars {
    /// `None`: there is such a calendar, but it could not be understood.
    named: BTreeMap<String, Option<Arc<Known>>>,
    /// Names of others, which only schedules may name that were created at run time.
    created: BTreeSet<Arc<str>>,
    store: CalendarStore,
    /// See [`Calendars::effort`].
    effort: Arc<AtomicU64>,
}

/// Periods that cost as much to be read as a set of days costs whatever is in it.
const DAYS: u64 = 1_000;

/// A calendar, and its days by the rules of zones for which they were asked: schedules that name both share them.
#[derive(Debug)]
struct Known {
    calendar: Calendar,
    days: Mutex<HashMap<Option<ZoneId>, Kept>>,
}

impl Known {
    fn days_in(&self, zone: &Zone, store: &CalendarStore, effort: &AtomicU64) -> CalendarId {
        let zone = if self.calendar.is_on_any_wall() { &Zone::UTC } else { zone };
        // Nothing is half done where a thread ended early.
        let mut known = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            let periods = u64::try_from(self.calendar.periods()).unwrap_or(u64::MAX);
            effort.fetch_add(periods.saturating_add(DAYS), Ordering::Relaxed);
            store.insert(self.calendar.days_in(zone))
        };
        known.entry(zone.id()).or_insert_with(read).0
    }
}

impl Calendars {
    /// None yet, whose days are to be kept in `store`.
    pub fn new(store: CalendarStore) -> Self {
        Self { store, ..Self::default() }
    }

    /// The same, of files: others were created at run time under these names, and whoever names one is told so.
    #[must_use]
    pub fn beside(self, created: BTreeSet<Arc<str>>) -> Self {
        Self { created, ..self }
    }

    /// Adds a calendar, or with `None` one whose file is wrong.
    pub fn insert(&mut self, name: &str, calendar: Option<Calendar>) {
        let known = calendar.map(|calendar| Arc::new(Known { calendar, days: Mutex::default() }));
        self.named.insert(name.to_owned(), known);
    }

    /// Has under this name what another one has under it, maybe nothing.
    pub fn restore(&mut self, name: &str, other: Option<&Self>) {
        match other.and_then(|other| other.named.get(name)) {
            Some(known) => drop(self.named.insert(name.to_owned(), known.clone())),
            None => drop(self.named.remove(name)),
        }
    }

    /// Whether there is one of this name, be it wrong.
    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.named.keys().map(AsRef::as_ref)
    }

    /// How many periods of hours, minutes and seconds were looked at so far, to find the days of calendars in zones: some
    /// 30 ns each. What was found is known from then on.
    pub fn effort(&self) -> u64 {
        self.effort.load(Ordering::Relaxed)
    }

    /// Where their days are kept.
    pub fn store(&self) -> &CalendarStore {
        &self.store
    }

    /// Pins the calendars that a definition names to what they are now, in its zone.
    ///
    /// # Errors
    /// A [`Fault`] for each that is missing or was not understood.
    pub fn pin(&self, definition: &mut Definition) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut found = BTreeMap::new();
        let zone = self.zone_of(definition);
        let lists = [("exclude", &definition.exclude), ("only", &definition.only)];
        for (key, list) in lists {
            let count = list.as_ref().map_or(0, Vec::len);
            if count > MOST_CALENDARS {
                let what = format!("{count} calendars; at most {MOST_CALENDARS} are allowed");
                let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
                let help = "write one calendar that has the days of several";
                faults.push(flaw.expected(format!("1 to {MOST_CALENDARS} names")).help(help).of(key));
                continue;
            }
            for (index, name) in list.iter().flatten().enumerate() {
                match self.named.get_key_value(name.as_str()) {
                    Some((name, Some(known))) => {
                        found.insert(name.clone(), known.days_in(&zone, &self.store, &self.effort));
                    }
                    Some((_, None)) => {
                        let what = format!("the calendar '{name}' can't be used: its file is wrong");
                        faults.push(Flaw::whole(what).code(FaultCode::UnknownCalendar).of_item(key, index));
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
        let flaw =
            Flaw::whole(format!("there is no calendar '{}'", shown(name))).code(FaultCode::UnknownCalendar);
        if self.created.contains(name) {
            return flaw.help(format!(
                "one of this name was created at run time, and a file names calendars of the folder alone: put {0}.toml or \
                 {0}.ics there, or create the schedule at run time, too",
                shown(name)
            ));
        }
        if self.named.is_empty() {
            return flaw.help(format!("put {0}.toml or {0}.ics into the folder of calendars", shown(name)));
        }
        flaw.help(did_you_mean(name, self.names()))
    }

    /// The zone on whose wall it reads days: its own, or the one that all its timings have. One that is wrong is a fault of
    /// another key.
    fn zone_of(&self, definition: &Definition) -> Zone {
        let of_timings = || {
            let mut zones = definition.timings.iter().flatten().map(|timing| timing.time_zone.as_deref());
            let first = zones.next()??;
            zones.all(|zone| zone == Some(first)).then_some(first)
        };
        let name = definition.time_zone.as_deref().or_else(of_timings);
        name.and_then(|name| self.store.zones().current(name).ok()).unwrap_or(Zone::UTC)
    }
}
