use super::*;
use crate::{Event, Timestamp};
use serde_json::json;

const DAY: Address<'_> = Address::Event { exchange: "events", pattern: "time.one-day.passed" };

fn payload<'a>(name: &'a str, schema: &'a Value) -> Payload<'a> {
    Payload { name, schema }
}

fn shop() -> Document {
    Document::new("The service 'shop'")
}

#[test]
fn what_is_sent_and_what_is_received_are_operations_on_one_channel() {
    let mut document = shop();
    let schema = json!({ "title": "Day", "description": "A day passed.", "type": "object" });
    document.send(DAY, payload("day", &schema)).unwrap().owners.insert("clock".into());
    document.receive(DAY, payload("day", &schema), "shop.time.one-day.passed").unwrap();
    // again: nothing more
    document.send(DAY, payload("day", &schema)).unwrap().labels.insert("team:clock".into());
    let written = document.to_json();
    assert_eq!((&written["asyncapi"], &written["info"]["version"]), (&json!("3.0.0"), &json!("1.0.0")));
    assert_eq!(written.get("servers"), None);
    let expected = json!({
        "time.one-day.passed": {
            "address": "time.one-day.passed",
            "messages": { "time.one-day.passed": { "$ref": "#/components/messages/time.one-day.passed" } },
            "tags": [{ "name": "team:clock" }],
            "x-owners": ["clock"],
            "bindings": { "amqp": {
                "is": "routingKey",
                "exchange": { "name": "events", "type": "topic", "durable": true, "autoDelete": false },
                "bindingVersion": "0.3.0",
            } },
        },
    });
    assert_eq!(written["channels"], expected);
    let operations = written["operations"].as_object().unwrap();
    let actions: Vec<(&str, &Value)> =
        operations.iter().map(|(id, operation)| (id.as_str(), &operation["action"])).collect();
    let receive = "receive_shop.time.one-day.passed_time.one-day.passed";
    assert_eq!(actions, [(receive, &json!("receive")), ("send_time.one-day.passed", &json!("send"))]);
    assert_eq!(
        operations[receive]["x-queue"],
        json!({ "name": "shop.time.one-day.passed", "deadLetters": "shop.time.one-day.passed.dlq" })
    );
    let message = &written["components"]["messages"]["time.one-day.passed"];
    assert_eq!((&message["title"], &message["summary"]), (&json!("Day"), &json!("A day passed.")));
    assert_eq!(message["payload"], json!({ "$ref": "#/components/schemas/day" }));
    let headers = &written["components"]["schemas"]["cloudevents-headers"];
    assert_eq!(
        headers["required"],
        json!(["cloudEvents_specversion", "cloudEvents_id", "cloudEvents_source", "cloudEvents_type"])
    );
}

#[test]
fn a_pattern_is_a_channel_whose_name_can_stand_in_a_pointer_and_is_no_events() {
    let mut document = shop();
    let any = json!(true);
    for pattern in ["order.*.placed", "order.#"] {
        let address = Address::Event { exchange: "events", pattern };
        document.receive(address, payload("any", &any), "shop.orders").unwrap();
    }
    let written = document.to_json();
    let channels = written["channels"].as_object().unwrap();
    assert_eq!(channels.keys().collect::<Vec<_>>(), ["order._.placed", "order.__"]);
    assert_eq!(channels["order.__"]["address"], "order.#");
    let message = &written["components"]["messages"]["order.__"];
    assert_eq!((&message["name"], message.get("bindings")), (&json!("order.#"), None));
    // AsyncAPI wants an object
    assert_eq!(written["components"]["schemas"]["any"], json!({}));
}

#[test]
fn a_task_is_addressed_to_a_queue() {
    let mut document = shop();
    document.servers = vec![Server { host: "rabbit:5671".into(), is_tls: true, vhost: "shop".into() }];
    let address = Address::Task { queue: "shop.stock.shelf.clean", name: "stock.shelf.clean" };
    document.send(address, payload("stock.shelf.clean", &json!({ "type": "null" }))).unwrap();
    let written = document.to_json();
    let channel = &written["channels"]["shop.stock.shelf.clean"];
    let queue = json!({ "name": "shop.stock.shelf.clean", "durable": true, "exclusive": false, "autoDelete": false, "vhost": "shop" });
    assert_eq!(
        channel["bindings"]["amqp"],
        json!({ "is": "queue", "queue": queue, "bindingVersion": "0.3.0" })
    );
    assert_eq!(written["components"]["messages"]["shop.stock.shelf.clean"]["name"], "stock.shelf.clean");
    let server = &written["servers"]["broker"];
    assert_eq!((&server["host"], &server["protocol"]), (&json!("rabbit:5671"), &json!("amqps")));
}

#[test]
fn the_schemas_of_a_sender_and_of_a_reader_stand_side_by_side_where_they_differ() {
    let (sent, read) = (json!({ "type": "object", "required": ["a"] }), json!({ "type": "object" }));
    let mut document = shop();
    document.receive(DAY, payload("day", &read), "shop.days").unwrap();
    document.send(DAY, payload("day", &sent)).unwrap();
    let written = document.to_json();
    let messages = written["channels"]["time.one-day.passed"]["messages"].as_object().unwrap();
    assert_eq!(messages.keys().collect::<Vec<_>>(), ["time.one-day.passed", "time.one-day.passed_sent"]);
    let schemas = &written["components"]["schemas"];
    assert_eq!((&schemas["day"], &schemas["day_sent"]), (&read, &sent));
    assert_eq!(
        written["operations"]["send_time.one-day.passed"]["messages"][0]["$ref"],
        "#/channels/time.one-day.passed/messages/time.one-day.passed_sent"
    );
}

#[test]
fn no_name_of_a_document_has_a_sign_that_a_reference_could_not_hold() {
    let mut document = shop();
    let address = Address::Event { exchange: "events", pattern: "order.#" };
    document.receive(address, payload("order.#", &json!({ "type": "object" })), "shop.orders").unwrap();
    document.receive(address, payload("order.#", &json!({ "type": "array" })), "shop.order.#").unwrap();
    let written = document.to_json();
    for part in ["/channels", "/operations", "/components/messages", "/components/schemas"] {
        for name in written.pointer(part).unwrap().as_object().unwrap().keys() {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(name.chars().all(is_plain), "{part}: {name}");
        }
    }
    let other = &written["components"]["messages"]["order.___shop.order.__"]["payload"]["$ref"];
    assert_eq!(other, "#/components/schemas/order.___shop.order.__");
    assert_eq!(written["operations"]["receive_shop.order.___order.__"]["x-queue"]["name"], "shop.order.#");
}

#[test]
fn references_count_from_the_root_of_the_document_and_data_stay_as_they_are() {
    let schema = json!({
        "$id": "urn:x",
        "properties": { "at": { "$ref": "#/$defs/instant" }, "$ref": { "$ref": "#" } },
        "const": { "$ref": "#/not/one" },
        "anyOf": [{ "$ref": "#/$defs/instant" }],
        "$defs": { "instant": { "type": "string" } },
    });
    let mut document = shop();
    document.send(DAY, payload("day", &schema)).unwrap();
    let written = document.to_json();
    let instant = json!({ "$ref": "#/components/schemas/day/$defs/instant" });
    let expected = json!({
        "properties": { "at": instant, "$ref": { "$ref": "#/components/schemas/day" } },
        "const": { "$ref": "#/not/one" },
        "anyOf": [instant],
        "$defs": { "instant": { "type": "string" } },
    });
    assert_eq!(written["components"]["schemas"]["day"], expected);
    for unknown in [json!({ "$ref": "#instant" }), json!({ "items": { "$dynamicRef": "#node" } })] {
        let refused = document.send(DAY, payload("other", &unknown)).unwrap_err();
        assert!(refused.to_string().contains("#/$defs/NAME"), "{refused}");
    }
}

#[test]
fn an_event_is_an_example_and_of_a_message_three_are_kept() {
    let name = "time.one-day.passed".parse().unwrap();
    let mut event = Event::new("id-1".parse().unwrap(), "/khronos/main", name, "{\"a\":1}");
    event.time = Some(Timestamp::EPOCH);
    let mut document = shop();
    let schema = json!({ "examples": [{ "a": 7 }] });
    let channel = document.send(DAY, payload("day", &schema)).unwrap();
    for name in ["one", "two", "three"] {
        channel.example(name, &event);
    }
    let written = document.to_json();
    let examples = written["components"]["messages"]["time.one-day.passed"]["examples"].as_array().unwrap();
    assert_eq!((examples.len(), &examples[0]), (3, &json!({ "payload": { "a": 7 } })));
    assert_eq!((&examples[1]["name"], &examples[1]["payload"]), (&json!("one"), &json!({ "a": 1 })));
    let headers = &examples[1]["headers"];
    assert_eq!(headers["cloudEvents_type"], "time.one-day.passed");
    assert_eq!(headers["cloudEvents_time"], "1970-01-01T00:00:00.000Z");
}
