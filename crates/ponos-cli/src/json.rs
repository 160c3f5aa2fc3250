//! Events and messages as JSON, for `--json` and `dead show`.

use ponos::{
    compression,
    event::{Event, HeaderValue, Headers, Message},
    worker::Limits,
};
use serde_json::{Map, Value, json};

/// An event in CloudEvents' JSON format; headers that are not attributes are under `headers`.
pub(crate) fn event(event: &Event) -> Value {
    let mut attributes: Map<String, Value> =
        event.attributes().map(|(name, value)| (name, header(&value))).collect();
    for (name, value) in [("traceparent", &event.traceparent), ("tracestate", &event.tracestate)] {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.as_str().into());
        }
    }
    let others = event.extensions.iter().filter(|(name, _)| !name.starts_with("cloudEvents_"));
    let others: Map<_, _> = others.map(|(name, value)| (name.to_owned(), header(value))).collect();
    if !others.is_empty() {
        attributes.insert("headers".into(), others.into());
    }
    attributes.insert("data".into(), body(&event.data));
    attributes.into()
}

/// A message with all properties and headers. Its body is inflated, if it can be.
pub(crate) fn message(message: &Message) -> Value {
    let inflated = compression::inflated(message, Limits::default().body).ok().flatten();
    let text_of = inflated.as_ref().unwrap_or(message);
    let properties = &message.properties;
    let mut shown = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::from);
    set("message_id", text(&properties.message_id));
    set("type", text(&properties.kind));
    set("content_type", text(&properties.content_type));
    set("content_encoding", text(&properties.content_encoding));
    set("correlation_id", text(&properties.correlation_id));
    set("reply_to", text(&properties.reply_to));
    set("timestamp", properties.timestamp.map(|at| at.to_string().into()));
    set("expiration", properties.expiration.map(Value::from));
    set("priority", properties.priority.map(Value::from));
    set("user_id", text(&properties.user_id));
    set("app_id", text(&properties.app_id));
    set("persistent", Some(properties.persistent.into()));
    json!({
        "routing_key": message.routing_key,
        "properties": shown,
        "headers": headers(&message.headers),
        "body": body(&text_of.body),
    })
}

/// A table of headers.
pub(crate) fn headers(headers: &Headers) -> Value {
    headers.iter().map(|(name, value)| (name.to_owned(), header(value))).collect::<Map<_, _>>().into()
}

fn header(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Text(text) => text.clone().into(),
        HeaderValue::Int(number) => (*number).into(),
        HeaderValue::Float(number) => (*number).into(),
        HeaderValue::Bool(truth) => (*truth).into(),
        HeaderValue::Time(time) => time.to_string().into(),
        HeaderValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        HeaderValue::List(values) => values.iter().map(header).collect(),
        HeaderValue::Table(table) => headers(table),
        HeaderValue::Null => Value::Null,
    }
}

/// The body as JSON, if it is that; else as text, with invalid UTF-8 replaced.
fn body(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}
