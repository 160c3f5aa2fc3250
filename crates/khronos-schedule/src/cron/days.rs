//! Days: the two day fields, months and years, a month at a time as one bit set of its days.

use super::{Cron, Rare};
use crate::months::{FIRST_DAY, FIRST_YEAR, LAST_DAY, MONTHS, days_in, month_of, start_of, weekday};

const DAY_SECONDS: i64 = 86_400;
const SUNDAY: u32 = 0;
const SATURDAY: u32 = 6;

/// The weekdays of `set` as days of a week that begins with weekday `first`: bit 0 is its first day.
fn from_weekday(set: u8, first: u32) -> u64 {
    let twice = u64::from(set) << 7 | u64::from(set);
    twice >> first & 0x7f
}

impl Cron {
    /// The matching days of `month` (of the table): bit n is day n of the month.
    fn days_of(&self, month: i32) -> u32 {
        if self.months >> (month % 12 + 1) & 1 == 0 {
            return 0;
        }
        let rare = self.rare.as_deref();
        if rare.is_some_and(|rare| !rare.has_year(FIRST_YEAR + month / 12)) {
            return 0;
        }
        let (length, first) = (days_in(month) as u32, weekday(start_of(month)));
        // Five weeks side by side cover a month of any length.
        let by_weekday = (from_weekday(self.weekdays, first) * 0x1020_4081) << 1;
        let (mut days, mut weekdays) = (u64::from(self.days), by_weekday);
        if let Some(rare) = rare {
            days |= rare.days(length, first);
            weekdays |= rare.weekdays(length, first);
        }
        let matching = if self.both { days & weekdays } else { days | weekdays };
        (matching & ((1 << (length + 1)) - 2)) as u32
    }

    /// Whether `day` (since 1970-01-01) matches.
    pub(super) fn day_matches(&self, day: i32) -> bool {
        if !(FIRST_DAY..LAST_DAY).contains(&day) {
            return false;
        }
        let month = month_of(day);
        self.days_of(month) >> (day - start_of(month) + 1) & 1 == 1
    }

    /// How many days match in `[first, last)`.
    pub(super) fn days_between(&self, first: i32, last: i32) -> u64 {
        let (first, last) = (first.max(FIRST_DAY), last.min(LAST_DAY));
        if first >= last {
            return 0;
        }
        let (from, through) = (month_of(first), month_of(last - 1));
        let mut total = 0;
        for month in from..=through {
            let mut days = self.days_of(month);
            if month == from {
                days &= u32::MAX << (first - start_of(month) + 1);
            }
            if month == through {
                days &= u32::MAX >> (31 - (last - start_of(month)));
            }
            total += u64::from(days.count_ones());
        }
        total
    }

    /// The first matching second at or after `second`, both since 1970-01-01T00:00 on the wall clock.
    pub(super) fn next_second(&self, second: i64) -> Option<i64> {
        let second = second.max(i64::from(FIRST_DAY) * DAY_SECONDS);
        let day = i32::try_from(second.div_euclid(DAY_SECONDS)).ok().filter(|&day| day < LAST_DAY)?;
        let mut month = month_of(day);
        let today = day - start_of(month) + 1;
        let mut days = self.days_of(month) & u32::MAX << today;
        if days >> today & 1 == 1 {
            if let Some(time) = self.time_from(second.rem_euclid(DAY_SECONDS) as u32) {
                return Some(i64::from(day) * DAY_SECONDS + i64::from(time));
            }
            days &= !(1 << today);
        }
        while days == 0 {
            month += 1;
            if month >= MONTHS {
                return None;
            }
            days = self.days_of(month);
        }
        let day = start_of(month) + days.trailing_zeros() as i32 - 1;
        Some(i64::from(day) * DAY_SECONDS + i64::from(self.time_from(0)?))
    }

    /// The last matching second at or before `second`.
    pub(super) fn previous_second(&self, second: i64) -> Option<i64> {
        let second = second.min(i64::from(LAST_DAY) * DAY_SECONDS - 1);
        let day = i32::try_from(second.div_euclid(DAY_SECONDS)).ok().filter(|&day| day >= FIRST_DAY)?;
        let mut month = month_of(day);
        let today = day - start_of(month) + 1;
        let mut days = self.days_of(month) & u32::MAX >> (31 - today);
        if days >> today & 1 == 1 {
            if let Some(time) = self.time_until(second.rem_euclid(DAY_SECONDS) as u32) {
                return Some(i64::from(day) * DAY_SECONDS + i64::from(time));
            }
            days &= !(1 << today);
        }
        while days == 0 {
            month -= 1;
            if month < 0 {
                return None;
            }
            days = self.days_of(month);
        }
        let day = start_of(month) + 31 - days.leading_zeros() as i32 - 1;
        Some(i64::from(day) * DAY_SECONDS + i64::from(self.time_until(DAY_SECONDS as u32 - 1)?))
    }
}

impl Rare {
    fn has_year(&self, year: i32) -> bool {
        let Ok(bit) = usize::try_from(year - 1970) else { return false };
        self.years.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// What `L`, `L-n`, `LW` and `nW` select in a month of `length` days whose first is weekday `first`.
    fn days(&self, length: u32, first: u32) -> u64 {
        let weekday_of = |day: u32| (first + day - 1) % 7;
        let mut days = 0;
        let mut before_last = self.before_last & ((1 << length) - 1);
        while before_last != 0 {
            days |= 1 << (length - before_last.trailing_zeros());
            before_last &= before_last - 1;
        }
        if self.last_workday {
            days |= 1
                << match weekday_of(length) {
                    SATURDAY => length - 1,
                    SUNDAY => length - 2,
                    _ => length,
                };
        }
        for day in 1..=length {
            if self.nearest >> day & 1 == 1 {
                days |= 1
                    << match weekday_of(day) {
                        SATURDAY if day == 1 => 3,
                        SATURDAY => day - 1,
                        SUNDAY if day == length => day - 2,
                        SUNDAY => day + 1,
                        _ => day,
                    };
            }
        }
        days
    }

    /// What `d#k` and `dL` select.
    fn weekdays(&self, length: u32, first: u32) -> u64 {
        let mut days = 0;
        for (week, &set) in (0..).zip(&self.nth) {
            days |= from_weekday(set, first) << (7 * week + 1);
        }
        days | from_weekday(self.last, (first + length - 7) % 7) << (length - 6)
    }
}
