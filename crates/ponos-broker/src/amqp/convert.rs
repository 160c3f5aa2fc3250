//! Messages to lapin's form and back. What can't be put on the wire is refused here: lapin would panic at a short string
//! of more than 255 bytes, and the broker would close the whole connection at headers that exceed a frame.

use super::super::{Delivery, NO_FRAME, TOO_DEEP};
use crate::stack;
use lapin::{
    BasicProperties,
    types::{AMQPValue, ByteArray, FieldArray, FieldTable, LongString, ShortString},
};
use ponos_event::{HeaderValue, Headers, Message, Properties, Timestamp};
use std::{borrow::Cow, mem::ManuallyDrop, thread};

/// Bytes of a header frame besides the table and the properties' texts, generously.
const FRAME_OVERHEAD: usize = 128;
/// The room left for headers that the broker adds when it delivers a message again or dead-letters it (`x-delivery-count`,
/// `x-death` with names of up to 255 bytes), so that the message stays readable. A smaller frame has a share of this.
const FOR_THE_BROKER: usize = 4 * 1024;
const SHARE: usize = 32;

/// What a message is on the wire: exchange, routing key, properties and body.
pub(super) fn publishing(
    exchange: &str,
    message: Message,
    user: Option<&str>,
    frame_max: u32,
) -> Result<(ShortString, ShortString, BasicProperties, Vec<u8>), String> {
    let exchange = short("the exchange's name", exchange.to_owned())?;
    let key = short("the routing key", message.routing_key)?;
    let properties = properties(message.properties, message.headers, user, frame_max)?;
    Ok((exchange, key, properties, message.body))
}

/// The properties and headers for the wire. `user` fills `user_id`; `frame_max` is the connection's, 0 for none.
pub(super) fn properties(
    message: Properties,
    headers: Headers,
    user: Option<&str>,
    frame_max: u32,
) -> Result<BasicProperties, String> {
    let mut size = FRAME_OVERHEAD;
    let mut text = |name: &str, value: Option<String>| -> Result<Option<ShortString>, String> {
        size += value.as_ref().map_or(0, String::len);
        value.map(|value| short(name, value)).transpose()
    };
    let mut wire = BasicProperties::default().with_delivery_mode(if message.persistent { 2 } else { 1 });
    if let Some(value) = text("content_type", message.content_type)? {
        wire = wire.with_content_type(value);
    }
    if let Some(value) = text("content_encoding", message.content_encoding)? {
        wire = wire.with_content_encoding(value);
    }
    if let Some(value) = text("correlation_id", message.correlation_id)? {
        wire = wire.with_correlation_id(value);
    }
    if let Some(value) = text("reply_to", message.reply_to)? {
        wire = wire.with_reply_to(value);
    }
    if let Some(value) = text("expiration", message.expiration.map(|millis| millis.to_string()))? {
        wire = wire.with_expiration(value);
    }
    if let Some(value) = text("message_id", message.message_id)? {
        wire = wire.with_message_id(value);
    }
    if let Some(value) = text("type", message.kind)? {
        wire = wire.with_type(value);
    }
    if let Some(value) = text("user_id", message.user_id.or_else(|| user.map(str::to_owned)))? {
        wire = wire.with_user_id(value);
    }
    if let Some(value) = text("app_id", message.app_id)? {
        wire = wire.with_app_id(value);
    }
    if let Some(priority) = message.priority {
        wire = wire.with_priority(priority);
    }
    if let Some(timestamp) = message.timestamp {
        wire = wire.with_timestamp(seconds(timestamp));
    }
    if !headers.are_shallow() {
        return Err(TOO_DEEP.to_owned());
    }
    if !headers.is_empty() {
        wire = wire.with_headers(table(headers, &mut size)?);
    }
    match usize::try_from(frame_max).map(room) {
        Ok(most) if frame_max != 0 && size > most => {
            Err(format!("its headers and properties have about {size} bytes; {NO_FRAME} {most}"))
        }
        _ => Ok(wire),
    }
}

/// How much of a frame a publisher may fill.
fn room(frame: usize) -> usize {
    frame - (frame / SHARE).min(FOR_THE_BROKER)
}

/// A short string of AMQP: at most 255 bytes.
pub(super) fn short(name: &str, value: String) -> Result<ShortString, String> {
    let length = value.len();
    ShortString::try_new(value).map_err(|_| format!("{name} has {length} bytes; AMQP allows 255"))
}

/// Arguments or headers for the wire; adds about what they take there to `size`.
pub(super) fn table(headers: Headers, size: &mut usize) -> Result<FieldTable, String> {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        *size += name.len() + 2;
        table.insert(short("the name of a header", name.into_owned())?, wire_value(value, size)?);
    }
    Ok(table)
}

fn wire_value(value: HeaderValue, size: &mut usize) -> Result<AMQPValue, String> {
    *size += 9;
    Ok(match value {
        HeaderValue::Text(text) => {
            *size += text.len();
            AMQPValue::LongString(LongString::from(text))
        }
        HeaderValue::Int(number) => AMQPValue::LongLongInt(number),
        HeaderValue::Float(number) => AMQPValue::Double(number),
        HeaderValue::Bool(truth) => AMQPValue::Boolean(truth),
        HeaderValue::Time(timestamp) => AMQPValue::Timestamp(seconds(timestamp)),
        HeaderValue::Bytes(bytes) => {
            *size += bytes.len();
            AMQPValue::ByteArray(ByteArray::from(bytes))
        }
        HeaderValue::List(values) => {
            let values =
                values.into_iter().map(|value| wire_value(value, size)).collect::<Result<Vec<_>, _>>()?;
            AMQPValue::FieldArray(FieldArray::from(values))
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(table(headers, size)?),
        HeaderValue::Null => AMQPValue::Void,
    })
}

/// AMQP counts whole, unsigned seconds.
fn seconds(timestamp: Timestamp) -> u64 {
    u64::try_from(timestamp.millis().div_euclid(1000)).unwrap_or(0)
}

/// A delivery as the port knows it.
pub(super) fn delivery(delivery: lapin::message::Delivery, generation: u64) -> Delivery {
    let properties = &delivery.properties;
    let mut levels = Levels { depth: 1, cut: false };
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    let message = Message {
        routing_key: delivery.routing_key.into(),
        properties: Properties {
            content_type: text(properties.content_type()),
            content_encoding: text(properties.content_encoding()),
            persistent: *properties.delivery_mode() == Some(2),
            priority: *properties.priority(),
            correlation_id: text(properties.correlation_id()),
            reply_to: text(properties.reply_to()),
            expiration: properties.expiration().as_ref().and_then(|millis| millis.as_str().parse().ok()),
            message_id: text(properties.message_id()),
            timestamp: properties.timestamp().map(from_seconds),
            kind: text(properties.kind()),
            user_id: text(properties.user_id()),
            app_id: text(properties.app_id()),
        },
        headers: properties.headers().as_ref().map(|table| headers(table, &mut levels)).unwrap_or_default(),
        body: delivery.data,
    };
    if levels.cut {
        drop_apart(delivery.properties);
    }
    Delivery {
        message,
        exchange: delivery.exchange.into(),
        redelivered: delivery.redelivered,
        tag: super::super::DeliveryTag { generation, tag: delivery.delivery_tag },
    }
}

/// Stands where deeper headers were.
const LEFT_OUT: &str = "(left out: nested more than 32 deep)";

/// How many tables and lists the value that is being read stands in, and whether anything was left out.
struct Levels {
    depth: usize,
    cut: bool,
}

impl Levels {
    /// Reads what is one level deeper; [`LEFT_OUT`] if that is too deep.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> HeaderValue) -> HeaderValue {
        if self.depth >= Headers::DEEPEST {
            self.cut = true;
            return HeaderValue::Text(LEFT_OUT.to_owned());
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }
}

/// Drops what may be nested 25,000 deep: that is a recursion too, for which a thread of a runtime has no stack.
fn drop_apart(properties: BasicProperties) {
    let deep = ManuallyDrop::new(properties);
    let thread = thread::Builder::new().name("ponos-drop".into()).stack_size(stack::NEEDED);
    match thread.spawn(move || drop(ManuallyDrop::into_inner(deep))) {
        // Waited for, so that there is one at a time.
        Ok(dropped) => drop(dropped.join()),
        Err(error) => {
            tracing::warn!(%error, "deeply nested headers stay in memory: no thread could drop them")
        }
    }
}

fn headers(table: &FieldTable, levels: &mut Levels) -> Headers {
    let entries = table.inner().iter();
    Headers::of_distinct(entries.map(|(name, value)| (header_name(name.as_str()), value_of(value, levels))))
}

/// The headers that nearly every message has, which need no text of their own.
const KNOWN: [&str; 14] = [
    "cloudEvents_causationid",
    "cloudEvents_correlationid",
    "cloudEvents_dataschema",
    "cloudEvents_expirytime",
    "cloudEvents_id",
    "cloudEvents_recordedtime",
    "cloudEvents_source",
    "cloudEvents_specversion",
    "cloudEvents_subject",
    "cloudEvents_time",
    "cloudEvents_type",
    "traceparent",
    "tracestate",
    "x-delivery-count",
];

fn header_name(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

/// The largest that can be said in milliseconds stands for what is beyond: a whole second too, so that it stays the same when it
/// is published again.
fn from_seconds(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).min(i64::MAX / 1000) * 1000)
}

fn value_of(value: &AMQPValue, levels: &mut Levels) -> HeaderValue {
    match value {
        AMQPValue::Boolean(truth) => HeaderValue::Bool(*truth),
        AMQPValue::ShortShortInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongLongInt(number) => HeaderValue::Int(*number),
        AMQPValue::Float(number) => HeaderValue::Float(f64::from(*number)),
        AMQPValue::Double(number) => HeaderValue::Float(*number),
        AMQPValue::DecimalValue(number) => {
            HeaderValue::Float(f64::from(number.value) / 10_f64.powi(i32::from(number.scale)))
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => HeaderValue::Text(text.to_owned()),
            Err(_) => HeaderValue::Bytes(text.as_bytes().to_vec()),
        },
        AMQPValue::FieldArray(values) => levels.deeper(|levels| {
            HeaderValue::List(values.as_slice().iter().map(|value| value_of(value, levels)).collect())
        }),
        AMQPValue::Timestamp(seconds) => HeaderValue::Time(from_seconds(*seconds)),
        AMQPValue::FieldTable(table) => levels.deeper(|levels| HeaderValue::Table(headers(table, levels))),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::Void => HeaderValue::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(properties: BasicProperties) -> Message {
        let wire = lapin::message::Delivery::mock(1, "e".into(), "a.b.c".into(), false, Vec::new());
        delivery(lapin::message::Delivery { properties, ..wire }, 1).message
    }

    #[test]
    fn times_of_any_size_arrive_and_stay_the_same_when_they_are_published_again() {
        for seconds in [0, 1_764_579_600, u64::MAX / 2_000, u64::MAX / 1_000, u64::MAX / 2, u64::MAX] {
            let mut table = FieldTable::default();
            table.insert("at".into(), AMQPValue::Timestamp(seconds));
            let wire = BasicProperties::default().with_headers(table).with_timestamp(seconds);
            let message = arrived(wire);
            let again = properties(message.properties.clone(), message.headers.clone(), None, 0).unwrap();
            let again = arrived(again);
            assert_eq!(again.headers, message.headers, "{seconds}");
            assert_eq!(again.properties.timestamp, message.properties.timestamp, "{seconds}");
        }
    }
}
