//! TOML values → JSON, and their types in words.

use serde_json::{Map, Value};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeInteger, DeValue},
};

/// The number, if it is within 64 bits.
pub fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The same value as JSON. The depth is bounded by the TOML parser.
///
/// # Errors
/// Where there is something that JSON can't say, and what.
pub fn json(value: &Spanned<DeValue<'_>>) -> Result<Value, (Range<usize>, String)> {
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => match integer(number) {
            Some(number) => Value::from(number),
            None => return Err((value.span(), "this number does not fit into 64 bits".to_owned())),
        },
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Value::Number(parsed.ok_or_else(|| (value.span(), "JSON has no such number".to_owned()))?)
        }
        DeValue::Datetime(_) => {
            return Err((value.span(), "JSON has no dates: put it in quotes".to_owned()));
        }
        DeValue::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| name.span().start);
            let mut object = Map::new();
            for (name, value) in entries {
                object.insert(name.get_ref().to_string(), json(value)?);
            }
            Value::Object(object)
        }
    })
}

/// A type in words.
pub fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a bare date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
