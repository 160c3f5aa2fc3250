//! Instants as people write them: RFC 3339 with an offset, or local time for a zone. Whole milliseconds, and always
//! with a time of day: a bare date would leave open which midnight was meant.

use crate::{
    fault::{Fault, FaultCode, Flaw, shown},
    months::{DAY, FIRST_DAY, LAST_DAY, day_number},
    zone::{
        Zone,
        dst::{Dst, Fold, Gap},
        local_times::{Place, place},
        store::ZoneStore,
    },
};
use ponos_event::Timestamp;

/// Text that has the form of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// With an offset, or `Z`.
    Instant(Timestamp),
    /// Milliseconds on a wall clock since 1970-01-01T00:00.
    Local(i64),
}

/// Reads an instant as given on a command line: RFC 3339 with an offset, or local time in `zone` (an IANA name); in a
/// gap the first instant after it, in a repeated hour the first pass. `flag`: what gives the zone there, if anything.
///
/// # Errors
/// A [`Fault`] under `key`, or under `time_zone`.
pub fn parse_instant(
    text: &str,
    zone: Option<&str>,
    key: &'static str,
    flag: Option<&'static str>,
) -> Result<Timestamp, Fault> {
    parse_instant_with(text, zone, key, flag, &ZoneStore::default())
}

/// As [`parse_instant`], with the zone data of this store.
///
/// # Errors
/// As [`parse_instant`].
pub fn parse_instant_with(
    text: &str,
    zone: Option<&str>,
    key: &'static str,
    flag: Option<&'static str>,
    zones: &ZoneStore,
) -> Result<Timestamp, Fault> {
    let zone = zone.map(|name| zones.current(name)).transpose().map_err(|flaw| flaw.of("time_zone"))?;
    let instant = read_beside(text, flag).and_then(|written| match (written, &zone) {
        (Written::Instant(instant), _) => Ok(instant),
        (Written::Local(_), None) => Err(no_zone(text, flag)),
        (Written::Local(local), Some(zone)) => in_zone(text, local, Some(zone), Dst::default()),
    });
    instant.map_err(|flaw| flaw.of(key))
}

/// Reads a bound or an anchor: local times in a gap mean its end, repeated ones their first pass.
pub(crate) fn bound(text: &str, zone: Option<&Zone>) -> Result<Timestamp, Flaw> {
    match read(text)? {
        Written::Instant(instant) => Ok(instant),
        Written::Local(local) => in_zone(text, local, zone, Dst::default()),
    }
}

/// The fault of a local time without a zone; `giver` would give it one.
fn no_zone(text: &str, giver: Option<&str>) -> Flaw {
    let offset = format!("an offset: '{}Z'", shown(text));
    Flaw::whole(format!("'{}' is a local time, and no time zone is given", shown(text)))
        .code(FaultCode::NoTimeZone)
        .help(giver.map_or_else(|| format!("add {offset}"), |giver| format!("add {giver}, or {offset}")))
}

/// The instant of a local time in `zone`.
pub(crate) fn in_zone(text: &str, local: i64, zone: Option<&Zone>, dst: Dst) -> Result<Timestamp, Flaw> {
    let Some(zone) = zone else {
        return Err(no_zone(text, Some(KEY)));
    };
    let millis = match (place(zone, local), dst.gap, dst.fold) {
        (Place::Once(at), _, _) => at,
        (Place::Twice(_, second), _, Fold::Last) => second,
        (Place::Twice(first, _), _, _) => first,
        (Place::Gap { after, .. }, Gap::After, _) => after,
        (Place::Gap { shifted, .. }, Gap::Shift, _) => shifted,
        (Place::Gap { .. }, Gap::Skip, _) => {
            let what = format!("'{}' does not exist in {}: the clock skips it", shown(text), zone.name());
            return Err(Flaw::whole(what).help("choose another time, or dst = { gap = \"after\" }"));
        }
        (Place::Nowhere, _, _) => {
            let what = format!(
                "'{}' does not exist in {}, or is not between 1970 and 2099",
                shown(text),
                zone.name()
            );
            return Err(Flaw::whole(what));
        }
    };
    Ok(Timestamp::from_millis(millis))
}

/// Reads `2026-12-01T09:00[:00[.000]][Z|+01:00]` (a space may stand for the `T`).
pub(crate) fn read(text: &str) -> Result<Written, Flaw> {
    read_beside(text, Some(KEY))
}

/// The same, where `giver` gives local times their zone.
fn read_beside(text: &str, giver: Option<&'static str>) -> Result<Written, Flaw> {
    let mut cursor = Cursor { text, at: 0, giver };
    if text.len() > 64 || !text.is_ascii() {
        return Err(Flaw::whole(format!("'{}' is not an instant", shown(text))).help(example(giver)));
    }
    let year = cursor.number(4, "a year of four digits")?;
    cursor.skip(b"-")?;
    let month = cursor.number(2, "a month of two digits")?;
    cursor.skip(b"-")?;
    let day = cursor.number(2, "a day of two digits")?;
    let date = day_number(year, month as u32, day as u32).ok_or_else(|| {
        let what = format!("there is no date {}, or it is not between 1970 and 2099", shown(&text[..10]));
        Flaw::part(0..10, what)
    })?;
    if cursor.peek().is_none() {
        let what = format!("'{}' is a date without a time", shown(text));
        return Err(Flaw::whole(what).help(format!("write {}", either(text, "T00:00", giver))));
    }
    cursor.skip(b"Tt ")?;
    let time = cursor.time_of_day()?;
    let local = i64::from(date) * DAY + time;
    let offset = cursor.offset()?;
    if cursor.at < text.len() {
        let what = format!("'{}' is left over after the instant", shown(&text[cursor.at..]));
        return Err(Flaw::part(cursor.at..text.len(), what).help(example(giver)));
    }
    match offset {
        None => Ok(Written::Local(local)),
        Some(offset) => on_a_day(text, local - offset).map(Written::Instant),
    }
}

/// An offset leads out of the days that are known, where local time is at their edge. What is taken can be read again as it is
/// shown: in UTC.
fn on_a_day(text: &str, millis: i64) -> Result<Timestamp, Flaw> {
    if !(FIRST_DAY..LAST_DAY).contains(&(millis.div_euclid(DAY) as i32)) {
        let what = format!("'{}' is not between 1970 and 2099", shown(text));
        return Err(Flaw::whole(what).code(FaultCode::OutOfRange));
    }
    Ok(Timestamp::from_millis(millis))
}

/// Reads a time of day, `09:00[:00[.000]]`, in milliseconds.
pub(crate) fn time_of_day(text: &str) -> Result<i64, Flaw> {
    let mut cursor = Cursor { text, at: 0, giver: Some(KEY) };
    let time = cursor.time_of_day()?;
    if cursor.at < text.len() {
        return Err(
            Flaw::part(cursor.at..text.len(), "more follows the time of day").help("as in '09:00:00'")
        );
    }
    Ok(time)
}

/// What gives local times their zone in files and over HTTP.
const KEY: &str = "time_zone";

/// An instant, and as a local time where that can have a zone.
fn either(date: &str, time: &str, giver: Option<&str>) -> String {
    let local = giver.map_or(String::new(), |giver| format!(", or '{date}{time}' with {giver}"));
    format!("'{date}{time}Z'{local}")
}

fn example(giver: Option<&str>) -> String {
    format!("as in {}", either("2026-12-01", "T09:00", giver))
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    giver: Option<&'static str>,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn flaw(&self, expected: &str) -> Flaw {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let found = next.map_or("the end".to_owned(), |next| format!("'{}'", shown(&next.to_string())));
        let end = self.at + next.map_or(0, char::len_utf8);
        Flaw::part(self.at..end, format!("{found} found where {expected} is needed"))
            .help(example(self.giver))
    }

    fn skip(&mut self, any: &[u8]) -> Result<(), Flaw> {
        match self.peek() {
            Some(byte) if any.contains(&byte) => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.flaw(&format!("'{}'", char::from(any.first().copied().unwrap_or(b' '))))),
        }
    }

    fn number(&mut self, digits: usize, expected: &str) -> Result<i32, Flaw> {
        let mut value = 0;
        for _ in 0..digits {
            match self.peek() {
                Some(byte @ b'0'..=b'9') => value = value * 10 + i32::from(byte - b'0'),
                _ => return Err(self.flaw(expected)),
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn two_digits(&mut self, below: i32, expected: &str) -> Result<i64, Flaw> {
        let at = self.at;
        let value = self.number(2, expected)?;
        if value >= below {
            let what = format!("{value:02} is out of range: 00 to {:02}", below - 1);
            return Err(Flaw::part(at..at + 2, what).code(FaultCode::OutOfRange));
        }
        Ok(value.into())
    }

    fn time_of_day(&mut self) -> Result<i64, Flaw> {
        let hour = self.two_digits(24, "an hour of two digits")?;
        self.skip(b":")?;
        let minute = self.two_digits(60, "minutes of two digits")?;
        let mut millis = (hour * 60 + minute) * 60_000;
        if self.peek() == Some(b':') {
            self.at += 1;
            millis += 1000 * self.two_digits(60, "seconds of two digits")?;
            if self.peek() == Some(b'.') {
                self.at += 1;
                millis += self.fraction()?;
            }
        }
        Ok(millis)
    }

    /// Digits after the point; zeros beyond the millisecond say nothing finer.
    fn fraction(&mut self) -> Result<i64, Flaw> {
        let start = self.at;
        let mut millis = 0;
        let mut scale = 100;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            if scale == 0 && byte != b'0' {
                let what = "finer than a millisecond; instants have whole milliseconds";
                return Err(Flaw::part(self.at..self.at + 1, what).code(FaultCode::TooFine));
            }
            millis += i64::from(byte - b'0') * scale;
            scale /= 10;
            self.at += 1;
        }
        if self.at == start { Err(self.flaw("a digit")) } else { Ok(millis) }
    }

    fn offset(&mut self) -> Result<Option<i64>, Flaw> {
        let sign = match self.peek() {
            None => return Ok(None),
            Some(b'Z' | b'z') => {
                self.at += 1;
                return Ok(Some(0));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return Err(self.flaw("an offset such as 'Z' or '+01:00'")),
        };
        self.at += 1;
        let hours = self.two_digits(24, "hours of two digits")?;
        self.skip(b":")?;
        let minutes = self.two_digits(60, "minutes of two digits")?;
        Ok(Some(sign * (hours * 60 + minutes) * 60_000))
    }
}
