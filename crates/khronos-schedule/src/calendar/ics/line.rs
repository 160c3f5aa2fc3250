//! One line of iCalendar: `NAME;PARAMETER=VALUE:VALUE` (RFC 5545 §3.1), in any case.

use super::{refusal::Refusal, unfolded::Unfolded};
use crate::fault::Flaw;
use std::ops::Range;

/// Their values have no colon, so that a colon in a parameter without quotes (as some programs write zones) does not end it.
const OF_TIMES: [&str; 5] = ["DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"];

/// A property.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    parameters: &'a str,
    pub(super) value: &'a str,
    unfolded: &'a Unfolded,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is not a valid content line.
    pub(super) fn read(line: &'a str, unfolded: &'a Unfolded) -> Option<Self> {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
        let (name, rest) = line.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
        if !rest.trim_start().starts_with([':', ';']) {
            return None;
        }
        let mut quoted = false;
        let outside = rest.char_indices().filter(|(_, c)| {
            quoted ^= *c == '"';
            *c == ':' && !quoted
        });
        let colons: Vec<usize> = outside.map(|(at, _)| at).collect();
        let of_time = OF_TIMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        let colon = if of_time { colons.last() } else { colons.first() };
        // A quote that nobody closed is a letter.
        let colon = colon.copied().or_else(|| rest.find(':'))?;
        let (parameters, value) = (rest.get(..colon)?, rest.get(colon + 1..)?);
        Some(Self { name, parameters, value, unfolded })
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a parameter, without its quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut quoted = false;
        let mut parts = self.parameters.split(|c| {
            quoted ^= c == '"';
            c == ';' && !quoted
        });
        parts.find_map(|part| {
            let (own, value) = part.split_once('=')?;
            own.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }

    /// The value is to blame.
    pub(super) fn refused(&self, what: impl Into<String>) -> Refusal {
        let at = self.unfolded.place(if self.value.is_empty() { self.name } else { self.value });
        Refusal::new(at, what)
    }

    /// This part of the value is to blame.
    pub(super) fn refused_at(&self, at: Range<usize>, what: impl Into<String>) -> Refusal {
        Refusal::new(self.unfolded.within(self.value, at), what)
    }

    /// The property as such is to blame.
    pub(super) fn out_of_place(&self, what: impl Into<String>) -> Refusal {
        Refusal::new(self.unfolded.place(self.name), what)
    }

    /// The flaw of the value, with the name of the property.
    pub(super) fn flawed(&self, flaw: Flaw) -> Refusal {
        let fault = flaw.of("");
        let at = fault.at.unwrap_or(0..self.value.len());
        let what = format!("{}: {}", self.name.to_ascii_uppercase(), fault.what);
        Refusal { help: fault.help, ..self.refused_at(at, what) }
    }

    /// The rule takes longer than a file may.
    pub(super) fn too_long(&self) -> Refusal {
        let what = "the recurrences of this calendar are too many to be followed";
        self.refused(format!("{}: {what}", self.name.to_ascii_uppercase()))
            .help("give the rules an UNTIL or a COUNT, write FREQ=DAILY for what happens all day, or split the calendar")
    }
}
