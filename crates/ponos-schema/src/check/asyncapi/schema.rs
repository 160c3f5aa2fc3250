//! The schemas of a document, each taken out of it so that it can be compared by itself.

use super::super::Unusable;
use super::view::View;
use ponos_event::asyncapi::for_each_reference;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The most values in one schema, together with all that it refers to.
const MOST_VALUES: usize = 1_000_000;

/// What a message says of its payload or headers.
pub(super) struct Described<'d> {
    schema: Option<&'d Value>,
    /// Not JSON Schema.
    foreign: Option<&'d Value>,
    /// By what it is known to others, too.
    pub(super) shared: Option<String>,
}

impl<'d> Described<'d> {
    pub(super) fn of(view: &View<'d>, at: &str, value: Option<&'d Value>) -> Result<Self, Unusable> {
        let Some(value) = value else { return Ok(Self { schema: None, foreign: None, shared: None }) };
        let alone = value.as_object().filter(|fields| fields.len() == 1);
        let shared = alone.and_then(|fields| fields.get("$ref")?.as_str()).map(str::to_owned);
        let value = view.schema(value, at)?;
        let format = value.get("schemaFormat").and_then(Value::as_str);
        match (format, value.get("schema")) {
            (Some(format), Some(schema)) if is_json_schema(format) => {
                let schema = view.schema(schema, at)?;
                Ok(Self { schema: Some(schema), foreign: None, shared })
            }
            (Some(_), Some(_)) => Ok(Self { schema: None, foreign: Some(value), shared }),
            _ => Ok(Self { schema: Some(value), foreign: None, shared }),
        }
    }

    /// The JSON Schema; where nothing is said, anything fits.
    pub(super) fn json(&self) -> Option<&'d Value> {
        static ANYTHING: Value = Value::Bool(true);
        self.schema.or_else(|| self.foreign.is_none().then_some(&ANYTHING))
    }

    pub(super) fn is_equal(&self, other: &Self) -> bool {
        self.foreign.is_some() && self.foreign == other.foreign
    }
}

/// AsyncAPI's own format is JSON Schema with a few annotations.
fn is_json_schema(format: &str) -> bool {
    ["application/schema+", "application/vnd.aai.asyncapi"].iter().any(|known| format.starts_with(known))
}

/// The schema with all that it refers to, its references counted from its own root.
pub(super) fn alone(view: &View<'_>, at: &str, schema: &Value) -> Result<Value, Unusable> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut waiting = Vec::new();
    let mut root = schema.clone();
    let mut taken = Map::new();
    take_out(&mut root, &mut names, &mut waiting);
    let mut room = MOST_VALUES;
    while let Some((reference, number)) = waiting.pop() {
        let target = view.target(&reference, at)?;
        room = room.checked_sub(values(target)).ok_or_else(|| {
            let what = format!(
                "the schema has more than {MOST_VALUES} values, with all that it refers to; split it"
            );
            view.fault(at, what)
        })?;
        let mut target = target.clone();
        if let Value::Object(fields) = &mut target {
            // it is a part now, of which no reference counts
            fields.shift_remove("$id");
            fields.shift_remove("$schema");
        }
        take_out(&mut target, &mut names, &mut waiting);
        taken.insert(number.to_string(), target);
    }
    if let Value::Object(fields) = &mut root
        && !taken.is_empty()
    {
        // all that led to them leads to their copies by now
        fields.insert("$defs".into(), taken.into());
    }
    Ok(root)
}

/// Has each reference lead to where a copy of its target is going to stand.
fn take_out(schema: &mut Value, names: &mut HashMap<String, usize>, waiting: &mut Vec<(String, usize)>) {
    let changed: Result<(), std::convert::Infallible> = for_each_reference(schema, &mut |keyword, text| {
        if keyword == "$ref" {
            let next = names.len();
            let number = *names.entry(text.clone()).or_insert_with(|| {
                waiting.push((text.clone(), next));
                next
            });
            *text = format!("#/$defs/{number}");
        }
        Ok(())
    });
    let Ok(()) = changed;
}

/// How many values a value consists of.
fn values(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(values).fold(1, usize::saturating_add),
        Value::Array(items) => items.iter().map(values).fold(1, usize::saturating_add),
        _ => 1,
    }
}
