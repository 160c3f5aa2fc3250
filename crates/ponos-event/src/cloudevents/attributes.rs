//! Makes an [`Event`] from attribute names and values, for both modes.

use super::{
    DecodeError, Event,
    written::{Which, Written},
};
use crate::{HeaderValue, Headers, Timestamp};
use std::{borrow::Cow, fmt::Display, str::FromStr};

/// The prefix that is written.
pub(super) const PREFIX: &str = "cloudEvents_";

/// CloudEvents attributes by their bare names, not yet looked at.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(Vec<(Cow<'a, str>, HeaderValue)>);

impl<'a> Attributes<'a> {
    /// Adds an attribute; the first of a name stays.
    pub(super) fn add(&mut self, name: impl Into<Cow<'a, str>>, value: HeaderValue) {
        let name = name.into();
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, value));
        }
    }

    /// Makes the event of the attributes, the message's `other` headers and the payload.
    pub(super) fn event(mut self, other: Headers, data: Vec<u8>) -> Result<Event, DecodeError> {
        match self.text("specversion")?.as_deref() {
            Some("1.0") => {}
            Some(version) => return Err(malformed("specversion", version, "expected 1.0")),
            None => return Err(missing("specversion")),
        }
        let traces = (self.trace("traceparent"), self.trace("tracestate"));
        let mut written = Written::default();
        let mut event = Event {
            subject: self.text("subject")?,
            time: self.instant("time", Which::Time, &mut written)?,
            expiry_time: self.instant("expirytime", Which::Expiry, &mut written)?,
            recorded_time: self.instant("recordedtime", Which::Recorded, &mut written)?,
            correlation_id: self.text("correlationid")?,
            causation_id: self.text("causationid")?,
            data_schema: self.text("dataschema")?,
            ..Event::new(self.parsed("id")?, self.required("source")?, self.parsed("type")?, data)
        };
        event.written = written;
        (event.traceparent, event.tracestate) = traces;
        for (name, value) in other {
            match (&*name, value) {
                // the hop's own headers say more than the attributes of the one who made the event
                ("traceparent", HeaderValue::Text(text)) => event.traceparent = Some(text),
                ("tracestate", HeaderValue::Text(text)) => event.tracestate = Some(text),
                ("traceparent" | "tracestate", _) => {}
                (own, _) if own.starts_with("x-") => {}
                (_, value) => event.extensions.set(name, value),
            }
        }
        for (name, value) in self.0 {
            event.extensions.set(format!("{PREFIX}{name}"), value);
        }
        Ok(event)
    }

    fn take(&mut self, name: &str) -> Option<HeaderValue> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some(HeaderValue::Text(text)) if text.is_empty() => {
                Err(malformed(name, "", "it must not be empty"))
            }
            Some(HeaderValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(name, &other, "text")),
        }
    }

    fn required(&mut self, name: &str) -> Result<String, DecodeError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T, DecodeError> {
        let text = self.required(name)?;
        text.parse().map_err(|error| malformed(name, &text, error))
    }

    fn instant(
        &mut self,
        name: &str,
        which: Which,
        written: &mut Written,
    ) -> Result<Option<Timestamp>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            // what an AMQP 1.0 sender writes as a native timestamp
            Some(HeaderValue::Time(instant)) => Ok(Some(instant)),
            Some(HeaderValue::Text(text)) => match Timestamp::floored(&text) {
                Ok(instant) => {
                    written.keep(which, text, instant);
                    Ok(Some(instant))
                }
                Err(error) => Err(malformed(name, &text, error)),
            },
            Some(other) => Err(wrong_type(name, &other, "an RFC 3339 text")),
        }
    }

    fn trace(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Some(HeaderValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}

pub(super) fn malformed(name: &str, text: &str, why: impl Display) -> DecodeError {
    let shown: String = text.chars().take(80).collect();
    DecodeError(format!("attribute {name} is malformed ('{shown}'): {why}"))
}

pub(super) fn wrong_type(name: &str, value: &HeaderValue, expected: &str) -> DecodeError {
    let found = match value {
        HeaderValue::Text(_) => "text",
        HeaderValue::Int(_) => "an integer",
        HeaderValue::Float(_) => "a floating point number",
        HeaderValue::Bool(_) => "a truth value",
        HeaderValue::Time(_) => "a timestamp",
        HeaderValue::Bytes(_) => "bytes that are not UTF-8",
        HeaderValue::List(_) => "a list",
        HeaderValue::Table(_) => "a table",
        HeaderValue::Null => "null",
    };
    DecodeError(format!("attribute {name} is {found}; expected {expected}"))
}

fn missing(name: &str) -> DecodeError {
    DecodeError(format!("attribute {name} is missing"))
}
