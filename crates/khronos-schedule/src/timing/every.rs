//! `every`: elapsed time on the line of instants, calendar time on the wall.

use crate::{
    months::{DAY, FIRST_YEAR, MONTHS, days_in, month_of, start_of},
    zone::local_times::LocalTimes,
};
use serde::{Deserialize, Serialize};

/// `base + k·step` for every whole k, in milliseconds since 1970 in UTC: no drift, and no change of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elapsed {
    /// In `[0, step)`, so that equal sets are equal values.
    base: i64,
    /// Above zero.
    step: i64,
}

impl Elapsed {
    /// Every `step` milliseconds (above zero), `from` being one of them.
    pub(crate) fn new(from: i64, step: i64) -> Self {
        let step = step.max(1);
        Self { base: from.rem_euclid(step), step }
    }

    pub(crate) fn step(self) -> i64 {
        self.step
    }

    /// All are multiples of this.
    pub(crate) fn grid(self) -> i64 {
        common(self.step, self.base)
    }

    /// The first one at or after `from`.
    pub(crate) fn next(self, from: i64) -> i64 {
        from.saturating_add((self.base - from).rem_euclid(self.step))
    }

    /// The last one before `until`.
    pub(crate) fn previous(self, until: i64) -> i64 {
        until - 1 - (until - 1 - self.base).rem_euclid(self.step)
    }

    /// What is in both sets; `None` if nothing is.
    pub(crate) fn both(one: Self, other: Self) -> Option<Self> {
        let (mut a, mut b) = (i128::from(one.step), i128::from(other.step));
        // Euclid, with the factor of one.step that makes the greatest common divisor.
        let (mut factor, mut next_factor) = (1i128, 0i128);
        while b != 0 {
            let quotient = a / b;
            (a, b) = (b, a - quotient * b);
            (factor, next_factor) = (next_factor, factor - quotient * next_factor);
        }
        let apart = i128::from(other.base - one.base);
        if apart % a != 0 {
            return None;
        }
        let rounds = (apart / a * factor).rem_euclid(i128::from(other.step) / a);
        let first = i128::from(one.base) + rounds * i128::from(one.step);
        let step = i128::from(one.step) / a * i128::from(other.step);
        // Beyond all bounds there is at most one in the time that there is.
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        Some(Self { base: i64::try_from(first).ok()?, step })
    }

    /// How many lie in `[from, until)`.
    pub(crate) fn count(self, from: i64, until: i64) -> u64 {
        let before = |at: i64| (at - 1 - self.base).div_euclid(self.step);
        u64::try_from(before(until) - before(from)).unwrap_or(0)
    }
}

/// Every N days or months, at a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    pub(crate) unit: Period,
    /// Above zero.
    step: i32,
    /// Days or months since January 1970, in `[0, step)`.
    base: i32,
    /// Milliseconds of the day.
    time: i32,
}

/// What a calendar `every` counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Period {
    Days,
    /// On this day of the month, from 0; a shorter month has it on its last day.
    Months {
        day: u8,
    },
}

/// January 1970 in the table of months.
const EPOCH_MONTH: i32 = (1970 - FIRST_YEAR) * 12;

impl Calendar {
    /// Every `step` periods (above zero), `base` being one of them, at `time` of the day (milliseconds).
    pub(crate) fn new(unit: Period, step: i32, base: i32, time: i32) -> Self {
        let step = step.max(1);
        Self { unit, step, base: base.rem_euclid(step), time }
    }

    pub(crate) fn step(self) -> i32 {
        self.step
    }

    /// The fewest milliseconds on the wall clock between two occurrences.
    pub(crate) fn shortest(self) -> i64 {
        let days = match self.unit {
            Period::Days => i64::from(self.step),
            // 28 days to the month; beyond a few months this is on the safe side.
            Period::Months { .. } => 28 * i64::from(self.step),
        };
        days * DAY
    }

    pub(crate) fn time(self) -> i32 {
        self.time
    }

    /// The local time of the k-th occurrence; `None` outside of the table of months.
    fn at(self, k: i64) -> Option<i64> {
        let period = i32::try_from(i64::from(self.base) + k * i64::from(self.step)).ok()?;
        let day = match self.unit {
            Period::Days => period,
            Period::Months { day } => {
                let month = period.checked_add(EPOCH_MONTH).filter(|month| (0..MONTHS).contains(month))?;
                start_of(month) + i32::from(day).min(days_in(month) - 1)
            }
        };
        Some(i64::from(day) * DAY + i64::from(self.time))
    }

    /// The k of the first occurrence at or after `from`, which lies within the table of months.
    fn index(self, from: i64) -> i64 {
        let ceiling = |value: i64, step: i64| -(-value).div_euclid(step);
        match self.unit {
            Period::Days => {
                let since = from - i64::from(self.base) * DAY - i64::from(self.time);
                ceiling(since, i64::from(self.step) * DAY)
            }
            Period::Months { .. } => {
                let day = from.div_euclid(DAY).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
                let month = month_of(day) - EPOCH_MONTH;
                let k = i64::from((month - self.base).div_euclid(self.step));
                // The occurrence of that month may be past, or the step may not reach this far.
                if self.at(k).is_some_and(|local| local >= from) { k } else { k + 1 }
            }
        }
    }
}

impl LocalTimes for Calendar {
    fn next(&self, from: i64) -> Option<i64> {
        self.at(self.index(from))
    }

    fn previous(&self, until: i64) -> Option<i64> {
        self.at(self.index(until) - 1)
    }

    fn count(&self, from: i64, until: i64) -> u64 {
        u64::try_from(self.index(until) - self.index(from)).unwrap_or(0)
    }
}

/// The greatest common divisor.
pub(crate) fn common(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { common(b, a % b) }
}
