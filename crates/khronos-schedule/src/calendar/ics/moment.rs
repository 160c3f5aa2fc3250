//! Dates, times and lengths of iCalendar (RFC 5545 §3.3.4 to §3.3.6). A time is what a clock on a wall shows, in seconds
//! since 1970-01-01T00:00 there, and which clock that is.

use super::{
    clock::Clock,
    expansion::{DAY, number},
    line::Line,
    refusal::Refusal,
};
use crate::fault::shown;
use chrono::NaiveDate;

/// Whose wall it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// A date on any wall; with the clock that its TZID names all the same.
    Date(Option<Clock>),
    /// Any wall.
    Floating,
    /// This clock's: an instant.
    Zoned(Clock),
}

/// A date, or a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    /// Midnight for a date.
    pub(super) wall: i64,
    pub(super) frame: Frame,
    /// Whether it is written in UTC.
    utc: bool,
}

impl Moment {
    /// The instant, if it is one.
    pub(super) fn instant(&self) -> Option<i64> {
        match &self.frame {
            Frame::Zoned(clock) => Some(clock.instant(self.wall)),
            _ => None,
        }
    }

    pub(super) fn is_date(&self) -> bool {
        matches!(self.frame, Frame::Date(_))
    }

    /// What the clock of `start` shows at this moment. Beside a date or a floating time, what is in UTC is read in the
    /// zone of the calendar, if it names one.
    pub(super) fn beside(&self, start: &Self, calendar: Option<&Clock>) -> i64 {
        match (&start.frame, &self.frame) {
            (Frame::Zoned(clock), Frame::Zoned(own)) => clock.wall(own.instant(self.wall)),
            // Days off often say UNTIL=20301231T000000Z or T235959Z beside a date: its date is what counts.
            (Frame::Date(_), _) if [0, DAY - 1].contains(&self.wall.rem_euclid(DAY)) => self.wall,
            (Frame::Date(own), Frame::Zoned(clock)) if self.utc => {
                own.as_ref().or(calendar).map_or(self.wall, |own| own.wall(clock.instant(self.wall)))
            }
            (Frame::Floating, Frame::Zoned(clock)) if self.utc => {
                calendar.map_or(self.wall, |own| own.wall(clock.instant(self.wall)))
            }
            _ => self.wall,
        }
    }
}

/// Reads `20261225`, `20261225T090000` or `20261225T090000Z`; `local` says whose wall the second one is on, from the name
/// of a zone and whether it stands beside a date.
pub(super) fn read<'a>(
    line: &Line<'a>,
    written: &str,
    local: impl FnOnce(Option<&'a str>, bool) -> Result<Frame, Refusal>,
) -> Result<Moment, Refusal> {
    let text = written.trim();
    let odd = || {
        let start = line.value.find(written).unwrap_or(0);
        let name = line.name.to_ascii_uppercase();
        line.refused_at(
            start..start + written.len().max(1),
            format!("{name}: '{}' is not an iCalendar date or time", shown(text)),
        )
        .help("write a date of the calendar as 20261225, a local time as 20261225T090000, one in UTC as 20261225T080000Z")
    };
    let upper = text.to_ascii_uppercase();
    let (bare, utc) = match upper.strip_suffix('Z') {
        Some(bare) => (bare, true),
        None => (&*upper, false),
    };
    let (date, time) = match bare.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (bare, None),
    };
    let day = digits::<3>(date, &[4, 2, 2])
        .and_then(|[year, month, day]| NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day))
        .ok_or_else(odd)?;
    let seconds = match time {
        None if utc => return Err(odd()),
        None => 0,
        Some(time) => {
            let parts = digits::<3>(time, &[2, 2, 2]);
            let parts = parts.or_else(|| digits::<2>(time, &[2, 2]).map(|[hour, minute]| [hour, minute, 0]));
            let [hour, minute, second] = parts.ok_or_else(odd)?;
            let midnight = [hour, minute, second] == [24, 0, 0];
            if !midnight && (hour > 23 || minute > 59 || second > 60) {
                return Err(odd());
            }
            // A leap second is the one before it.
            i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59))
        }
    };
    let wall = number(day) * DAY;
    let zone = line.parameter("TZID");
    let is_date =
        time.is_none() || line.parameter("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("DATE"));
    if is_date {
        // Its zone says nothing about a date; that nobody knows it does no harm.
        let own = zone.and_then(|zone| match local(Some(zone), true) {
            Ok(Frame::Zoned(clock)) => Some(clock),
            _ => None,
        });
        return Ok(Moment { wall, frame: Frame::Date(own), utc: false });
    }
    let frame = if utc { Frame::Zoned(Clock::utc()) } else { local(zone, false)? };
    Ok(Moment { wall: wall + seconds, frame, utc })
}

/// Numbers of so many digits each, with nothing between them.
fn digits<const N: usize>(text: &str, lengths: &[usize; N]) -> Option<[u32; N]> {
    let mut found = [0; N];
    let mut rest = text;
    for (number, length) in found.iter_mut().zip(lengths) {
        let (part, more) = rest.split_at_checked(*length)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()?;
        rest = more;
    }
    rest.is_empty().then_some(found)
}

/// A length of time as the calendar has it: days on the wall, then seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Length {
    pub(super) days: i64,
    pub(super) seconds: i64,
}

impl Length {
    /// Days of the longest one: beyond all that can be asked for.
    const LONGEST: i64 = 400 * 366;

    /// Reads `P1D`, `PT1H30M`, `P1DT12H`, `P2W`: `None` if it is not a valid duration, is negative or is longer than 400 years.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let rest = upper.strip_prefix('+').unwrap_or(&upper).strip_prefix('P')?;
        let (days, time) = match rest.split_once('T') {
            Some((days, time)) => (days, Some(time)),
            None => (rest, None),
        };
        let date = units(days, &[('W', 7), ('D', 1)])?;
        let seconds = match time {
            Some(time) => units(time, &[('H', 3600), ('M', 60), ('S', 1)])?,
            None => 0,
        };
        let within = date <= Self::LONGEST && seconds <= Self::LONGEST * DAY;
        // Some write PT, or nothing, for no time at all.
        within.then_some(Self { days: date, seconds })
    }
}

/// The sum of numbers with these units, in their order.
fn units(text: &str, known: &[(char, i64)]) -> Option<i64> {
    let (mut rest, mut sum, mut known) = (text, 0_i64, known.iter());
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let (number, more) = rest.split_at_checked(end)?;
        let unit = more.chars().next()?;
        let (_, worth) = known.find(|(name, _)| *name == unit)?;
        // More digits than a number has are a very long time.
        let number = number.parse::<i64>().unwrap_or(i64::MAX);
        sum = sum.saturating_add(number.saturating_mul(*worth));
        rest = &more[1..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_every_form() {
        let length = |text| Length::parse(text).map(|length| (length.days, length.seconds));
        for (text, right) in [
            ("P15DT5H0M20S", Some((15, 18_020))),
            ("P7W", Some((49, 0))),
            ("+P1D", Some((1, 0))),
            ("PT0S", Some((0, 0))),
            ("P1DT0H0M0S", Some((1, 0))),
            ("pt90m", Some((0, 5400))),
            ("PT36H", Some((0, 129_600))),
            ("P1W2D", Some((9, 0))),
            ("P99999999999999999999D", None),
            ("PT9999999999999S", None),
            ("-PT15M", None),
            ("P1H", None),
            ("P1Y", None),
            ("1D", None),
            ("PT1", None),
            ("PTS", None),
            ("", None),
        ] {
            assert_eq!(length(text), right, "{text}");
        }
    }
}
