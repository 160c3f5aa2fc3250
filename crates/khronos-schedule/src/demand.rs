//! How much schedules demand of a clock, all of them together.

use super::{Packed, Timing};
use std::fmt;

const DAY: u64 = 86_400;

/// How many schedules there are, and how often they are due together on a day on which each is. Kept by adding and taking
/// away: it costs as much as the schedule that comes or goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Schedules, those that rest included.
    pub schedules: usize,
    /// Occurrences a day of those that do not rest.
    pub often: ADay,
}

impl Demand {
    /// That of a schedule, which may rest.
    pub fn of(timing: &Timing, is_paused: bool) -> Self {
        let often = if is_paused { 0 } else { timing.most_a_day() };
        Self { schedules: 1, often: ADay(often) }
    }

    /// That of a definition.
    pub fn of_packed(definition: &Packed) -> Self {
        match definition.is_paused() {
            true => Self { schedules: 1, often: ADay(0) },
            false => Self::of(&definition.timing(), false),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            schedules: self.schedules.saturating_add(other.schedules),
            often: ADay(self.often.0.saturating_add(other.often.0)),
        }
    }

    /// What is left of it without another that is part of it.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            schedules: self.schedules.saturating_sub(other.schedules),
            often: ADay(self.often.0.saturating_sub(other.often.0)),
        }
    }
}

/// How often a day. For people: how often a second, averaged over a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ADay(pub u64);

impl ADay {
    /// So often a second.
    pub fn of_a_second(times: u32) -> Self {
        Self(u64::from(times) * DAY)
    }
}

impl fmt::Display for ADay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.saturating_mul(100) / DAY;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definition;

    #[test]
    fn what_is_added_and_taken_away_again_leaves_what_was() {
        let demand = |every: &str, paused| {
            let definition = Definition {
                name: "a".into(),
                event: Some("test.often.passed".into()),
                every: Some(every.into()),
                paused: Some(paused),
                ..Definition::default()
            };
            Demand::of_packed(&Packed::build(&definition).unwrap())
        };
        let (fast, resting) = (demand("100ms", false), demand("100ms", true));
        assert_eq!((fast.often, resting.often), (ADay::of_a_second(10), ADay(0)));
        let both = Demand::default().and(fast).and(resting);
        assert_eq!((both.schedules, both.often.to_string()), (2, "10.00".into()));
        assert_eq!(both.without(fast).without(resting), Demand::default());
        assert_eq!(demand("1h", false).often.to_string(), "0.00");
    }
}
