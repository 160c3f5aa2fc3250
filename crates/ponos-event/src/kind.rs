//! Why there is an event: its schedule called for it, or somebody asked for it. What was asked for has an id of its own,
//! of which the command's id is a part (see [`OccurrenceId`](super::OccurrenceId)).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// What kind of event it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// The schedule called for it.
    #[default]
    Occurrence,
    /// A command asked for it, beside the occurrences of its schedule.
    Trigger(CommandId),
    /// A command asked for it as one of a span of the past; all events of the operation have this id.
    Backfill(CommandId),
    /// A client asked for it to be published at an instant.
    Delayed,
}

impl EventKind {
    /// The words for all kinds.
    pub const WORDS: [&str; 4] = ["occurrence", "trigger", "backfill", "delayed"];

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Occurrence => Self::WORDS[0],
            Self::Trigger(_) => Self::WORDS[1],
            Self::Backfill(_) => Self::WORDS[2],
            Self::Delayed => Self::WORDS[3],
        }
    }

    /// The command that is part of the event's id.
    pub fn command(&self) -> Option<&CommandId> {
        match self {
            Self::Trigger(command) | Self::Backfill(command) => Some(command),
            Self::Occurrence | Self::Delayed => None,
        }
    }
}

/// The id of a command, as its sender gave it: 1 to 255 bytes without control characters, because line feeds separate
/// the parts of an event's id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(Arc<str>);

impl CommandId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommandId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.len() {
            0 => Err("a command id must not be empty".into()),
            256.. => Err(format!("a command id has at most 255 bytes, this one has {}", text.len())),
            _ if text.chars().any(char::is_control) => {
                Err("a command id must not contain control characters".into())
            }
            _ => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<String> for CommandId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        (*id.0).to_owned()
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_has_1_to_255_bytes_and_no_control_characters() {
        for (text, reason) in [
            (String::new(), "empty"),
            ("x".repeat(256), "this one has 256"),
            ("a\nbackfill\nb".to_owned(), "control"),
            ("\u{85}".to_owned(), "control"),
        ] {
            assert!(text.parse::<CommandId>().unwrap_err().contains(reason), "{text:?}");
            assert!(serde_json::from_value::<CommandId>(text.into()).is_err());
        }
        for text in ["x".repeat(255), "order 7/é".to_owned()] {
            assert_eq!(text.parse::<CommandId>().unwrap().as_str(), text);
        }
    }
}
