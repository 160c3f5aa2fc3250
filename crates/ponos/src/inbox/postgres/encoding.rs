//! A message's head (routing key, properties, headers) as the JSON that the outbox keeps.

use crate::event::{HeaderValue, Headers, Message, Properties, Timestamp};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// Everything of a message but its body.
#[derive(Serialize, Deserialize)]
struct Head {
    routing_key: String,
    content_type: Option<String>,
    content_encoding: Option<String>,
    persistent: bool,
    priority: Option<u8>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    expiration: Option<u64>,
    message_id: Option<String>,
    timestamp: Option<i64>,
    kind: Option<String>,
    user_id: Option<String>,
    app_id: Option<String>,
    headers: Vec<(String, Value)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Value {
    Text(String),
    Int(i64),
    /// As text: JSON has no infinity.
    Float(String),
    Bool(bool),
    Time(i64),
    Bytes(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
    Null,
}

pub(super) fn head(message: &Message) -> Result<String, serde_json::Error> {
    let Properties {
        content_type,
        content_encoding,
        persistent,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp,
        kind,
        user_id,
        app_id,
    } = message.properties.clone();
    serde_json::to_string(&Head {
        routing_key: message.routing_key.clone(),
        content_type,
        content_encoding,
        persistent,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp: timestamp.map(Timestamp::millis),
        kind,
        user_id,
        app_id,
        headers: table(&message.headers),
    })
}

pub(super) fn message(head: &str, body: Vec<u8>) -> Result<Message, serde_json::Error> {
    let head: Head = serde_json::from_str(head)?;
    let properties = Properties {
        content_type: head.content_type,
        content_encoding: head.content_encoding,
        persistent: head.persistent,
        priority: head.priority,
        correlation_id: head.correlation_id,
        reply_to: head.reply_to,
        expiration: head.expiration,
        message_id: head.message_id,
        timestamp: head.timestamp.map(Timestamp::from_millis),
        kind: head.kind,
        user_id: head.user_id,
        app_id: head.app_id,
    };
    Ok(Message { routing_key: head.routing_key, properties, headers: headers(head.headers)?, body })
}

fn table(headers: &Headers) -> Vec<(String, Value)> {
    headers.iter().map(|(name, value)| (name.to_owned(), written(value))).collect()
}

fn written(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Text(text) => Value::Text(text.clone()),
        HeaderValue::Int(number) => Value::Int(*number),
        HeaderValue::Float(number) => Value::Float(number.to_string()),
        HeaderValue::Bool(yes) => Value::Bool(*yes),
        HeaderValue::Time(at) => Value::Time(at.millis()),
        HeaderValue::Bytes(bytes) => Value::Bytes(BASE64_STANDARD.encode(bytes)),
        HeaderValue::List(list) => Value::List(list.iter().map(written).collect()),
        HeaderValue::Table(headers) => Value::Table(table(headers)),
        HeaderValue::Null => Value::Null,
    }
}

fn headers(entries: Vec<(String, Value)>) -> Result<Headers, serde_json::Error> {
    let mut headers = Headers::with_capacity(entries.len());
    for (name, value) in entries {
        headers.set(name, read(value)?);
    }
    Ok(headers)
}

fn read(value: Value) -> Result<HeaderValue, serde_json::Error> {
    use serde::de::Error;
    Ok(match value {
        Value::Text(text) => HeaderValue::Text(text),
        Value::Int(number) => HeaderValue::Int(number),
        Value::Float(text) => HeaderValue::Float(text.parse().map_err(serde_json::Error::custom)?),
        Value::Bool(yes) => HeaderValue::Bool(yes),
        Value::Time(millis) => HeaderValue::Time(Timestamp::from_millis(millis)),
        Value::Bytes(text) => {
            HeaderValue::Bytes(BASE64_STANDARD.decode(text).map_err(serde_json::Error::custom)?)
        }
        Value::List(list) => HeaderValue::List(list.into_iter().map(read).collect::<Result<_, _>>()?),
        Value::Table(entries) => HeaderValue::Table(headers(entries)?),
        Value::Null => HeaderValue::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_and_every_kind_of_header_comes_back_as_it_was() {
        let text = |text: &str| Some(text.to_owned());
        let mut inner = Headers::default();
        inner.set("deep", HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Int(i64::MIN)]));
        let mut all = Headers::default();
        all.set("text", "nothing \0, a line\nfeed, \u{1F552}");
        all.set("float", HeaderValue::Float(0.1 + 0.2));
        all.set("infinite", HeaderValue::Float(f64::INFINITY));
        all.set("bool", HeaderValue::Bool(true));
        all.set("time", HeaderValue::Time(Timestamp::from_millis(-5000)));
        all.set("bytes", HeaderValue::Bytes(vec![0, 255, 7]));
        all.set("table", HeaderValue::Table(inner));
        let properties = Properties {
            content_type: text("application/json"),
            content_encoding: text("gzip"),
            persistent: true,
            priority: Some(9),
            correlation_id: text("c"),
            reply_to: text("r"),
            expiration: Some(u64::MAX),
            message_id: text("m"),
            timestamp: Some(Timestamp::from_millis(1000)),
            kind: text("k"),
            user_id: text("u"),
            app_id: text("a"),
        };
        let whole = Message { routing_key: "a.b".into(), properties, headers: all, body: vec![1, 2, 3] };
        for before in [whole, Message::default()] {
            let head = head(&before).unwrap();
            assert_eq!(message(&head, before.body.clone()).unwrap(), before, "{head}");
        }
        assert!(message("{}", vec![]).is_err());
    }
}
