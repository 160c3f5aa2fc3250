//! Ids that derive from what they identify, so that an event that is sent again has the same id.

use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A CloudEvents `id`: any text that is not empty and has at most 255 bytes (an AMQP short string).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EventId(String);

/// The parts that the id of an occurrence is computed from.
///
/// The id is the UUIDv5, in the namespace `d7947026-e364-593e-8c95-ddae90ef68dd`, of the UTF-8 text
/// `clock ⏎ schedule ⏎ due`, where `⏎` is one line feed and nothing stands around it:
///
/// ```
/// use ponos_event::OccurrenceId;
/// let due = "2026-12-01T09:00:00.000Z".parse().unwrap();
/// let id = OccurrenceId { clock: "khronos", schedule: "one-day", due, trigger: None }.id();
/// // the same in a shell, or anywhere else with UUIDv5:
/// // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("d7947026-e364-593e-8c95-ddae90ef68dd"),
/// //                                           "khronos\none-day\n2026-12-01T09:00:00.000Z"))'
/// assert_eq!(id.as_str(), "6f992030-8ff1-57e8-8522-1fc0093e28d6");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OccurrenceId<'a> {
    /// The clock's name, `khronos` unless configured.
    pub clock: &'a str,
    /// The schedule's name; for one made at run time `name@rev` with its creation revision.
    pub schedule: &'a str,
    /// The due time.
    pub due: Timestamp,
    /// The command's id of a manual trigger, which has an id of its own.
    pub trigger: Option<&'a str>,
}

impl OccurrenceId<'_> {
    /// The namespace of these ids: UUIDv5 of the URL namespace and the text `urn:khronos:occurrence`.
    pub const NAMESPACE: Uuid = Uuid::from_u128(0xd794_7026_e364_593e_8c95_ddae_90ef_68dd);

    /// The id (see the type for the rule).
    pub fn id(&self) -> EventId {
        let Self { clock, schedule, due, trigger } = self;
        let mut text = format!("{clock}\n{schedule}\n{due}");
        if let Some(command) = trigger {
            text.push_str("\ntrigger\n");
            text.push_str(command);
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

    #[test]
    fn the_namespace_is_derived_as_documented() {
        assert_eq!(Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:khronos:occurrence"), OccurrenceId::NAMESPACE);
    }

    #[test]
    fn a_trigger_has_an_id_of_its_own() {
        let due = Timestamp::from_millis(0);
        let plain = OccurrenceId { clock: "khronos", schedule: "one-day", due, trigger: None };
        let first = OccurrenceId { trigger: Some("a"), ..plain };
        let second = OccurrenceId { trigger: Some("b"), ..plain };
        assert_ne!(plain.id(), first.id());
        assert_ne!(first.id(), second.id());
        assert_eq!(first.id(), first.id());
    }
}
