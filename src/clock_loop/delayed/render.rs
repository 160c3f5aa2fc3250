//! From a delayed event to the message that is published.

use crate::{
    clock_loop::render::{LATENESS, lane, traceparent},
    delayed::{DelayedContent, DelayedEvent, DelayedHead, DueEvent},
    schedule::{Unrouted, id_name},
};
use ponos::{
    broker::Publishing,
    event::{Event, EventKind, EventName, HeaderValue, Headers, Message, OccurrenceId, Timestamp},
    topology::worker::TASKS,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use tracing::info;

/// What becomes of it where nobody is bound. A task is for one queue: where that is missing, somebody should know.
pub(super) fn unrouted(event: &DelayedEvent) -> Unrouted {
    match event.content.parks_unrouted || event.head.queue.is_some() {
        true => Unrouted::Park,
        false => Unrouted::Ignore,
    }
}

/// The message for it. What may differ between two sendings of one id travels in headers.
///
/// # Errors
/// What can't be made of it, which was held against the same rules when it was taken.
pub(super) fn publishing(
    clock: &str,
    exchange: &Arc<str>,
    token: u64,
    event: DelayedEvent,
    now: Timestamp,
) -> Result<Publishing, String> {
    let DelayedEvent { head, content } = event;
    let DelayedHead { key, due, creation, event, queue, .. } = head;
    let DelayedContent { data, content_type, headers, correlation_id, expires, .. } = content;
    let schedule = id_name(&key.name, creation);
    let id = OccurrenceId { clock, schedule: &schedule, due, kind: &EventKind::Delayed }.id();
    let name: EventName = event.parse().map_err(|wrong| format!("{event}: {wrong}"))?;
    let mut extensions = headers_of(&headers)?;
    extensions.set(LATENESS, HeaderValue::Int(now.since(key.send).max(0)));
    let event = Event {
        subject: Some(key.name.to_string()),
        time: Some(due),
        expiry_time: expires.map(|millis| due.plus(millis)),
        recorded_time: Some(now),
        correlation_id: correlation_id.map(|id| id.to_string()),
        traceparent: Some(traceparent(id.as_str())),
        extensions,
        ..Event::new(id, format!("/khronos/{clock}"), name, data.to_vec())
    };
    let mut message = event.into_message();
    if let Some(content_type) = content_type {
        message.properties.content_type = Some(content_type.to_string());
    }
    let exchange = match queue {
        Some(queue) => {
            message.routing_key = queue.to_string();
            TASKS.into()
        }
        None => exchange.clone(),
    };
    Ok(Publishing { token, lane: lane(&key.name), exchange, message })
}

/// Headers as the client gave them: texts, whole numbers, and yes or no.
fn headers_of(json: &str) -> Result<Headers, String> {
    if json.is_empty() {
        return Ok(Headers::default());
    }
    let given: Map<String, Value> =
        serde_json::from_str(json).map_err(|wrong| format!("its headers: {wrong}"))?;
    let mut headers = Headers::default();
    for (name, value) in given {
        let value = match value {
            Value::String(text) => text.into(),
            Value::Bool(yes) => HeaderValue::Bool(yes),
            Value::Number(number) => match number.as_i64() {
                Some(number) => HeaderValue::Int(number),
                None => return Err(format!("its header {name} is {number}")),
            },
            other => return Err(format!("its header {name} is {other}")),
        };
        headers.set(name, value);
    }
    Ok(headers)
}

/// Logs that an event was sent.
pub(super) fn log_sent(message: &Message, due: &DueEvent, now: Timestamp) {
    info!(
        target: "khronos::events",
        event = %message.properties.kind.as_deref().unwrap_or_default(),
        due = %due.due,
        lateness_ms = now.since(due.key.send).max(0),
        "sent"
    );
}
