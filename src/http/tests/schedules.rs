//! Schedules that are created, changed and deleted at run time: conditions, who may, and how the answers look.

use super::*;
use crate::{
    authority::token::{RANDOM_BYTES, Token},
    clock_loop::{ChangesAnswer, NotDecided},
    config::{CalendarSource, ScheduleSource},
    sources,
    store::NO_ROOM,
};
use serde_json::json;

const NIGHT: &str = r#"{"event":"billing.night.passed","cron":"30 2 * * *"}"#;

/// `one-minute` is a file's, `taken` another owner's, at revision 2; nothing else is there.
fn decided(change: &ScheduleChange) -> Verdict {
    let expect = match change {
        ScheduleChange::Invalid { faults, .. } => {
            return Verdict::Refused(Refusal::Invalid { faults: faults.clone() });
        }
        ScheduleChange::Calendar { name, .. } if **name == *"used" => {
            return Verdict::Refused(Refusal::InUse { first: vec!["a".into(), "b".into()], count: 3 });
        }
        ScheduleChange::Put { expect, .. }
        | ScheduleChange::Delete { expect, .. }
        | ScheduleChange::Calendar { expect, .. } => expect,
    };
    let refusal = match (change.name(), expect) {
        ("one-minute", _) => Some(Refusal::FileOwned),
        ("taken", Expect::Absent) => Some(Refusal::Exists { revision: 2 }),
        ("taken", _) => Some(Refusal::NotOwner { owner: "reports".into() }),
        (_, Expect::Revision { .. }) if is_put(change) => Some(Refusal::Stale { revision: None }),
        (_, Expect::Present) => Some(Refusal::Stale { revision: None }),
        ("once", _) => Some(Refusal::MayHaveBeenSent { due: at(9) }),
        ("sent", _) => Some(Refusal::AlreadySettled { due: at(9) }),
        ("never", _) => Some(Refusal::NeverDue),
        _ => None,
    };
    match (refusal, change) {
        (Some(refusal), _) => Verdict::Refused(refusal),
        (None, change) if is_put(change) => Verdict::Created { creation: 3, revision: 1, since: at(10) },
        (None, _) => Verdict::GoneAlready,
    }
}

fn is_put(change: &ScheduleChange) -> bool {
    matches!(change, ScheduleChange::Put { .. } | ScheduleChange::Calendar { wanted: Some(_), .. })
}

/// The disk is full for `full`.
pub(super) fn answered(changes: &[ScheduleChange]) -> ChangesAnswer {
    if changes.iter().any(|change| change.name() == "full") {
        let why = format!("nothing changed, for the store can't be written: no space left{NO_ROOM}");
        return Err(NotDecided::Unavailable(why));
    }
    Ok(changes.iter().map(decided).collect())
}

/// Status, head and body of the answer to the token's holder.
pub(super) async fn sent(
    clock: &Clock,
    token: u8,
    method: &str,
    path: &str,
    head: &str,
    body: &str,
) -> (u16, String, Value) {
    let token = Token::from_random([token; RANDOM_BYTES]);
    let kind =
        if head.to_lowercase().contains("content-type") { "" } else { "Content-Type: application/json\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}Content-Length: {}\r\nAuthorization: Bearer {}\r\n{head}\r\n{body}",
        body.len(),
        token.reveal()
    );
    let answer = whole(clock, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_schedule_is_put_on_conditions_and_its_revision_is_its_tag() {
    let clock = access::clock().await;
    let put = async |path: &str, head: &str, body: &str| sent(&clock, 4, "PUT", path, head, body).await;
    let (status, head, answer) = put("/v1/schedules/night", "", NIGHT).await;
    assert_eq!(status, 201, "{answer}");
    assert!(head.contains("\r\netag: \"3.1\""), "{head}");
    assert_eq!(
        (&answer["outcome"], &answer["creation"], &answer["revision"]),
        (&json!("created"), &json!(3), &json!(1))
    );
    for (path, head, body, status, said) in [
        ("/v1/schedules/night", "If-None-Match: *\r\n", NIGHT, 201, "created"),
        ("/v1/schedules/taken", "If-None-Match: *\r\n", NIGHT, 412, "it exists, as revision 2"),
        ("/v1/schedules/night", "If-Match: \"3.7\"\r\n", NIGHT, 412, "does not exist"),
        ("/v1/schedules/night", "If-Match: *\r\n", NIGHT, 412, "a revision of it was expected"),
        ("/v1/schedules/night", "If-Match: *\r\n", "{\"name\":\"day\"}", 422, "every"),
        ("/v1/schedules/night", "If-Match: 7\r\n", NIGHT, 400, "give one revision"),
        ("/v1/schedules/night", "If-Match: *\r\nIf-None-Match: *\r\n", NIGHT, 400, "exclude each other"),
        ("/v1/schedules/one-minute", "", NIGHT, 409, "comes from a schedule file"),
        ("/v1/schedules/one-minute", "If-Match: *\r\n", NIGHT, 409, "comes from a schedule file"),
        ("/v1/schedules/taken", "", NIGHT, 403, "belongs to 'reports'"),
        ("/v1/schedules/once", "", NIGHT, 409, "may-have-been-sent"),
        ("/v1/schedules/sent", "", NIGHT, 409, "already-settled"),
        ("/v1/schedules/never", "", NIGHT, 422, "would never be due"),
        ("/v1/schedules/night", "", "{\"name\":\"day\"}", 422, "every"),
        ("/v1/schedules/Night", "", NIGHT, 422, "name"),
        (
            "/v1/schedules/night",
            "",
            "{\"name\":null,\"event\":\"billing.a.b\",\"every\":\"1h\"}",
            422,
            "\"pointer\":\"/name\"",
        ),
        ("/v1/schedules/night", "", "{", 400, "JSON"),
        ("/v1/schedules/night", "Content-Type: text/plain\r\n", NIGHT, 415, "Content-Type"),
    ] {
        let (found, _, answer) = put(path, head, body).await;
        assert!(found == status && answer.to_string().contains(said), "{path} {head}: {found} {answer}");
    }
    let past = r#"{"event":"billing.night.passed","at":"2020-01-01T00:00:00Z"}"#;
    let (status, _, answer) = put("/v1/schedules/never", "", past).await;
    assert_eq!((status, &answer["code"]), (422, &json!("never-due")), "{answer}");
    let error = &answer["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/at"), &json!("never-fires")), "{answer}");
    assert!(error["suggestion"].as_str().unwrap().contains("past"), "{answer}");
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.starts_with("the schedule 'never' is as it was: at: it would never be due"), "{detail}");
    let (status, head, answer) = put("/v1/schedules/full", "", NIGHT).await;
    assert_eq!((status, &answer["code"]), (507, &json!("out-of-disk")), "{answer}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(600_000));
    assert_eq!(put("/v1/schedules/night", "", &large).await.0, 413);
    let (status, head, _) = sent(&clock, 1, "GET", "/v1/schedules/one-minute", "", "").await;
    assert!(status == 200 && head.contains("\r\netag: \"0.1\""), "{head}");
}

/// The head of a put, and no body that it announces.
async fn put_slowly(clock: &Clock, length: usize) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let token = Token::from_random([4; RANDOM_BYTES]);
    let mut stream = tokio::net::TcpStream::connect(clock.address).await.unwrap();
    let head = format!(
        "PUT /v1/schedules/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nAuthorization: Bearer {}\r\n\r\n{{",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn who_sends_slowly_has_no_place_of_those_that_are_worked_on() {
    let mut clock = access::clock().await;
    clock.state.puts = gate::Gate::new(1, Duration::from_secs(60));
    clock.serve_again().await;
    let _slow = [put_slowly(&clock, 1_000).await, put_slowly(&clock, 100_000).await];
    assert_eq!(sent(&clock, 4, "PUT", "/v1/schedules/night", "", NIGHT).await.0, 201);
}

#[tokio::test]
async fn of_a_body_that_does_not_come_it_is_known_that_nothing_is_done() {
    use tokio::io::AsyncReadExt;
    let mut clock = access::clock().await;
    clock.state.limits.answer = Duration::from_millis(50);
    clock.serve_again().await;
    for length in [1_000, 100_000] {
        let mut stream = put_slowly(&clock, length).await;
        let mut answer = vec![0; 4_096];
        let length = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut answer)).await;
        let said = String::from_utf8_lossy(&answer[..length.expect("in time").unwrap()]).into_owned();
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    }
}

#[tokio::test]
async fn a_schedule_is_deleted_on_conditions_and_so_it_is_where_there_is_none() {
    let clock = access::clock().await;
    for (path, head, status, said) in [
        ("/v1/schedules/night", "", 204, ""),
        ("/v1/schedules/Night", "", 204, ""),
        ("/v1/schedules/night", "If-Match: \"3.7\"\r\n", 204, ""),
        ("/v1/schedules/night", "If-Match: *\r\n", 412, "a revision of it was expected"),
        ("/v1/schedules/night", "If-None-Match: *\r\n", 400, "leave it out"),
        ("/v1/schedules/one-minute", "", 409, "comes from a schedule file"),
        ("/v1/schedules/taken", "", 403, "belongs to 'reports'"),
    ] {
        let (found, _, answer) = sent(&clock, 4, "DELETE", path, head, "").await;
        assert!(found == status && answer.to_string().contains(said), "{path} {head}: {found} {answer}");
    }
}

#[tokio::test]
async fn changing_schedules_takes_the_role_write() {
    let clock = access::clock().await;
    for (method, path, body) in [
        ("PUT", "/v1/schedules/night", NIGHT),
        ("DELETE", "/v1/schedules/night", ""),
        ("POST", "/v1/schedules:batch", "[]"),
        ("POST", "/v1/schedules:delete", r#"{"filter":{"prefix":"a"},"dry_run":true}"#),
    ] {
        for (token, status, said) in
            [(1, 403, "has the role read"), (2, 403, "takes the role write"), (9, 401, "not known")]
        {
            let (found, _, answer) = sent(&clock, token, method, path, "", body).await;
            assert!(found == status && answer.to_string().contains(said), "{method} {token}: {answer}");
        }
    }
    for path in ["/v1/changes", "/v1/export"] {
        assert_eq!(sent(&clock, 1, "GET", path, "", "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_batch_says_of_each_what_became_of_it() {
    let clock = access::clock().await;
    let list = r#"[{"name":"night","event":"billing.a.b","every":"1 hour"},{"name":"taken","event":"billing.a.b","every":"1 hour"},{"name":"x"},7,{"name":"y","name":"y"}]"#;
    let lines = list.trim_matches(['[', ']']).replace("},", "}\n").replace("7,", "7\n");
    for (head, body) in [("", list), ("Content-Type: application/x-ndjson; charset=utf-8\r\n", &*lines)] {
        let (status, _, answer) = sent(&clock, 4, "POST", "/v1/schedules:batch", head, body).await;
        assert_eq!((status, &answer["done"], &answer["refused"]), (200, &json!(1), &json!(4)), "{answer}");
        let of = |index: usize| answer["results"][index].clone();
        assert_eq!(
            (&of(0)["index"], &of(0)["outcome"], &of(0)["problem"]),
            (&json!(0), &json!("created"), &Value::Null)
        );
        let found: Vec<_> = (1..5).map(|index| of(index)["problem"]["status"].as_u64().unwrap()).collect();
        assert_eq!(found, [403, 422, 422, 400], "{answer}");
    }
    // What follows the first one too many is not even read.
    let many = format!("[{},]]", vec!["1"; 1_001].join(","));
    let lines = "1\n".repeat(1_001);
    for (head, body, status, said) in [
        ("", "{}", 400, "no list of definitions"),
        ("", "[]", 400, "1 to 1000 are allowed"),
        ("", &*many, 400, "more than 1000 definitions"),
        ("Content-Type: application/x-ndjson\r\n", &*lines, 400, "1 to 1000 are allowed"),
        ("Content-Type: text/csv\r\n", "[]", 415, "Content-Type"),
    ] {
        let (found, _, answer) = sent(&clock, 4, "POST", "/v1/schedules:batch", head, body).await;
        assert!(found == status && answer.to_string().contains(said), "{answer}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let (status, _, answer) = sent(&clock, 4, "POST", "/v1/schedules:batch", "", &deep).await;
    assert_eq!((status, &answer["results"][0]["problem"]["status"]), (200, &json!(422)), "{answer}");
}

#[tokio::test]
async fn a_schedule_of_a_file_is_said_with_its_line() {
    let mut clock = access::clock().await;
    let place = async |clock: &Clock| sent(clock, 1, "GET", "/v1/schedules/one-minute", "", "").await.2;
    let unknown = place(&clock).await;
    assert_eq!((&unknown["origin"], &unknown["place"]), (&json!("file"), &Value::Null));
    let (source, calendars) = (ScheduleSource::Embedded, CalendarSource::Beside);
    let read = sources::packed(&source, &calendars, &CalendarStore::default(), Default::default());
    let (_, lines) = watch::channel(read.file_lines());
    clock.state.clock = clock.state.clock.clone().written(lines);
    clock.serve_again().await;
    let begins = sources::STANDARD.lines().collect::<Vec<_>>();
    let name = begins.iter().position(|line| *line == "name = \"one-minute\"").unwrap();
    let header = begins[..name].iter().rposition(|line| *line == "[[schedule]]").unwrap();
    let expected = format!("<built-in schedules/standard.toml>:{}", header + 1);
    let known = place(&clock).await;
    assert_eq!((&known["origin"], &known["place"]), (&json!("file"), &json!(expected)));
    for method in ["PUT", "DELETE"] {
        let (status, _, answer) = sent(&clock, 4, method, "/v1/schedules/one-minute", "", NIGHT).await;
        let said = format!("it comes from a schedule file ({expected}), and is changed there");
        assert!(status == 409 && answer["detail"].as_str().unwrap().contains(&said), "{answer}");
    }
}
