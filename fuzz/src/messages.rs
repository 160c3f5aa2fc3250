//! A message out of an input: lines `name=value` until an empty one, then the body. A name that begins with `@` is a
//! property; the value of another is a text, or after `i:`, `f:`, `b:`, `t:`, `x:`, `n:`, `l:`, `m:` another kind of header.

use ponos_event::{Event, HeaderValue, Headers, Message, Timestamp};

/// Headers of one message; a frame of a broker holds more, with nothing new in them.
const MOST_HEADERS: usize = 200;

/// Reads a message; anything is one.
pub fn message(bytes: &[u8]) -> Message {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut message = Message { body: body.to_vec(), ..Message::default() };
    let mut headers = Vec::new();
    for line in head.split(|byte| *byte == b'\n').take(MOST_HEADERS) {
        let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
        let (name, value) = (String::from_utf8_lossy(&line[..at]), line.get(at + 1..).unwrap_or_default());
        match name.strip_prefix('@') {
            Some(property) => set(&mut message, property, value),
            None => headers.push((name.into_owned(), header(value, Headers::DEEPEST))),
        }
    }
    message.headers = headers.into_iter().collect();
    message
}

fn set(message: &mut Message, property: &str, value: &[u8]) {
    let text = String::from_utf8_lossy(value).into_owned();
    let properties = &mut message.properties;
    match property {
        "content_type" => properties.content_type = Some(text),
        "content_encoding" => properties.content_encoding = Some(text),
        "message_id" => properties.message_id = Some(text),
        "type" => properties.kind = Some(text),
        "correlation_id" => properties.correlation_id = Some(text),
        _ => message.routing_key = text,
    }
}

fn number(value: &[u8]) -> u64 {
    value.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn header(value: &[u8], levels: usize) -> HeaderValue {
    let Some((kind, rest)) = value.split_first_chunk::<2>() else { return text(value) };
    match kind {
        b"i:" => HeaderValue::Int(number(rest).cast_signed()),
        // Not a number would not equal itself.
        b"f:" => HeaderValue::Float(
            Some(f64::from_bits(number(rest))).filter(|float| !float.is_nan()).unwrap_or(0.0),
        ),
        b"b:" => HeaderValue::Bool(!rest.is_empty()),
        b"t:" => HeaderValue::Time(Timestamp::from_millis(number(rest).cast_signed())),
        b"x:" => HeaderValue::Bytes(rest.to_vec()),
        b"n:" => HeaderValue::Null,
        b"l:" if levels > 1 => {
            HeaderValue::List(rest.split(|byte| *byte == b';').map(|one| header(one, levels - 1)).collect())
        }
        b"m:" if levels > 1 => {
            let entry = |(index, one): (usize, &[u8])| (format!("k{index}"), header(one, levels - 1));
            HeaderValue::Table(rest.split(|byte| *byte == b';').enumerate().map(entry).collect())
        }
        _ => text(value),
    }
}

fn text(value: &[u8]) -> HeaderValue {
    HeaderValue::Text(String::from_utf8_lossy(value).into_owned())
}

/// What is written of an event is read as the same event, and then written as the same message.
pub fn written(event: Event) {
    let message = event.to_message();
    let again = Event::from_message(&message).expect("what was written is read");
    // Headers whose place an attribute has are not written twice; all else is the same.
    assert_eq!(again.to_message(), message);
    assert_eq!(again.attributes().collect::<Vec<_>>(), event.attributes().collect::<Vec<_>>());
    assert_eq!((again.id, again.source, again.name), (event.id, event.source, event.name));
    assert_eq!((again.time, again.expiry_time), (event.time, event.expiry_time));
    assert_eq!((again.subject, again.data), (event.subject, event.data));
}
