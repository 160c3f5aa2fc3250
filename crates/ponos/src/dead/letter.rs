//! Reads a dead letter's headers. Pure.

use crate::{
    compression,
    event::{HeaderValue, Headers, Message, Timestamp},
    topology::worker::PARKING,
    worker::{Limits, resent},
};
use serde_json::{Value, json};

/// The summary of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Letter {
    /// The queue that holds it.
    pub lies_in: String,
    /// The work queue that it belongs to, and goes back to when it is requeued.
    pub queue: String,
    /// Its id, as the worker knew it; empty if it has none.
    pub id: String,
    /// The event's or task's name, as the worker acted on it; empty if it has none.
    pub name: String,
    /// `dead-kind`, or what the broker says, or `parked`.
    pub kind: String,
    /// The reason, for people.
    pub reason: String,
    /// When it died, if that is known.
    pub at: Option<Timestamp>,
    /// The attempt at which it died.
    pub attempt: Option<i64>,
    /// How many times it was requeued before.
    pub requeued: i64,
}

impl Letter {
    /// Reads a message that lies in the queue `lies_in`.
    pub fn read(lies_in: &str, message: &Message) -> Self {
        let headers = &message.headers;
        let text = |name: &str| headers.text(name).map(str::to_owned);
        let death = broker_death(headers);
        let own = lies_in.strip_suffix(".dlq").map(str::to_owned);
        // what is parked says where it was to go: by its key
        let queue = own.or_else(|| text("dead-queue")).unwrap_or_else(|| message.routing_key.clone());
        let (kind, reason) = match (text("dead-kind"), &death) {
            (Some(kind), _) => (kind, text("dead-reason").unwrap_or_default()),
            (None, _) if lies_in == PARKING => {
                ("parked".into(), format!("the queue '{queue}' did not exist, or was not bound"))
            }
            (None, Some(death)) => {
                (death.kind.replace('_', "-"), format!("the broker gave up on it: {}", death.kind))
            }
            (None, None) => {
                ("unknown".into(), "it has no reason: it was published to the dead letters directly".into())
            }
        };
        let (id, name) = compression::identity(message, Limits::default().body);
        Self {
            lies_in: lies_in.to_owned(),
            queue,
            id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            kind,
            reason,
            at: instant(headers.get("dead-at")).or_else(|| death.and_then(|death| death.at)),
            attempt: headers.int("dead-attempt"),
            requeued: headers.int("requeued-count").unwrap_or(0),
        }
    }

    /// `{"id","name","queue","in","kind","reason","at","attempt","requeued"}`.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "queue": self.queue,
            "in": self.lies_in,
            "kind": self.kind,
            "reason": self.reason,
            "at": self.at.map(|at| at.to_string()),
            "attempt": self.attempt,
            "requeued": self.requeued,
        })
    }
}

/// The message for its queue: as it came, without retry and dead-letter headers, and with those of the requeue.
pub(super) fn requeue_message(message: &Message, letter: &Letter, by: &str, now: Timestamp) -> Message {
    let mut message = resent(message.clone(), &letter.queue, Some(&letter.id));
    message.headers.retain(|name| !name.starts_with("retry-") && !name.starts_with("dead-"));
    message.headers.set("requeued-by", by);
    message.headers.set("requeued-at", now.to_string());
    message.headers.set("requeued-count", letter.requeued.saturating_add(1));
    message
}

/// The broker's entry for a message that it dead-lettered itself.
struct BrokerDeath {
    kind: String,
    at: Option<Timestamp>,
}

fn broker_death(headers: &Headers) -> Option<BrokerDeath> {
    let HeaderValue::List(deaths) = headers.get("x-death")? else { return None };
    let HeaderValue::Table(last) = deaths.first()? else { return None };
    Some(BrokerDeath { kind: last.text("reason")?.to_owned(), at: instant(last.get("time")) })
}

fn instant(value: Option<&HeaderValue>) -> Option<Timestamp> {
    match value? {
        HeaderValue::Time(at) => Some(*at),
        HeaderValue::Text(text) => Timestamp::floored(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Properties;

    fn dead() -> Message {
        let mut headers = Headers::default();
        for (name, value) in [
            ("cloudEvents_type", "a.b"),
            ("own", "stays"),
            ("retry-reason", "goes"),
            ("dead-kind", "attempts"),
            ("dead-reason", "connection refused"),
            ("dead-queue", "s.a.b"),
            ("dead-at", "2026-01-02T03:04:05.000Z"),
            ("x-delivery-count", "goes"),
            ("CC", "goes"),
            ("BCC", "goes"),
        ] {
            headers.set(name, value);
        }
        headers.set("dead-attempt", 5);
        headers.set("requeued-count", 1);
        let properties = Properties {
            message_id: Some("id-1".into()),
            user_id: Some("worker".into()),
            expiration: Some(5),
            app_id: Some("kept".into()),
            ..Properties::default()
        };
        Message { routing_key: "s.a.b".into(), properties, headers, body: b"{}".to_vec() }
    }

    #[test]
    fn a_letter_says_why_it_died() {
        let letter = Letter::read("s.a.b.dlq", &dead());
        assert_eq!((letter.id.as_str(), letter.name.as_str()), ("id-1", "a.b"));
        assert_eq!((letter.queue.as_str(), letter.kind.as_str()), ("s.a.b", "attempts"));
        assert_eq!((letter.attempt, letter.requeued), (Some(5), 1));
        assert_eq!(letter.at, "2026-01-02T03:04:05Z".parse().ok());
    }

    #[test]
    fn a_letter_has_the_name_that_its_worker_acted_on_whatever_its_form() {
        for prefix in ["cloudEvents_", "cloudEvents:", "ce-"] {
            let mut message = Message::default();
            message.properties.kind = Some("PropertyType".into());
            message.properties.message_id = Some("property-id".into());
            message.headers.set(format!("{prefix}type"), "a.b.done");
            message.headers.set(format!("{prefix}id"), "id-1");
            let letter = Letter::read("s.a.b.dlq", &message);
            assert_eq!((letter.name.as_str(), letter.id.as_str()), ("a.b.done", "id-1"), "{prefix}");
        }
        let mut structured = Message::default();
        structured.properties.kind = Some("PropertyType".into());
        structured.properties.content_type = Some("application/CloudEvents+json; charset=utf-8".into());
        structured.body = br#"{"id":"id-2","type":"a.b.done","broken":"#.to_vec();
        assert_eq!(Letter::read("s.a.b.dlq", &structured).name, "PropertyType", "its body can't be read");
        structured.body = br#"{"id":"id-2","type":"a.b.done"}"#.to_vec();
        let letter = Letter::read("s.a.b.dlq", &structured);
        assert_eq!((letter.name.as_str(), letter.id.as_str()), ("a.b.done", "id-2"));
        structured.body.extend_from_slice(&b" ".repeat(200));
        assert!(compression::gzip(&mut structured));
        let compressed = Letter::read("s.a.b.dlq", &structured);
        assert_eq!((compressed.name.as_str(), compressed.id.as_str()), ("a.b.done", "id-2"));
        let nothing = Letter::read("s.a.b.dlq", &Message::default());
        assert_eq!((nothing.name.as_str(), nothing.id.as_str()), ("", ""));
    }

    #[test]
    fn what_is_put_back_keeps_all_but_the_history() {
        let letter = Letter::read("s.a.b.dlq", &dead());
        let again = requeue_message(&dead(), &letter, "me@here", Timestamp::from_millis(0));
        let names: Vec<&str> = again.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cloudEvents_type", "own", "requeued-count", "requeued-by", "requeued-at"]);
        assert_eq!(again.headers.int("requeued-count"), Some(2));
        assert_eq!(again.properties.message_id.as_deref(), Some("id-1"));
        assert_eq!(again.properties.app_id.as_deref(), Some("kept"));
        assert_eq!((again.properties.user_id, again.properties.expiration), (None, None));
        assert_eq!(again.body, b"{}");
    }

    #[test]
    fn what_is_parked_belongs_to_the_queue_of_its_key() {
        let message = Message { routing_key: "s.gone".into(), ..Message::default() };
        let letter = Letter::read("parking", &message);
        assert_eq!((letter.queue.as_str(), letter.kind.as_str()), ("s.gone", "parked"));
    }
}
