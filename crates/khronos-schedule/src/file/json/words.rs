//! What is written, and what a key takes, in the words of JSON.

use crate::{
    fault::shown,
    toml_tree::{Kind, joined},
};
use ponos_event::text::shortened;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The first byte, which tells its type.
pub(super) fn first(raw: &RawValue) -> u8 {
    raw.get().as_bytes().first().copied().unwrap_or_default()
}

/// Whether a number is written with a fraction or a power of ten.
pub(super) fn is_decimal(raw: &RawValue) -> bool {
    raw.get().contains(['.', 'e', 'E'])
}

pub(super) fn type_name(raw: &RawValue) -> &'static str {
    match first(raw) {
        b'"' => "a text",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ if is_decimal(raw) => "a decimal number",
        _ => "a number",
    }
}

/// What a key takes, in the words of JSON.
pub(super) fn expected(kind: Kind) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        Kind::Text | Kind::Duration => "a text",
        Kind::Texts => "a list of texts",
        Kind::TextsByKey => "an object of texts",
        Kind::Boolean => "true or false",
        Kind::Count { least, most } => return format!("a whole number from {least} to {most}").into(),
        Kind::Integer => "a whole number",
        Kind::Table(_) | Kind::Section(_) => "an object",
        Kind::Tables(_) => "a list of objects",
        Kind::Payload => "anything but null",
    })
}

/// What to write instead of a value of the wrong type.
pub(super) fn remedy(kind: Kind, raw: &RawValue) -> Option<String> {
    let written = raw.get();
    Some(match (kind, first(raw)) {
        (_, b'n') => "leave the key out".to_owned(),
        (Kind::Duration, b'0'..=b'9') => format!("write a number with its unit: \"{}s\"", shown(written)),
        (Kind::Text, b'-' | b'0'..=b'9') => format!("put it in quotes: \"{}\"", shown(written)),
        (Kind::Texts, b'"') => format!("put it in brackets: [{}]", shortened(written, 80)),
        (Kind::Boolean | Kind::Count { .. }, b'"') => "remove the quotes".to_owned(),
        (Kind::Table(keys) | Kind::Tables(keys), _) => format!("its keys are {}", joined(keys)),
        _ => return None,
    })
}

/// How many bytes a valid value takes at least when it is written without blanks, each number and escape as short as can be.
pub(super) fn least_bytes(raw: &RawValue) -> usize {
    let (mut count, mut rest) = (0, raw.get().as_bytes().iter().copied().peekable());
    let mut in_text = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' if in_text => {
                let digits = if rest.next() == Some(b'u') { 4 } else { 0 };
                rest.by_ref().take(digits).for_each(drop);
            }
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'-' | b'0'..=b'9' => {
                while rest
                    .next_if(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .is_some()
                {}
            }
            byte if byte.is_ascii_whitespace() => continue,
            _ => {}
        }
        count += 1;
    }
    count
}
