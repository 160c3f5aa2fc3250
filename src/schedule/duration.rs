//! Durations as people write them: `90s`, `1h 30m`, `2 weeks`, or ISO 8601 (`PT1H`, `P1D`).
//!
//! Two classes that are never mixed: *elapsed* time (milliseconds to hours) has the same length everywhere, *calendar*
//! time (days to years) is read off a wall calendar.

use super::{
    duration_text::{parse_friendly, parse_iso},
    fault::{Fault, Flaw, shown},
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
    /// Numbers above zero with units, the largest unit first, each unit once; those of a phase may be zero.
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

/// Reads a length of time as given on a command line, in milliseconds: weeks to milliseconds, a day having 24 hours.
///
/// # Errors
/// A [`Fault`] under `key`, also where it is longer than `most` milliseconds.
pub fn parse_length(text: &str, most: i64, key: &'static str) -> Result<i64, Fault> {
    let length = Duration::parse(text).and_then(|duration| duration.millis());
    let length = length.map_err(|flaw| flaw.of(key))?;
    if length > most {
        let what = format!("'{}' is too long; {} days at most", shown(text), most / 86_400_000);
        return Err(Flaw::whole(what).of(key));
    }
    Ok(length)
}

/// The shortest `every`, in milliseconds.
const SHORTEST: u64 = 100;
/// The longest `every`: a hundred years, in milliseconds, days and months.
const LONGEST: (u64, u64, u64) = (36_525 * 86_400_000, 36_525, 1200);
/// Reads a duration as `every` has it: units of one kind, from 100 ms to 100 years.
pub(super) fn every(text: &str) -> Result<(Duration, Amount), Flaw> {
    let duration = Duration::parse(text)?;
    let Some(amount) = duration.amount() else {
        let flaw = Flaw::whole(format!("{duration} mixes units that have no common length"));
        let help = "milliseconds to hours are elapsed time, days and weeks, months and years the calendar's: use one kind";
        return Err(flaw.help(help));
    };
    let (n, most) = match amount {
        Amount::Elapsed(millis) => (millis, LONGEST.0),
        Amount::Days(days) => (days, LONGEST.1),
        Amount::Months(months) => (months, LONGEST.2),
    };
    if n > most || matches!(amount, Amount::Elapsed(millis) if millis < SHORTEST) {
        return Err(Flaw::whole(format!("{duration}; from {SHORTEST} ms to 100 years are allowed")));
    }
    Ok((duration, amount))
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
        Self::parse_from(text, 1)
    }

    /// Reads either form; a number of a unit may be 0: how far something lies from something else.
    pub(super) fn parse_distance(text: &str) -> Result<Self, Flaw> {
        Self::parse_from(text, 0)
    }

    fn parse_from(text: &str, least: u64) -> Result<Self, Flaw> {
        if text.len() > MAX_BYTES || !text.is_ascii() {
            return Err(Flaw::whole(format!("'{}' is not a duration", shown(text))).help(EXAMPLES));
        }
        if text.trim_ascii().is_empty() {
            return Err(Flaw::whole("a duration is missing").help(EXAMPLES));
        }
        match text.trim_ascii().strip_prefix(['P', 'p']) {
            Some(iso) => parse_iso(text, iso, least),
            None => parse_friendly(text, least),
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
