//! Cron expressions with Unix meaning, as `tests/conformance/README.md` states it: a strict reader in front, bit sets
//! behind it, local time only. Zones and the change of clocks are [`super::zone::local_times`]'s business.
//!
//! The crate `cron` reads several things differently (1 is Sunday there, both day fields must match, malformed fields
//! shift): it is the oracle of a differential test for what it gets right, and no part of the way to production.

mod days;
pub(super) mod field;
pub(super) mod parse;
mod times;

use super::{fault::Flaw, months::DAY, zone::local_times::LocalTimes};
use serde::{Deserialize, Serialize};

/// The longest expression that is read, in bytes: a list of every value of every field fits.
pub(super) const MAX_BYTES: usize = 1024;

/// A valid expression, as sets of values: bit n stands for n.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u32,
    /// Days of the month, 1 to 31.
    pub(super) days: u32,
    /// 1 to 12.
    pub(super) months: u16,
    /// 0 for Sunday to 6.
    weekdays: u8,
    /// The Vixie rule: both day fields must match, since one of them begins with `*` or `?`; otherwise either.
    both: bool,
    /// The hour, minute or seconds field begins with `*`: every real instant that matches.
    wild: bool,
    /// What few expressions have.
    rare: Option<Box<Rare>>,
}

/// `L`, `W`, `#` and years.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rare {
    /// Bit n: `L-n`; bit 0: `L`.
    before_last: u32,
    /// Bit n: `nW`.
    nearest: u32,
    /// `LW`.
    last_workday: bool,
    /// By k - 1, weekdays: `d#k`.
    nth: [u8; 5],
    /// Weekdays: `dL`.
    last: u8,
    /// Bit n: the year 1970 + n.
    years: [u64; 3],
}

impl Cron {
    /// Reads an expression of five fields, six (seconds first) or seven (year last), or a macro.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        parse::expression(text)
    }

    /// Whether an expression of fields can be read, without asking what else it may be.
    pub(super) fn reads(text: &str) -> bool {
        parse::reads(text)
    }

    /// Whether it stands for every real instant that matches, so that no choice about the change of clocks applies.
    pub(super) fn is_wild(&self) -> bool {
        self.wild
    }

    /// How often it happens on a day on which it does.
    pub(super) fn most_a_day(&self) -> u64 {
        self.times_a_day()
    }
}

impl LocalTimes for Cron {
    fn next(&self, from: i64) -> Option<i64> {
        self.next_second(from.div_euclid(1000) + i64::from(from.rem_euclid(1000) != 0)).map(|s| s * 1000)
    }

    fn previous(&self, until: i64) -> Option<i64> {
        // Occurrences are whole seconds: the last one before `until` is at or before the second of `until - 1 ms`.
        self.previous_second((until - 1).div_euclid(1000)).map(|s| s * 1000)
    }

    fn count(&self, from: i64, until: i64) -> u64 {
        let before = |instant: i64| {
            let at = (instant - 1).div_euclid(1000) + 1;
            let (day, second) = (at.div_euclid(DAY / 1000), at.rem_euclid(DAY / 1000));
            (i32::try_from(day).unwrap_or(i32::MAX), u32::try_from(second).unwrap_or_default())
        };
        let ((first, start), (last, end)) = (before(from), before(until));
        let partial =
            |day: i32, second: u32| if self.day_matches(day) { self.times_before(second) } else { 0 };
        let whole = self.days_between(first, last) * self.times_a_day();
        (whole + partial(last, end)).saturating_sub(partial(first, start))
    }
}
