//! Which days a schedule may fall on, and where an occurrence goes that falls on another: `exclude`, `only`, `move`.

use crate::{
    calendar::{CalendarId, Days},
    months::weekday,
};
use std::{collections::BTreeMap, sync::Arc};

/// How far an occurrence is moved at most, in days.
pub(crate) const FARTHEST: i32 = 366;

/// Where an occurrence goes whose day is none of the kept ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    /// `next-business-day`
    Next,
    /// `previous-business-day`
    Previous,
}

/// The rules about days of one schedule, read on the wall calendar of its zone.
///
/// A day is *kept* when it lies in every calendar of `only` and in none of `exclude`. With `move`, the kept days are
/// the business days: then, where `only` is absent, Saturdays and Sundays are not kept either. Without `move`,
/// occurrences on other days are left out; with it they go to the next (or previous) business day, at the same time
/// on the wall clock, and two that land on the same instant are one. Where no business day is found within
/// [`FARTHEST`] days, the occurrence is left out.
#[derive(Debug)]
pub(crate) struct DayRules {
    pub(crate) only: Vec<Named>,
    pub(crate) exclude: Vec<Named>,
    pub(crate) shift: Option<Move>,
    pub(crate) kept: Days,
}

/// A calendar under the name by which the schedule knows it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) id: CalendarId,
    pub(crate) days: Arc<Days>,
}

impl PartialEq for DayRules {
    /// The same days by other names, or by other calendars, are the same.
    fn eq(&self, other: &Self) -> bool {
        self.shift == other.shift && self.kept == other.kept
    }
}

impl DayRules {
    pub(crate) fn new(only: Vec<Named>, exclude: Vec<Named>, shift: Option<Move>) -> Self {
        let weekends = only.is_empty() && shift.is_some();
        let mut kept = Days::matching(|day| !(weekends && is_weekend(day)));
        only.iter().for_each(|calendar| kept.keep(&calendar.days));
        exclude.iter().for_each(|calendar| kept.leave_out(&calendar.days));
        Self { only, exclude, shift, kept }
    }

    /// Whether both do the same with every occurrence from this day on.
    pub(crate) fn is_same_from(&self, other: &Self, day: i32) -> bool {
        // An occurrence is moved there from as far away.
        self.shift == other.shift && self.kept.is_same_from(&other.kept, day.saturating_sub(2 * FARTHEST))
    }

    /// The calendars that are named, those of `only` first.
    pub(crate) fn calendars(&self) -> impl Iterator<Item = &Named> {
        self.only.iter().chain(&self.exclude)
    }

    /// Whether the calendars that are named are these, and no others.
    pub(crate) fn name(&self, ids: &BTreeMap<String, CalendarId>) -> bool {
        let known = |one: &Named| ids.get(&*one.name) == Some(&one.id);
        !ids.is_empty()
            && self.calendars().all(known)
            && ids.keys().all(|name| self.calendars().any(|one| *one.name == **name))
    }

    /// Whether both come of the same words about the same calendars.
    pub(crate) fn is_written_as(&self, other: &Self) -> bool {
        let ids = |list: &[Named]| list.iter().map(|one| (Arc::clone(&one.name), one.id)).collect::<Vec<_>>();
        let keys = |rules: &Self| (ids(&rules.only), ids(&rules.exclude), rules.shift);
        keys(self) == keys(other)
    }

    /// Whether Saturdays and Sundays are no business days for want of an `only`.
    pub(crate) fn spares_weekends(&self) -> bool {
        self.only.is_empty() && self.shift.is_some()
    }

    /// The day on which an occurrence of `day` happens; `None` where it is left out.
    pub(crate) fn target(&self, day: i32) -> Option<i32> {
        if self.kept.contains(day) {
            return Some(day);
        }
        let found = match self.shift? {
            Move::Next => self.kept.next(day)?,
            Move::Previous => self.kept.previous(day)?,
        };
        (found.abs_diff(day) <= FARTHEST.unsigned_abs()).then_some(found)
    }

    /// The days whose occurrences happen on the kept `day`, first and last: itself, and the others that lie between
    /// it and the kept day before (or after) it.
    pub(crate) fn sources(&self, day: i32) -> (i32, i32) {
        match self.shift {
            None => (day, day),
            Some(Move::Next) => {
                let after = self.kept.previous(day - 1).map_or(i32::MIN, |before| before + 1);
                (after.max(day - FARTHEST), day)
            }
            Some(Move::Previous) => {
                let before = self.kept.next(day + 1).map_or(i32::MAX, |next| next - 1);
                (day, before.min(day + FARTHEST))
            }
        }
    }

    /// In a few words, to stand behind what the timing says: `, not on holidays-fr`; empty where there is nothing.
    pub(crate) fn describe(&self) -> String {
        let joined = |list: &[Named], between: &str| {
            list.iter().map(|one| &*one.name).collect::<Vec<_>>().join(between)
        };
        let mut text = String::new();
        if !self.only.is_empty() {
            text.push_str(&format!(", only on {}", joined(&self.only, " and ")));
        }
        if !self.exclude.is_empty() {
            text.push_str(&format!(", not on {}", joined(&self.exclude, " or ")));
        }
        match self.shift {
            None => {}
            Some(Move::Next) => text.push_str(", else on the next business day"),
            Some(Move::Previous) => text.push_str(", else on the business day before"),
        }
        text
    }
}

/// Whether it is a Saturday or a Sunday.
pub(crate) fn is_weekend(day: i32) -> bool {
    matches!(weekday(day), 0 | 6)
}
