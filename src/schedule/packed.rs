//! A definition and the schedule built from it, in as few bytes as will do: the form in which schedules are held by the
//! million.
//!
//! One allocation, shared by all who refer to it: the name; what the definition means (conduct, timing, event, payload), so
//! that nothing is understood twice; and the rest of the definition as JSON, with one byte for each usual key. What a
//! timing refers to beyond itself would be kept beside the bytes, shared by many. In memory only: nothing in this form
//! is ever written, so that it may change with any version.

use super::{
    definition::{Definition, Fault},
    schedule::{CatchUp, Past, Schedule, Unrouted},
    timing::Timing,
};
use ponos::event::{EventName, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

/// A definition and the schedule built from it, packed. Equal ones were written alike, key by key.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

/// How a schedule behaves, apart from what it is due for and when. See [`Schedule`] for the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Conduct {
    pub catch_up: CatchUp,
    pub paused: bool,
    pub expires: Option<i64>,
    pub unrouted: Unrouted,
    pub past: Past,
}

impl Default for Conduct {
    fn default() -> Self {
        let catch_up = CatchUp::default();
        Self { catch_up, paused: false, expires: None, unrouted: Unrouted::Ignore, past: Past::Refuse }
    }
}

/// In front: how long the name is, then the name.
const NAME: usize = 2;
/// Bits of the byte after the name. The meaning follows.
const UNDERSTOOD: u8 = 1;
/// The event was written, and not left to be spelled from `every`.
const EVENT: u8 = 2;
/// The payload stands with the meaning, not with the rest of the definition.
const DATA: u8 = 4;

/// It has jitter: what most have not need not be understood to be known.
const JITTER: u8 = 8;
/// It is due once.
const ONE_SHOT: u8 = 16;
/// It sends nothing.
const PAUSED: u8 = 32;

/// What usually stands between two values of a definition; each one's place is the byte that stands for it (JSON
/// has no bytes below 32 in it). What is not here only takes more room.
const USUAL: [&str; 24] = [
    "\"}",
    ",\"every\":\"",
    ",\"cron\":\"",
    ",\"at\":\"",
    "\",\"time_zone\":\"",
    "\",\"phase\":\"",
    "\",\"anchor\":\"",
    "\",\"from\":\"",
    "\",\"until\":\"",
    ",\"dst\":{",
    ",\"catch_up\":{\"",
    "policy\":\"latest\"",
    "policy\":\"all\"",
    "policy\":\"none\"",
    "\"grace\":\"",
    "\"within\":\"",
    "\"most\":",
    ",\"past\":\"send\"",
    ",\"unrouted\":\"park\"",
    ",\"paused\":true",
    ",\"expires\":\"",
    "Europe/",
    "America/",
    ":00.000Z",
];

impl Packed {
    /// Packs a definition with the schedule that was built from it.
    pub fn new(definition: &Definition, schedule: &Schedule) -> Self {
        // The bytes grow into a vector and are integers, texts and enums: there is nothing that could be refused.
        pack(definition, Some(schedule)).unwrap_or_else(|_| Self(Arc::from([])))
    }

    /// Builds and packs.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build(definition: &Definition) -> Result<Self, Vec<Fault>> {
        Schedule::build(definition).map(|schedule| Self::new(definition, &schedule))
    }

    /// As [`Packed::build`], for a definition that was accepted before: one that this version does not understand is
    /// kept all the same, without a schedule.
    pub fn kept(definition: &Definition) -> Self {
        let schedule = Schedule::build(definition).ok();
        pack(definition, schedule.as_ref()).unwrap_or_else(|_| Self(Arc::from([])))
    }

    /// The schedule's name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// The same as bytes, whose order is the order of names.
    pub fn name_bytes(&self) -> &[u8] {
        let length = self.0.first_chunk().map_or(0, |length: &[u8; NAME]| u16::from_le_bytes(*length));
        self.0.get(NAME..NAME + usize::from(length)).unwrap_or_default()
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Whether a schedule could be built from it.
    pub fn is_understood(&self) -> bool {
        self.flags() & UNDERSTOOD != 0
    }

    /// Whether its send times lie behind its due times.
    pub fn has_jitter(&self) -> bool {
        self.flags() & JITTER != 0
    }

    /// Whether it is due once, at an instant.
    pub fn is_one_shot(&self) -> bool {
        self.flags() & ONE_SHOT != 0
    }

    /// Whether it sends nothing.
    pub fn is_paused(&self) -> bool {
        self.flags() & PAUSED != 0
    }

    /// How it behaves.
    pub fn conduct(&self) -> Conduct {
        take::<Option<Conduct>>(self.meaning()).and_then(|(conduct, _)| conduct).unwrap_or_default()
    }

    /// When it is due; never, if it is not understood.
    pub fn timing(&self) -> Timing {
        take::<(Option<Conduct>, Timing)>(self.meaning()).map_or(Timing::NEVER, |((_, timing), _)| timing)
    }

    /// The event's name; empty if it is not understood.
    pub fn event(&self) -> &str {
        take::<(Option<Conduct>, Timing)>(self.meaning())
            .and_then(|(_, rest)| text(rest))
            .map_or("", |(event, _)| event)
    }

    /// The schedule; `None` if it is not understood.
    pub fn schedule(&self) -> Option<Schedule> {
        let ((conduct, timing), rest) = take::<(Option<Conduct>, Timing)>(self.meaning())?;
        let Conduct { catch_up, paused, expires, unrouted, past } = conduct.unwrap_or_default();
        let (event, rest) = text(rest)?;
        let data = match self.flags() & DATA {
            0 => None,
            _ => Some(serde_json::from_str(text(rest)?.0).ok()?),
        };
        let (name, event) = (self.name().into(), event.parse::<EventName>().ok()?);
        Some(Schedule { name, event, timing, catch_up, paused, expires, unrouted, past, data })
    }

    /// The definition, as it was written.
    pub fn definition(&self) -> Definition {
        let mut json = b"{\"name\":\"".to_vec();
        json.extend_from_slice(self.name_bytes());
        json.push(b'"');
        let meaning = take::<(Option<Conduct>, Timing)>(self.meaning()).and_then(|(_, rest)| text(rest));
        let (event, rest) = meaning.unwrap_or(("", self.meaning()));
        if self.flags() & EVENT != 0 {
            json.extend_from_slice(b",\"event\":\"");
            json.extend_from_slice(event.as_bytes());
            json.push(b'"');
        }
        let (data, rest) = match self.flags() & DATA {
            0 => (None, rest),
            _ => text(rest).map_or((None, rest), |(data, rest)| (Some(data), rest)),
        };
        for byte in rest {
            match USUAL.get(usize::from(*byte)) {
                Some(usual) => json.extend_from_slice(usual.as_bytes()),
                None => json.push(*byte),
            }
        }
        if let Some(data) = data {
            json.pop();
            json.extend_from_slice(b",\"data\":");
            json.extend_from_slice(data.as_bytes());
            json.push(b'}');
        }
        // It is what `pack` took apart.
        serde_json::from_slice(&json)
            .unwrap_or_else(|_| Definition { name: self.name().to_owned(), ..Definition::default() })
    }

    /// The same with a `limit`, where there is one without `from`, counted since this instant.
    #[must_use]
    pub fn counting_since(&self, since: Timestamp) -> Self {
        match self.timing().is_counted_since_creation().then(|| self.schedule()).flatten() {
            Some(schedule) => Self::new(&self.definition(), &schedule.counting_since(since)),
            None => self.clone(),
        }
    }

    /// Whether both, however they are written, make the same schedule.
    pub fn means_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self == other
            || self.schedule().is_some_and(|schedule| Some(schedule) == other.schedule())
    }

    fn flags(&self) -> u8 {
        self.0.get(NAME + self.name_bytes().len()).copied().unwrap_or_default()
    }

    /// What follows the flags.
    fn meaning(&self) -> &[u8] {
        self.0.get(NAME + self.name_bytes().len() + 1..).unwrap_or_default()
    }
}

fn pack(definition: &Definition, schedule: Option<&Schedule>) -> Result<Packed, Box<dyn std::error::Error>> {
    let name = definition.name.as_bytes();
    let json = serde_json::to_vec(definition)?;
    let mut rest = json.strip_prefix(b"{\"name\":").unwrap_or_default();
    // A name of plain letters stands there as it is; one that needs escapes was never accepted.
    rest = rest.get(name.len() + 2..).unwrap_or_default();
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&u16::try_from(name.len())?.to_le_bytes());
    bytes.extend_from_slice(name);
    let flags = bytes.len();
    bytes.push(0);
    if let Some(schedule) = schedule {
        let Schedule { event, timing, catch_up, paused, expires, unrouted, past, data, .. } = schedule;
        let conduct = Conduct {
            catch_up: *catch_up,
            paused: *paused,
            expires: *expires,
            unrouted: *unrouted,
            past: *past,
        };
        let conduct = Some(conduct).filter(|conduct| *conduct != Conduct::default());
        bytes[flags] |= UNDERSTOOD;
        if timing.jitter() > 0 {
            bytes[flags] |= JITTER;
        }
        if timing.is_one_shot() {
            bytes[flags] |= ONE_SHOT;
        }
        if *paused {
            bytes[flags] |= PAUSED;
        }
        bytes = postcard::to_extend(&(conduct, timing, event.as_str()), bytes)?;
        if let Some(after) = rest
            .strip_prefix(b",\"event\":\"")
            .and_then(|rest| rest.strip_prefix(event.as_str().as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\""))
        {
            bytes[flags] |= EVENT;
            rest = after;
        }
        if let Some(data) = data {
            let data = serde_json::to_string(data)?;
            let before = rest
                .strip_suffix(b"}")
                .and_then(|rest| rest.strip_suffix(data.as_bytes()))
                .and_then(|rest| rest.strip_suffix(b",\"data\":"));
            if let Some(before) = before {
                bytes[flags] |= DATA;
                bytes = postcard::to_extend(data.as_str(), bytes)?;
                shorten(before, &mut bytes);
                shorten(b"}", &mut bytes);
                return Ok(Packed(bytes.into()));
            }
        }
    }
    shorten(rest, &mut bytes);
    Ok(Packed(bytes.into()))
}

/// Appends JSON, with one byte for each usual piece of it.
fn shorten(mut json: &[u8], bytes: &mut Vec<u8>) {
    while let Some((first, after)) = json.split_first() {
        let worth = matches!(first, b'"' | b',' | b':' | b'p' | b'E' | b'A');
        let found = worth
            .then(|| (0_u8..).zip(USUAL).find(|(_, usual)| json.starts_with(usual.as_bytes())))
            .flatten();
        match found {
            Some((byte, usual)) => {
                bytes.push(byte);
                json = &json[usual.len()..];
            }
            None => {
                bytes.push(*first);
                json = after;
            }
        }
    }
}

fn take<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.definition().fmt(f)
    }
}

#[cfg(test)]
mod tests;
