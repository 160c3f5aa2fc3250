//! CloudEvents 1.0 on AMQP 0-9-1: binary mode written and read, structured mode read.
//!
//! The official binding is for AMQP 1.0. RabbitMQ maps 0-9-1 headers to 1.0 application properties, so the prefix
//! `cloudEvents_` reaches a 1.0 consumer in the binding's own form; `cloudEvents:` and `ce-` are accepted too. The
//! headers decide; the basic properties (`message_id`, `type`, `timestamp`, `correlation_id`, `app_id`) repeat some of
//! them for people and tools and are not read.

mod attributes;
mod binary;
mod structured;
mod written;

pub use binary::RECORDED_TIME;
pub use written::Written;

use super::{EventId, EventName, HeaderValue, Headers, Message, Timestamp};
use std::borrow::Cow;

/// An event, independent of how it travels.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within `source`.
    pub id: EventId,
    /// A URI reference: `/khronos/<clock>` for the clock's events.
    pub source: String,
    /// CloudEvents `type`, and the routing key.
    pub name: EventName,
    /// The schedule, for the clock's events.
    pub subject: Option<String>,
    /// The due time, for the clock's events. Of other events it is floored to the millisecond; [`Event::time_text`] has it as it came.
    pub time: Option<Timestamp>,
    /// After this instant the event is of no use any more.
    pub expiry_time: Option<Timestamp>,
    /// When it was sent.
    pub recorded_time: Option<Timestamp>,
    /// The correlation id, which all events that follow from one cause share.
    pub correlation_id: Option<String>,
    /// The id of the event that this one follows from.
    pub causation_id: Option<String>,
    /// W3C trace context of the sender.
    pub traceparent: Option<String>,
    /// Vendor part of the trace context.
    pub tracestate: Option<String>,
    /// The URI of the schema that `data` follows.
    pub data_schema: Option<String>,
    /// All other headers: CloudEvents attributes unknown here as `cloudEvents_<name>`, others under their own name
    /// (`khronos-lateness-ms`). Headers beginning with `x-` are the broker's own and are never read into it, so that a
    /// history such as `x-death` can't travel on in what is published again.
    pub extensions: Headers,
    /// The payload, a JSON text (not checked here); empty if there is none.
    pub data: Vec<u8>,
    /// How the times stood in the message.
    pub written: Written,
}

/// Why a message is not a valid event: names the attribute and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Event {
    /// The attributes by name, as binary mode writes them: those of CloudEvents, then the extensions that stand under
    /// `cloudEvents_`. The trace context is not among them, for each binding has headers of its own for it.
    pub fn attributes(&self) -> impl Iterator<Item = (String, HeaderValue)> {
        let headers = self.clone().into_message().headers;
        headers.into_iter().filter_map(|(name, value)| {
            name.strip_prefix(attributes::PREFIX).map(|attribute| (attribute.to_owned(), value))
        })
    }

    /// An event with only the attributes that CloudEvents requires.
    pub fn new(id: EventId, source: impl Into<String>, name: EventName, data: impl Into<Vec<u8>>) -> Self {
        Self {
            id,
            source: source.into(),
            name,
            subject: None,
            time: None,
            expiry_time: None,
            recorded_time: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            data_schema: None,
            extensions: Headers::default(),
            data: data.into(),
            written: Written::default(),
        }
    }

    /// The event as an AMQP message in binary mode: persistent, `application/json`, routing key = name.
    ///
    /// `app_id` is the first word of a path-like source (`khronos` of `/khronos/<clock>`). A property that is an AMQP
    /// short string (`app_id`, `correlation_id`) is left out where the text has more than 255 bytes; its header is not.
    pub fn to_message(&self) -> Message {
        self.clone().into_message()
    }

    /// [`Event::to_message`] for one that is not needed any more: its payload is not copied.
    pub fn into_message(self) -> Message {
        binary::write(self)
    }

    /// Reads a message in binary mode, or in structured mode if its content type is `application/cloudevents+json`.
    ///
    /// A `traceparent` that is not text is ignored: trace context never makes a message unreadable.
    ///
    /// # Errors
    /// Names the attribute that is missing, malformed or of the wrong type, and the content type or encoding that is
    /// not read here (batches, other event formats, data that is not JSON, compressed bodies).
    pub fn from_message(message: &Message) -> Result<Self, DecodeError> {
        if is_structured(message) {
            Self::read_structured(message)
        } else {
            Self::take_from(&mut message.clone())
        }
    }

    /// [`Event::from_message`] by which texts and payload of a message in binary mode move into the event. The names of
    /// headers stay in the message, and its properties: [`Event::put_back`] makes it what it was. On an error it is whole.
    ///
    /// # Errors
    /// As [`Event::from_message`].
    pub fn take_from(message: &mut Message) -> Result<Self, DecodeError> {
        if is_structured(message) {
            return Self::read_structured(message);
        }
        plain_encoding(message)?;
        let content_type = message.properties.content_type.as_deref().unwrap_or_default();
        json(&media_type(content_type), content_type)?;
        binary::take(message)
    }

    /// Puts copies of what [`Event::take_from`] took back into the message: once, and before anything in it is changed.
    pub fn put_back(&self, message: &mut Message) {
        if !is_structured(message) {
            binary::put_back(self, message);
        }
    }

    fn read_structured(message: &Message) -> Result<Self, DecodeError> {
        plain_encoding(message)?;
        let content_type = message.properties.content_type.as_deref().unwrap_or_default();
        if media_type(content_type) != "application/cloudevents+json" {
            return Err(DecodeError(format!(
                "the content type is '{content_type}'; of the structured forms only application/cloudevents+json is read"
            )));
        }
        structured::read(message)
    }
}

/// The id and the name of a message, be it otherwise an event or not. What a worker acts on are the attributes, in whatever
/// form they came; where there are none, the properties, which are for people and tools.
pub fn identity(message: &Message) -> (Option<String>, Option<String>) {
    let properties = &message.properties;
    let told = |name, property: &Option<String>| {
        attribute(message, name).or_else(|| property.clone().filter(|text| !text.is_empty()))
    };
    (told("id", &properties.message_id), told("type", &properties.kind))
}

/// Whether an attribute of this name has a meaning of its own, so that it is no extension.
pub fn is_attribute(name: &str) -> bool {
    attributes::NAMES.contains(&name) || matches!(name, "data" | "datacontenttype")
}

/// The text of one attribute.
fn attribute(message: &Message, name: &str) -> Option<String> {
    if is_structured(message) {
        structured::attribute(message, name)
    } else {
        binary::attribute(message, name)
    }
}

/// Whether the body is the whole event, and not its payload alone.
pub fn is_structured(message: &Message) -> bool {
    const TYPE: &str = "application/cloudevents";
    let content_type = message.properties.content_type.as_deref().unwrap_or_default().trim_start();
    content_type.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
}

/// In lower case, without parameters.
fn media_type(content_type: &str) -> Cow<'_, str> {
    let plain = content_type.split(';').next().unwrap_or_default().trim();
    if plain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(plain.to_ascii_lowercase())
    } else {
        Cow::Borrowed(plain)
    }
}

/// Whether `media_type` is a JSON type; none counts as JSON, as CloudEvents says.
fn json(media_type: &str, shown: &str) -> Result<(), DecodeError> {
    match media_type {
        "" | "application/json" | "text/json" => Ok(()),
        other if other.ends_with("+json") => Ok(()),
        _ => Err(DecodeError(format!(
            "datacontenttype (property content_type) is '{shown}'; expected a JSON type"
        ))),
    }
}

/// Charset names are often put into `content_encoding`; anything else there means compressed, and is inflated before, or not read.
fn plain_encoding(message: &Message) -> Result<(), DecodeError> {
    match message.properties.content_encoding.as_deref() {
        None | Some("") => Ok(()),
        Some(name) if ["utf-8", "utf8", "identity"].iter().any(|plain| name.eq_ignore_ascii_case(plain)) => {
            Ok(())
        }
        Some(other) => {
            let expected = "expected none or utf-8; of compressed bodies, gzip and zstd are read by workers";
            Err(DecodeError(format!("property content_encoding is '{other}'; {expected}")))
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
