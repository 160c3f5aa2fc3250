//! Ids that derive from what they identify, so that whatever is sent again carries the same id.

use super::{EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A CloudEvents `id`: any text that is not empty and has at most 255 bytes (an AMQP short string).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EventId(String);

/// The parts that the id of an occurrence is computed from.
///
/// The id is the UUIDv5, in the namespace `d7947026-e364-593e-8c95-ddae90ef68dd`, of the UTF-8 text
/// `clock ⏎ schedule ⏎ due`, where `⏎` is one line feed and nothing stands around it. A trigger appends `⏎ trigger ⏎` and the
/// command's id, a backfill `⏎ backfill ⏎` and the command's id:
///
/// ```
/// use ponos_event::{EventKind, OccurrenceId};
/// let due = "2026-12-01T09:00:00.000Z".parse().unwrap();
/// let id = OccurrenceId { clock: "khronos", schedule: "one-day", due, kind: &EventKind::Occurrence }.id();
/// // the same in a shell, or anywhere else with UUIDv5:
/// // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("d7947026-e364-593e-8c95-ddae90ef68dd"),
/// //                                           "khronos\none-day\n2026-12-01T09:00:00.000Z"))'
/// assert_eq!(id.as_str(), "6f992030-8ff1-57e8-8522-1fc0093e28d6");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OccurrenceId<'a> {
    /// The clock's name, `khronos` unless configured.
    pub clock: &'a str,
    /// The schedule's name; of anything made at run time `name@n` with its creation number.
    pub schedule: &'a str,
    /// The due time.
    pub due: Timestamp,
    /// What was asked for by a command has an id of its own.
    pub kind: &'a EventKind,
}

impl OccurrenceId<'_> {
    /// The namespace of these ids: UUIDv5 of the URL namespace and the text `urn:khronos:occurrence`.
    pub const NAMESPACE: Uuid = Uuid::from_u128(0xd794_7026_e364_593e_8c95_ddae_90ef_68dd);

    /// The id (see the type for the rule).
    pub fn id(&self) -> EventId {
        let Self { clock, schedule, due, kind } = self;
        let mut text = format!("{clock}\n{schedule}\n{due}");
        if let Some(command) = kind.command() {
            text.push_str(&format!("\n{}\n{command}", kind.word()));
        }
        Uuid::new_v5(&Self::NAMESPACE, text.as_bytes()).into()
    }
}

impl EventId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for EventId {
    fn from(id: Uuid) -> Self {
        let mut text = Uuid::encode_buffer();
        Self(id.hyphenated().encode_lower(&mut text).to_owned())
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0
    }
}

impl FromStr for EventId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.len() {
            0 => Err("an event id must not be empty".into()),
            1..=255 => Ok(Self(text.into())),
            long => Err(format!("an event id has at most 255 bytes, this one has {long}")),
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandId;

    #[test]
    fn the_namespace_is_derived_as_documented() {
        assert_eq!(Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:khronos:occurrence"), OccurrenceId::NAMESPACE);
    }

    #[test]
    fn each_trigger_and_each_backfill_has_an_id_of_its_own() {
        let due = "2026-12-01T09:00:00.000Z".parse().unwrap();
        let id = |kind: &EventKind| {
            OccurrenceId { clock: "khronos", schedule: "one-day", due, kind }.id().to_string()
        };
        let (a, b): (CommandId, CommandId) = ("a".parse().unwrap(), "b".parse().unwrap());
        // Computed apart, by the rule.
        for (kind, expected) in [
            (EventKind::Occurrence, "6f992030-8ff1-57e8-8522-1fc0093e28d6"),
            (EventKind::Delayed, "6f992030-8ff1-57e8-8522-1fc0093e28d6"),
            (EventKind::Trigger(a.clone()), "01059f71-7c12-5003-ad0a-82071921e1fb"),
            (EventKind::Trigger(b), "7748913c-a928-594b-a4e9-b3bf6593df15"),
            (EventKind::Backfill(a), "874f08d3-f768-5b12-ba75-2ef83ca704b9"),
        ] {
            assert_eq!(id(&kind), expected, "{kind:?}");
        }
    }
}
