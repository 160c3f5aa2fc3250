//! Calendars that end: until when a schedule's `exclude` and `only` say something. A list of holidays that nobody carries
//! on no longer excludes anything, and gives no sign of it by itself.

use super::{Timing, on_days::start_of};
use crate::{
    calendar::Days,
    months::LAST_DAY,
    zone::local_times::{Place, place},
};
use ponos_event::Timestamp;
use std::{fmt, sync::Arc};

/// A calendar that a schedule names, and its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarEnd {
    /// The first instant after its last day, in the schedule's zone.
    pub end: Timestamp,
    /// Its name.
    pub calendar: Arc<str>,
    /// Its last day: `2026-12-26`.
    pub last: String,
    /// Whether it is one of `exclude`; else one of `only`.
    pub excluded: bool,
}

impl Timing {
    /// The calendars that it names, in the order in which they end.
    pub fn calendar_ends(&self) -> Vec<CalendarEnd> {
        let Some(rules) = self.days() else { return Vec::new() };
        let exclude = rules.exclude.iter().map(|one| (one, true));
        let only = rules.only.iter().map(|one| (one, false));
        let ends = exclude.chain(only).filter_map(|(one, excluded)| {
            let last = one.days.previous(LAST_DAY - 1)?;
            // The next day may be one that the clocks leave out; both are nowhere beyond the horizon.
            let end =
                [last + 1, last + 2].into_iter().find_map(|day| match place(&self.zone, start_of(day)) {
                    Place::Once(at) | Place::Twice(at, _) | Place::Gap { after: at, .. } => Some(at),
                    Place::Nowhere => None,
                });
            let end = Timestamp::from_millis(end?);
            Some(CalendarEnd { end, calendar: Arc::clone(&one.name), last: Days::date(last), excluded })
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort();
        ends
    }
}

impl CalendarEnd {
    /// The same of one whose last day is still to come.
    pub fn coming(&self) -> String {
        let Self { calendar, last, .. } = self;
        let what = if self.excluded { "excludes nothing" } else { "leaves no day" };
        format!("the calendar '{calendar}' runs out: its last day is {last}, and it {what} from then on")
    }
}

impl fmt::Display for CalendarEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calendar, last, .. } = self;
        write!(f, "the calendar '{calendar}' has run out: its last day was {last}")?;
        match self.excluded {
            true => f.write_str(", and it no longer excludes anything"),
            false => f.write_str(", and what is due only on its days is no longer due"),
        }
    }
}
