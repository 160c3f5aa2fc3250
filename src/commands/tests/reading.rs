//! What is said of a command that can't be read.

use crate::{
    commands::{
        body::{LONGEST, LONGEST_EVENTS},
        command::CommandKind,
        events::EventRequest,
        request::{Previewed, Request, Subject, cut},
    },
    ops::delayed::{EVENTS_AT_ONCE, NamesOf},
    problem::Problem,
    schedule::file::LONGEST_JSON,
};
use ponos::event::{Message, Properties};
use serde_json::Value;

fn message(kind: &str, body: &str) -> Message {
    let (kind_word, message_id) = (Some(kind.into()), Some("m-1".into()));
    let properties = Properties { kind: kind_word, message_id, ..Properties::default() };
    Message { routing_key: kind.into(), properties, body: body.as_bytes().to_vec(), ..Message::default() }
}

fn shown(problem: &Problem) -> Value {
    serde_json::to_value(problem).unwrap()
}

fn refused(kind: CommandKind, body: &str) -> Value {
    shown(&Request::read(kind, &message(kind.word(), body)).unwrap_err())
}

#[test]
fn all_that_is_wrong_with_a_body_is_said_at_its_place() {
    let problem = refused(CommandKind::List, r#"{"prefx":"a","limit":"10","state":7}"#);
    let errors: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [("/prefx", "unknown-key"), ("/limit", "wrong-type"), ("/state", "wrong-type")]);
    assert_eq!(problem["errors"][0]["suggestion"], "did you mean 'prefix'?");
    for (kind, body, pointer, code) in [
        (CommandKind::Get, "", "/name", "missing-key"),
        (CommandKind::Get, "{}", "/name", "missing-key"),
        (CommandKind::Get, r#"{"name":null}"#, "/name", "wrong-type"),
        // What a definition may have, and nothing else.
        (CommandKind::Get, r#"{"name":"a","zones":{}}"#, "/zones", "unknown-key"),
        (CommandKind::Preview, "{}", "", "missing-key"),
        (CommandKind::Put, "{}", "/definition", "missing-key"),
        (CommandKind::Put, r#"{"definition":7}"#, "/definition", "wrong-type"),
        (
            CommandKind::Put,
            r#"{"definition":{},"if_revision":"1.1","if_absent":true}"#,
            "/if_absent",
            "conflict",
        ),
        (CommandKind::Put, r#"{"definition":{},"if_revision":1}"#, "/if_revision", "wrong-type"),
        (CommandKind::Put, r#"{"definition":{},"if_revision":"1"}"#, "/if_revision", "invalid-value"),
        (CommandKind::Delete, "{}", "/name", "missing-key"),
        (CommandKind::Pause, r#"{"name":"a"}"#, "/note", "missing-key"),
        (CommandKind::Pause, r#"{"name":"a","note":"b","until":"soon"}"#, "/until", "invalid-value"),
        (CommandKind::Resume, r#"{"name":"a"}"#, "/on_resume", "missing-key"),
        (CommandKind::Resume, r#"{"name":"a","on_resume":"later"}"#, "/on_resume", "invalid-value"),
        (CommandKind::Trigger, "{}", "/name", "missing-key"),
        (CommandKind::Preview, r#"{"name":"a","definition":{}}"#, "", "conflict"),
        (CommandKind::EventPut, "{}", "/item", "missing-key"),
        (CommandKind::EventPut, r#"{"item":[]}"#, "/item", "wrong-type"),
        (
            CommandKind::EventPut,
            r#"{"item":{},"if_revision":"1.1","if_absent":true}"#,
            "/if_absent",
            "conflict",
        ),
        (CommandKind::EventsPut, "{}", "/items", "missing-key"),
        (CommandKind::EventsPut, r#"{"items":{}}"#, "/items", "wrong-type"),
        (CommandKind::EventsPut, r#"{"items":[],"if_absent":true}"#, "/if_absent", "unknown-key"),
        (CommandKind::EventList, r#"{"due_after":"soon"}"#, "/due_after", "invalid-value"),
        (CommandKind::EventDelete, r#"{"name":"a","if_revision":"x"}"#, "/if_revision", "invalid-value"),
        (CommandKind::EventSendNow, "{}", "/name", "missing-key"),
    ] {
        let problem = refused(kind, body);
        let error = &problem["errors"][0];
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some(pointer), Some(code)),
            "{problem}"
        );
    }
}

#[test]
fn length_of_a_body_is_bounded_and_a_definition_in_it_may_be_as_long_as_over_http() {
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(600_000));
    assert_eq!(refused(CommandKind::Get, &long)["status"], 413);
    let envelope = r#"{"if_revision":"17.3","definition":}"#;
    for (kind, envelope) in [
        (CommandKind::Put, envelope),
        (CommandKind::Preview, r#"{"definition":}"#),
        (CommandKind::EventPut, r#"{"if_absent":true,"item":}"#),
    ] {
        let of = |length: usize| {
            let empty = r#"{"name":"a","description":""}"#.len();
            let definition = format!(r#"{{"name":"a","description":"{}"}}"#, "x".repeat(length - empty));
            envelope.replace(":}", &format!(":{definition}}}"))
        };
        let longest = of(LONGEST_JSON);
        let read = Request::read(kind, &message(kind.word(), &longest)).unwrap();
        let (Request::Put { definition, .. }
        | Request::Preview(Previewed::Definition(definition), _)
        | Request::Events(EventRequest::Put { item: definition, .. })) = read
        else {
            panic!("{read:?}")
        };
        assert_eq!(definition.len(), LONGEST_JSON);
        assert_eq!(refused(kind, &of(LONGEST_JSON + 1))["status"], 413);
    }
}

#[test]
fn a_body_that_is_longer_than_any_is_not_kept() {
    let mut kept = message("schedule.get", &"x".repeat(LONGEST));
    assert!(cut(&mut kept, Some(CommandKind::Get)).is_none() && kept.body.len() == LONGEST);
    let mut longer = message("schedule.get", &"x".repeat(LONGEST + 1));
    let problem = shown(&cut(&mut longer, None).unwrap());
    assert_eq!((&problem["status"], &problem["code"]), (&413.into(), &"too-large".into()));
    assert!(problem["detail"].as_str().unwrap().contains("528385 bytes"), "{problem}");
    assert!(longer.body.capacity() == 0);
    let mut many = message("events.put", &"x".repeat(LONGEST_EVENTS));
    assert!(cut(&mut many, Some(CommandKind::EventsPut)).is_none() && many.body.len() == LONGEST_EVENTS);
    many.body.push(b'x');
    assert_eq!(shown(&cut(&mut many, Some(CommandKind::EventsPut)).unwrap())["status"], 413);
}

#[test]
fn as_many_events_as_may_be_put_at_once_are_read_and_their_command_is_about_each_of_them() {
    let of = |count: usize| {
        let item = |number: usize| match number % 2 {
            0 => format!(r#"{{"name":"n-{number}","event":"a.b.c","in":"1h","data":"{}"}}"#, "x".repeat(140)),
            _ => r#"{"event":"a.b.c","in":"1h"}"#.to_owned(),
        };
        format!(r#"{{"items":[{}],"atomic":true}}"#, (0..count).map(item).collect::<Vec<_>>().join(","))
    };
    let kind = CommandKind::EventsPut;
    let read = Request::read(kind, &message(kind.word(), &of(EVENTS_AT_ONCE))).unwrap();
    let subjects = read.subjects(&"billing".into());
    assert_eq!(subjects.len(), EVENTS_AT_ONCE);
    // A name that is to be made is known: whoever deletes it by that name waits for this.
    let made = NamesOf::Message { owner: "billing".into(), id: "m-1".into() }.name(1);
    for subject in [Subject::Event("n-0".into()), Subject::Event("n-9998".into()), Subject::Event(made)] {
        assert!(subjects.contains(&subject), "{subject}");
    }
    let problem = refused(kind, &of(EVENTS_AT_ONCE + 1));
    assert!(problem["detail"].as_str().unwrap().contains("more than 10000"), "{problem}");
    assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"malformed".into()));
}

/// What is wrong with it is said by who reads a definition: `tests.rs` has that end to end.
#[test]
fn a_definition_is_left_as_it_is_written() {
    for written in [
        r#"{"name":"a","every":"1h","data":{"x":1e5,"y":"é", "z" : 1.0}}"#,
        r#"{"data":1e400}"#,
        r#"{"name":"a","name":"b"}"#,
        &format!(r#"{{"data":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let body = format!(r#"{{ "definition" : {written} }}"#);
        let read = Request::read(CommandKind::Put, &message("schedule.put", &body)).unwrap();
        assert!(matches!(read, Request::Put { definition, .. } if definition == written.as_bytes()));
    }
}

#[test]
fn a_type_that_there_is_not_is_told_what_was_meant_or_where_it_is() {
    for (kind, said) in [
        ("schedule.gett", "did you mean 'schedule.get'?"),
        ("schedule.backfill", "over HTTP, or with the command line"),
        ("schedules.delete", "over HTTP, or with the command line"),
        ("", "write one of schedule.get, schedule.list"),
    ] {
        let problem = shown(&CommandKind::of(&message(kind, "")).unwrap_err());
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{kind}: {detail}");
        assert_eq!(problem["errors"][0]["parameter"], "type", "{problem}");
    }
}

#[test]
fn what_changes_something_says_by_which_id_it_is_known_when_it_comes_again() {
    for kind in CommandKind::ALL.into_iter().filter(|kind| kind.changes()) {
        let body = r#"{"definition":{"name":"a"}}"#;
        for (id, code) in
            [(None, "missing-key"), (Some(""), "missing-key"), (Some("a\u{1b}[31m"), "invalid-value")]
        {
            let mut without = message(kind.word(), body);
            without.properties.message_id = id.map(str::to_owned);
            let problem = shown(&Request::read(kind, &without).unwrap_err());
            let error = &problem["errors"][0];
            assert_eq!(
                (&error["parameter"], &error["code"]),
                (&"message_id".into(), &code.into()),
                "{problem}"
            );
        }
    }
    let mut reading = message("schedule.get", r#"{"name":"a"}"#);
    reading.properties.message_id = None;
    assert!(Request::read(CommandKind::Get, &reading).is_ok());
}

#[test]
fn whatever_a_body_is_it_is_read_or_refused_with_a_reason() {
    let mut random = fastrand::Rng::with_seed(20_261_201);
    let seeds = [
        r#"{"name":"a","if_revision":"17.3"}"#,
        r#"{"definition":{"name":"a","every":"1h","data":{"x":[1,2.5,null]}},"if_absent":true}"#,
        r#"{"prefix":"a","domain":"b","state":"active","limit":10,"page":"x"}"#,
        r#"{"name":"a","from":"2026-12-01T09:00:00Z","count":3}"#,
        r#"{"name":"a","note":"b","until":"2026-12-01T09:00:00Z","on_resume":"skip"}"#,
        r#"{"name":"a","on_resume":"catch-up"}"#,
        r#"{"name":"a"}"#,
        r#"{"item":{"event":"a.b.c","in":"10m","data":[1]},"if_revision":"17.3"}"#,
        r#"{"items":[{"name":"a","event":"a.b.c","in":"10m"},{}],"atomic":true}"#,
        r#"{"due_after":"2026-12-01T09:00:00Z","limit":10}"#,
    ];
    let pieces =
        ["{", "}", "[", "]", "\"", ":", ",", "\\u0000", "\\", "\u{feff}", "1e400", "-", "null", "\"name\":"];
    let (mut read, mut refused) = (0, 0);
    for _ in 0..40_000 {
        let mut body = random.choice(seeds).unwrap().as_bytes().to_vec();
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..=body.len());
            match random.u8(0..3) {
                0 => drop(body.splice(at..at, random.choice(pieces).unwrap().bytes())),
                1 => drop(body.drain(at..body.len().min(at + random.usize(0..6)))),
                _ => body.insert(at, random.u8(..)),
            }
        }
        let kind = random.choice(CommandKind::ALL).unwrap();
        let mut message = message(kind.word(), "");
        message.body = body;
        match Request::read(kind, &message) {
            Ok(request) => read += usize::from(request.subjects(&"billing".into()).len() < 3),
            Err(problem) => {
                let shown = shown(&problem);
                assert!(shown["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{shown}");
                refused += 1;
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

#[test]
fn the_routing_key_is_the_type_so_that_the_brokers_permissions_are_about_it() {
    let mut other = message("schedule.get", "{}");
    other.routing_key = "schedule.list".into();
    let problem = shown(&CommandKind::of(&other).unwrap_err());
    assert_eq!(problem["errors"][0]["parameter"], "routing_key", "{problem}");
    assert!(CommandKind::of(&message("schedule.get", "")).is_ok());
}
