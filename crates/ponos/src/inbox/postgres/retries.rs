//! Retries that wait as rows of the outbox: committed before the delivery of the failed attempt is acked, and published by a relay
//! when they are due, as the ladder of the broker would return them.
//!
//! Invariant: nothing is lost, and a failed attempt is followed by one retry, though its delivery comes again because it was not
//! acked. While the row waits, its key is taken. When it was sent already, the inbox has a mark of it, which counts for an hour and
//! only against a delivery that came back, of that very sending: a message that is published anew under an id that died, at another
//! time, is tried anew, though its delivery comes back as well.

use super::{
    encoding,
    store::{Store, of_key, without_nul},
};
use crate::{
    broker::NO_FRAME,
    clock::millis,
    event::{Message, Timestamp},
    inbox::{InboxError, InboxKey},
    topology::worker::RETURN,
    worker::smaller,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use uuid::Uuid;

/// A longer head goes by the ladder, which makes it smaller until it fits into the broker's frames.
const HEAD: usize = 32 << 10;
/// A longer key is replaced by its UUIDv5, because an index limits the length of its keys.
const KEY: usize = 1_000;

/// A message that is to wait for its next attempt.
#[derive(Debug)]
pub(crate) struct KeptRetry<'a> {
    /// The message at its handler.
    pub(crate) key: InboxKey,
    /// When it was sent first, as its sender says.
    pub(crate) time: Option<Timestamp>,
    /// Which attempt it is, …
    pub(crate) attempt: u32,
    /// … how often that was put off, …
    pub(crate) waits: u64,
    /// … and how often the message was requeued from the dead letters.
    pub(crate) requeued: i64,
    /// Whether the delivery had come before, without being acked.
    pub(crate) came_back: bool,
    /// How long it waits from now on.
    pub(crate) wait: Duration,
    /// The event's or task's name.
    pub(crate) name: &'a str,
    /// Why it waits.
    pub(crate) reason: &'a str,
    /// With the headers of a retry.
    pub(crate) message: &'a Message,
}

impl KeptRetry<'_> {
    fn row_key(&self) -> String {
        let InboxKey { queue, handler, source, id } = &self.key;
        let Self { attempt, waits, requeued, .. } = self;
        let key = json!([&**queue, &**handler, &**source, id.as_str(), attempt, waits, requeued]).to_string();
        match key.len() {
            ..=KEY => format!("retry:{key}"),
            _ => format!("retry:{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_bytes())),
        }
    }

    /// What the inbox remembers of it. No pattern has a `!`.
    fn mark(&self) -> InboxKey {
        let Self { key, time, attempt, waits, requeued, .. } = self;
        let sent = time.map_or(0, Timestamp::millis);
        let handler = format!("{}!retry{attempt}.{waits}.{requeued}.{sent}", key.handler).into();
        InboxKey { handler, ..key.clone() }
    }
}

/// Inserts it in one statement; returns whether it waits here.
pub(super) async fn keep(store: &Store, retry: &KeptRetry<'_>) -> Result<bool, InboxError> {
    let Ok(head) = encoding::head(retry.message) else { return Ok(false) };
    if head.len() > HEAD {
        return Ok(false);
    }
    let insert = format!(
        "with mark as (
            insert into {0}.ponos_inbox as known (queue, handler, source, id) values ($1, $2, $3, $4)
            on conflict (queue, handler, source, id) do update set at = now()
                where known.at < now() - interval '1 hour'
            returning 1)
         insert into {0}.ponos_outbox (service, kind, key, id, exchange, name, queue, reason, head, body, due, next_try)
         select $5, 'retry', $6, $4, $7, $8, $1, $9, $10, $11, due, due
         from (select clock_timestamp() + $12::bigint * interval '1 millisecond' as due) as wanted
         where not $13::boolean or exists (select from mark)
         on conflict (service, key) where key is not null do nothing",
        store.schema
    );
    let insert = of_key(AssertSqlSafe(insert), &retry.mark())
        .bind(&*store.service)
        .bind(retry.row_key())
        .bind(RETURN)
        .bind(without_nul(retry.name))
        .bind(without_nul(retry.reason))
        .bind(head)
        .bind(&retry.message.body[..])
        .bind(millis(retry.wait))
        .bind(retry.came_back)
        .execute(&store.work);
    store.call("keeping a retry", insert).await?;
    store.put.notify_one();
    Ok(true)
}

/// The message of a row as it is to be published. One that was hurried is due now for its worker, too; and one that the broker
/// refused for the size of its headers is made smaller.
pub(super) fn to_publish(mut message: Message, due: Option<i64>, last_error: Option<&str>) -> Message {
    let planned: Option<Timestamp> = message.headers.text("retry-due").and_then(|text| text.parse().ok());
    if let (Some(due), Some(planned)) = (due.map(Timestamp::from_millis), planned)
        && due < planned
    {
        message.headers.set("retry-due", due.to_string());
    }
    if last_error.is_some_and(|why| why.contains(NO_FRAME)) {
        while smaller(&mut message) {}
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a>(message: &'a Message, source: &str, attempt: u32) -> KeptRetry<'a> {
        let id = "id\n1".parse().unwrap();
        let key = InboxKey { queue: "s.a".into(), handler: "a.#".into(), source: source.into(), id };
        let (time, waits, requeued, came_back, wait) = (None, 0, 0, false, Duration::ZERO);
        let (name, reason) = ("a.b.c", "no");
        KeptRetry { key, time, attempt, waits, requeued, came_back, wait, name, reason, message }
    }

    fn retry(message: &Message, source: &str, attempt: u32) -> String {
        kept(message, source, attempt).row_key()
    }

    #[test]
    fn a_mark_is_of_one_sending_so_that_another_one_under_its_id_is_not_taken_for_it() {
        let message = Message::default();
        let mark = |time| KeptRetry { time, ..kept(&message, "/shop", 2) }.mark();
        let first = Some(Timestamp::from_millis(7));
        assert_eq!(mark(first), mark(first));
        assert_ne!(mark(first), mark(Some(Timestamp::from_millis(8))));
        assert_eq!(&*mark(first).handler, "a.#!retry2.0.0.7");
    }

    #[test]
    fn a_key_is_of_one_attempt_and_short_enough_for_an_index() {
        let message = Message::default();
        assert_eq!(retry(&message, "/shop", 2), r#"retry:["s.a","a.#","/shop","id\n1",2,0,0]"#);
        assert_ne!(retry(&message, "/shop", 2), retry(&message, "/shop", 3));
        let long = "\u{1}".repeat(512);
        assert!(retry(&message, &long, 2).len() < KEY);
        assert_ne!(retry(&message, &long, 2), retry(&message, &long, 3));
    }

    #[test]
    fn what_was_hurried_is_due_by_then_and_what_was_moved_on_is_due_already() {
        let planned = "2026-12-01T09:00:00.000Z";
        let mut message = Message::default();
        message.headers.set("retry-due", planned);
        let due = |millis| {
            let at: Timestamp = planned.parse().unwrap();
            let message = to_publish(message.clone(), Some(at.plus(millis).millis()), None);
            message.headers.text("retry-due").unwrap().to_owned()
        };
        assert_eq!(due(-1_500), "2026-12-01T08:59:58.500Z");
        assert_eq!((due(0).as_str(), due(5_000).as_str()), (planned, planned));
    }

    #[test]
    fn what_was_too_large_for_a_frame_is_made_smaller_and_nothing_else_is() {
        let mut message = Message::default();
        message.headers.set("baggage", "b".repeat(500));
        assert_eq!(to_publish(message.clone(), None, Some("it was nacked: a queue is full")), message);
        let refused = format!("it was refused: its headers have about 9000 bytes; {NO_FRAME} 4096");
        assert_eq!(to_publish(message, None, Some(&refused)).headers.get("baggage"), None);
    }
}
