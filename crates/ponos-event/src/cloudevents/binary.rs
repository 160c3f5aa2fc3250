//! Binary mode: attributes in headers, the payload as the body.

use super::{
    DecodeError, Event,
    attributes::{Attributes, PREFIXES},
};
use crate::{Headers, Message, Properties, Timestamp};

/// The header that says when an event was sent: it alone differs between two renderings of one event.
pub const RECORDED_TIME: &str = "cloudEvents_recordedtime";

/// An AMQP short string holds at most this many bytes.
const SHORT: usize = 255;

pub(super) fn write(event: Event) -> Message {
    let short = |text: &str| (text.len() <= SHORT).then(|| text.to_owned());
    let name = event.name.as_str();
    let properties = Properties {
        content_type: Some("application/json".into()),
        persistent: true,
        correlation_id: event.correlation_id.as_deref().and_then(short),
        message_id: Some(event.id.as_str().to_owned()),
        timestamp: event.time.and_then(whole_seconds),
        kind: Some(name.to_owned()),
        app_id: application(&event.source).and_then(short),
        ..Properties::default()
    };
    let routing_key = name.to_owned();
    let times = [event.time_text(), event.expiry_time_text(), event.recorded_time_text()];
    let [time, expiry_time, recorded_time] = times;
    let mut headers = Headers::with_capacity(12);
    let mut put = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            headers.append(name, value.into());
        }
    };
    put("cloudEvents_specversion", Some("1.0".into()));
    put("cloudEvents_id", Some(event.id.into()));
    put("cloudEvents_source", Some(event.source));
    put("cloudEvents_type", Some(event.name.as_str().to_owned()));
    put("cloudEvents_subject", event.subject);
    put("cloudEvents_time", time);
    put("cloudEvents_expirytime", expiry_time);
    put(RECORDED_TIME, recorded_time);
    put("cloudEvents_correlationid", event.correlation_id);
    put("cloudEvents_causationid", event.causation_id);
    put("cloudEvents_dataschema", event.data_schema);
    put("traceparent", event.traceparent);
    put("tracestate", event.tracestate);
    if !event.extensions.is_empty() {
        // their names differ, and there may be tens of thousands: each is searched only among the attributes
        let others = event.extensions.into_iter().filter(|(name, _)| headers.get(name).is_none());
        let others: Vec<_> = others.collect();
        headers = Headers::of_distinct(headers.into_iter().chain(others));
    }
    Message { routing_key, properties, headers, body: event.data }
}

pub(super) fn take(message: &mut Message) -> Result<Event, DecodeError> {
    let mut event = Attributes::of(&mut message.headers).into_event(Vec::new())?;
    event.data = std::mem::take(&mut message.body);
    Ok(event)
}

pub(super) fn put_back(event: &Event, message: &mut Message) {
    Attributes::of(&mut message.headers).put_back(event);
    message.body.clone_from(&event.data);
}

/// One attribute; where it stands under several prefixes, the earlier counts.
pub(super) fn attribute(message: &Message, name: &str) -> Option<String> {
    let text = |prefix: &&str| message.headers.text(&format!("{prefix}{name}")).map(str::to_owned);
    PREFIXES.iter().find_map(text)
}

/// The headers that are no CloudEvents attributes.
pub(super) fn other_headers(message: &Message) -> Headers {
    let is_attribute = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let other = message.headers.iter().filter(|(name, _)| !is_attribute(name));
    other.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// The AMQP timestamp counts whole seconds and knows nothing before 1970.
fn whole_seconds(instant: Timestamp) -> Option<Timestamp> {
    (instant >= Timestamp::EPOCH).then(|| Timestamp::from_millis(instant.millis() / 1000 * 1000))
}

/// `khronos` of `/khronos/main`: the application that a path-like source begins with.
fn application(source: &str) -> Option<&str> {
    source.strip_prefix('/')?.split('/').next().filter(|word| !word.is_empty())
}
