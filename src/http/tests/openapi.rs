//! The description of the interface, against the interface and against the specification of descriptions.

use super::*;
use crate::{
    ops::delayed::{DelayedItem, NamesOf},
    schedule::{Calendars, FaultCode, file},
};
use jsonschema::Validator;

/// The JSON Schema of OpenAPI 3.1 documents (spec.openapis.org/oas/3.1/schema/2022-10-07).
const OPENAPI: &str = include_str!("../../../tests/conformance/openapi-3.1.json");

/// Paths with their methods, as described.
pub(super) fn operations(described: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// A validator of what has this schema in the document.
pub(super) fn validator(described: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = described["components"].clone();
    jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

pub(super) fn check(validator: &Validator, value: &Value, what: &str) {
    let found: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(found.is_empty(), "{what}: {found:?}\n{value}");
}

pub(super) async fn described(client: &Client) -> Value {
    let (status, headers, described) = got(client, "/v1/openapi.json").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    described
}

/// A clock's control socket, with what serves it.
fn control(clock: &Clock) -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = bind_control(folder.path()).unwrap();
    tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    (Client::new(Target::Unix(control_path(folder.path()))), folder)
}

#[tokio::test]
async fn the_description_is_a_valid_openapi_document() {
    let clock = Clock::start().await;
    let (operator, _folder) = control(&clock);
    let openapi = jsonschema::draft202012::new(&serde_json::from_str(OPENAPI).unwrap()).unwrap();
    for client in [&clock.client, &operator] {
        let mut described = described(client).await;
        check(&openapi, &described, "the document");
        assert!(described["openapi"].as_str().unwrap().starts_with("3.1."));
        // All that is referred to is there.
        let text = described.to_string();
        let names = text.split("\"$ref\":\"#/components/schemas/").skip(1);
        for name in names.map(|rest| rest.split('"').next().unwrap()) {
            assert!(described["components"]["schemas"].get(name).is_some(), "{name}");
        }
        let mut ids: Vec<_> =
            operations(&described).iter().map(|(.., one)| one["operationId"].to_string()).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "ids of operations are their own: {ids:?}");
        // And one that is none is found out.
        described["paths"]["/v1/parked"]["get"]["responses"] = Value::Null;
        assert!(!openapi.is_valid(&described));
    }
}

#[tokio::test]
async fn what_is_described_is_served_and_what_is_listed_is_described() {
    let clock = Clock::start().await;
    let (operator, _folder) = control(&clock);
    let (_, _, index) = got(&clock.client, "/").await;
    let public = described(&clock.client).await;
    let mut listed: Vec<&String> = index["paths"].as_object().unwrap().keys().collect();
    let mut paths: Vec<&String> =
        public["paths"].as_object().unwrap().keys().filter(|path| *path != "/").collect();
    listed.sort();
    paths.sort();
    assert_eq!(listed, paths);
    let mut asked_for = 0;
    for client in [&clock.client, &operator] {
        for (method, path, operation) in operations(&described(client).await) {
            // The one has no end, the others are no JSON.
            if ["/v1/feed", "/metrics", "/v1/export"].contains(&path.as_str()) {
                continue;
            }
            let path = path.replace("{name}", "one-minute").replace("{id}", "x");
            let method: Method = method.parse().unwrap();
            let (status, _, body) = asked(client, method.clone(), &path, ("application/json", "{}")).await;
            assert_ne!(status, 405, "{method} {path}");
            assert!(!body["detail"].as_str().unwrap_or_default().contains("there is nothing at"), "{path}");
            let is_done = |status| operation["responses"].get(status).is_some();
            assert!(["200", "202", "204"].into_iter().any(is_done), "{path}");
            asked_for += 1;
        }
    }
    assert!(asked_for >= 50, "{asked_for}");
}

#[tokio::test]
async fn answers_and_problems_are_of_the_form_that_is_described() {
    let clock = Clock::start().await.with_events().await;
    clock.record(confirmed("one-minute", 1));
    let (operator, _folder) = control(&clock);
    let described = described(&operator).await;
    let definition =
        r#"{"name":"night","event":"a.b.c","cron":"30 2 * * *","time_zone":"Europe/Paris","only":[]}"#;
    let right = definition.replace(",\"only\":[]", "");
    let list = format!("[{right}]");
    let late = r#"{"event":"a.b.c","at":"2020-01-01T00:00:00Z","past":"refuse"}"#;
    let event = r#"{"event":"a.b.c","in":"10m","data":{"order":7},"headers":{"tenant":"x"},"to":{"task":"docker.images"}}"#;
    for (method, path, template, body) in [
        ("get", "/", "", ""),
        ("get", "/healthz", "", ""),
        ("get", "/readyz", "", ""),
        ("get", "/v1/schedules?limit=1", "", ""),
        ("get", "/v1/schedules?limit=0", "", ""),
        ("get", "/v1/schedules?unknown=1", "", ""),
        ("get", "/v1/schedules/one-minute", "/v1/schedules/{name}", ""),
        ("get", "/v1/schedules/one-minutee", "/v1/schedules/{name}", ""),
        ("get", "/v1/schedules/one-minute/next", "/v1/schedules/{name}/next", ""),
        ("get", "/v1/calendars/x", "/v1/calendars/{name}", ""),
        ("get", "/v1/calendars/used", "/v1/calendars/{name}", ""),
        ("get", "/v1/calendars", "", ""),
        ("get", "/v1/calendars?limit=0", "", ""),
        ("put", "/v1/calendars/off", "/v1/calendars/{name}", "{}"),
        (
            "put",
            "/v1/calendars/off",
            "/v1/calendars/{name}",
            r#"{"form":"toml","text":"yearly = [\"05-01\"]"}"#,
        ),
        ("delete", "/v1/calendars/off", "/v1/calendars/{name}", ""),
        ("delete", "/v1/calendars/used", "/v1/calendars/{name}", ""),
        ("get", "/v1/zones/x", "/v1/zones/{id}", ""),
        ("get", "/v1/history", "", ""),
        ("get", "/v1/history?limit=0", "", ""),
        ("get", "/v1/audit", "", ""),
        ("get", "/v1/audit?schedule=nobody", "", ""),
        ("get", "/v1/parked", "", ""),
        ("get", "/v1/cluster", "", ""),
        ("get", "/v1/forecast", "", ""),
        ("get", "/v1/timeline?columns=3&time_zone=Europe/Paris", "", ""),
        ("post", "/v1/preview?from=2027-03-26T00:00:00Z&count=5", "/v1/preview", &right),
        ("post", "/v1/preview", "", definition),
        ("post", "/v1/preview", "", "{"),
        ("post", "/v1/parked/release", "", r#"{"ids":[7,8,9]}"#),
        ("post", "/v1/parked/drop", "", r#"{"ids":[]}"#),
        (
            "post",
            "/v1/pause",
            "",
            r#"{"all":true,"by":"ann","note":"new disks","for":"2h","on_resume":"skip"}"#,
        ),
        ("post", "/v1/pause", "", r#"{"all":true}"#),
        ("post", "/v1/resume", "", r#"{"all":true,"on_resume":"skip"}"#),
        ("post", "/v1/reload", "", ""),
        ("get", "/v1/schedules?owner=billing&origin=client", "", ""),
        ("get", "/v1/schedules?origin=nowhere", "", ""),
        ("put", "/v1/schedules/night", "/v1/schedules/{name}", &right),
        ("put", "/v1/schedules/one-minute", "/v1/schedules/{name}", r#"{"every":"1 hour","event":"a.b.c"}"#),
        ("put", "/v1/schedules/taken", "/v1/schedules/{name}", r#"{"every":"1 hour","event":"a.b.c"}"#),
        ("put", "/v1/schedules/once", "/v1/schedules/{name}", r#"{"every":"1 hour","event":"a.b.c"}"#),
        ("put", "/v1/schedules/never", "/v1/schedules/{name}", r#"{"every":"1 hour","event":"a.b.c"}"#),
        ("put", "/v1/schedules/night", "/v1/schedules/{name}", r#"{"name":"day"}"#),
        ("put", "/v1/schedules/night", "/v1/schedules/{name}", "["),
        ("delete", "/v1/schedules/night", "/v1/schedules/{name}", ""),
        ("delete", "/v1/schedules/one-minute", "/v1/schedules/{name}", ""),
        ("post", "/v1/schedules:batch", "", &list),
        ("post", "/v1/schedules:batch?atomic=true", "", &list),
        ("post", "/v1/schedules:batch", "", "{}"),
        ("post", "/v1/schedules:batch", "", "[]"),
        ("post", "/v1/schedules:batch?atomic=maybe", "", &list),
        ("post", "/v1/schedules:delete", "", r#"{"filter":{"prefix":"a"},"dry_run":true}"#),
        ("post", "/v1/schedules:delete", "", r#"{"filter":{"prefix":"a"}}"#),
        ("post", "/v1/schedules:delete", "", r#"{"filter":{"prefix":"a"},"expect_count":1}"#),
        ("post", "/v1/schedules:delete", "", r#"{"filter":{}}"#),
        ("put", "/v1/events/soon", "/v1/events/{name}", event),
        ("put", "/v1/events/soon", "/v1/events/{name}", event),
        ("put", "/v1/events/soon", "/v1/events/{name}", r#"{"in":7}"#),
        ("put", "/v1/events/late", "/v1/events/{name}", late),
        ("post", "/v1/events", "", event),
        ("post", "/v1/events", "", "{"),
        ("get", "/v1/events/soon", "/v1/events/{name}", ""),
        ("get", "/v1/events/never", "/v1/events/{name}", ""),
        ("get", "/v1/events?prefix=s&limit=1", "", ""),
        ("get", "/v1/events?limit=0", "", ""),
        ("get", "/v1/events:history", "", ""),
        ("get", "/v1/events:changes?limit=0", "", ""),
        ("post", "/v1/events:batch", "", &format!("[{event},{{}}]")),
        ("post", "/v1/events:batch?atomic=true", "", &format!("[{event}]")),
        ("post", "/v1/events:batch", "", "{}"),
        ("post", "/v1/events/soon/send-now", "/v1/events/{name}/send-now", ""),
        ("post", "/v1/events/never/send-now", "/v1/events/{name}/send-now", ""),
        ("delete", "/v1/events/soon", "/v1/events/{name}", ""),
        ("get", "/v1/parked-events?limit=1", "", ""),
        ("get", "/v1/parked-events?page=x", "", ""),
        ("post", "/v1/parked-events/release", "", r#"{"creations":[7]}"#),
        ("post", "/v1/parked-events/drop", "", r#"{"creations":[]}"#),
        ("get", "/v1/changes", "", ""),
        ("get", "/v1/changes?after=0&schedule=a", "", ""),
        ("get", "/v1/changes?after=1&before=2", "", ""),
        ("get", "/v1/export?format=json", "", ""),
        ("get", "/v1/export?format=yaml", "", ""),
    ] {
        let bare = path.split('?').next().unwrap();
        let template = if template.is_empty() { bare } else { template };
        let operation = &described["paths"][template][method];
        let method: Method = method.to_uppercase().parse().unwrap();
        let (status, headers, answer) = asked(&operator, method, path, ("application/json", body)).await;
        let responses = &operation["responses"];
        let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
        if status == 204 {
            assert!(answer.is_null() && !responses["204"].is_null(), "{path}: {answer}");
            continue;
        }
        let kind = headers["content-type"].to_str().unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(!schema.is_null(), "{path} {status} {kind}: {response}");
        check(&validator(&described, schema), &answer, path);
        assert_eq!(kind == "application/problem+json", status >= 400, "{path} {status}");
        if !body.is_empty() && status == 200 {
            let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
            check(&validator(&described, taken), &serde_json::from_str(body).unwrap(), path);
        }
    }
}

#[tokio::test]
async fn what_callers_without_a_token_are_told_is_described() {
    let clock = access::clock().await;
    let (operator, _folder) = control(&clock);
    let described = described(&operator).await;
    assert_eq!(described["security"], serde_json::json!([{ "token": [] }, {}]));
    assert_eq!(described["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    for (reasons, status, path) in
        [(0, 200, "/readyz"), (1, 503, "/readyz"), (1, 200, "/healthz"), (0, 401, "/v1/parked")]
    {
        clock.status.send_modify(|status| status.reasons = vec!["the disk is full".into(); reasons]);
        let (found, headers, answer) = got(&clock.client, path).await;
        assert_eq!(found, status, "{path}: {answer}");
        let response = &described["paths"][path]["get"]["responses"][status.to_string()];
        let schema = &response["content"][headers["content-type"].to_str().unwrap()]["schema"];
        assert!(!schema.is_null(), "{path} {status}: {response}");
        check(&validator(&described, schema), &answer, path);
    }
}

#[tokio::test]
async fn every_example_of_a_definition_is_right() {
    let clock = Clock::start().await;
    let described = described(&clock.client).await;
    let mut examples = 0;
    for (_, path, operation) in operations(&described) {
        let content = &operation["requestBody"]["content"]["application/json"];
        let Some(example) = content.get("example") else { continue };
        check(&validator(&described, &content["schema"]), example, &path);
        for example in example.as_array().map_or(std::slice::from_ref(example), Vec::as_slice) {
            let json = serde_json::to_vec(example).unwrap();
            examples += 1;
            if path.starts_with("/v1/events") {
                assert!(DelayedItem::read(&json, None, (&NamesOf::Random([0; 16]), 0), at(10)).is_ok());
                continue;
            }
            let read = file::from_json(&json, &Calendars::default(), at(10)).unwrap();
            assert_eq!(read.remarks, []);
        }
    }
    assert_eq!(examples, 6);
}

#[tokio::test]
async fn an_item_of_an_event_is_described_as_it_is_read() {
    let clock = Clock::start().await;
    let described = described(&clock.client).await;
    let keys = described["components"]["schemas"]["EventItem"]["properties"].as_object().unwrap();
    assert_eq!(keys.len(), 14);
    for (key, schema) in keys {
        // What is wrong with this value under this key.
        let codes = |value: &str| {
            let text = format!("{{\"{key}\":{value}}}");
            let read = DelayedItem::read(text.as_bytes(), None, (&NamesOf::Random([0; 16]), 0), at(10));
            let faults = read.err().map(|unread| unread.faults.list).unwrap_or_default().into_iter();
            let of_key = faults.filter(|one| one.pointer == format!("/{key}"));
            of_key.map(|one| (one.code, one.expected.unwrap_or_default())).collect::<Vec<_>>()
        };
        let mut bare = schema.clone();
        for more in ["enum", "pattern", "minLength", "maxLength", "format"] {
            bare.as_object_mut().unwrap().remove(more);
        }
        // What of an address is needed is not of the type.
        let needed = key == "to";
        let of_type = validator(&described, &bare);
        for (kind, value) in OF_TYPES.into_iter().filter(|(kind, _)| !(needed && *kind == "object")) {
            let is_read = codes(value).iter().all(|(code, _)| *code != FaultCode::WrongType);
            let is_described = of_type.is_valid(&serde_json::from_str(value).unwrap());
            assert_eq!(is_read, is_described, "{key} {kind}: {schema}");
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let expected = format!("one of {}", words.join(", "));
            assert!(codes("\"zzz\"").contains(&(FaultCode::UnknownWord, expected)), "{key}");
        }
    }
}

/// One value of each type of JSON.
const OF_TYPES: [(&str, &str); 6] = [
    ("null", "null"),
    ("boolean", "true"),
    ("integer", "7"),
    ("string", "\"x\""),
    ("array", "[]"),
    ("object", "{}"),
];

#[tokio::test]
async fn a_definition_is_described_as_it_is_read() {
    let clock = Clock::start().await;
    let described = described(&clock.client).await;
    let mut seen = 0;
    for (form, before, behind, pointer) in [
        ("Definition", "", "", ""),
        ("TimingDefinition", "\"timings\":[{", "}]", "/timings/0"),
        ("DstDefinition", "\"dst\":{", "}", "/dst"),
        ("CatchUpDefinition", "\"catch_up\":{", "}", "/catch_up"),
        ("ResendsDefinition", "\"resends\":{", "}", "/resends"),
    ] {
        let keys = described["components"]["schemas"][form]["properties"].as_object().unwrap();
        for (key, schema) in keys {
            // What the clock notes by itself is not looked at.
            if schema["readOnly"] == true {
                continue;
            }
            let name = if form == "Definition" && key == "name" { "" } else { "\"name\":\"a\"," };
            // What is wrong with this value under this key.
            let codes = |value: &str| {
                let text = format!("{{{name}{before}\"{key}\":{value}{behind}}}");
                let faults =
                    file::from_json(text.as_bytes(), &Calendars::default(), at(10)).err().unwrap_or_default();
                let of_key = faults.list.into_iter().filter(|one| one.pointer == format!("{pointer}/{key}"));
                of_key.map(|one| (one.code, one.expected.unwrap_or_default())).collect::<Vec<_>>()
            };
            let (mut bare, validator) = (schema.clone(), |schema: &Value| validator(&described, schema));
            for more in ["enum", "minItems", "pattern", "maximum"] {
                bare.as_object_mut().unwrap().remove(more);
            }
            let of_type = validator(&bare);
            for (kind, value) in OF_TYPES {
                let is_read = codes(value).iter().all(|(code, _)| *code != FaultCode::WrongType);
                let is_described = of_type.is_valid(&serde_json::from_str(value).unwrap());
                assert_eq!(is_read, is_described, "{form} {key} {kind}: {schema}");
                seen += 1;
            }
            if let Some(words) = schema["enum"].as_array() {
                let words: Vec<String> = words.iter().map(ToString::to_string).collect();
                let expected = format!("one of {}", words.join(", "));
                assert!(codes("\"zzz\"").contains(&(FaultCode::UnknownWord, expected)), "{form} {key}");
            }
            for bound in ["minimum", "maximum"] {
                let Some(bound) = schema[bound].as_i64() else { continue };
                let outside = if bound > 1 { bound + 1 } else { bound - 1 };
                assert!(codes(&bound.to_string()).is_empty(), "{form} {key} {bound}");
                assert_eq!(codes(&outside.to_string())[0].0, FaultCode::OutOfRange, "{form} {key} {outside}");
            }
        }
    }
    assert!(seen > 200, "{seen}");
    for name in ["a", "0.b_c-d", &"x".repeat(128), "", "-a", "A", &"x".repeat(129)] {
        let schema = &described["components"]["schemas"]["Definition"]["properties"]["name"];
        let is_described = validator(&described, schema).is_valid(&name.into());
        assert_eq!(is_described, crate::schedule::is_name(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_at_the_top_is_given_as_it_is_asked_for() {
    let clock = Clock::start().await;
    for (accept, kind) in [
        ("application/json, text/plain, */*", "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/plain, application/json", "text/plain"),
    ] {
        let head =
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\r\n");
        let answer = whole(&clock, &head).await;
        assert!(answer.contains(&format!("content-type: {kind}")), "{accept}: {answer}");
    }
}
