//! The values of an item's keys, and what is wrong with them.

use super::*;
use crate::{
    diagnostic::did_you_mean,
    schedule::{Fault, parse_instant, parse_length},
};
use serde_json::{Map, Value};

/// What is taken from an item, key by key.
#[derive(Debug)]
pub(super) struct Form {
    values: Map<String, Value>,
    pub(super) faults: FieldFaults,
}

impl Form {
    pub(super) fn new(values: Map<String, Value>) -> Self {
        Self { values, faults: FieldFaults::default() }
    }

    /// Whether it says something under this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The text under a key, which was read as one.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// Something is wrong with the value of a key.
    pub(super) fn refuse(&mut self, key: &str, code: FaultCode, what: impl AsRef<str>, help: &str) {
        let path = key.replace('/', ".");
        self.faults.add(FieldFault {
            pointer: format!("/{key}"),
            code,
            detail: format!("{path}: {}", what.as_ref()),
            expected: expected(key).map(str::to_owned),
            suggestion: Some(help.to_owned()).filter(|help| !help.is_empty()),
        });
    }

    fn refuse_as(&mut self, Fault { code, key, what, help, .. }: Fault) {
        self.refuse(key, code, what, &help.unwrap_or_default());
    }

    /// The name that it says, or is to have.
    pub(super) fn name(&mut self, given: Option<&str>) -> Option<String> {
        let said = self.text("name");
        if let (Some(said), Some(given)) = (&said, given)
            && said != given
        {
            let what = format!("it says '{}' and is to be '{given}'", ponos::text::shown(said));
            self.refuse("name", FaultCode::Conflict, what, "leave it out, or say the same");
        }
        let name = given.map(str::to_owned).or(said)?;
        if !is_name(&name) {
            let what = format!("'{}' is not a valid name", ponos::text::shown(&name));
            self.refuse("name", FaultCode::InvalidValue, what, "");
            return None;
        }
        Some(name)
    }

    /// The event's name; of a task, the task's.
    pub(super) fn event(&mut self, is_task: bool) -> Option<EventName> {
        let Some(text) = self.text("event") else {
            self.refuse(
                "event",
                FaultCode::MissingKey,
                "it says no event",
                "add \"event\": \"order.reminder.due\"",
            );
            return None;
        };
        let read = if is_task { EventName::of_task(&text) } else { text.parse() };
        read.map_err(|wrong| self.refuse("event", FaultCode::InvalidValue, wrong.reason, "")).ok()
    }

    /// The queue of the task that it is, if it is one.
    pub(super) fn queue(&mut self) -> Option<String> {
        let to = self.values.get("to")?;
        let Some(queue) = to.get("task").and_then(Value::as_str).map(str::to_owned) else {
            let help = "name the queue of a task, or leave 'to' out: then it is an event";
            self.refuse("to/task", FaultCode::MissingKey, "it says no queue", help);
            return None;
        };
        let is_word = |word: &str| {
            let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
            word.split('-').all(|part| !part.is_empty() && part.bytes().all(is_letter))
        };
        if queue.len() > LONGEST_QUEUE || !queue.contains('.') || !queue.split('.').all(is_word) {
            let what = format!("'{}' is not the name of a queue of tasks", ponos::text::shown(&queue));
            self.refuse(
                "to/task",
                FaultCode::InvalidValue,
                what,
                "it begins with the service: docker.images.cleanup",
            );
            return None;
        }
        Some(queue)
    }

    /// When it is asked for, and the instant.
    pub(super) fn when(&mut self, now: Timestamp) -> Option<(When, Timestamp)> {
        let (key, when, due) = match (self.text("at"), self.text("in")) {
            (Some(at), None) => match parse_instant(&at, None, "at", None) {
                Ok(at) => ("at", When::At(at), at),
                Err(fault) => {
                    self.refuse_as(fault);
                    return None;
                }
            },
            (None, Some(_)) => {
                let delay = self.duration("in", LONGEST_DELAY)?;
                ("in", When::In(delay), now.plus(delay))
            }
            (Some(_), Some(_)) => {
                self.refuse(
                    "in",
                    FaultCode::Conflict,
                    "at and in exclude each other",
                    "leave one of them out",
                );
                return None;
            }
            (None, None) => {
                let help = "add \"at\", an instant, or \"in\", a delay";
                self.refuse("at", FaultCode::MissingKey, "it does not say when", help);
                return None;
            }
        };
        if due >= Timestamp::HORIZON {
            self.refuse(
                key,
                FaultCode::OutOfRange,
                "it is due later than 2099, where all arithmetic ends",
                "",
            );
            return None;
        }
        Some((when, due))
    }

    /// Milliseconds.
    pub(super) fn duration(&mut self, key: &'static str, most: i64) -> Option<i64> {
        let text = self.text(key)?;
        parse_length(&text, most, key).map_err(|fault| self.refuse_as(fault)).ok()
    }

    /// One of these words.
    pub(super) fn word(&mut self, key: &str, words: &[&'static str]) -> Option<String> {
        let word = self.text(key)?;
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        let (shown, all) = (ponos::text::shown(&word), words.join("', '"));
        let help = did_you_mean(&word, words.iter().copied());
        self.refuse(key, FaultCode::UnknownWord, format!("'{shown}' is not one of '{all}'"), &help);
        None
    }

    /// Whether it is parked where nobody is bound. A task always is: it has one queue, and without that is lost.
    pub(super) fn parks_unrouted(&mut self, is_task: bool) -> bool {
        let word = self.word("unrouted", &["ignore", "park"]);
        if is_task && word.as_deref() == Some("ignore") {
            let help = "leave it out: a task whose queue is not there is parked";
            self.refuse("unrouted", FaultCode::Conflict, "a task is not ignored", help);
        }
        is_task || word.as_deref() == Some("park")
    }
}

/// What is allowed under a key.
fn expected(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "1 to 128 of a-z, 0-9 and inner '.', '_', '-'",
        "event" => {
            "three or more words of a-z, 0-9 and inner hyphens, joined by dots, as in \"order.reminder.due\""
        }
        "at" => "an instant of whole milliseconds with an offset, as in \"2026-12-24T17:00:00Z\"",
        "in" | "expires" | "jitter" => "a duration, as in \"90s\", \"1 day\" or \"PT1H\"",
        "past" => "one of \"send\", \"refuse\"",
        "unrouted" => "one of \"ignore\", \"park\"",
        "to/task" => "two or more words of a-z, 0-9 and inner hyphens, joined by dots, 251 bytes at most",
        "data" => "JSON of at most 262144 bytes",
        "data_base64" => "base64 (RFC 4648, 4) of at most 262144 bytes",
        "datacontenttype" => "a media type, as in \"application/octet-stream\"",
        "headers" => "an object of at most 32 keys and 8192 bytes",
        "correlation_id" => "1 to 255 bytes without control characters",
        _ => return None,
    })
}
