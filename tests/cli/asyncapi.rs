//! `khronos asyncapi`, of files and of a store. Whether the documents are AsyncAPI is what `tests/e2e/asyncapi.rs` asks.

use super::record::{khronos, store, text};
use serde_json::{Value, json};
use std::{fs, path::Path};

const SCHEDULES: &str = r#"
[[schedule]]
name = "nightly-report"
event = "reporting.night.ended"
cron = "30 2 * * *"
time_zone = "Europe/Paris"
description = "The report of the day before."
labels = { team = "reporting", stage = "live" }
data = { report = "daily" }

[[schedule]]
name = "resting"
event = "reporting.week.ended"
every = "7 days"
paused = true

[[schedule]]
name = "once"
event = "office.party.began"
at = "2020-06-01T18:00:00Z"
"#;

const FROM: &str = "2026-11-30T12:00:00Z";

fn written(folder: &Path, arguments: &[&str]) -> Value {
    let output = khronos(folder, &[&["asyncapi"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn configured(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("schedules")).unwrap();
    fs::write(folder.path().join("schedules/all.toml"), SCHEDULES).unwrap();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

#[test]
fn each_event_of_the_files_is_a_channel_with_a_real_body_as_its_example() {
    let folder = configured(
        "[clock]\nname = \"main\"\n[broker]\nurl = \"amqps://clock:hunter2@rabbit.example/prod\"\nexchange = \"time\"\n",
    );
    let document = written(folder.path(), &["--from", FROM]);
    assert!(
        !document.to_string().contains("hunter2") && !document.to_string().contains("clock:"),
        "{document}"
    );
    assert_eq!(document["servers"]["broker"]["host"], "rabbit.example:5671");
    let channels: Vec<&String> = document["channels"].as_object().unwrap().keys().collect();
    assert_eq!(channels, ["office.party.began", "reporting.night.ended", "reporting.week.ended"]);
    let channel = &document["channels"]["reporting.night.ended"];
    assert_eq!(channel["tags"], json!([{ "name": "stage:live" }, { "name": "team:reporting" }]));
    assert!(channel["description"].as_str().unwrap().contains("The report of the day before."), "{channel}");
    assert_eq!(
        channel["bindings"]["amqp"]["exchange"],
        json!({ "name": "time", "type": "topic", "durable": true, "autoDelete": false, "vhost": "prod" })
    );
    let messages = &document["components"]["messages"];
    let example = &messages["reporting.night.ended"]["examples"][0];
    assert_eq!(example["payload"]["due_at"], "2026-12-01T01:30:00.000Z");
    assert_eq!(example["payload"]["data"], json!({ "report": "daily" }));
    assert_eq!(example["headers"]["cloudEvents_source"], "/khronos/main");
    let schema = serde_json::from_str(khronos::ops::asyncapi::TIME_EVENT).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&example["payload"]), "{example}");
    assert!(!schema.is_valid(&json!({})));
    // it is over
    assert_eq!(messages["office.party.began"].get("examples"), None);
    assert!(messages["reporting.week.ended"]["examples"][0]["payload"]["due_at"].is_string());
    // the same again, so that it can be compared and kept
    assert_eq!(written(folder.path(), &["--from", FROM]), document);
}

#[test]
fn the_schedules_of_a_store_are_those_that_the_clock_runs() {
    let folder = configured("");
    store(&folder.path().join("store"), &[]);
    let document = written(folder.path(), &["--running", "--from", "1970-01-01T00:10:30Z"]);
    let channels: Vec<&String> = document["channels"].as_object().unwrap().keys().collect();
    assert_eq!(channels, ["time.one-minute.passed"]);
    let example = &document["components"]["messages"]["time.one-minute.passed"]["examples"][0];
    assert_eq!(example["payload"]["due_at"], "1970-01-01T00:11:00.000Z");
    assert_eq!(example["payload"]["previous_due_at"], "1970-01-01T00:10:00.000Z");
    let named = folder.path().join("store");
    assert_eq!(
        written(folder.path(), &["--store", named.to_str().unwrap(), "--from", "1970-01-01T00:10:30Z"]),
        document
    );
}

#[test]
fn what_is_wrong_is_said_and_no_document_is_printed() {
    let folder = configured("");
    fs::write(
        folder.path().join("schedules/all.toml"),
        "[[schedule]]\nname = \"x\"\nevery = \"5 parsecs\"\n",
    )
    .unwrap();
    for (arguments, code, said) in [
        (&["asyncapi"][..], 78, "parsecs"),
        (&["asyncapi", "--from", "soon"], 2, "--from"),
        (&["asyncapi", "--running", "--schedules", "schedules"], 2, "cannot be used with"),
        (&["asyncapi", "--running"], 74, "there is no store at"),
    ] {
        let output = khronos(folder.path(), arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
}
