use super::super::{ComparisonReport, documents};
use crate::Side;
use ponos_event::asyncapi::{Address, Document, Payload};
use serde_json::{Value, json};

const SHIPPED: Address<'_> = Address::Event { exchange: "events", pattern: "order.parcel.shipped" };
const PRINTED: Address<'_> = Address::Event { exchange: "events", pattern: "order.label.printed" };

fn parcel() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["order"],
        "properties": { "order": { "$ref": "#/$defs/number" }, "carrier": { "enum": ["dhl", "ups"] } },
        "$defs": { "number": { "type": "integer" } },
    })
}

/// A service that takes parcels and prints labels.
fn shop(parcel: &Value, label: &Value) -> Value {
    let mut document = Document::new("The service 'shop'");
    document.send(PRINTED, Payload { name: "label", schema: label }).unwrap();
    document.receive(SHIPPED, Payload { name: "parcel", schema: parcel }, "shop.parcels").unwrap();
    document.to_json()
}

fn usual() -> Value {
    shop(&parcel(), &json!({ "type": "object" }))
}

fn compared(old: &Value, new: &Value) -> ComparisonReport {
    documents(old, new).unwrap()
}

/// The one breaking change: its pointer, its side, and what is said.
#[track_caller]
fn breaks(old: &Value, new: &Value) -> (String, Side, String) {
    let report = compared(old, new);
    let breaking: Vec<_> = report.changes().iter().filter(|named| named.change.breaking).collect();
    assert_eq!(breaking.len(), 1, "{report}");
    let change = &breaking[0].change;
    assert!(change.what.contains("; "), "no remedy: {}", change.what);
    (change.pointer.clone(), change.side, change.what.clone())
}

/// A document with one thing changed by hand.
fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    *document.pointer_mut(pointer).unwrap() = value;
    document
}

fn without(mut document: Value, pointer: &str, key: &str) -> Value {
    document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().shift_remove(key).unwrap();
    document
}

#[test]
fn what_is_the_same_or_means_nothing_is_no_change() {
    assert!(compared(&usual(), &usual()).changes().is_empty());
    let mut other = usual();
    other["info"] = json!({ "title": "another", "version": "2.0.0" });
    other["channels"]["order.label.printed"]["description"] = "for people".into();
    other["components"]["messages"]["order.label.printed"]["examples"] = json!([{ "payload": 7 }]);
    other["servers"] = json!({ "broker": { "host": "rabbit", "protocol": "amqp" } });
    assert!(compared(&usual(), &other).changes().is_empty());
}

#[test]
fn a_channel_that_is_gone_breaks_who_reads_it_or_what_waits_for_it() {
    let printed = without(
        without(usual(), "/channels", "order.label.printed"),
        "/operations",
        "send_order.label.printed",
    );
    let (pointer, side, what) = breaks(&usual(), &printed);
    assert_eq!((pointer.as_str(), side), ("/channels/order.label.printed", Side::Readers));
    assert!(what.contains("keep it until nobody reads it"), "{what}");
    let receive = "receive_shop.parcels_order.parcel.shipped";
    let shipped = without(without(usual(), "/channels", "order.parcel.shipped"), "/operations", receive);
    let (pointer, side, _) = breaks(&usual(), &shipped);
    assert_eq!((pointer.as_str(), side), ("/channels/order.parcel.shipped", Side::Queued));
    // the other way round, it is new
    let report = compared(&printed, &usual());
    assert!(!report.is_breaking() && report.changes()[0].change.what == "is new", "{report}");
}

#[test]
fn an_operation_that_is_gone_or_turned_round_breaks_its_side() {
    let receive = "receive_shop.parcels_order.parcel.shipped";
    let (pointer, side, what) = breaks(&usual(), &without(usual(), "/operations", receive));
    assert_eq!((pointer, side), (format!("/operations/{receive}"), Side::Queued));
    assert!(what.contains("the queue 'shop.parcels' is handled by nobody"), "{what}");
    // through another queue: the old one is left behind
    let queue = format!("/operations/{receive}/x-queue/name");
    assert_eq!(breaks(&usual(), &with(usual(), &queue, json!("shop.others"))).1, Side::Queued);
    let turned = with(usual(), "/operations/send_order.label.printed/action", json!("receive"));
    let (pointer, side, _) = breaks(&usual(), &turned);
    assert_eq!((pointer.as_str(), side), ("/operations/send_order.label.printed/action", Side::Readers));
    let renamed = {
        let mut document = usual();
        let operations = document["operations"].as_object_mut().unwrap();
        let operation = operations.shift_remove("send_order.label.printed").unwrap();
        operations.insert("print".into(), operation);
        document
    };
    assert!(compared(&usual(), &renamed).changes().is_empty());
}

#[test]
fn an_address_that_changed_breaks_who_is_bound_to_it() {
    for (pointer, value) in [
        ("/channels/order.label.printed/address", "order.label.made"),
        ("/channels/order.label.printed/bindings/amqp/exchange/name", "labels"),
    ] {
        let (at, side, what) = breaks(&usual(), &with(usual(), pointer, json!(value)));
        assert_eq!((at.as_str(), side), (pointer, Side::Readers));
        assert!(what.contains(&format!("to '{value}'")), "{what}");
    }
    // another name for the same address is none
    let mut renamed = usual();
    let channels = renamed["channels"].as_object_mut().unwrap();
    let channel = channels.shift_remove("order.label.printed").unwrap();
    channels.insert("labels".into(), channel);
    renamed["operations"]["send_order.label.printed"]["channel"] = json!({ "$ref": "#/channels/labels" });
    assert!(compared(&usual(), &renamed).changes().is_empty());
}

#[test]
fn a_payload_that_is_narrowed_breaks_what_is_queued_and_one_that_is_widened_its_readers() {
    let narrow = json!({
        "type": "object",
        "required": ["order", "carrier"],
        "properties": { "order": { "$ref": "#/$defs/number" }, "carrier": { "enum": ["dhl", "ups"] } },
        "$defs": { "number": { "type": "integer" } },
    });
    let label = json!({ "type": "object" });
    let (pointer, side, what) = breaks(&usual(), &shop(&narrow, &label));
    let message = "/channels/order.parcel.shipped/messages/order.parcel.shipped";
    assert_eq!((pointer, side), (format!("{message}/payload/carrier"), Side::Queued));
    assert!(what.contains("keep accepting the old form"), "{what}");
    let mut wide = parcel();
    wide["properties"]["carrier"]["enum"] = json!(["dhl", "ups", "gls"]);
    let (pointer, side, what) = breaks(&usual(), &shop(&wide, &label));
    assert_eq!((pointer, side), (format!("{message}/payload/carrier"), Side::Readers));
    assert!(what.contains("update every reader first"), "{what}");
    // behind a reference, too
    let mut text = parcel();
    text["$defs"]["number"]["type"] = "string".into();
    let report = compared(&usual(), &shop(&text, &label));
    let place = format!("{message}/payload/order");
    assert!(
        report.is_breaking() && report.changes().iter().all(|named| named.change.pointer == place),
        "{report}"
    );
}

#[test]
fn a_message_that_is_gone_and_one_that_readers_of_the_channel_do_not_know_break_them() {
    let messages = "/channels/order.label.printed/messages";
    let mut more = usual();
    let other = json!({ "$ref": "#/components/messages/order.parcel.shipped" });
    more.pointer_mut(messages).unwrap()["another"] = other;
    // nobody sends it
    assert!(!compared(&usual(), &more).is_breaking());
    let reference = json!({ "$ref": format!("#{messages}/another") });
    more["operations"]["send_order.label.printed"]["messages"].as_array_mut().unwrap().push(reference);
    assert_eq!(breaks(&usual(), &more).0, format!("{messages}/another"));
    let (pointer, side, _) = breaks(&more, &usual());
    assert_eq!((pointer, side), (format!("{messages}/another"), Side::Readers));
}

#[test]
fn what_is_no_json_schema_is_compared_for_equality() {
    let avro = |text: &str| {
        let payload = json!({ "schemaFormat": "application/vnd.apache.avro;version=1.9.0", "schema": text });
        with(usual(), "/components/messages/order.label.printed/payload", payload)
    };
    assert!(compared(&avro("a"), &avro("a")).changes().is_empty());
    assert!(breaks(&avro("a"), &avro("b")).2.contains("is not compared here"));
    let named =
        json!({ "schemaFormat": "application/schema+json;version=draft-07", "schema": { "type": "object" } });
    let named = with(usual(), "/components/messages/order.label.printed/payload", named);
    assert!(compared(&usual(), &named).changes().is_empty());
}

#[test]
fn a_document_that_can_not_be_compared_is_refused_with_its_place() {
    let payload = "/components/messages/order.label.printed/payload/$ref";
    let channel = "/operations/send_order.label.printed/channel/$ref";
    for (document, said) in [
        (with(usual(), "/asyncapi", json!("2.6.0")), "NEW: /asyncapi: this is version '2.6.0'"),
        (with(usual(), "/channels", json!([])), "NEW: /channels: this is not an object"),
        (with(usual(), payload, json!("label.json")), "bundle it into one"),
        (
            with(usual(), payload, json!("#/components/schemas/none")),
            "'#/components/schemas/none', which is not there",
        ),
        (with(usual(), payload, json!("#/components/messages/order.label.printed/payload")), "have no end"),
        (
            with(usual(), channel, json!("#/channels/none")),
            "NEW: /operations/send_order.label.printed/channel: ",
        ),
    ] {
        let refused = documents(&usual(), &document).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let refused = documents(&usual(), &json!({ "type": "object" })).unwrap_err().to_string();
    assert!(refused.contains("two AsyncAPI documents"), "{refused}");
}

#[test]
fn a_schema_that_refers_to_itself_and_names_that_are_escaped_are_followed() {
    let tree = json!({ "properties": { "left": { "$ref": "#" }, "value": { "type": "integer" } } });
    let taller = json!({ "properties": { "left": { "$ref": "#" }, "value": { "type": "string" } } });
    let label = json!({ "type": "object" });
    assert!(compared(&shop(&tree, &label), &shop(&tree, &label)).changes().is_empty());
    assert!(compared(&shop(&tree, &label), &shop(&taller, &label)).is_breaking());
    // what stands beside a reference counts
    let beside = |required: Value| json!({ "$ref": "#/$defs/label", "required": required, "$defs": { "label": { "type": "object" } } });
    let report = compared(&shop(&beside(json!(["a"])), &label), &shop(&beside(json!(["a", "b"])), &label));
    assert!(report.changes()[0].change.pointer.ends_with("/payload/b"), "{report}");
    let escaped = |name: &str| {
        let mut document = usual();
        document["channels"]["a/#b"] = json!({ "address": "a.b.c" });
        document["operations"]["a"] =
            json!({ "action": "send", "channel": { "$ref": format!("#/channels/{name}") } });
        document
    };
    assert!(compared(&escaped("a~1%23b"), &escaped("a~1#b")).changes().is_empty());
}

/// The pointers of all that stands in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| places(value, &format!("{at}/{}", crate::text::step(name)), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

#[test]
fn a_document_that_is_wrong_anywhere_is_compared_or_refused() {
    let mut rng = fastrand::Rng::with_seed(20_261_130);
    let mut all = Vec::new();
    places(&usual(), "", &mut all);
    let others = [
        Value::Null,
        json!(true),
        json!(7),
        json!("#"),
        json!("#/channels"),
        json!([]),
        json!({}),
        json!({ "$ref": "#" }),
        json!({ "$ref": "#/components/schemas/parcel", "type": "object" }),
        json!([{ "$ref": "#/channels/order.label.printed/messages/order.label.printed" }]),
        json!({ "a": { "$ref": "#/components" } }),
    ];
    let (mut refused, mut compared) = (0, 0);
    for _ in 0..300 {
        let mut wrong = usual();
        for _ in 0..rng.usize(1..4) {
            if let Some(place) = wrong.pointer_mut(&all[rng.usize(1..all.len())]) {
                *place = others[rng.usize(..others.len())].clone();
            }
        }
        for found in [documents(&usual(), &wrong), documents(&wrong, &usual())] {
            if found.is_ok() { compared += 1 } else { refused += 1 }
        }
    }
    assert!(refused > 50 && compared > 50, "{refused} refused, {compared} compared");
}
