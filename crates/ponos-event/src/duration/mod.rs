//! Durations as people write them: `90s`, `1h 30m`, `2 weeks`, or ISO 8601 (`PT1H`, `P1D`).
//!
//! Two classes that are never mixed: *elapsed* time (milliseconds to hours) has the same length everywhere, *calendar*
//! time (days to years) is read off a wall calendar.

mod text;

use crate::text::shown;
use std::{fmt, ops::Range};
use text::{parse_friendly, parse_iso};

/// A unit of time, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeUnit {
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
pub struct WrittenDuration {
    /// Numbers above zero with units, the largest unit first, each unit once; those of a phase may be zero.
    parts: Vec<(u64, TimeUnit)>,
}

/// The length of a duration, in units of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Milliseconds.
    Elapsed(u64),
    /// Days of the calendar.
    Days(u64),
    /// Months of the calendar.
    Months(u64),
}

/// Reads a length of time, weeks to milliseconds, a day having 24 hours; it may be 0.
///
/// # Errors
/// [`DurationError`], also for months and years, whose length depends on the calendar.
pub fn parse_span(text: &str) -> Result<std::time::Duration, DurationError> {
    let millis = WrittenDuration::parse_distance(text)?.millis()?;
    Ok(std::time::Duration::from_millis(millis.unsigned_abs()))
}

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 128;
/// The largest number of one unit: everything up to the horizon fits, in milliseconds too.
const MAX_NUMBER: u64 = 4_102_444_800_000;

const EXAMPLES: &str = "as in '90s', '4h', '1h 30m', '1 day', '2 weeks', '1 month', or 'PT1H'";

const WORDS: [(TimeUnit, &[&str]); 8] = [
    (TimeUnit::Millisecond, &["ms", "millisecond", "milliseconds", "msec", "msecs"]),
    (TimeUnit::Second, &["s", "second", "seconds", "sec", "secs"]),
    (TimeUnit::Minute, &["m", "minute", "minutes", "min", "mins"]),
    (TimeUnit::Hour, &["h", "hour", "hours", "hr", "hrs"]),
    (TimeUnit::Day, &["d", "day", "days"]),
    (TimeUnit::Week, &["w", "week", "weeks", "wk", "wks"]),
    (TimeUnit::Month, &["month", "months", "mo", "mos"]),
    (TimeUnit::Year, &["y", "year", "years", "yr", "yrs"]),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError {
    /// The bytes of the fault; `None` for the whole text.
    pub at: Option<Range<usize>>,
    /// What was found, and what is allowed.
    pub what: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl DurationError {
    fn whole(what: impl Into<String>) -> Self {
        Self { at: None, what: what.into(), help: None }
    }

    fn part(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::whole(what) }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{}; {help}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for DurationError {}

impl TimeUnit {
    /// The unit's full name, singular.
    pub fn name(self) -> &'static str {
        WORDS
            .iter()
            .find(|(unit, _)| *unit == self)
            .map_or("", |(_, words)| words[1.min(words.len() - 1)])
            .trim_end_matches('s')
    }

    /// The unit of this full name or abbreviation.
    pub fn read(word: &str) -> Option<Self> {
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

impl WrittenDuration {
    /// Reads either form; every number is at least 1.
    ///
    /// # Errors
    /// [`DurationError`], at the first fault.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        Self::parse_from(text, 1)
    }

    /// Reads either form; a number of a unit may be 0: how far something lies from something else.
    ///
    /// # Errors
    /// As [`WrittenDuration::parse`].
    pub fn parse_distance(text: &str) -> Result<Self, DurationError> {
        Self::parse_from(text, 0)
    }

    fn parse_from(text: &str, least: u64) -> Result<Self, DurationError> {
        if text.len() > MAX_BYTES || !text.is_ascii() {
            return Err(DurationError::whole(format!("'{}' is not a duration", shown(text))).help(EXAMPLES));
        }
        if text.trim_ascii().is_empty() {
            return Err(DurationError::whole("a duration is missing").help(EXAMPLES));
        }
        match text.trim_ascii().strip_prefix(['P', 'p']) {
            Some(iso) => parse_iso(text, iso, least),
            None => parse_friendly(text, least),
        }
    }

    /// From parts that are known to be valid: numbers above zero, descending units.
    pub fn of(parts: Vec<(u64, TimeUnit)>) -> Option<Self> {
        let ordered = parts.windows(2).all(|pair| pair[0].1 > pair[1].1);
        (!parts.is_empty() && ordered && parts.iter().all(|part| part.0 > 0)).then_some(Self { parts })
    }

    /// The numbers and units as written.
    pub fn parts(&self) -> &[(u64, TimeUnit)] {
        &self.parts
    }

    /// The length; `None` if units of two classes, or days and months, are mixed, or beyond all bounds.
    pub fn amount(&self) -> Option<Amount> {
        let sum = |each: fn(TimeUnit) -> Option<u64>| {
            self.parts.iter().try_fold(0u64, |sum, &(n, unit)| sum.checked_add(n.checked_mul(each(unit)?)?))
        };
        let days = |unit| match unit {
            TimeUnit::Day => Some(1),
            TimeUnit::Week => Some(7),
            _ => None,
        };
        let months = |unit| match unit {
            TimeUnit::Month => Some(1),
            TimeUnit::Year => Some(12),
            _ => None,
        };
        sum(TimeUnit::millis)
            .map(Amount::Elapsed)
            .or_else(|| sum(days).map(Amount::Days))
            .or_else(|| sum(months).map(Amount::Months))
    }

    /// Milliseconds, for a length of time that no calendar is asked about : a day has 24 hours.
    ///
    /// # Errors
    /// [`DurationError`] for months and years, and beyond the horizon.
    pub fn millis(&self) -> Result<i64, DurationError> {
        let each = |unit: TimeUnit| match unit {
            TimeUnit::Day => Some(86_400_000),
            TimeUnit::Week => Some(7 * 86_400_000),
            _ => unit.millis(),
        };
        let mut sum = 0u64;
        for &(n, unit) in &self.parts {
            let Some(each) = each(unit) else {
                let what =
                    format!("{}s have no fixed length; weeks to milliseconds are allowed here", unit.name());
                return Err(DurationError::whole(what).help("as in '30 days'"));
            };
            sum = sum.saturating_add(n.saturating_mul(each));
        }
        i64::try_from(sum)
            .ok()
            .filter(|&millis| millis <= MAX_NUMBER as i64)
            .ok_or_else(|| DurationError::whole("longer than from 1970 to the horizon, the end of 2099"))
    }
}

impl fmt::Display for WrittenDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (n, unit)) in self.parts.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{n} {}{}", unit.name(), if *n == 1 { "" } else { "s" })?;
        }
        Ok(())
    }
}

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
            assert_eq!(WrittenDuration::parse(text).unwrap().amount(), Some(amount), "{text}");
        }
        assert_eq!(WrittenDuration::parse("1 day 1h").unwrap().amount(), None);
        assert_eq!(WrittenDuration::parse("1 month 1 day").unwrap().amount(), None);
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
            ("PT1S0.1S", Some(4..8)),
            ("99999999999999999999s", Some(0..20)),
            ("1 hоur", None),
        ] {
            assert_eq!(WrittenDuration::parse(text).unwrap_err().at, at, "{text}");
        }
        assert_eq!(WrittenDuration::parse("3 hurs").unwrap_err().help.unwrap(), "did you mean 'hours'?");
    }

    #[test]
    fn a_span_has_a_fixed_length_and_may_be_nothing() {
        let millis = |text| parse_span(text).map(|span| span.as_millis()).map_err(|error| error.to_string());
        for (text, span) in
            [("0s", 0), ("250ms", 250), (" 1m 30s", 90_000), ("7 days", 604_800_000), ("1w", 604_800_000)]
        {
            assert_eq!(millis(text), Ok(span), "{text}");
        }
        for wrong in ["", "5", "s", "5x", "-5s", "1.5h", "99999999999999999999s", "5 m 3", "1 month", "1y"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            millis("2 months").unwrap_err(),
            "months have no fixed length; weeks to milliseconds are allowed here; as in '30 days'"
        );
    }

    #[test]
    fn units_have_their_full_names() {
        let names: Vec<_> = WORDS.iter().map(|(unit, _)| unit.name()).collect();
        assert_eq!(names, ["millisecond", "second", "minute", "hour", "day", "week", "month", "year"]);
    }
}
