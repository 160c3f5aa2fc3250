//! The rules (every, cron, at, several of them) behind one face: next, previous and count on the line of instants, bounds aside; with
//! rules about days, on the days that these keep.

use super::{
    day_rules::DayRules,
    every::{Calendar, Elapsed, common},
    on_days,
    steps::{Steps, UsedUp},
    union::Union,
};
use crate::{
    cron::Cron,
    months::DAY,
    zone::{Zone, dst::Dst},
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};

/// Which instants. All but [`Rule::Calendar`] and [`Rule::Cron`] are the same in every zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Rule {
    At(Timestamp),
    Elapsed(Elapsed),
    Calendar(Calendar, Dst),
    Cron(Cron, Dst),
    /// Several at once, each with a zone of its own.
    Union(Box<Union>),
}

impl Rule {
    /// The first instant at or after `from`, 1970 at the earliest, before the horizon.
    pub(crate) fn next(&self, zone: &Zone, days: Option<&DayRules>, from: i64) -> Option<i64> {
        match self {
            Self::At(at) => on_days::at(at.millis(), zone, days).filter(|&at| at >= from),
            Self::Elapsed(elapsed) => on_days::next_elapsed(*elapsed, zone, days, from)
                .filter(|&due| due < Timestamp::HORIZON.millis()),
            Self::Calendar(calendar, dst) => on_days::next(calendar, zone, *dst, days, from),
            Self::Cron(cron, dst) => on_days::next(cron, zone, *dst, days, from),
            Self::Union(union) => union.next(days, from),
        }
    }

    /// The last instant before `until`.
    pub(crate) fn previous(&self, zone: &Zone, days: Option<&DayRules>, until: i64) -> Option<i64> {
        match self {
            Self::At(at) => on_days::at(at.millis(), zone, days).filter(|&at| at < until),
            Self::Elapsed(elapsed) => {
                on_days::previous_elapsed(*elapsed, zone, days, until).filter(|&due| due >= 0)
            }
            Self::Calendar(calendar, dst) => on_days::previous(calendar, zone, *dst, days, until),
            Self::Cron(cron, dst) => on_days::previous(cron, zone, *dst, days, until),
            Self::Union(union) => union.previous(days, until),
        }
    }

    /// How many instants lie in `[from, until)`.
    pub(crate) fn count(&self, zone: &Zone, days: Option<&DayRules>, from: i64, until: i64) -> u64 {
        let counted = self.count_to(zone, days, (from, until), u64::MAX, &mut { Steps::UNLIMITED });
        // No steps are too many.
        counted.unwrap_or(u64::MAX)
    }

    /// The same; where they are more than `most`, some number above it.
    pub(crate) fn count_to(
        &self,
        zone: &Zone,
        days: Option<&DayRules>,
        (from, until): (i64, i64),
        most: u64,
        steps: &mut Steps,
    ) -> Result<u64, UsedUp> {
        if from >= until {
            return Ok(0);
        }
        Ok(match self {
            Self::At(at) => {
                let due = on_days::at(at.millis(), zone, days);
                u64::from(due.is_some_and(|due| (from..until).contains(&due)))
            }
            Self::Elapsed(elapsed) => on_days::count_elapsed(*elapsed, zone, days, from, until),
            Self::Calendar(calendar, dst) => on_days::count(calendar, zone, *dst, days, from, until),
            Self::Cron(cron, dst) => on_days::count(cron, zone, *dst, days, from, until),
            Self::Union(union) => return union.count(days, (from, until), most, steps),
        })
    }

    /// See [`Timing::shortest_interval`](crate::Timing::shortest_interval).
    pub(crate) fn shortest(&self, days: Option<&DayRules>) -> Option<i64> {
        let shortest = match self {
            Self::At(_) => None,
            Self::Elapsed(elapsed) => Some(elapsed.step()),
            Self::Calendar(calendar, _) => Some(calendar.shortest()),
            Self::Cron(cron, _) => Some(i64::from(cron.shortest()) * 1000),
            Self::Union(union) => union.shortest(days),
        };
        // What is moved may land on the day before (or after) one that is not.
        let moves = days.is_some_and(|days| days.shift.is_some());
        if moves { shortest.map(|shortest| shortest.min(DAY)) } else { shortest }
    }

    /// Whether it, or one of several, is elapsed time.
    pub(crate) fn is_elapsed(&self) -> bool {
        match self {
            Self::Elapsed(_) => true,
            Self::At(_) | Self::Calendar(..) | Self::Cron(..) => false,
            Self::Union(union) => union.members().iter().any(|member| member.rule.is_elapsed()),
        }
    }

    /// Milliseconds of which all distances between instants are whole multiples.
    pub(crate) fn grid(&self) -> i64 {
        match self {
            Self::At(at) => common(1000, at.millis()),
            // Offsets of zones are whole seconds.
            Self::Calendar(calendar, _) => common(1000, calendar.time().into()),
            Self::Elapsed(elapsed) => elapsed.grid(),
            Self::Cron(..) => 1000,
            Self::Union(union) => union.members().iter().map(|member| member.rule.grid()).fold(0, common),
        }
    }

    /// The most instants on one day, changes of the clocks aside.
    pub(crate) fn most_a_day(&self) -> u64 {
        match self {
            Self::At(_) | Self::Calendar(..) => 1,
            // One more than fit, where they don't fill a day: one may come as it begins and another as it ends.
            Self::Elapsed(elapsed) => 86_400_000_u64.div_ceil(elapsed.step().unsigned_abs().max(1)),
            Self::Cron(cron, _) => cron.most_a_day(),
            Self::Union(union) => union.most_a_day(),
        }
    }

    /// Whether both are the same instants by construction; `by_days`: on certain days of each one's zone.
    pub(crate) fn same(&self, zone: &Zone, by_days: bool, other: &Self, other_zone: &Zone) -> bool {
        // Instants are the same in every zone; wall clocks are not.
        let by_wall = by_days || matches!(self, Self::Calendar(..) | Self::Cron(..));
        match (self, other) {
            (Self::Union(one), Self::Union(other)) => one.same(by_days, other),
            _ => self == other && (!by_wall || zone.same_clock(other_zone)),
        }
    }
}
