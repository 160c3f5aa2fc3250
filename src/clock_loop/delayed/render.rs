//! From a delayed event to the message that is published.

use crate::{
    clock_loop::render::{To, lane, traceparent},
    delayed::{DelayedContent, DelayedEvent, DueEvent, trace},
    schedule::{Unrouted, id_name},
    telemetry::LATENESS,
};
use ponos::{
    broker::Publishing,
    event::{
        Event, EventKind, EventName, HeaderValue, Headers, Message, OccurrenceId, Sampling, SpanContext,
        Timestamp,
    },
    topology::worker::TASKS,
};
use serde_json::{Map, Value};
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
    (clock, exchange, sampling): To<'_>,
    token: u64,
    event: DelayedEvent,
    now: Timestamp,
) -> Result<Publishing, String> {
    let DelayedEvent { head, content } = event;
    let (key, queue) = (&head.key, &head.queue);
    let of = DelayedId { name: &key.name, creation: head.creation, due: head.due, event: &head.event };
    let mut event = self::event(clock, of, &content, now)?;
    event.extensions.set(LATENESS, HeaderValue::Int(now.since(key.send).max(0)));
    if event.traceparent.is_none() {
        event.traceparent = Some(traceparent(event.id.as_str(), sampling));
    }
    event.data = content.data.to_vec();
    let content_type = content.content_type;
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

/// What the id of an event is made of, and what it is called.
pub(crate) struct DelayedId<'a> {
    pub(crate) name: &'a str,
    pub(crate) creation: u64,
    pub(crate) due: Timestamp,
    pub(crate) event: &'a str,
}

/// The event, sent at this instant, without its data. It goes on in the trace in which it was asked for, by a span of its own, if
/// it was in one.
///
/// # Errors
/// As of [`publishing`].
pub(crate) fn event(
    clock: &str,
    of: DelayedId<'_>,
    content: &DelayedContent,
    sent_at: Timestamp,
) -> Result<Event, String> {
    let DelayedId { name, creation, due, event } = of;
    let schedule = id_name(name, creation);
    let id = OccurrenceId { clock, schedule: &schedule, due, kind: &EventKind::Delayed }.id();
    let called: EventName = event.parse().map_err(|wrong| format!("{event}: {wrong}"))?;
    let (headers, trace) = trace::taken_off(&content.headers);
    let own = SpanContext::parse(&traceparent(id.as_str(), Sampling::ALL));
    let goes_on = trace.zip(own).map(|(trace, own)| trace.with_span(own.span_id).to_string());
    Ok(Event {
        subject: Some(name.to_owned()),
        time: Some(due),
        expiry_time: content.expires.map(|millis| due.plus(millis)),
        recorded_time: Some(sent_at),
        correlation_id: content.correlation_id.as_deref().map(str::to_owned),
        traceparent: goes_on,
        extensions: headers_of(&headers)?,
        ..Event::new(id, format!("/khronos/{clock}"), called, Vec::new())
    })
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
