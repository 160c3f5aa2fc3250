//! An instant in UTC, in whole milliseconds. Finer input is refused in our own files, so that no digit is ignored; in messages
//! of others it is floored.

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Milliseconds since 1970-01-01T00:00:00Z. Serialised as RFC 3339 text such as `2026-12-01T09:00:00.000Z`
/// (in binary formats as the number).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is not a valid [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// Not RFC 3339.
    #[error("'{0}' is not an RFC 3339 instant such as 2026-12-01T09:00:00Z")]
    Malformed(String),
    /// Digits beyond the millisecond, or a leap second.
    #[error("'{0}' is finer than a millisecond; instants have whole milliseconds")]
    TooFine(String),
}

impl Timestamp {
    /// The earliest instant of the arithmetic: 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The end of 2099, exclusive: nothing is due at or after it.
    pub const HORIZON: Self = Self(4_102_444_800_000);

    /// The instant that many milliseconds after 1970 began in UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 began in UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The instant `millis` later (earlier if negative); at the ends of the range it stays there.
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; negative if it is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads an instant that somebody else wrote, in any form of RFC 3339 (§5.6, §5.7), and floors it to the millisecond: any number
    /// of digits, any offset, `t` and `z`, a space for the `T`, and a leap second, which is the same instant as the second after it.
    ///
    /// ```
    /// use ponos_event::Timestamp;
    /// let read = |text| Timestamp::floored(text).unwrap().to_string();
    /// assert_eq!(read("2026-12-01T10:00:00.1239999+01:00"), "2026-12-01T09:00:00.123Z");
    /// assert_eq!(read("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");
    /// ```
    ///
    /// # Errors
    /// [`InvalidTimestamp`] if it is not RFC 3339; a second 60 anywhere but at the end of a month in UTC is not.
    pub fn floored(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = rfc3339(text)?;
        if is_leap(&parsed) {
            let utc = parsed.to_utc();
            let next = utc.date_naive().succ_opt();
            if (utc.hour(), utc.minute()) != (23, 59) || next.is_none_or(|next| next.day() != 1) {
                return Err(InvalidTimestamp::Malformed(text.to_owned()));
            }
        }
        Ok(Self(parsed.timestamp_millis()))
    }

    /// Whether `Display` writes it so.
    pub(crate) fn is_written_as(self, text: &str) -> bool {
        Rfc3339::of(self).is_some_and(|own| own.as_str() == text)
    }

    /// Whether RFC 3339 has a text for it, as `Display` then writes: within the years 0 to 9999.
    pub(crate) fn has_text(self) -> bool {
        Rfc3339::of(self).is_some()
    }

    /// The same instant for chrono; `None` beyond the years that chrono knows.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Floors to the millisecond.
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with three digits of the second's fraction; beyond the years 0 to 9999 the number of milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Rfc3339::of(*self) {
            Some(text) => f.write_str(text.as_str()),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// An instant as text, without an allocation: each event carries several of them.
struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// `None` beyond the years 0 to 9999.
    fn of(instant: Timestamp) -> Option<Self> {
        let (days, millis) = (instant.0.div_euclid(86_400_000), instant.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days).filter(|(year, ..)| (0..10_000).contains(year))?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, millis / 3_600_000),
            (14, 2, millis / 60_000 % 60),
            (17, 2, millis / 1000 % 60),
            (20, 3, millis % 1000),
        ];
        for (start, digits, mut number) in parts {
            for place in text[start..start + digits].iter_mut().rev() {
                *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        }
        Some(Self(text))
    }

    fn as_str(&self) -> &str {
        // Digits and separators only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Counted in eras of 400 years that begin
/// on a first of March, so that the leap day is the last of its year.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days.checked_add(719_468)?;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Some((era * 400 + year_of_era + i64::from(month <= 2), month, day))
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = rfc3339(text)?;
        if parsed.nanosecond() % 1_000_000 != 0 || is_leap(&parsed) {
            return Err(InvalidTimestamp::TooFine(text.to_owned()));
        }
        Ok(Self(parsed.timestamp_millis()))
    }
}

fn rfc3339(text: &str) -> Result<DateTime<FixedOffset>, InvalidTimestamp> {
    DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp::Malformed(text.to_owned()))
}

/// How chrono counts a second 60: as a billion nanoseconds and more of the one before.
fn is_leap(instant: &DateTime<FixedOffset>) -> bool {
    instant.nanosecond() >= 1_000_000_000
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            match Rfc3339::of(*self) {
                Some(text) => serializer.serialize_str(text.as_str()),
                None => serializer.collect_str(self),
            }
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, at most milliseconds.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_instant_are_each_others_inverse() {
        for text in ["2026-12-01T09:00:00.000Z", "1970-01-01T00:00:00.001Z", "2099-12-31T23:59:59.999Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(
            "2026-12-01T10:00:00+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2026-12-01T09:00:00.000Z"
        );
    }

    proptest::proptest! {
        #[test]
        fn the_text_is_that_of_chrono(millis in -70_000_000_000_000_i64..260_000_000_000_000) {
            let instant = Timestamp::from_millis(millis);
            let expected = instant.to_utc().unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            let plain = (0..10_000).contains(&Datelike::year(&instant.to_utc().unwrap()));
            proptest::prop_assert_eq!(instant.to_string() == expected, plain);
        }
    }

    #[test]
    fn every_day_of_four_centuries_has_its_date() {
        for day in 0..146_097 {
            let instant = Timestamp::from_millis(day * 86_400_000);
            assert!(instant.to_string().starts_with(&instant.to_utc().unwrap().date_naive().to_string()));
        }
    }

    #[test]
    fn finer_than_a_millisecond_is_refused() {
        let fine = "2026-12-01T09:00:00.0001Z".parse::<Timestamp>();
        assert_eq!(fine, Err(InvalidTimestamp::TooFine("2026-12-01T09:00:00.0001Z".into())));
        assert!(matches!("2026-12-31T23:59:60Z".parse::<Timestamp>(), Err(InvalidTimestamp::TooFine(_))));
        assert!(matches!("2026-12-01".parse::<Timestamp>(), Err(InvalidTimestamp::Malformed(_))));
    }

    #[test]
    fn what_others_wrote_is_floored() {
        for (text, floored) in [
            ("2026-12-01T09:00:00.1234Z", "2026-12-01T09:00:00.123Z"),
            // Python's isoformat, .NET, Go
            ("2026-12-01T09:00:00.123456+00:00", "2026-12-01T09:00:00.123Z"),
            ("2026-12-01T09:00:00.1234567Z", "2026-12-01T09:00:00.123Z"),
            ("2026-12-01T10:00:00.999999999+01:00", "2026-12-01T09:00:00.999Z"),
            ("2026-12-01T09:00:00.1234567890123Z", "2026-12-01T09:00:00.123Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("2026-12-01t09:00:00.5z", "2026-12-01T09:00:00.500Z"),
            ("2026-12-01 09:00:00Z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01T09:00:00-00:00", "2026-12-01T09:00:00.000Z"),
            ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"),
            ("1990-12-31T15:59:60.75-08:00", "1991-01-01T00:00:00.750Z"),
            ("2015-06-30T23:59:60.1234567Z", "2015-07-01T00:00:00.123Z"),
        ] {
            let read = Timestamp::floored(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), floored, "{text}");
        }
        for text in [
            "",
            "2026-12-01",
            "2026-12-01T09:00:00",
            "2026-12-01T09:00Z",
            "2026-12-01T09:00:00.Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T09:00:61Z",
            // no leap second is inserted there
            "2026-12-01T09:00:60Z",
            "2026-12-30T23:59:60Z",
            "2026-12-31T23:59:60+01:00",
            "2026-02-29T09:00:00Z",
            " 2026-12-01T09:00:00Z",
        ] {
            assert!(matches!(Timestamp::floored(text), Err(InvalidTimestamp::Malformed(_))), "{text}");
        }
    }
}
