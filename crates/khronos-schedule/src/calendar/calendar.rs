//! A calendar as its file has it: days on any wall, and instants, which lie on other days in other zones. Together with a
//! zone it is a set of days.

use super::Days;
use crate::{months::DAY, zone::Zone};

/// What a calendar file says; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    wall: Days,
    /// Seconds since 1970 in UTC, from the first to before the second; ascending, none touches another.
    spans: Vec<(u32, u32)>,
    /// See [`Calendar::steps`].
    steps: usize,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::from(Days::none())
    }
}

impl From<Days> for Calendar {
    fn from(wall: Days) -> Self {
        Self { wall, spans: Vec::new(), steps: 0 }
    }
}

impl Calendar {
    /// Days on any wall, and spans of seconds since 1970 in UTC; to find them took so many steps.
    pub(super) fn new(wall: Days, mut spans: Vec<(i64, i64)>, steps: usize) -> Self {
        spans.sort_unstable();
        let second = |at: i64| u32::try_from(at.max(0)).unwrap_or(u32::MAX);
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (from, to) in spans.into_iter().map(|(from, to)| (second(from), second(to))) {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self { wall, spans: joined, steps }
    }

    /// What its rules cost to be followed when its text was read, beside the reading itself: days and periods that were looked
    /// at, 20 to 300 ns each. Where the text is read again that is done again.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How many periods it has that lie on other days in other zones.
    pub fn periods(&self) -> usize {
        self.spans.len()
    }

    /// Whether it is the same days in every zone.
    pub(crate) fn is_on_any_wall(&self) -> bool {
        self.spans.is_empty()
    }

    /// The days that it has on the wall of this zone.
    pub fn days_in(&self, zone: &Zone) -> Days {
        let mut days = self.wall.clone();
        let segments = zone.segments();
        for (from, to) in &self.spans {
            let (mut from, to) = (i64::from(*from) * 1000, i64::from(*to) * 1000);
            let mut at = zone.segment_at(from);
            // Each span of one offset for itself: the clocks may leave out days.
            while from < to {
                let Some(segment) = segments.get(at) else { break };
                let end = segments.get(at + 1).map_or(to, |next| next.start.min(to));
                let day = |millis: i64| (millis + segment.offset).div_euclid(DAY);
                for day in day(from)..=day(end - 1) {
                    days.insert(i32::try_from(day).unwrap_or(i32::MAX));
                }
                (from, at) = (end, at + 1);
            }
        }
        days
    }
}
