//! The kinds of timing behind one face: next, previous and count on the line of instants, bounds aside.

use super::{
    cron::Cron,
    dst::Dst,
    every::{Calendar, Elapsed},
    union::Union,
    wall,
    zone::Zone,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// Which instants. All but [`Kind::Calendar`] and [`Kind::Cron`] are the same in every zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Kind {
    At(Timestamp),
    Elapsed(Elapsed),
    Calendar(Calendar, Dst),
    Cron(Cron, Dst),
    /// Several at once, each with a zone of its own.
    Union(Box<Union>),
}

impl Kind {
    /// The first instant at or after `from`, 1970 at the earliest, before the horizon.
    pub(super) fn next(&self, zone: Zone, from: i64) -> Option<i64> {
        match self {
            Self::At(at) => Some(at.millis()).filter(|&at| at >= from),
            Self::Elapsed(elapsed) => {
                Some(elapsed.next(from)).filter(|&due| due < Timestamp::HORIZON.millis())
            }
            Self::Calendar(calendar, dst) => wall::next(calendar, zone, *dst, from),
            Self::Cron(cron, dst) => wall::next(cron, zone, *dst, from),
            Self::Union(union) => union.next(from),
        }
    }

    /// The last instant before `until`.
    pub(super) fn previous(&self, zone: Zone, until: i64) -> Option<i64> {
        match self {
            Self::At(at) => Some(at.millis()).filter(|&at| at < until),
            Self::Elapsed(elapsed) => Some(elapsed.previous(until)).filter(|&due| due >= 0),
            Self::Calendar(calendar, dst) => wall::previous(calendar, zone, *dst, until),
            Self::Cron(cron, dst) => wall::previous(cron, zone, *dst, until),
            Self::Union(union) => union.previous(until),
        }
    }

    /// How many instants lie in `[from, until)`.
    pub(super) fn count(&self, zone: Zone, from: i64, until: i64) -> u64 {
        if from >= until {
            return 0;
        }
        match self {
            Self::At(at) => u64::from((from..until).contains(&at.millis())),
            Self::Elapsed(elapsed) => elapsed.count(from, until),
            Self::Calendar(calendar, dst) => wall::count(calendar, zone, *dst, from, until),
            Self::Cron(cron, dst) => wall::count(cron, zone, *dst, from, until),
            Self::Union(union) => union.count(from, until),
        }
    }

    /// See [`Timing::shortest_interval`](super::Timing::shortest_interval).
    pub(super) fn shortest(&self) -> Option<i64> {
        match self {
            Self::At(_) => None,
            Self::Elapsed(elapsed) => Some(elapsed.step()),
            Self::Calendar(calendar, _) => Some(calendar.shortest()),
            Self::Cron(cron, _) => Some(i64::from(cron.shortest()) * 1000),
            Self::Union(union) => union.shortest(),
        }
    }

    /// All instants are whole multiples of so many milliseconds from one another.
    pub(super) fn grid(&self) -> i64 {
        match self {
            Self::At(at) => common(1000, at.millis()),
            // Offsets of zones are whole seconds.
            Self::Calendar(calendar, _) => common(1000, calendar.time().into()),
            Self::Elapsed(elapsed) => elapsed.grid(),
            Self::Cron(..) => 1000,
            Self::Union(union) => union.members().iter().map(|member| member.kind.grid()).fold(0, common),
        }
    }

    /// The most instants on one day, changes of the clocks aside.
    pub(super) fn most_a_day(&self) -> u64 {
        match self {
            Self::At(_) | Self::Calendar(..) => 1,
            Self::Elapsed(elapsed) => (86_400_000 / elapsed.step().unsigned_abs().max(1)).max(1),
            Self::Cron(cron, _) => cron.most_a_day(),
            Self::Union(union) => union.most_a_day(),
        }
    }

    /// Whether both are the same instants by construction.
    pub(super) fn same(&self, zone: Zone, other: &Self, other_zone: Zone) -> bool {
        // Instants are the same in every zone; wall clocks are not.
        let by_wall = matches!(self, Self::Calendar(..) | Self::Cron(..));
        self == other && (!by_wall || zone.same_clock(other_zone))
    }
}

/// The greatest common divisor.
pub(super) fn common(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { common(b, a % b) }
}
