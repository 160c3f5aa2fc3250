//! The headers of CloudEvents in binary mode, as a JSON Schema (docs/publishing.md says what each is for).

use serde_json::{Map, Value, json};

/// The attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// Each attribute, and what it says.
const ATTRIBUTES: [(&str, &str); 11] = [
    ("specversion", "1.0"),
    ("id", "Unique within the source; the same whenever the same event is sent again."),
    ("source", "Who says it, a URI reference: /khronos/main."),
    ("type", "The name of the event or task."),
    ("subject", "What it is about: for the clock's events the schedule."),
    ("time", "When it happened (RFC 3339): for the clock's events the due time."),
    ("expirytime", "After this instant (RFC 3339) it is of no use any more."),
    ("recordedtime", "When it was sent (RFC 3339); it differs between two sendings of one event."),
    ("correlationid", "What all events share that follow from one cause."),
    ("causationid", "The id of the event that it follows from."),
    ("dataschema", "The URI of the schema of its data."),
];
/// Those that are no attributes.
const OTHERS: [(&str, &str); 2] = [
    ("traceparent", "W3C trace context of the sender."),
    ("tracestate", "Vendor part of the trace context."),
];

/// An object with a field for each header. Others may be there.
pub(super) fn schema() -> Value {
    let text = |what: &str| json!({ "type": "string", "minLength": 1, "description": what });
    let prefixed = |name: &str| format!("cloudEvents_{name}");
    let attributes = ATTRIBUTES.iter().map(|(name, what)| (prefixed(name), text(what)));
    let others = OTHERS.iter().map(|(name, what)| ((*name).to_owned(), text(what)));
    let fields: Map<String, Value> = attributes.chain(others).collect();
    json!({
        "title": "CloudEvents 1.0 in binary mode, on AMQP 0-9-1",
        "type": "object",
        "required": REQUIRED.map(prefixed),
        "properties": fields,
    })
}
