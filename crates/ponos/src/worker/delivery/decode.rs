//! Decodes a message into an event, routes it to its handler, and validates the payload.

use crate::{
    compression::{self, InflateError},
    event::{Event, Message, from_json},
    schema::Contract,
    worker::{
        Limits,
        ended::{DeadKind, Death},
        plan::{QueuePlan, Route},
    },
};
use serde_json::Value;
use std::sync::Arc;

/// The event, into which texts and payload of the message move, unless it is compressed; [`Event::put_back`] undoes that. On an
/// error it is whole.
pub(super) fn decode(message: &mut Message, limits: &Limits) -> Result<Arc<Event>, Death> {
    let bytes = message.body.len();
    if bytes > limits.body {
        let reason = format!("the body has {bytes} bytes; at most {} are read (Limits::body)", limits.body);
        return Err(Death::new(DeadKind::TooLarge, reason));
    }
    let event = match compression::inflated(message, limits.body) {
        Ok(None) => Event::take_from(message),
        Ok(Some(mut inflated)) => Event::take_from(&mut inflated),
        Err(error @ InflateError::TooLarge { .. }) => {
            return Err(Death::new(DeadKind::TooLarge, format!("{error} (Limits::body)")));
        }
        Err(error) => return Err(Death::new(DeadKind::Malformed, error.to_string())),
    };
    event.map(Arc::new).map_err(|error| Death::new(DeadKind::Malformed, error.to_string()))
}

/// The id and name that an undecodable message claims, for the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Claimed {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

/// The most characters kept of each: as many as a property has bytes at most.
const CLAIMED: usize = 255;

/// Reads what a message claims that [`decode()`] could not read.
pub(super) fn claimed(message: &mut Message, limits: &Limits) -> Claimed {
    // a body that is too large is not read for this, either
    let large = (message.body.len() > limits.body).then(|| std::mem::take(&mut message.body));
    let (id, name) = compression::identity(message, limits.body);
    if let Some(body) = large {
        message.body = body;
    }
    let cut = |text: String| text.chars().take(CLAIMED).collect();
    Claimed { id: id.map(cut), name: name.map(cut) }
}

/// Routes an event to its handler by CloudEvents type.
pub(super) fn route<'a>(plan: &'a QueuePlan, event: &Event) -> Result<&'a Arc<Route>, Death> {
    plan.route(event.name.as_str()).ok_or_else(|| {
        let handled: Vec<&str> = plan.routes.iter().map(|route| &*route.pattern).collect();
        let reason = format!(
            "no handler takes '{}': the queue '{}' has handlers for {}",
            event.name,
            plan.name,
            handled.join(", ")
        );
        Death::new(DeadKind::Unhandled, reason)
    })
}

/// The payload as JSON, valid under the contract; an empty body is `null`.
pub(super) fn payload(contract: &Contract, event: &Event) -> Result<Value, Death> {
    let value = parse(&event.data)?;
    match contract.check(&value) {
        Ok(()) => Ok(value),
        Err(mismatch) => Err(Death::new(DeadKind::Schema, mismatch.to_string())),
    }
}

/// The payload once more, for a final handler: it was validated before.
pub(super) fn payload_unchecked(event: &Event) -> Value {
    parse(&event.data).unwrap_or_default()
}

fn parse(data: &[u8]) -> Result<Value, Death> {
    if data.is_empty() {
        return Ok(Value::Null);
    }
    from_json(data)
        .map_err(|error| Death::new(DeadKind::Malformed, format!("the payload is not valid JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let name = "order.parcel.shipped".parse().unwrap();
        Event::new("7".parse().unwrap(), "/shop", name, b"{\"a\":1}".to_vec()).into_message()
    }

    #[test]
    fn the_body_moves_into_the_event_and_back() {
        let mut message = message();
        let before = message.clone();
        let event = decode(&mut message, &Limits::default()).unwrap();
        assert_eq!((&*event.data, &*message.body), (&b"{\"a\":1}"[..], &b""[..]));
        event.put_back(&mut message);
        assert_eq!(message, before);
    }

    #[test]
    fn a_structured_body_stays_what_it_was() {
        let mut message = Message::default();
        message.properties.content_type = Some("Application/CloudEvents+json; charset=utf-8".into());
        message.body =
            br#"{"specversion":"1.0","id":"7","source":"/s","type":"a.b.c","data":{"a":1}}"#.to_vec();
        let before = message.clone();
        let event = decode(&mut message, &Limits::default()).unwrap();
        assert_eq!((&*event.data, message), (&b"{\"a\":1}"[..], before));
    }

    #[test]
    fn a_compressed_message_stays_what_it_was_in_either_mode() {
        let mut structured = Message::default();
        structured.properties.content_type = Some("application/cloudevents+json".into());
        structured.body =
            br#"{"specversion":"1.0","id":"7","source":"/s","type":"order.parcel.shipped","data":[1]}"#
                .to_vec();
        let long = |mut message: Message| {
            message.body.extend_from_slice(&b" ".repeat(200));
            message
        };
        for (plain, data) in [(message(), "{\"a\":1}"), (structured, "[1]")] {
            let mut message = long(plain);
            assert!(compression::gzip(&mut message));
            let before = message.clone();
            let event = decode(&mut message, &Limits::default()).unwrap();
            assert_eq!(String::from_utf8_lossy(&event.data).trim_end(), data);
            assert_eq!(message, before);
            assert_eq!(claimed(&mut message, &Limits::default()).id.as_deref(), Some("7"));
            let death = decode(&mut message, &Limits { body: 150, ..Limits::default() }).unwrap_err();
            assert_eq!(death.kind, DeadKind::TooLarge, "{}", death.reason);
            message.properties.content_encoding = Some("zstd".into());
            let death = decode(&mut message, &Limits::default()).unwrap_err();
            assert_eq!(death.kind, DeadKind::Malformed);
            assert!(death.reason.contains("is not valid zstd"), "{}", death.reason);
            message.properties.content_encoding = Some("br".into());
            let death = decode(&mut message, &Limits::default()).unwrap_err();
            assert_eq!(death.kind, DeadKind::Malformed);
            assert!(death.reason.contains("content_encoding is 'br'"), "{}", death.reason);
        }
    }

    #[test]
    fn what_is_no_event_is_malformed_and_keeps_its_body() {
        for (name, words) in [
            ("cloudEvents_type", "attribute type is missing"),
            ("cloudEvents_id", "attribute id is missing"),
            ("cloudEvents_specversion", "attribute specversion is missing"),
        ] {
            let mut message = message();
            message.headers.remove(name);
            let death = decode(&mut message, &Limits::default()).unwrap_err();
            assert_eq!(death, Death::new(DeadKind::Malformed, words));
            assert_eq!(message.body, b"{\"a\":1}");
        }
        let mut message = message();
        message.headers.set("cloudEvents_time", 5);
        let death = decode(&mut message, &Limits::default()).unwrap_err();
        assert_eq!(death.reason, "attribute time is an integer; expected an RFC 3339 text");
    }

    #[test]
    fn what_is_no_event_still_says_what_it_is() {
        let said = |message: &mut Message| {
            let before = message.clone();
            let Claimed { id, name } = claimed(message, &Limits { body: 90, ..Limits::default() });
            assert_eq!(*message, before);
            (id.unwrap_or_default(), name.unwrap_or_default())
        };
        let pair = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        let mut message = message();
        message.headers.remove("cloudEvents_specversion");
        assert_eq!(said(&mut message), pair("7", "order.parcel.shipped"));
        message.headers.set("cloudEvents_id", "x".repeat(1_000));
        assert_eq!(said(&mut message).0.len(), 255);
        let mut other = Message::default();
        assert_eq!(said(&mut other), pair("", ""));
        other.properties.message_id = Some("by hand".into());
        other.properties.content_type = Some("application/cloudevents+json".into());
        other.body = br#"{"id":"8","type":"a.b.c"}"#.to_vec();
        assert_eq!(said(&mut other), pair("8", "a.b.c"));
        other.body.resize(91, b' ');
        assert_eq!(said(&mut other), pair("by hand", ""), "a body beyond the limit was read");
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_read() {
        let limits = Limits { body: 6, ..Limits::default() };
        let death = decode(&mut message(), &limits).unwrap_err();
        assert_eq!(death.kind, DeadKind::TooLarge);
        assert!(death.reason.contains("the body has 7 bytes; at most 6"), "{}", death.reason);
        assert!(decode(&mut message(), &Limits { body: 7, ..limits }).is_ok());
    }

    #[test]
    fn what_is_no_json_is_malformed_and_nothing_is_null() {
        assert_eq!(parse(b"").unwrap(), Value::Null);
        assert_eq!(parse(b"[1]").unwrap(), serde_json::json!([1]));
        for broken in [&b"{"[..], b"hello", b"\xff", b"{} {}"] {
            assert_eq!(parse(broken).unwrap_err().kind, DeadKind::Malformed);
        }
        assert!(parse(b"\xef\xbb\xbf{}").unwrap_err().reason.contains("byte order mark"));
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).unwrap_err().reason.contains("recursion limit"));
    }
}
