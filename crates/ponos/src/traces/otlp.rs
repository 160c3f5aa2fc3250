//! What goes over the wire: `ExportTraceServiceRequest` of OTLP 1.x, in protobuf.
//!
//! Written by hand (ADR 0040): a handful of messages whose fields never change, against a code generator and its runtime. The
//! numbers are those of <https://github.com/open-telemetry/opentelemetry-proto/blob/v1.9.0/opentelemetry/proto/trace/v1/trace.proto>.

use super::names;

/// Fields of a `Span`.
pub(super) mod span {
    pub(in super::super) const TRACE_ID: u32 = 1;
    pub(in super::super) const SPAN_ID: u32 = 2;
    pub(in super::super) const PARENT: u32 = 4;
    pub(in super::super) const NAME: u32 = 5;
    pub(in super::super) const KIND: u32 = 6;
    pub(in super::super) const BEGIN: u32 = 7;
    pub(in super::super) const END: u32 = 8;
    pub(in super::super) const ATTRIBUTES: u32 = 9;
    pub(in super::super) const LINKS: u32 = 13;
    pub(in super::super) const STATUS: u32 = 15;
    pub(in super::super) const FLAGS: u32 = 16;
    /// Of a `Status`.
    pub(in super::super) const STATUS_MESSAGE: u32 = 2;
    pub(in super::super) const STATUS_CODE: u32 = 3;
    /// Of a `Link`.
    pub(in super::super) const LINK_TRACE_ID: u32 = 1;
    pub(in super::super) const LINK_SPAN_ID: u32 = 2;
    pub(in super::super) const LINK_FLAGS: u32 = 6;
}

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;
const FOUR_BYTES: u32 = 5;

fn raw(wire: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        wire.push(value as u8 | 0x80);
        value >>= 7;
    }
    wire.push(value as u8);
}

fn tag(wire: &mut Vec<u8>, field: u32, kind: u32) {
    raw(wire, u64::from(field << 3 | kind));
}

/// A number, or the number of an enumeration's value.
pub(super) fn number(wire: &mut Vec<u8>, field: u32, value: u64) {
    tag(wire, field, VARINT);
    raw(wire, value);
}

/// A number in 8 bytes.
pub(super) fn fixed64(wire: &mut Vec<u8>, field: u32, value: u64) {
    tag(wire, field, EIGHT_BYTES);
    wire.extend_from_slice(&value.to_le_bytes());
}

/// A number in 4 bytes.
pub(super) fn fixed32(wire: &mut Vec<u8>, field: u32, value: u32) {
    tag(wire, field, FOUR_BYTES);
    wire.extend_from_slice(&value.to_le_bytes());
}

/// Bytes, or a text.
pub(super) fn bytes(wire: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(wire, field, LENGTH);
    raw(wire, value.len() as u64);
    wire.extend_from_slice(value);
}

/// A message within the message.
pub(super) fn message(wire: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(wire, field, LENGTH);
    let at = wire.len();
    write(wire);
    let mut length = Vec::with_capacity(5);
    raw(&mut length, (wire.len() - at) as u64);
    wire.splice(at..at, length);
}

/// The value of an attribute.
pub(super) enum Attribute<'a> {
    Text(&'a str),
    Truth(bool),
    Number(i64),
}

/// A `KeyValue`.
pub(super) fn attribute(wire: &mut Vec<u8>, field: u32, name: &str, value: &Attribute<'_>) {
    // The lengths are known beforehand: most of a span are attributes, and the clock's loop writes spans.
    let inner = match *value {
        Attribute::Text(text) => of_bytes(text.len()),
        Attribute::Truth(_) => 2,
        Attribute::Number(value) => 1 + width(value as u64),
    };
    tag(wire, field, LENGTH);
    raw(wire, (of_bytes(name.len()) + of_bytes(inner)) as u64);
    bytes(wire, 1, name.as_bytes());
    tag(wire, 2, LENGTH);
    raw(wire, inner as u64);
    match *value {
        Attribute::Text(text) => bytes(wire, 1, text.as_bytes()),
        Attribute::Truth(truth) => number(wire, 2, truth.into()),
        // of a negative number its two's complement
        Attribute::Number(value) => number(wire, 3, value as u64),
    }
}

/// How many bytes a field takes that has so many, and a number below 16.
fn of_bytes(length: usize) -> usize {
    1 + width(length as u64) + length
}

/// How many bytes a number takes.
fn width(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Whose the spans of a request are: its resource, and the scope.
#[derive(Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    /// Of a process of that service.
    pub(super) fn new(service: &str) -> Self {
        let instance = format!("{:032x}", fastrand::u128(..));
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        for (name, value) in [
            (names::SERVICE, service),
            (names::INSTANCE, &instance),
            (names::SDK, "ponos"),
            (names::SDK_LANGUAGE, "rust"),
            (names::SDK_VERSION, env!("CARGO_PKG_VERSION")),
        ] {
            attribute(&mut resource, 1, name, &Attribute::Text(value));
        }
        bytes(&mut scope, 1, b"ponos");
        bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        Self { resource, scope }
    }

    /// A request with these spans.
    pub(super) fn around(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        let room = self.resource.len() + self.scope.len() + 64;
        let mut wire = Vec::with_capacity(spans.iter().fold(room, |room, span| room + span.len() + 5));
        message(&mut wire, 1, |wire| {
            bytes(wire, 1, &self.resource);
            message(wire, 2, |wire| {
                bytes(wire, 1, &self.scope);
                spans.iter().for_each(|span| bytes(wire, 2, span));
            });
        });
        wire
    }
}

/// How many spans a collector rejected that took the request: `partial_success.rejected_spans` of the answer. 0 also for what can't
/// be read: the request was taken.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let partial = fields(answer).find_map(|field| match field {
        Some((1, Found::Bytes(inner))) => Some(inner),
        _ => None,
    });
    let rejected = partial.and_then(|inner| {
        fields(inner).find_map(|field| match field {
            Some((1, Found::Number(number))) => Some(number),
            _ => None,
        })
    });
    rejected.unwrap_or(0)
}

enum Found<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, as far as they can be read.
fn fields(mut wire: &[u8]) -> impl Iterator<Item = Option<(u64, Found<'_>)>> {
    std::iter::from_fn(move || {
        let tag = take_number(&mut wire)?;
        let found = match tag as u32 & 7 {
            VARINT => Found::Number(take_number(&mut wire)?),
            LENGTH => {
                let length = usize::try_from(take_number(&mut wire)?).ok()?;
                let (bytes, rest) = wire.split_at_checked(length)?;
                wire = rest;
                Found::Bytes(bytes)
            }
            EIGHT_BYTES => return skip(&mut wire, 8),
            FOUR_BYTES => return skip(&mut wire, 4),
            _ => return None,
        };
        Some(Some((tag >> 3, found)))
    })
}

fn skip<'a>(wire: &mut &[u8], bytes: usize) -> Option<Option<(u64, Found<'a>)>> {
    *wire = wire.get(bytes..)?;
    Some(None)
}

fn take_number(wire: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = wire.split_first()?;
        *wire = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_messages_are_written_as_protobuf_has_it() {
        let mut wire = Vec::new();
        number(&mut wire, 1, 150);
        assert_eq!(wire, [0x08, 0x96, 0x01], "the example of protobuf.dev");
        wire.clear();
        message(&mut wire, 3, |wire| number(wire, 1, 150));
        assert_eq!(wire, [0x1a, 0x03, 0x08, 0x96, 0x01], "the other one");
        wire.clear();
        message(&mut wire, 1, |wire| wire.resize(wire.len() + 300, 7));
        assert_eq!((&wire[..3], wire.len()), (&[0x0a, 0xac, 0x02][..], 303));
        wire.clear();
        attribute(&mut wire, 9, "n", &Attribute::Number(-1));
        assert_eq!(&wire[2..5], [0x0a, 1, b'n']);
        assert_eq!(wire[wire.len() - 10..], [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }

    #[test]
    fn the_lengths_of_an_attribute_are_those_of_what_is_written() {
        for length in [0, 1, 99, 121, 122, 123, 127, 128, 129, 16_383, 16_384] {
            let text = "x".repeat(length);
            for value in [Attribute::Text(&text), Attribute::Truth(true)] {
                same_as_nested("n", &value);
                same_as_nested(&text, &value);
            }
        }
        for value in [0, 1, 127, 128, 16_383, 16_384, i64::MAX, -1, i64::MIN] {
            same_as_nested("n", &Attribute::Number(value));
        }
    }

    fn same_as_nested(name: &str, value: &Attribute<'_>) {
        let (mut wire, mut nested) = (Vec::new(), Vec::new());
        attribute(&mut wire, 9, name, value);
        message(&mut nested, 9, |wire| {
            bytes(wire, 1, name.as_bytes());
            message(wire, 2, |wire| match *value {
                Attribute::Text(text) => bytes(wire, 1, text.as_bytes()),
                Attribute::Truth(truth) => number(wire, 2, truth.into()),
                Attribute::Number(value) => number(wire, 3, value as u64),
            });
        });
        assert!(wire == nested, "{} bytes of {name}", wire.len());
    }

    #[test]
    fn an_answer_says_how_many_spans_were_rejected() {
        let answer = |rejected: u64| {
            let mut wire = Vec::new();
            fixed64(&mut wire, 9, 5);
            fixed32(&mut wire, 8, 5);
            message(&mut wire, 1, |wire| {
                bytes(wire, 2, b"too old");
                number(wire, 1, rejected);
            });
            wire
        };
        for count in [0, 1, 300, u64::MAX] {
            assert_eq!(rejected(&answer(count)), count);
        }
        assert_eq!(rejected(b""), 0);
        let whole = answer(300);
        for end in 0..whole.len() {
            assert_eq!(rejected(&whole[..end]), 0, "half of an answer: {end}");
        }
        for wrong in [&b"{}"[..], &[0xff; 20], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], b"<html>"] {
            assert_eq!(rejected(wrong), 0);
        }
    }
}
