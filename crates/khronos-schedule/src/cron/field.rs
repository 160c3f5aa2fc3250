//! What each field may hold: its bounds, its names, and how values are read.

use super::parse;
use crate::fault::{FaultCode, Flaw, shown};

/// One of the seven fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
    Year,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    /// As it is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Second => "seconds",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day-of-month",
            Self::Month => "month",
            Self::Weekday => "day-of-week",
            Self::Year => "year",
        }
    }

    /// The smallest and the largest value.
    pub(crate) fn bounds(self) -> (u32, u32) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 7),
            Self::Year => (1970, 2099),
        }
    }

    /// Whether it names days, where `?` is allowed.
    pub(crate) fn is_day(self) -> bool {
        matches!(self, Self::Day | Self::Weekday)
    }

    /// What may stand in it, for messages.
    pub(crate) fn allowed(self) -> String {
        let (low, high) = self.bounds();
        let more = match self {
            Self::Month => " or JAN-DEC",
            Self::Weekday => " (0 and 7 are Sunday) or SUN-SAT",
            _ => "",
        };
        format!("{low}-{high}{more}")
    }

    /// The names of its values, in order, and the value of the first.
    fn names(self) -> (&'static [&'static str], u32) {
        match self {
            Self::Month => (&MONTHS, 1),
            Self::Weekday => (&WEEKDAYS, 0),
            _ => (&[], 0),
        }
    }

    /// Reads one value: a number of at most four digits, or a three-letter name.
    pub(crate) fn value(self, text: &str, at: usize) -> Result<u32, Flaw> {
        let range = at..at + text.len();
        let (low, high) = self.bounds();
        if text.is_empty() {
            let what =
                format!("a value is missing in the {} field; {} is allowed", self.name(), self.allowed());
            return Err(Flaw::part(range, what));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<u32>() {
                Ok(value) if text.len() <= 4 && (low..=high).contains(&value) => Ok(value),
                _ => {
                    let (field, allowed) = (self.name(), self.allowed());
                    let what = format!("{} is out of range in the {field} field: {allowed}", shown(text));
                    let flaw = Flaw::part(range, what).code(FaultCode::OutOfRange);
                    Err(match self.usual_form(text) {
                        Some(help) => flaw.help(help),
                        None => flaw,
                    })
                }
            };
        }
        let (names, first) = self.names();
        if let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(first + index as u32);
        }
        let what = format!(
            "'{}' is not a value of the {} field; {} is allowed",
            shown(text),
            self.name(),
            self.allowed()
        );
        let flaw = Flaw::part(range, what);
        // "MONDAY", "Sept": the first three letters say it.
        let short = text.get(..3).filter(|_| text.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let near = short.and_then(|short| names.iter().find(|name| name.eq_ignore_ascii_case(short)));
        Err(match near {
            Some(name) => flaw.help(format!("write '{name}'")),
            None => match self.guess(text) {
                Some(help) => flaw.help(help),
                None => flaw,
            },
        })
    }

    /// What is written for a number that other systems, or other fields, allow.
    fn usual_form(self, text: &str) -> Option<&'static str> {
        Some(match (self, text.parse::<u32>().ok()?) {
            (Self::Second | Self::Minute, 60) => "the first one is 0: write '0'",
            (Self::Hour, 24) => "midnight is 0: write '0'",
            (Self::Day, 0) => "'1' is the first day, 'L' the last one",
            (Self::Day, _) => "'L' is the last day of every month",
            (Self::Month, 0) => "'1' is January",
            (Self::Weekday, _) => "'1' is Monday, '6' Saturday, '0' or '7' Sunday",
            _ => return None,
        })
    }

    /// A guess at what was meant by an invalid value.
    fn guess(self, text: &str) -> Option<String> {
        let other = if self == Self::Weekday { Self::Month } else { Self::Weekday };
        let known = |field: Self| field.names().0.iter().any(|name| name.eq_ignore_ascii_case(text));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if text.eq_ignore_ascii_case("H") || text.contains('~') || text.starts_with("H(") {
            return Some(
                "times are not chosen at random here: name one, or spread the events with jitter = \"10m\""
                    .into(),
            );
        }
        if known(other) {
            return Some(format!("'{text}' belongs in the {} field", other.name()));
        }
        if self != Self::Month && known(Self::Month) {
            return Some(format!("'{text}' belongs in the month field"));
        }
        if text.contains(';') {
            return Some("commas separate the values of a list: '1,5'".to_owned());
        }
        match text.split_once(':') {
            Some((hour, minute)) if digits(hour) && digits(minute) && text.len() <= 5 => {
                let right = format!("{} {hour} * * *", minute.parse::<u32>().unwrap_or_default());
                let right = if parse::reads(&right) { &right } else { "30 9 * * *" };
                Some(format!("minute and hour are fields of their own: '{right}'"))
            }
            _ => None,
        }
    }
}
