//! The name of an event or task: `<domain>.<what>.<past-tense verb>`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// Three or more dot-separated words of `[a-z0-9]+(-[a-z0-9]+)*`, at most 255 bytes (the limit of an AMQP routing key).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EventName(Arc<str>);

/// Why a text is not a valid [`EventName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidName {
    /// What is wrong, and what is allowed.
    pub reason: String,
    /// Byte offset of the fault in the text.
    pub at: usize,
}

/// The error for a name of too few words.
const EVENT: &str =
    "a name has three or more words: <domain>.<what>.<past-tense verb>, as in time.one-day.passed";
const TASK: &str =
    "a task's name has three or more words: <domain>.<what>.<verb>, as in docker.images.cleanup";

impl EventName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first word: the domain that the event belongs to.
    pub fn domain(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Parses the name of a task: the same rule, with errors that speak of tasks.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn of_task(text: &str) -> Result<Self, InvalidName> {
        Self::checked(text, TASK)
    }

    fn checked(text: &str, few: &str) -> Result<Self, InvalidName> {
        let fault = |at: usize, reason: String| Err(InvalidName { reason, at });
        if text.len() > Self::MAX_BYTES {
            return fault(
                Self::MAX_BYTES,
                format!("a name has at most 255 bytes, this one has {}", text.len()),
            );
        }
        let mut start = 0;
        for word in text.split('.') {
            if word.is_empty() {
                return fault(
                    start,
                    "a name is words separated by single dots; a word is missing here".into(),
                );
            }
            for (offset, c) in word.char_indices() {
                if !matches!(c, 'a'..='z' | '0'..='9' | '-') {
                    let reason = format!(
                        "'{c}' is not allowed in a name; words are made of a-z, 0-9 and inner hyphens"
                    );
                    return fault(start + offset, reason);
                }
            }
            let doubled = word.find("--").map(|at| at + 1);
            let hyphen = if word.starts_with('-') { Some(0) } else { doubled };
            let hyphen = hyphen.or_else(|| word.ends_with('-').then(|| word.len() - 1));
            if let Some(at) = hyphen {
                return fault(start + at, "a hyphen stands only between letters or digits".into());
            }
            start += word.len() + 1;
        }
        if text.split('.').count() < 3 {
            return fault(text.len(), few.into());
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for EventName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::checked(text, EVENT)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_three_or_more_words_are_accepted() {
        for name in ["time.one-day.passed", "docker.images.cleanup", "a.b.c.d4", "time.90-days.passed"] {
            assert_eq!(name.parse::<EventName>().unwrap().as_str(), name);
        }
        assert_eq!("time.one-day.passed".parse::<EventName>().unwrap().domain(), "time");
    }

    #[test]
    fn other_names_are_refused_at_the_fault() {
        for (name, at) in [
            ("", 0),
            ("time", 4),
            ("time.passed", 11),
            ("time..passed", 5),
            (".a.b.c", 0),
            ("a.b.c.", 6),
            ("Time.one-day.passed", 0),
            ("time.one_day.passed", 8),
            ("time.-day.passed", 5),
            ("time.one--day.passed", 9),
            ("time.day-.passed", 8),
            ("time.über.passed", 5),
        ] {
            assert_eq!(name.parse::<EventName>().unwrap_err().at, at, "{name}");
        }
        let reason = |told: Result<EventName, InvalidName>| told.unwrap_err().reason;
        let (event, task) = ("images.cleanup".parse(), EventName::of_task("images.cleanup"));
        assert!(reason(event).contains("time.one-day.passed"));
        let task = reason(task);
        assert!(task.contains("a task's name has three or more words") && !task.contains("past"), "{task}");
        assert!(format!("a.b.{}", "c".repeat(251)).parse::<EventName>().is_ok());
        assert!(format!("a.b.{}", "c".repeat(252)).parse::<EventName>().is_err());
    }
}
