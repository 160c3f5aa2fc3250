//! Structured mode: the whole event is one JSON object in the body (CloudEvents JSON format 1.0).

use super::{
    DecodeError, Event,
    attributes::{Attributes, PREFIX},
    binary,
};
use crate::{HeaderValue, Headers, Message, from_json};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

pub(super) fn read(message: &Message) -> Result<Event, DecodeError> {
    let mut object: Map<String, Value> = from_json(&message.body).map_err(|error| {
        DecodeError(format!("the body of a structured event is not a JSON object: {error}"))
    })?;
    let data = payload(&mut object)?;
    if let Some(Value::String(content_type)) = object.remove("datacontenttype") {
        super::json(&super::media_type(&content_type), &content_type)?;
    }
    // as if they stood in the headers
    let mut named = Vec::with_capacity(object.len());
    for (name, value) in object {
        let value = match value {
            // the JSON format: null is the same as left out
            Value::Null => continue,
            Value::String(text) => HeaderValue::Text(text),
            Value::Bool(truth) => HeaderValue::Bool(truth),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => HeaderValue::Int(whole),
                (None, Some(float)) => HeaderValue::Float(float),
                (None, None) => return Err(simple(&name)),
            },
            Value::Array(_) | Value::Object(_) => return Err(simple(&name)),
        };
        named.push((format!("{PREFIX}{name}").into(), value));
    }
    // the names of an object differ, and no other header has the prefix
    let mut headers = Headers::of_distinct(binary::other_headers(message).into_iter().chain(named));
    Attributes::of(&mut headers).into_event(data)
}

/// One attribute, if the body can be read.
pub(super) fn attribute(message: &Message, name: &str) -> Option<String> {
    let object: Map<String, Value> = from_json(&message.body).ok()?;
    object.get(name)?.as_str().map(str::to_owned)
}

/// The JSON text of `data`, or what `data_base64` holds; empty if there is neither.
fn payload(object: &mut Map<String, Value>) -> Result<Vec<u8>, DecodeError> {
    match (object.remove("data"), object.remove("data_base64")) {
        (Some(_), Some(_)) => {
            Err(DecodeError("both data and data_base64 are present; expected one of them".into()))
        }
        (Some(data), None) => {
            serde_json::to_vec(&data).map_err(|error| DecodeError(format!("data: {error}")))
        }
        (None, Some(Value::String(text))) => BASE64_STANDARD
            .decode(text)
            .map_err(|error| DecodeError(format!("data_base64 is malformed: {error}"))),
        (None, Some(_)) => Err(DecodeError("data_base64 is not a text".into())),
        (None, None) => Ok(Vec::new()),
    }
}

fn simple(name: &str) -> DecodeError {
    DecodeError(format!("attribute {name} is not a simple value; expected text, a number or a truth value"))
}
