//! `ponos asyncapi`, by the official parser of AsyncAPI (`tests/contracts/`).

use super::{
    config::file,
    support::{ponos_ends, start_without_url},
};
use ponos::{
    asyncapi::{Address, Payload, servers},
    event::Event,
    prelude::*,
    schema::Contract,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const SHOP: &str = r#"
service = "shop"

[broker]
url = "amqp://shop:hunter2@rabbit.example:5673/orders"

[contracts]
folder = "schemas"

[[queues]]
on = ["order.*.placed", "order.item.returned"]
label = "orders"

[[queues]]
on = ["time.one-day.passed"]

[[queues]]
task = "stock.shelf.clean"

[publish]
events = ["order.label.printed"]
tasks = ["stock.shelf.fill"]
"#;

/// Where `test.sh` installs what tests of contracts need.
pub(crate) fn needs() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from).join("contracts")
}

/// Whether the parser takes these documents, and what it says: a line for each channel, and for each complaint.
fn parsed(documents: &[(&str, &Value)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contracts/parse.mjs"));
    for (name, document) in documents {
        let path = folder.path().join(name);
        fs::write(&path, document.to_string()).unwrap();
        node.arg(path);
    }
    node.env("CONTRACTS_NEEDS", needs()).env("NODE_NO_WARNINGS", "1");
    let output = node.output().expect("node is there: ./test.sh installs it");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A worker in Rust that has everything that a document can have.
fn everything() -> Value {
    let schema = |schema: Value| Contract::from_value(schema).unwrap();
    let read = schema(json!({
        "$id": "urn:shop:label",
        "title": "A label",
        "description": "What stands on a parcel.",
        "$ref": "#/$defs/label",
        "$defs": { "label": { "type": "object", "properties": { "next": { "$ref": "#/$defs/label" } } } },
        "examples": [{ "order": 7 }],
    }));
    let sent = schema(json!({ "type": "object", "required": ["order"], "examples": [{ "order": 7 }] }));
    let handler = async |_: Value, _: Context| Ok(Done);
    let worker = Worker::new("shop")
        .fan_in("orders", Policy::default(), |orders| {
            orders.on::<Value>("order.label.printed", handler.contract(read)).on::<Value>("order.#", handler)
        })
        .on::<TimePassed>("time.one-day.passed", async |_: TimePassed, _: Context| Ok(Done))
        .on::<Value>("stock.*.counted", handler.contract(schema(json!(false))))
        .task::<u32>("stock.shelf.clean", async |_: u32, _: Context| Ok(Done))
        .publishes_under("order.label.printed", sent)
        .sends_task::<Value>("stock.shelf.fill");
    let mut document = worker.asyncapi().unwrap();
    document.version = "2.3.4".into();
    document.description = Some("Everything.".into());
    document.servers = servers(&"amqps://shop:hunter2@rabbit-1,[::1]:5673/orders".parse().unwrap());
    let any = json!(true);
    let address = Address::Event { exchange: "time", pattern: "office.hour.passed" };
    let channel = document.send(address, Payload { name: "hour", schema: &any }).unwrap();
    channel.description = Some("One of the clock's.".into());
    channel.owners.extend(["office".to_owned(), "billing".to_owned()]);
    channel.labels.insert("team:office".into());
    let name = "office.hour.passed".parse().unwrap();
    channel.example("hourly", &Event::new("1".parse().unwrap(), "/khronos/main", name, "{\"hour\":7}"));
    document.to_json()
}

#[test]
fn the_official_parser_reads_the_document_of_a_service_and_one_of_everything() {
    let (folder, path) = file(SHOP);
    let schemas = folder.path().join("schemas");
    fs::create_dir(&schemas).unwrap();
    for name in ["order.item.returned", "time.one-day.passed", "stock.shelf.clean", "order.label.printed"] {
        fs::write(schemas.join(format!("{name}.json")), r#"{"type": "object"}"#).unwrap();
    }
    fs::write(schemas.join("stock.shelf.fill.json"), "true").unwrap();
    let words = ["asyncapi", "--config", &path, "--service-version", "7.0.1"];
    let printed = start_without_url(&words, &[]).end();
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    let shop: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(
        (&shop["servers"]["broker"]["host"], &shop["info"]["version"]),
        (&json!("rabbit.example:5673"), &json!("7.0.1"))
    );
    assert!(!printed.out.contains("hunter2"), "{}", printed.out);
    let all = everything();
    assert!(!all.to_string().contains("hunter2"), "{all}");
    let (is_taken, said) = parsed(&[("shop.json", &shop), ("all.json", &all)]);
    assert!(is_taken, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "shop.json order._.placed order.*.placed receive",
            "shop.json order.item.returned order.item.returned receive",
            "shop.json order.label.printed order.label.printed send",
            "shop.json shop.stock.shelf.clean shop.stock.shelf.clean receive,send",
            "shop.json shop.stock.shelf.fill shop.stock.shelf.fill send",
            "shop.json time.one-day.passed time.one-day.passed receive",
            "all.json office.hour.passed office.hour.passed send",
            "all.json order.__ order.# receive",
            "all.json order.label.printed order.label.printed receive,send",
            "all.json shop.stock.shelf.clean shop.stock.shelf.clean receive,send",
            "all.json shop.stock.shelf.fill shop.stock.shelf.fill send",
            "all.json stock._.counted stock.*.counted receive",
            "all.json time.one-day.passed time.one-day.passed receive",
        ]
    );
    // the parser would see a fault
    let mut wrong = all;
    wrong["components"]["messages"]["order.__"]["payload"]["$ref"] = "#/components/schemas/none".into();
    let (is_taken, said) = parsed(&[("wrong.json", &wrong)]);
    assert!(!is_taken && said.contains("#/components/schemas/none"), "{said}");
}

#[test]
fn two_documents_are_compared_and_what_breaks_is_named_with_place_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, document: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, document.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let old = everything();
    let mut new = old.clone();
    let file = write("old.json", &old);
    let same = ponos_ends("", &["schema", "check", &file, &file], 0);
    assert_eq!(same.out, "no relevant change\n");
    new["components"]["schemas"]["order.label.printed"]["required"] = json!(["order", "at"]);
    new["channels"].as_object_mut().unwrap().remove("office.hour.passed");
    new["operations"].as_object_mut().unwrap().remove("send_office.hour.passed");
    let changed = write("new.json", &new);
    let ended = ponos_ends("", &["schema", "check", &file, &changed], 1);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.out);
    assert!(lines[0].starts_with("breaking  readers  /channels/office.hour.passed: "), "{}", ended.out);
    let place = "/channels/order.label.printed/messages/order.label.printed/payload/at";
    assert!(lines[1].starts_with(&format!("breaking  queued messages  {place}: ")), "{}", ended.out);
    assert!(lines[1].ends_with("; keep accepting the old form, or publish the new one under a new name"));
    let report = ponos_ends("", &["schema", "check", &file, &changed, "--json"], 1).out;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["breaking"], &report["changes"][1]["pointer"]), (&json!(true), &json!(place)));
    // the other way round, a channel is new, and a field is no longer required
    ponos_ends("", &["schema", "check", &changed, &file, "--for", "queued"], 0);
    ponos_ends("", &["schema", "check", &changed, &file, "--for", "readers"], 1);
    let kinds = write("schema.json", &json!({ "type": "object" }));
    let refused = ponos_ends("", &["schema", "check", &file, &kinds], 78);
    assert!(refused.err.contains("two AsyncAPI documents"), "{}", refused.err);
}

#[test]
fn flags_make_a_document_and_what_is_wrong_is_said() {
    let words = ["asyncapi", "--service", "shop", "--on", "order.#", "--task", "stock.shelf.clean"];
    let printed = ponos_ends("amqps://u:hunter2@rabbit/v", &words, 0).out;
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["channels"].as_object().unwrap().len(), 2, "{printed}");
    assert!(
        document["servers"]["broker"]["protocol"] == "amqps" && !printed.contains("hunter2"),
        "{printed}"
    );
    let wrong = ponos_ends("", &["asyncapi", "--service", "No Shop", "--on", "a..b"], 2);
    assert!(wrong.err.contains("No Shop") && wrong.err.contains("a..b"), "{}", wrong.err);
    let (_folder, path) =
        file("service = \"shop\"\n[[queues]]\non = [\"order.item.placed\"]\n[broker]\nurl_file = \"none\"\n");
    let unread = start_without_url(&["asyncapi", "--config", &path], &[]).end();
    assert!(unread.code == Some(0) && unread.err.contains("note: no broker is named"), "{}", unread.err);
    assert_eq!(serde_json::from_str::<Value>(&unread.out).unwrap().get("servers"), None);
}
