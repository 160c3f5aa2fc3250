//! What is published of an item: its data, its headers, and what it belongs to.

use super::*;
use crate::schedule::file::json_object;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, value::RawValue};
use std::sync::Arc;

/// Bytes of data.
const LONGEST_DATA: usize = 256 << 10;
/// Headers of one event, and their bytes in all, as JSON.
const HEADERS: usize = 32;
const LONGEST_HEADERS: usize = 8 << 10;
/// Bytes of a header's name, of a correlation id, and of a media type: short strings of AMQP.
const SHORT: usize = 255;

/// How names of headers begin that are the clock's to set, or the broker's to act by; whatever the case of their letters.
const RESERVED: [&str; 5] = ["cloudevents", "ce-", "ce_", "khronos-", "x-"];
/// The same of whole names. With `CC` and `BCC` RabbitMQ routes a message elsewhere, too
/// (<https://www.rabbitmq.com/docs/sender-selected>).
const RESERVED_NAMES: [&str; 4] = ["traceparent", "tracestate", "cc", "bcc"];

/// Reads it; what is wrong is added to the faults. What is of the event beside its content is not filled in.
pub(super) fn read(form: &mut Form, written: &[(String, &RawValue)]) -> DelayedContent {
    let written = |key: &str| written.iter().find(|(there, _)| there == key).map(|(_, raw)| *raw);
    let (data, content_type) = data(form, written("data"));
    let headers = written("headers").map_or_else(|| Arc::from(""), |raw| headers(form, raw));
    let correlation_id = form.text("correlation_id");
    if let Some(id) = &correlation_id
        && (!(1..=SHORT).contains(&id.len()) || id.chars().any(char::is_control))
    {
        let what = format!("it has {} bytes, or control characters", id.len());
        form.refuse("correlation_id", FaultCode::InvalidValue, what, "");
    }
    let correlation_id = correlation_id.map(Into::into);
    DelayedContent { data, content_type, headers, correlation_id, ..DelayedContent::default() }
}

/// The data, and of what type they are where they are no JSON.
fn data(form: &mut Form, json: Option<&RawValue>) -> (Arc<[u8]>, Option<Arc<str>>) {
    let (encoded, kind) = (form.text("data_base64"), form.text("datacontenttype"));
    match (json, &encoded, &kind) {
        (Some(_), Some(_), _) => {
            let what = "data and data_base64 exclude each other";
            form.refuse("data_base64", FaultCode::Conflict, what, "leave one of them out");
        }
        (None, Some(_), None) => {
            let help = "add it: what is not JSON has a type";
            form.refuse(
                "datacontenttype",
                FaultCode::MissingKey,
                "it does not say what data_base64 is",
                help,
            );
        }
        (_, None, Some(_)) => {
            let help = "leave it out: data is JSON; or give the data as data_base64";
            form.refuse("datacontenttype", FaultCode::Conflict, "it belongs to data_base64", help);
        }
        _ => {}
    }
    if let Some(kind) = &kind {
        let is_graphic = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let has_parts =
            kind.split_once('/').is_some_and(|(a, b)| !a.trim().is_empty() && !b.trim().is_empty());
        if kind.len() > SHORT || !kind.bytes().all(is_graphic) || !has_parts {
            let what = format!("'{}' is not a media type", ponos::text::shown(kind));
            form.refuse("datacontenttype", FaultCode::InvalidValue, what, "");
        }
    }
    let (key, data) = match (json, &encoded) {
        (Some(json), _) => ("data", json.get().as_bytes().to_vec()),
        (None, Some(encoded)) => match BASE64_STANDARD.decode(encoded) {
            Ok(data) => ("data_base64", data),
            Err(error) => {
                let help = "with the letters + and /, padded with =";
                form.refuse(
                    "data_base64",
                    FaultCode::InvalidValue,
                    format!("it is not base64: {error}"),
                    help,
                );
                return (Arc::default(), None);
            }
        },
        (None, None) => ("data", Vec::new()),
    };
    if data.len() > LONGEST_DATA {
        let what = format!("{} bytes; {LONGEST_DATA} are allowed", data.len());
        form.refuse(key, FaultCode::OutOfRange, what, "keep it elsewhere, and send where it is");
    }
    (data.into(), kind.map(Into::into))
}

/// The headers as JSON, in their order.
fn headers(form: &mut Form, raw: &RawValue) -> Arc<str> {
    if !raw.get().starts_with('{') {
        form.refuse("headers", FaultCode::WrongType, "it must be an object", "");
        return Arc::from("");
    }
    let read = match json_object(raw.get().as_bytes()) {
        Ok(Value::Object(read)) => read,
        Ok(_) => return Arc::from(""),
        Err(faults) => {
            let more = faults.more;
            for fault in faults.list {
                let pointer = format!("/headers{}", fault.pointer);
                let detail = format!("headers: {}", fault.detail);
                form.faults.add(FieldFault { pointer, detail, ..fault });
            }
            form.faults.more += more;
            return Arc::from("");
        }
    };
    if read.len() > HEADERS {
        let what = format!("{} of them; {HEADERS} are allowed", read.len());
        form.refuse("headers", FaultCode::OutOfRange, what, "");
    }
    for (name, value) in read.iter().take(HEADERS) {
        let key = format!("headers/{}", name.replace('~', "~0").replace('/', "~1"));
        let lower = name.to_ascii_lowercase();
        if RESERVED.iter().any(|start| lower.starts_with(start)) || RESERVED_NAMES.contains(&&*lower) {
            let help = "take another name: the clock sets it, or the broker acts by it";
            form.refuse(&key, FaultCode::InvalidValue, "this name is reserved", help);
        } else if !(1..=SHORT).contains(&name.len()) || name.chars().any(char::is_control) {
            let what = "the name of a header has 1 to 255 bytes and no control characters";
            form.refuse(&key, FaultCode::InvalidValue, what, "");
        }
        let is_simple = value.is_string() || value.is_boolean() || value.as_i64().is_some();
        if !is_simple {
            let what = "a header is a text, a whole number of 64 bits, or true or false";
            form.refuse(&key, FaultCode::WrongType, what, "put it into the data");
        }
    }
    let headers = if read.is_empty() { String::new() } else { Value::Object(read).to_string() };
    if headers.len() > LONGEST_HEADERS {
        let what = format!("{} bytes in all; {LONGEST_HEADERS} are allowed", headers.len());
        form.refuse("headers", FaultCode::OutOfRange, what, "put it into the data");
    }
    headers.into()
}
