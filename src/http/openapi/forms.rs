//! What the types of requests and answers do not tell of themselves: which words there are, how much is allowed, and that a key of a
//! definition is left out and never null. Tests hold it to what is read.

use crate::{
    ops::{DELAYED_STATES, OUTCOMES, STATES},
    schedule::file::LONGEST_LIST,
};
use ponos::event::EventKind;
use serde_json::{Map, Value, json};

/// The forms that a definition is made of, and that of an item.
const SENT: [&str; 6] = [
    "Definition",
    "TimingDefinition",
    "DstDefinition",
    "CatchUpDefinition",
    "ResendsDefinition",
    "EventItem",
];

/// Form, key, and what it is held to beyond its type.
fn bounds() -> Vec<(&'static str, &'static str, Value)> {
    let names = json!({ "minItems": 1, "maxItems": LONGEST_LIST });
    let words = |words: &[&str]| json!({ "enum": words });
    vec![
        (
            "Definition",
            "name",
            json!({ "minLength": 1, "maxLength": 128, "pattern": "^[a-z0-9][a-z0-9._-]*$" }),
        ),
        ("Definition", "limit", json!({ "minimum": 1, "maximum": u32::MAX })),
        ("Definition", "timings", names.clone()),
        ("Definition", "exclude", names.clone()),
        ("Definition", "only", names),
        ("Definition", "move", words(&["next-business-day", "previous-business-day"])),
        ("Definition", "past", words(&["send", "refuse"])),
        ("Definition", "unrouted", words(&["ignore", "park"])),
        ("Definition", "data", json!({ "type": ["object", "array", "string", "number", "boolean"] })),
        ("DstDefinition", "gap", words(&["after", "shift", "skip"])),
        ("DstDefinition", "fold", words(&["first", "last", "both"])),
        ("CatchUpDefinition", "policy", words(&["latest", "all", "none"])),
        ("CatchUpDefinition", "most", json!({ "minimum": 1, "maximum": u32::MAX })),
        ("ResendsDefinition", "most", json!({ "minimum": 0, "maximum": 100 })),
        (
            "EventItem",
            "name",
            json!({ "minLength": 1, "maxLength": 128, "pattern": "^[a-z0-9][a-z0-9._-]*$" }),
        ),
        ("EventItem", "unrouted", words(&["ignore", "park"])),
        ("EventItem", "past", words(&["send", "refuse"])),
        ("EventItem", "correlation_id", json!({ "minLength": 1, "maxLength": 255 })),
        ("DelayedEventView", "state", words(&DELAYED_STATES)),
        ("ScheduleView", "state", words(&STATES)),
        ("RowView", "kind", words(&EventKind::WORDS)),
        ("RowView", "outcome", words(&OUTCOMES)),
    ]
}

/// Adds it to a description.
pub(super) fn complete(described: &mut Value) {
    for form in SENT {
        let keys = described.pointer_mut(&format!("/components/schemas/{form}/properties"));
        keys.and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .for_each(|(_, schema)| without_null(schema));
    }
    for (form, key, more) in bounds() {
        let key = described.pointer_mut(&format!("/components/schemas/{form}/properties/{key}"));
        add(key, more);
    }
    let paths = described.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths.into_iter().flatten().filter_map(|(_, path)| path.as_object_mut()).flatten();
    for (_, operation) in operations {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            let words: &[&str] = match name {
                "state" => &STATES,
                "kind" => &EventKind::WORDS,
                "outcome" => &OUTCOMES,
                _ => &[],
            };
            if let Some(schema) = parameter.get_mut("schema") {
                without_null(schema);
                add(Some(schema).filter(|_| !words.is_empty()), json!({ "enum": words }));
            }
        }
    }
}

fn add(schema: Option<&mut Value>, more: Value) {
    if let (Some(Value::Object(schema)), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// The same without null among its types.
fn without_null(schema: &mut Value) {
    let Value::Object(keys) = schema else { return };
    if let Some(Value::Array(types)) = keys.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            keys.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = keys.get_mut("oneOf") {
        choices.retain(|one| *one != json!({ "type": "null" }));
        if let [Value::Object(one)] = choices.as_slice() {
            let one: Map<_, _> = one.clone();
            keys.remove("oneOf");
            keys.extend(one);
        }
    }
}
