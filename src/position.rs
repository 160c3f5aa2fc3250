//! A reader's position in the record, as public forms carry it: the feed's ids, `after`, `before`, `next`.
//!
//! For readers it is opaque text, which they keep and give back: at most 255 of the characters that need no escaping in a
//! URL. It names the record and a row of it, for rows are ordered by their number alone: one store is written by one clock
//! at a time. So a position of another record (the store was begun anew) is recognised, however long the new one is. A
//! copy that the clock made of its store gets another id when it is accepted; one that was made by other means keeps it, and gives numbers again
//! that readers may have seen with other rows: nothing here tells. The first letter says what a position
//! counts; positions of another kind get another letter ([that of a feed](FeedPosition) of two records has), and this kind keeps
//! its own. A plain number, which positions were before, is one in whatever record is read.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Of a position in a record of one part.
const LETTER: char = 'r';
/// Of a position in the record, and in that of delayed events.
const PAIR: char = 'p';

/// A position in the record: at a row that was there, is there, or will be. `after` it are the rows with higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    record: Option<u64>,
    row: u64,
}

impl Position {
    /// At a row; `record` is the [id of the store](crate::store::Store::id).
    pub fn new(record: u64, row: u64) -> Self {
        Self { record: Some(record), row }
    }

    /// The row's number.
    pub fn row(self) -> u64 {
        self.row
    }

    /// The row's number, unless the position is known to be of another record than this.
    pub fn row_in(self, record: u64) -> Option<u64> {
        self.record.is_none_or(|named| named == record).then_some(self.row)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some(record) => write!(f, "{LETTER}{record:016x}.{}", self.row),
            None => write!(f, "{}", self.row),
        }
    }
}

/// A text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{}' is not a position in the record: positions are the ids of the feed, and position and next in the history; give one back as it came",
    .0.chars().take(80).collect::<String>()
)]
pub struct InvalidPosition(String);

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let found = match text.strip_prefix(LETTER) {
            Some(rest) => rest.split_once('.').and_then(|(record, row)| {
                let plain = record.len() == 16
                    && record.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                let record = u64::from_str_radix(record, 16).ok().filter(|_| plain)?;
                Some(Self { record: Some(record), row: number(row)? })
            }),
            // In a record of one part the other half says nothing.
            None if text.starts_with(PAIR) => halves(text).map(|(schedules, _)| schedules),
            None => number(text).map(|row| Self { record: None, row }),
        };
        found.ok_or_else(|| InvalidPosition(text.to_owned()))
    }
}

/// The two positions of a pair.
fn halves(text: &str) -> Option<(Position, Position)> {
    let (first, second) = text.strip_prefix(PAIR)?.split_once(PAIR)?;
    let half = |text: &str| format!("{LETTER}{text}").parse().ok();
    Some((half(first)?, half(second)?))
}

/// A position in a feed, which may be of two records: that of schedules, and that of delayed events. Each has numbers of its own, and is
/// read from its own on, so that nothing of either is left out or comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPosition {
    /// In the record of schedules.
    pub schedules: Position,
    /// In that of delayed events; none where the position was given by a feed without them.
    pub delayed: Option<Position>,
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = |position: Position| position.record.unwrap_or_default();
        match (self.schedules, self.delayed) {
            (schedules, None) => schedules.fmt(f),
            (one, Some(other)) => {
                let (first, second) = (record(one), record(other));
                write!(f, "{PAIR}{first:016x}.{}{PAIR}{second:016x}.{}", one.row, other.row)
            }
        }
    }
}

impl FromStr for FeedPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        match halves(text) {
            Some((schedules, delayed)) => Ok(Self { schedules, delayed: Some(delayed) }),
            None => text.parse().map(|schedules| Self { schedules, delayed: None }),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Position;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a position in the record")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Position, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, row: u64) -> Result<Position, E> {
                Ok(Position { record: None, row })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_position_stays_as_it_is() {
        for (position, text) in [
            (Position::new(0x9c1f_22ab, 42), "r000000009c1f22ab.42"),
            (Position::new(u64::MAX, u64::MAX), "rffffffffffffffff.18446744073709551615"),
            (Position { record: None, row: 7 }, "7"),
        ] {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
            let json = serde_json::to_value(position).unwrap();
            assert_eq!(json, text);
            assert_eq!(serde_json::from_value::<Position>(json).unwrap(), position);
        }
    }

    #[test]
    fn a_position_in_a_feed_is_of_two_records_and_one_of_before_of_one() {
        let (schedules, delayed) = (Position::new(0xab, 42), Position::new(u64::MAX, 7));
        let pair = FeedPosition { schedules, delayed: Some(delayed) };
        let text = "p00000000000000ab.42pffffffffffffffff.7";
        assert_eq!((pair.to_string(), text.parse()), (text.to_owned(), Ok(pair)));
        assert_eq!(text.parse(), Ok(schedules), "a list of schedules' rows goes by its half");
        for text in ["r00000000000000ab.42", "42"] {
            let before: FeedPosition = text.parse().unwrap();
            assert_eq!((before.schedules, before.delayed), (text.parse().unwrap(), None));
            assert_eq!(before.to_string(), text);
        }
        for text in
            ["p", "p1", "p00000000000000ab.42", "p00000000000000ab.42p", "p00000000000000ab.42p7", "p7p7"]
        {
            assert!(text.parse::<FeedPosition>().is_err() && text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_plain_number_is_a_position_in_any_record() {
        let plain: Position = serde_json::from_str("42").unwrap();
        assert_eq!((plain, plain.row_in(1), plain.row_in(2)), ("42".parse().unwrap(), Some(42), Some(42)));
        let of_one = Position::new(1, 42);
        assert_eq!((of_one.row_in(1), of_one.row_in(2), of_one.row()), (Some(42), None, 42));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "x",
            "-1",
            "+1",
            " 1",
            "1.",
            "18446744073709551616",
            "r",
            "r.1",
            "r1.1",
            "r000000009c1f22ab",
            "r000000009c1f22ab.",
            "r000000009C1F22AB.1",
            "r000000009c1f22ab.+1",
            "r+00000009c1f22ab.1",
            "r000000009c1f22ab.1.1",
            "n000000009c1f22ab.1",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
        let long = "x".repeat(1000).parse::<Position>().unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }
}
