//! Dates as calendars have them: `2026-12-25`, `2026-12-24/2027-01-02`, and `12-25` for every year.

use crate::{
    fault::{Flaw, shown},
    months::{FIRST_YEAR, day_number, days_in, month_of, start_of},
};

const EXAMPLE: &str =
    "as in \"2026-12-25\", or \"2026-12-24/2027-01-02\" from the first through the last day";

/// Reads a date or a range of dates: the first and the last day.
pub(super) fn span(text: &str) -> Result<(i32, i32), Flaw> {
    let Some((first, last)) = text.split_once('/') else {
        return date(text).map(|day| (day, day));
    };
    let behind = first.len() + 1;
    let (first, last) = (date(first)?, date(last).map_err(|flaw| flaw.shifted(behind))?);
    if last < first {
        let what = format!("the last day of '{}' is before its first", shown(text));
        return Err(Flaw::part(behind..text.len(), what));
    }
    Ok((first, last))
}

fn date(text: &str) -> Result<i32, Flaw> {
    let parts = numbers::<3>(text, [4, 2, 2])
        .ok_or_else(|| Flaw::part(0..text.len(), format!("'{}' is not a date", shown(text))).help(EXAMPLE))?;
    let [year, month, day] = parts;
    day_number(year as i32, month, day).filter(|_| (1970..2100).contains(&year)).ok_or_else(|| {
        let what = format!("there is no date {}, or it is not between 1970 and 2099", shown(text));
        Flaw::part(0..text.len(), what)
    })
}

/// The first and the last day as [`listed`] reads them again.
pub(super) fn written(first: i32, last: i32) -> String {
    let date = |day: i32| {
        let month = month_of(day);
        let (year, in_year) = (FIRST_YEAR + month / 12, month % 12 + 1);
        format!("{year}-{in_year:02}-{:02}", day - start_of(month) + 1)
    };
    if first == last { date(first) } else { format!("{}/{}", date(first), date(last)) }
}

/// Reads what was [`written`], which may lie in 1969 or 2100: the whole of the table.
pub(super) fn listed(text: &str) -> Option<(i32, i32)> {
    let date = |text| {
        numbers::<3>(text, [4, 2, 2]).and_then(|[year, month, day]| day_number(year as i32, month, day))
    };
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    Some((date(first)?, date(last)?)).filter(|(first, last)| first <= last)
}

/// Reads a day of every year: month and day; 02-29 is a day of leap years.
pub(super) fn yearly(text: &str) -> Result<(u32, u32), Flaw> {
    let [month, day] = numbers::<2>(text, [2, 2]).ok_or_else(|| {
        Flaw::whole(format!("'{}' is not a day of the year", shown(text)))
            .help("month and day, as in \"12-25\"; a date of one year belongs in 'dates'")
    })?;
    // 2096, a leap year.
    let known =
        (1..=12).contains(&month) && (1..=days_in(127 * 12 + month as i32 - 1)).contains(&(day as i32));
    if known { Ok((month, day)) } else { Err(Flaw::whole(format!("no year has a day {}", shown(text)))) }
}

/// Numbers with these counts of digits, joined by `-`.
fn numbers<const N: usize>(text: &str, digits: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split('-');
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}
