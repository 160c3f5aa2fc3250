//! The files in `schemas/commands`: what they describe is what is read.

use crate::{
    commands::{command::CommandKind, request::Request},
    schedule::toml_tree::Kind,
};
use jsonschema::Validator;
use ponos::event::{Message, Properties};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

fn schema(kind: CommandKind) -> Value {
    let file = format!("schemas/commands/{}.json", kind.word());
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{file}: {error}"))).unwrap()
}

fn validator(kind: CommandKind) -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema(kind)).unwrap()
}

fn is_read(kind: CommandKind, body: &Value) -> bool {
    let (kind_word, message_id) = (Some(kind.word().into()), Some("m-1".into()));
    let properties = Properties { kind: kind_word, message_id, ..Properties::default() };
    let body = body.to_string().into_bytes();
    Request::read(kind, &Message { routing_key: kind.word().into(), properties, body, ..Message::default() })
        .is_ok()
}

/// What JSON Schema calls a value of this kind.
fn named(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Duration => json!("string"),
        Kind::Boolean => json!("boolean"),
        Kind::Count { .. } | Kind::Integer => json!("integer"),
        Kind::Tables(_) => json!("array"),
        _ => json!("object"),
    }
}

#[test]
fn each_schema_has_the_keys_that_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/commands");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let kinds = CommandKind::ALL.map(|kind| format!("{}.json", kind.word()));
    assert_eq!(files, kinds.into_iter().chain(["answer.json".to_owned()]).collect());
    for kind in CommandKind::ALL {
        let schema = schema(kind);
        assert_eq!(schema["additionalProperties"], false, "{kind:?}");
        let properties = schema["properties"].as_object().unwrap();
        let keys: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(keys, kind.keys().iter().map(|(key, _)| *key).collect(), "{kind:?}");
        for (key, of) in kind.keys() {
            assert_eq!(properties[*key]["type"], named(*of), "{kind:?} {key}");
            assert!(properties[*key]["description"].is_string(), "{kind:?} {key}");
        }
    }
}

/// Bodies, right and wrong, that a schema can tell from each other.
fn bodies(kind: CommandKind) -> Vec<Value> {
    let mut bodies =
        vec![json!({}), json!({ "unknown": 1 }), json!([]), json!("x"), json!(null), json!({ "name": "a" })];
    bodies.push(json!({ "name": "a", "created": {} }));
    let values = [
        json!("a"),
        json!(""),
        json!(1),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
    ];
    bodies.extend([
        json!({ "name": "a", "on_resume": "skip" }),
        json!({ "name": "a", "on_resume": "later" }),
        json!({ "name": "a", "note": "b" }),
        json!({ "name": "a", "note": "b", "on_resume": "catch-up", "until": "2026-12-01T09:00:00Z" }),
        json!({ "name": "a", "note": "b", "until": "soon" }),
        json!({ "name": "a", "form": "toml", "text": "b" }),
        json!({ "name": "a", "form": "xml", "text": "b" }),
        json!({ "name": "a", "form": "ics", "text": "b", "if_revision": "17.3" }),
        json!({ "name": "a", "form": "ics", "text": "b", "if_revision": "17" }),
        json!({ "name": "a", "form": "ics", "text": "b", "if_revision": "17.3", "if_absent": true }),
        json!({ "name": "a", "form": "ics", "text": "b", "if_absent": true }),
        json!({ "name": "a", "if_revision": "17.3" }),
        json!({ "item": {}, "if_revision": "17.3" }),
        json!({ "item": {}, "if_revision": "17.3", "if_absent": true }),
        json!({ "due_after": "2026-12-01T09:00:00Z", "due_before": "2026-12-01T09:00:00+01:00" }),
        json!({ "due_after": "2026-12-01" }),
    ]);
    for (key, _) in kind.keys() {
        for value in &values {
            bodies.push(json!({ *key: value }));
            for (other, _) in kind.keys() {
                bodies.push(json!({ *key: value, *other: "a" }));
            }
            bodies.push(json!({ "name": "a", *key: value }));
            bodies.push(json!({ "definition": { "name": "a", "every": "1h" }, *key: value }));
            bodies.push(json!({ "item": { "event": "a.b.c", "in": "1h" }, *key: value }));
            bodies.push(json!({ "items": [{ "event": "a.b.c", "in": "1h" }], *key: value }));
        }
    }
    bodies
}

#[test]
fn what_a_schema_refuses_is_refused_and_what_it_accepts_is_read() {
    for kind in CommandKind::ALL {
        let validator = validator(kind);
        let (mut read, mut refused) = (0, 0);
        for body in bodies(kind) {
            let accepted = validator.is_valid(&body);
            assert_eq!(is_read(kind, &body), accepted, "{kind:?} {body}");
            if accepted { read += 1 } else { refused += 1 }
        }
        assert!(read > 0 && refused > 10, "{kind:?}: {read} {refused}");
    }
}

#[test]
fn an_answer_is_of_the_form_that_is_described() {
    use crate::{commands::answer::Answer, problem::Problem};
    let text = include_str!("../../../schemas/commands/answer.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::options().build(&schema).unwrap();
    let valid = |answer: &Answer| {
        let answer: Value = serde_json::from_slice(&answer.to_json()).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{answer}: {wrong:?}");
    };
    valid(&Answer::of(200, &json!({ "name": "a" })).unwrap());
    valid(&Answer::from(&Problem::bad("no")));
    valid(&Answer::from(&Problem::unavailable("no")));
    let faulty = Message { body: br#"{"nme":1}"#.to_vec(), ..Message::default() };
    valid(&Answer::from(&Request::read(CommandKind::Get, &faulty).unwrap_err()));
    for wrong in [json!({}), json!({ "status": "200" }), json!({ "status": 422, "body": {} })] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
