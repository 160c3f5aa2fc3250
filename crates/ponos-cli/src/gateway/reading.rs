//! Events as they come over HTTP: CloudEvents in binary, structured and batch mode (the HTTP binding 1.0), and plain JSON whose
//! name is configured.
//!
//! Attributes are read by the code that reads them from AMQP. Faults have pointers as if the event were structured: `/type` is
//! the header `ce-type`, `/data` the body in binary mode and of plain JSON; of a batch they begin with the event's number.

use super::settings::Contracts;
use crate::http::{
    RequestTrace, percent_decoded,
    problem::{BodyFault, FAULTS, Problem},
};
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue as Line},
};
use ponos::{
    clock::Clock,
    event::{Event, EventId, EventName, HeaderValue, Headers, Message, Properties, from_json},
    keyed_id,
    schema::PublishRefused,
};
use serde_json::{Value, value::RawValue};
use std::collections::{BTreeMap, BTreeSet};

/// The form of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The attributes are headers, the body is the data.
    Binary,
    /// The body is the event.
    Structured,
    /// The body is a list of events.
    Batch,
    /// The body is the data, and no attribute is there.
    Plain,
}

/// What plain JSON is: its name, and who publishes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<'a> {
    pub(super) event: &'a EventName,
    pub(super) source: &'a str,
}

/// How the prefix of attributes is written in names of headers.
const PREFIX: &str = "ce-";
/// The longest name of an attribute, in bytes.
const NAME: usize = 64;

impl Form {
    /// By the headers.
    ///
    /// # Errors
    /// 415.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let refused = |what: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", what));
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return refused("compressed bodies are not read; send it without Content-Encoding");
        }
        let has_attributes = headers.contains_key("ce-specversion");
        let kind = headers.get(CONTENT_TYPE).map_or(Some(""), |kind| kind.to_str().ok());
        let kind = kind.unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/cloudevents+json" => Ok(Self::Structured),
            "application/cloudevents-batch+json" => Ok(Self::Batch),
            "" if has_attributes => Ok(Self::Binary),
            kind if kind == "application/json" || kind == "text/json" || kind.ends_with("+json") => {
                Ok(if has_attributes { Self::Binary } else { Self::Plain })
            }
            _ => refused(
                "say Content-Type: application/cloudevents+json, application/cloudevents-batch+json, or application/json (with ce- headers, or where its event is configured); data are JSON",
            ),
        }
    }
}

/// Reads the events of a request, which all can be published as they are.
///
/// # Errors
/// 400 with all that is wrong, 413 for too many of them.
pub(super) fn read(
    form: Form,
    headers: &HeaderMap,
    body: &[u8],
    plain: Option<Plain<'_>>,
    most: usize,
) -> Result<Vec<Event>, Problem> {
    let one = |read: Result<Event, Vec<BodyFault>>| {
        let mut event = read.map_err(malformed)?;
        // the hop's own says more than the attribute of the one who made the event
        let RequestTrace { parent, state, baggage } = RequestTrace::of(headers);
        if parent.is_some() {
            (event.traceparent, event.tracestate) = (parent, state.or(event.tracestate));
        }
        if let Some(baggage) = baggage {
            event.extensions.set("baggage", baggage);
        }
        Ok(vec![event])
    };
    match form {
        Form::Binary => one(binary(headers, body)),
        Form::Structured => one(structured("", body)),
        Form::Plain => match plain {
            Some(plain) => one(plain_json(headers, body, plain)),
            None => {
                let what = "which event plain JSON is, is not configured: send a CloudEvent, or see plain in [[gateway.tokens]], and [[gateway.paths]]";
                Err(malformed(vec![BodyFault::new("/type", what)]))
            }
        },
        Form::Batch => batch(body, most),
    }
}

/// 400, with the first of many faults.
pub(super) fn malformed(faults: Vec<BodyFault>) -> Problem {
    Problem::of_parts(StatusCode::BAD_REQUEST, faults)
}

fn batch(body: &[u8], most: usize) -> Result<Vec<Event>, Problem> {
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        malformed(vec![BodyFault::new("", format!("the body is not a JSON list of events: {error}"))])
    })?;
    if items.len() > most {
        let what = format!("the batch has {} events, and {most} are the most (gateway.batch)", items.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many", what));
    }
    let (mut events, mut faults) = (Vec::with_capacity(items.len()), Vec::new());
    let mut known = BTreeSet::new();
    for (at, item) in items.into_iter().enumerate() {
        match structured(&format!("/{at}"), item.get().as_bytes()) {
            // an inbox would take one of the two
            Ok(event) if !known.insert((event.source.as_str().to_owned(), event.id.clone())) => {
                let what =
                    "another event of this batch has the same source and id: give each an id of its own";
                faults.push(BodyFault::new(format!("/{at}/id"), what));
            }
            Ok(event) => events.push(event),
            Err(wrong) => faults.extend(wrong),
        }
        if faults.len() >= FAULTS {
            break;
        }
    }
    if faults.is_empty() { Ok(events) } else { Err(malformed(faults)) }
}

fn binary(headers: &HeaderMap, body: &[u8]) -> Result<Event, Vec<BodyFault>> {
    let (mut attributes, mut faults) = (Headers::default(), Vec::new());
    for name in headers.keys().map(HeaderName::as_str) {
        let attribute = match name.strip_prefix(PREFIX) {
            // of data it is the content type of the body that counts
            None | Some("datacontenttype") => continue,
            Some(attribute) => attribute,
        };
        let mut values = headers.get_all(name).iter();
        let (value, others) = (values.next().and_then(attribute_value), values.next());
        let what = match value {
            Some(value) if others.is_none() => {
                attributes.set(name.to_owned(), value);
                continue;
            }
            Some(_) => format!("the header {name} is there twice"),
            None => {
                format!("the header {name} is not printable ASCII, with percent-encoded UTF-8 for the rest")
            }
        };
        faults.push(BodyFault::new(format!("/{}", escaped(attribute)), what));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let properties = Properties { content_type: Some("application/json".into()), ..Properties::default() };
    decoded("", Message { properties, headers: attributes, body: body.to_vec(), ..Message::default() })
}

/// The value of an attribute's header, which may be quoted, and is percent-encoded (the HTTP binding, section 3.1.3.2).
fn attribute_value(line: &Line) -> Option<String> {
    let text = line.to_str().ok()?;
    let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let unquoted = unquoted.map(|inner| {
        let mut unescaped = String::with_capacity(inner.len());
        let mut letters = inner.chars();
        while let Some(letter) = letters.next() {
            unescaped.extend(if letter == '\\' { letters.next() } else { Some(letter) });
        }
        unescaped
    });
    String::from_utf8(percent_decoded(unquoted.as_deref().unwrap_or(text))).ok()
}

/// The event of a body that is the event.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn structured(at: &str, body: &[u8]) -> Result<Event, Vec<BodyFault>> {
    let content_type = Some("application/cloudevents+json".into());
    let properties = Properties { content_type, ..Properties::default() };
    let mut event = decoded(at, Message { properties, body: body.to_vec(), ..Message::default() })?;
    let parts: BTreeMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    if let Some(data) = parts.get("data") {
        // as they came: a value that is read and written again has other numbers
        event.data = data.get().as_bytes().to_vec();
    }
    let is_number = |value: &HeaderValue| match value {
        HeaderValue::Int(number) => i32::try_from(*number).is_err(),
        HeaderValue::Float(_) => true,
        _ => false,
    };
    let wrong = event.extensions.iter().filter(|(_, value)| is_number(value)).map(|(name, _)| {
        let name = name.strip_prefix("cloudEvents_").unwrap_or(name);
        let what = "a number of an attribute is a whole one of 32 bits in CloudEvents; send others as text";
        BodyFault::new(format!("{at}/{}", escaped(name)), what)
    });
    let wrong: Vec<BodyFault> = wrong.collect();
    if wrong.is_empty() { Ok(event) } else { Err(wrong) }
}

fn plain_json(headers: &HeaderMap, body: &[u8], plain: Plain<'_>) -> Result<Event, Vec<BodyFault>> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let key = keys.next().map(|key| key.to_str().unwrap_or_default());
    if keys.next().is_some() {
        return Err(vec![BodyFault::new("/id", "the header Idempotency-Key is there twice")]);
    }
    let id = match key {
        None => crate::publish::random_id(),
        Some("") => {
            let what = "the header Idempotency-Key is empty, or not printable ASCII";
            return Err(vec![BodyFault::new("/id", what)]);
        }
        Some(key) => keyed_id(plain.source, plain.event, key),
    };
    let mut event = Event::new(id, plain.source, plain.event.clone(), body.to_vec());
    // what is sent again is to be the same
    event.time = key.is_none().then(|| Clock::system().now());
    match from_json::<Value>(body) {
        Ok(_) => Ok(event),
        Err(why) => Err(vec![BodyFault::new("/data", format!("it is not valid JSON: {why}"))]),
    }
}

/// The event of a webhook, whose body is its data.
pub(super) fn of_webhook(id: EventId, plain: Plain<'_>, body: &[u8]) -> Event {
    Event::new(id, plain.source, plain.event.clone(), body.to_vec())
}

/// The event of a message, if workers could read it.
fn decoded(at: &str, message: Message) -> Result<Event, Vec<BodyFault>> {
    let event = Event::from_message(&message).map_err(|error| {
        let pointer = format!("{at}{}", pointer(&error.0));
        vec![BodyFault::new(pointer, error.0)]
    })?;
    let extensions = event.extensions.iter().filter_map(|(name, _)| name.strip_prefix("cloudEvents_"));
    let is_name = |name: &str| {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !name.is_empty() && name.len() <= NAME && name.bytes().all(is_letter)
    };
    let mut faults: Vec<BodyFault> = extensions
        .filter(|name| !is_name(name))
        .map(|name| {
            let shown = ponos::text::shown(name);
            let what = format!("'{shown}' is not a name of an attribute: a-z and 0-9, at most {NAME}");
            BodyFault::new(format!("{at}/{}", escaped(&shown)), what)
        })
        .collect();
    if !event.data.is_empty()
        && let Err(why) = from_json::<Value>(&event.data)
    {
        faults.push(BodyFault::new(format!("{at}/data"), format!("it is not valid JSON: {why}")));
    }
    if faults.is_empty() { Ok(event) } else { Err(faults) }
}

/// A name as a part of a pointer (RFC 6901, section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Which part of an event a reader's words are about.
fn pointer(words: &str) -> String {
    let named = |text: &str| text.split([' ', ':', ',']).next().unwrap_or_default().to_owned();
    match words.strip_prefix("attribute ") {
        Some(rest) => format!("/{}", escaped(&named(rest))),
        None if words.starts_with("data") => format!("/{}", named(words)),
        None => String::new(),
    }
}

/// Holds the data of an event to its contract.
pub(crate) fn check(contracts: &Contracts, at: &str, event: &Event) -> Vec<BodyFault> {
    let Contracts::Folder(registry) = contracts else { return Vec::new() };
    // it was read before
    let data = from_json::<Value>(&event.data).unwrap_or_default();
    match registry.check(&event.name, &data) {
        Ok(()) => Vec::new(),
        Err(PublishRefused::Mismatch { mismatch, .. }) => {
            let violations = mismatch.violations().iter();
            violations
                .take(FAULTS)
                .map(|one| BodyFault::new(format!("{at}/data{}", one.pointer), one.message.clone()))
                .collect()
        }
        Err(undeclared) => vec![BodyFault::new(format!("{at}/type"), undeclared.to_string())],
    }
}

#[cfg(test)]
mod tests;
