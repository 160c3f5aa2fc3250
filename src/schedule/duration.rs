//! Durations as people write them: `90s`, `1h 30m`, `2 weeks`, or ISO 8601 (`PT1H`, `P1D`).
//!
//! Two classes that are never mixed: *elapsed* time (milliseconds to hours) has the same length everywhere, *calendar*
//! time (days to years) is read off a wall calendar.

use super::{
    definition::{Flaw, shown},
    duration_text::{parse_friendly, parse_iso},
};

/// A unit of time, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    /// 1 ms.
    Millisecond,
    /// 1,000 ms.
    Second,
    /// 60,000 ms.
    Minute,
    /// 3,600,000 ms.
    Hour,
    /// A day of the calendar.
    Day,
    /// Seven days of the calendar.
    Week,
    /// A month of the calendar.
    Month,
    /// Twelve months of the calendar.
    Year,
}

/// A duration with the numbers and units in which it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Duration {
    /// Numbers above zero with units, the largest unit first, each unit once.
    pub(super) parts: Vec<(u64, Unit)>,
}

/// What a duration amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// Milliseconds.
    Elapsed(u64),
    /// Days of the calendar.
    Days(u64),
    /// Months of the calendar.
    Months(u64),
}

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 128;
/// The largest number of one unit: everything up to the horizon fits, in milliseconds too.
pub(super) const MAX_NUMBER: u64 = 4_102_444_800_000;

pub(super) const EXAMPLES: &str = "as in '90s', '4h', '1h 30m', '1 day', '2 weeks', '1 month', or 'PT1H'";

pub(super) const WORDS: [(Unit, &[&str]); 8] = [
    (Unit::Millisecond, &["ms", "millisecond", "milliseconds", "msec", "msecs"]),
    (Unit::Second, &["s", "second", "seconds", "sec", "secs"]),
    (Unit::Minute, &["m", "minute", "minutes", "min", "mins"]),
    (Unit::Hour, &["h", "hour", "hours", "hr", "hrs"]),
    (Unit::Day, &["d", "day", "days"]),
    (Unit::Week, &["w", "week", "weeks", "wk", "wks"]),
    (Unit::Month, &["month", "months", "mo", "mos"]),
    (Unit::Year, &["y", "year", "years", "yr", "yrs"]),
];

impl Unit {
    /// The unit's full name, singular.
    pub(super) fn name(self) -> &'static str {
        WORDS
            .iter()
            .find(|(unit, _)| *unit == self)
            .map_or("", |(_, words)| words[1.min(words.len() - 1)])
            .trim_end_matches('s')
    }

    /// The unit of this full name or abbreviation.
    pub(super) fn read(word: &str) -> Option<Self> {
        // "M" is minutes to some and months to others.
        let folded = if word == "M" { return None } else { word.to_ascii_lowercase() };
        WORDS.iter().find(|(_, words)| words.contains(&folded.as_str())).map(|(unit, _)| *unit)
    }

    /// Milliseconds, for the units of elapsed time.
    fn millis(self) -> Option<u64> {
        match self {
            Self::Millisecond => Some(1),
            Self::Second => Some(1000),
            Self::Minute => Some(60_000),
            Self::Hour => Some(3_600_000),
            _ => None,
        }
    }
}

impl Duration {
    /// Reads either form.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        if text.len() > MAX_BYTES || !text.is_ascii() {
            return Err(Flaw::whole(format!("'{}' is not a duration", shown(text))).help(EXAMPLES));
        }
        if text.trim_ascii().is_empty() {
            return Err(Flaw::whole("a duration is missing").help(EXAMPLES));
        }
        match text.trim_ascii().strip_prefix(['P', 'p']) {
            Some(iso) => parse_iso(text, iso),
            None => parse_friendly(text),
        }
    }

    /// From parts that are known to be valid: numbers above zero, descending units.
    pub(super) fn of(parts: Vec<(u64, Unit)>) -> Option<Self> {
        let ordered = parts.windows(2).all(|pair| pair[0].1 > pair[1].1);
        (!parts.is_empty() && ordered && parts.iter().all(|part| part.0 > 0)).then_some(Self { parts })
    }

    /// The numbers and units as written.
    pub(super) fn parts(&self) -> &[(u64, Unit)] {
        &self.parts
    }

    /// What it amounts to; `None` where units of two classes, or days and months, are mixed, or beyond all bounds.
    pub(super) fn amount(&self) -> Option<Amount> {
        let sum = |each: fn(Unit) -> Option<u64>| {
            self.parts.iter().try_fold(0u64, |sum, &(n, unit)| sum.checked_add(n.checked_mul(each(unit)?)?))
        };
        let days = |unit| match unit {
            Unit::Day => Some(1),
            Unit::Week => Some(7),
            _ => None,
        };
        let months = |unit| match unit {
            Unit::Month => Some(1),
            Unit::Year => Some(12),
            _ => None,
        };
        sum(Unit::millis)
            .map(Amount::Elapsed)
            .or_else(|| sum(days).map(Amount::Days))
            .or_else(|| sum(months).map(Amount::Months))
    }

    /// Milliseconds, for a length of time that no calendar is asked about (`grace`, `expires`): a day has 24 hours.
    pub(super) fn millis(&self) -> Result<i64, Flaw> {
        let each = |unit: Unit| match unit {
            Unit::Day => Some(86_400_000),
            Unit::Week => Some(7 * 86_400_000),
            _ => unit.millis(),
        };
        let mut sum = 0u64;
        for &(n, unit) in &self.parts {
            let Some(each) = each(unit) else {
                let what =
                    format!("{}s have no fixed length; weeks to milliseconds are allowed here", unit.name());
                return Err(Flaw::whole(what).help("as in '30 days'"));
            };
            sum = sum.saturating_add(n.saturating_mul(each));
        }
        i64::try_from(sum)
            .ok()
            .filter(|&millis| millis <= MAX_NUMBER as i64)
            .ok_or_else(|| Flaw::whole("longer than from 1970 to the horizon, the end of 2099"))
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (n, unit)) in self.parts.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{n} {}{}", unit.name(), if *n == 1 { "" } else { "s" })?;
        }
        Ok(())
    }
}

<<<<<<< HEAD
/// The length of the run of bytes at the front of `text` that are of a kind.
fn run(text: &str, kind: fn(&u8) -> bool) -> usize {
    text.bytes().take_while(kind).count()
}

fn number(text: &str, at: usize) -> Result<u64, Flaw> {
    let range = at..at + text.len();
    match text.parse::<u64>() {
        Ok(0) => Err(Flaw::part(range, "0 of a unit is not a length of time; numbers start at 1")),
        Ok(n) if n <= MAX_NUMBER => Ok(n),
        _ => Err(Flaw::part(range, "this number is too large: the horizon is the end of 2099")),
    }
}

fn push(parts: &mut Vec<(u64, Unit)>, n: u64, unit: Unit, at: std::ops::Range<usize>) -> Result<(), Flaw> {
    if let Some(&(_, last)) = parts.last()
        && last <= unit
    {
        let what = format!(
            "{}s after {}s: units go from the largest to the smallest, each once",
            unit.name(),
            last.name()
        );
        return Err(Flaw::part(at, what).help(EXAMPLES));
    }
    parts.push((n, unit));
    Ok(())
}

fn parse_friendly(text: &str) -> Result<Duration, Flaw> {
    let mut parts = Vec::new();
    let mut at = run(text, u8::is_ascii_whitespace);
    let end = text.trim_ascii_end().len();
    while at < end {
        let start = at;
        let digits = run(&text[at..], u8::is_ascii_digit);
        if digits == 0 {
            let word = run(&text[at..], |byte| !byte.is_ascii_whitespace()).max(1);
            let what = format!("'{}' found where a number is needed", shown(&text[at..at + word]));
            return Err(Flaw::part(at..at + word, what).help(EXAMPLES));
        }
        let n = number(&text[at..at + digits], at)?;
        at += digits;
        if text[at..].starts_with(['.', ',']) {
            let what = "numbers are whole";
            return Err(
                Flaw::part(at..at + 1, what).help("use a smaller unit, as in '90m' for an hour and a half")
            );
        }
        at += run(&text[at..], u8::is_ascii_whitespace);
        let word = run(&text[at..], u8::is_ascii_alphabetic);
        let Some(unit) = Unit::read(&text[at..at + word]) else {
            return Err(unknown_unit(text, at, word));
        };
        at += word;
        push(&mut parts, n, unit, start..at)?;
        at += run(&text[at..], u8::is_ascii_whitespace);
    }
    Ok(Duration { parts })
}

fn unknown_unit(text: &str, at: usize, length: usize) -> Flaw {
    if length == 0 {
        let end = (at + 1).min(text.len());
        return Flaw::part(
            at.min(end)..end,
            "a unit is missing after the number; ms, s, m, h, day, week, month and year are allowed",
        )
        .help(EXAMPLES);
    }
    let word = &text[at..at + length];
    let what = format!("'{}' is not a unit; ms, s, m, h, day, week, month and year are allowed", shown(word));
    let flaw = Flaw::part(at..at + length, what);
    if word == "M" {
        return flaw.help("write 'm' for minutes, 'month' for months");
    }
    let folded = word.to_ascii_lowercase();
    let near = |word: &&&str| super::zone::distance(word, &folded);
    let words = WORDS.iter().flat_map(|(_, words)| words.iter()).filter(|word| word.len() > 2);
    match words.min_by_key(near) {
        Some(best) if near(&best) <= 2 && word.len() > 2 => flaw.help(format!("did you mean '{best}'?")),
        _ => flaw.help(EXAMPLES),
    }
}

/// ISO 8601-1, 5.5.2: `P[n]Y[n]M[n]W[n]DT[n]H[n]M[n]S`; only the seconds may have up to three decimals.
fn parse_iso(text: &str, iso: &str) -> Result<Duration, Flaw> {
    let mut parts = Vec::new();
    let mut at = text.len() - text.trim_ascii_start().len() + 1;
    let end = at + iso.len();
    let mut in_time = false;
    let malformed = |at: usize| {
        let found = text[at..end]
            .chars()
            .next()
            .map_or("the end".to_owned(), |c| format!("'{}'", shown(&c.to_string())));
        let what = format!("{found} is not allowed here in an ISO 8601 duration");
        Flaw::part(at..(at + 1).min(end), what).help("as in 'PT1H30M', 'P1D', 'P2W', 'P1M'")
    };
    while at < end {
        if !in_time && text[at..].starts_with(['T', 't']) {
            in_time = true;
            at += 1;
            if at == end {
                return Err(malformed(at));
            }
            continue;
        }
        let start = at;
        let digits = run(&text[at..end], u8::is_ascii_digit);
        if digits == 0 {
            return Err(malformed(at));
        }
        at += digits;
        let mut fraction = None;
        if text[at..end].starts_with(['.', ',']) {
            let decimals = run(&text[at + 1..end], u8::is_ascii_digit);
            if !(1..=3).contains(&decimals) {
                return Err(Flaw::part(at..at + 1 + decimals, "finer than a millisecond, or no digits"));
            }
            let value = text[at + 1..at + 1 + decimals].parse::<u64>().unwrap_or_default();
            fraction = Some(value * 10u64.pow(3 - decimals as u32));
            at += 1 + decimals;
        }
        let unit = match (in_time, text.as_bytes().get(at).filter(|_| at < end).map(u8::to_ascii_uppercase)) {
            (false, Some(b'Y')) => Unit::Year,
            (false, Some(b'M')) => Unit::Month,
            (false, Some(b'W')) => Unit::Week,
            (false, Some(b'D')) => Unit::Day,
            (true, Some(b'H')) => Unit::Hour,
            (true, Some(b'M')) => Unit::Minute,
            (true, Some(b'S')) => Unit::Second,
            _ => return Err(malformed(at)),
        };
        if fraction.is_some() && unit != Unit::Second {
            return Err(Flaw::part(start..at + 1, "only the seconds may have decimals"));
        }
        let digits = &text[start..start + digits];
        at += 1;
        let no_whole_seconds = fraction.is_some() && digits.bytes().all(|byte| byte == b'0');
        if !no_whole_seconds {
            push(&mut parts, number(digits, start)?, unit, start..at)?;
        }
        match fraction {
            Some(millis @ 1..) => push(&mut parts, millis, Unit::Millisecond, start..at)?,
            Some(0) if no_whole_seconds => {
                return Err(Flaw::part(start..at, "0 seconds are not a length of time"));
            }
            _ => {}
        }
    }
    if parts.is_empty() { Err(malformed(end)) } else { Ok(Duration { parts }) }
}

=======
>>>>>>> timing
#[cfg(test)]
mod tests {
    use super::*;
    use Amount::{Days, Elapsed, Months};

    #[test]
    fn both_forms_are_read() {
        for (text, amount) in [
            ("100ms", Elapsed(100)),
            ("90s", Elapsed(90_000)),
            ("4h", Elapsed(14_400_000)),
            ("1h 30m", Elapsed(5_400_000)),
            ("1h30m", Elapsed(5_400_000)),
            ("1 hour 30 minutes", Elapsed(5_400_000)),
            ("PT1H", Elapsed(3_600_000)),
            ("PT1H30M", Elapsed(5_400_000)),
            ("PT0.1S", Elapsed(100)),
            ("PT1.5S", Elapsed(1500)),
            ("24 Hours", Elapsed(86_400_000)),
            ("1 day", Days(1)),
            ("P1D", Days(1)),
            ("2 weeks", Days(14)),
            ("P1W", Days(7)),
            ("1 month", Months(1)),
            ("P1M", Months(1)),
            ("1 year", Months(12)),
            ("1 year 6 months", Months(18)),
        ] {
            assert_eq!(Duration::parse(text).unwrap().amount(), Some(amount), "{text}");
        }
        assert_eq!(Duration::parse("1 day 1h").unwrap().amount(), None);
        assert_eq!(Duration::parse("1 month 1 day").unwrap().amount(), None);
    }

    #[test]
    fn other_texts_are_refused_at_the_fault() {
        for (text, at) in [
            ("", None),
            ("soon", Some(0..4)),
            ("1", Some(1..1)),
            ("1 fortnight", Some(2..11)),
            ("1.5h", Some(1..2)),
            ("0s", Some(0..1)),
            ("30m 1h", Some(4..6)),
            ("1h 1h", Some(3..5)),
            ("-1h", Some(0..3)),
            ("1M", Some(1..2)),
            ("P", Some(1..1)),
            ("PT", Some(2..2)),
            ("P1H", Some(2..3)),
            ("PT1D", Some(3..4)),
            ("PT0.0001S", Some(3..8)),
            ("99999999999999999999s", Some(0..20)),
            ("1 hоur", None),
        ] {
            assert_eq!(Duration::parse(text).unwrap_err().of("").at, at, "{text}");
        }
        assert_eq!(Duration::parse("3 hurs").unwrap_err().of("").help.unwrap(), "did you mean 'hours'?");
    }

    #[test]
    fn units_have_their_full_names() {
        let names: Vec<_> = WORDS.iter().map(|(unit, _)| unit.name()).collect();
        assert_eq!(names, ["millisecond", "second", "minute", "hour", "day", "week", "month", "year"]);
    }
}
