//! An instant: UTC, whole milliseconds. Finer input is refused, so that what is written is what was meant.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Milliseconds since 1970-01-01T00:00:00Z. Serialised as RFC 3339 text such as `2026-12-01T09:00:00.000Z`
/// (in binary formats as the number).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is no [`Timestamp`].
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
    /// The earliest instant that arithmetic is done with: 1970-01-01T00:00:00Z.
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(utc) => f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed =
            DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp::Malformed(text.to_owned()))?;
        if parsed.nanosecond() % 1_000_000 != 0 || parsed.nanosecond() >= 1_000_000_000 {
            return Err(InvalidTimestamp::TooFine(text.to_owned()));
        }
        Ok(Self(parsed.timestamp_millis()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
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

    #[test]
    fn finer_than_a_millisecond_is_refused() {
        let fine = "2026-12-01T09:00:00.0001Z".parse::<Timestamp>();
        assert_eq!(fine, Err(InvalidTimestamp::TooFine("2026-12-01T09:00:00.0001Z".into())));
        assert!(matches!("2026-12-31T23:59:60Z".parse::<Timestamp>(), Err(InvalidTimestamp::TooFine(_))));
        assert!(matches!("2026-12-01".parse::<Timestamp>(), Err(InvalidTimestamp::Malformed(_))));
    }
}
