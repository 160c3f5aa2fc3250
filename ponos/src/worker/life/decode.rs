//! From a message to an event.

use crate::{
    event::{Event, Message, is_structured},
    worker::{
        Limits,
        ended::{DeadKind, Death},
    },
};
use std::sync::Arc;

/// The event. The body of a message in binary mode moves into it; it is put back on an error.
pub(super) fn event(message: &mut Message, limits: &Limits) -> Result<Arc<Event>, Death> {
    let bytes = message.body.len();
    if bytes > limits.body {
        let reason = format!("the body has {bytes} bytes; at most {} are read (Limits::body)", limits.body);
        return Err(Death::new(DeadKind::TooLarge, reason));
    }
    let body = if is_structured(message) { None } else { Some(std::mem::take(&mut message.body)) };
    match (Event::from_message(message), body) {
        (Ok(mut event), body) => {
            if let Some(body) = body {
                event.data = body;
            }
            Ok(Arc::new(event))
        }
        (Err(error), body) => {
            if let Some(body) = body {
                message.body = body;
            }
            Err(Death::new(DeadKind::Malformed, error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let name = "order.parcel.shipped".parse().unwrap();
        Event::new("7".parse().unwrap(), "/shop", name, b"{\"a\":1}".to_vec()).into_message()
    }

    #[test]
    fn the_body_moves_into_the_event() {
        let mut message = message();
        let event = event(&mut message, &Limits::default()).unwrap();
        assert_eq!((&*event.data, &*message.body), (&b"{\"a\":1}"[..], &b""[..]));
    }

    #[test]
    fn a_structured_body_stays_what_it_was() {
        let mut message = Message::default();
        message.properties.content_type = Some("Application/CloudEvents+json; charset=utf-8".into());
        message.body =
            br#"{"specversion":"1.0","id":"7","source":"/s","type":"a.b.c","data":{"a":1}}"#.to_vec();
        let before = message.clone();
        let event = event(&mut message, &Limits::default()).unwrap();
        assert_eq!((&*event.data, message), (&b"{\"a\":1}"[..], before));
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
            let death = event(&mut message, &Limits::default()).unwrap_err();
            assert_eq!(death, Death::new(DeadKind::Malformed, words));
            assert_eq!(message.body, b"{\"a\":1}");
        }
        let mut message = message();
        message.headers.set("cloudEvents_time", 5);
        let death = event(&mut message, &Limits::default()).unwrap_err();
        assert_eq!(death.reason, "attribute time is an integer; expected an RFC 3339 text");
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_read() {
        let limits = Limits { body: 6, ..Limits::default() };
        let death = event(&mut message(), &limits).unwrap_err();
        assert_eq!(death.kind, DeadKind::TooLarge);
        assert!(death.reason.contains("the body has 7 bytes; at most 6"), "{}", death.reason);
        assert!(event(&mut message(), &Limits { body: 7, ..limits }).is_ok());
    }
}
