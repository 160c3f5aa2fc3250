//! The proleptic Gregorian calendar from 1969 to 2100 as one table: days are numbered from 1970-01-01, months from
//! January 1969. A year wider than the horizon on either side, since local time runs ahead of or behind UTC.

/// January 1969: the first month of the table.
pub(super) const FIRST_YEAR: i32 = 1969;
/// How many months the table holds: 1969 to 2100.
pub(super) const MONTHS: i32 = 132 * 12;
/// Milliseconds of a day on the wall clock.
pub(super) const DAY: i64 = 86_400_000;
/// The first day of the table: 1969-01-01.
pub(super) const FIRST_DAY: i32 = -365;
/// The day after the last one of the table: 2101-01-01.
pub(super) const LAST_DAY: i32 = STARTS[MONTHS as usize];

static STARTS: [i32; MONTHS as usize + 1] = starts();

const fn starts() -> [i32; MONTHS as usize + 1] {
    let mut table = [FIRST_DAY; MONTHS as usize + 1];
    let mut month = 0;
    while month < MONTHS {
        let year = FIRST_YEAR + month / 12;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month % 12 {
            1 if leap => 29,
            1 => 28,
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        table[month as usize + 1] = table[month as usize] + days;
        month += 1;
    }
    table
}

/// The number of the first day of `month`, which is clamped to the table.
pub(super) fn start_of(month: i32) -> i32 {
    STARTS[month.clamp(0, MONTHS) as usize]
}

/// How many days `month` has.
pub(super) fn days_in(month: i32) -> i32 {
    let month = month.clamp(0, MONTHS - 1);
    start_of(month + 1) - start_of(month)
}

/// The month in which `day` lies; both are clamped to the table.
pub(super) fn month_of(day: i32) -> i32 {
    let day = day.clamp(FIRST_DAY, LAST_DAY - 1);
    // 400 years have 4,800 months and 146,097 days: the guess is off by one at most.
    let mut month = ((day - FIRST_DAY) * 16 / 487).clamp(0, MONTHS - 1);
    while start_of(month) > day {
        month -= 1;
    }
    while start_of(month + 1) <= day {
        month += 1;
    }
    month
}

/// The day's number; `None` if the date does not exist or is outside the table.
pub(super) fn day_number(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(FIRST_YEAR..FIRST_YEAR + MONTHS / 12).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let index = (year - FIRST_YEAR) * 12 + month as i32 - 1;
    (1..=days_in(index)).contains(&(day as i32)).then(|| start_of(index) + day as i32 - 1)
}

/// 0 for Sunday to 6 for Saturday.
pub(super) fn weekday(day: i32) -> u32 {
    (day + 4).rem_euclid(7) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn every_day_of_the_table_agrees_with_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in FIRST_DAY..LAST_DAY {
            let date = epoch + chrono::Days::new(u64::try_from(day - FIRST_DAY).unwrap());
            let date = date - chrono::Days::new(365);
            let month = month_of(day);
            assert_eq!(FIRST_YEAR + month / 12, date.year(), "{date}");
            assert_eq!(month % 12, date.month0() as i32, "{date}");
            assert_eq!(day - start_of(month), date.day0() as i32, "{date}");
            assert_eq!(weekday(day), date.weekday().num_days_from_sunday(), "{date}");
            assert_eq!(day_number(date.year(), date.month(), date.day()), Some(day));
        }
        assert_eq!(day_number(2026, 2, 29), None);
        assert_eq!(day_number(2101, 1, 1), None);
    }
}
