//! Delayed events over HTTP: a machine that runs over a store in memory decides.

use super::{
    super::{
        access::{Access, AccessRules},
        connection::Connection,
        shares::{Shares, Whose},
    },
    access::{self, known, token},
    schedules::sent,
    *,
};
use crate::authority::{Domains, Owners, Role};
use axum::{body::Body, http::Request};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

pub(super) const SOON: &str = r#"{"event":"billing.reminder.due","in":"10m","data":{"order": 7,  "x":1.0}}"#;
pub(super) const CHRISTMAS: &str = r#"{"event":"billing.reminder.due","at":"2099-12-24T17:00:00Z"}"#;

impl Clock {
    /// The same, which keeps delayed events.
    pub(super) async fn with_events(mut self) -> Self {
        self.machine.reach(Timestamp::EPOCH);
        self.state.clock = self.state.clock.with_delayed(self.machine.handle().await);
        self.serve_again().await;
        self
    }
}

/// A clock with delayed events; the token 4 writes `billing.*` and sends tasks to `docker.*`, 5 is another owner's, 1 reads.
pub(super) async fn clock() -> Clock {
    let mut clock = Clock::start().await;
    let write = known(4, Role::Write, "billing.*");
    let tasks = Some(Domains::new(vec!["docker.*".into()]).unwrap());
    let tokens = [
        known(1, Role::Read, "#"),
        crate::config::TokenConfig { tasks, ..write },
        crate::config::TokenConfig { owner: "reports".into(), ..known(5, Role::Write, "#") },
    ];
    let owners = Owners::new(tokens.iter().map(|token| (&*token.owner, token.quota)));
    clock.state = clock.state.with_access(Access::new(&tokens, &owners, AccessRules::default()));
    clock.with_events().await
}

#[tokio::test]
async fn an_event_is_put_moved_seen_sent_now_and_deleted() {
    let clock = clock().await;
    let ask = async |method: &str, path: &str, head: &str, body: &str| {
        sent(&clock, 4, method, path, head, body).await
    };
    let (status, head, answer) = ask("PUT", "/v1/events/a", "", CHRISTMAS).await;
    assert_eq!(
        (status, &answer["outcome"], &answer["creation"]),
        (201, &json!("created"), &json!(1)),
        "{answer}"
    );
    assert!(head.contains("\r\netag: \"1.1\""), "{head}");
    assert_eq!(
        (&answer["due_at"], &answer["send_at"]),
        (&json!("2099-12-24T17:00:00.000Z"), &json!("2099-12-24T17:00:00.000Z"))
    );
    for (method, head, body, status, said) in [
        ("PUT", "", CHRISTMAS, 200, "\"outcome\":\"unchanged\""),
        ("PUT", "If-None-Match: *\r\n", CHRISTMAS, 412, "it exists, as revision 1"),
        ("PUT", "If-Match: \"1.7\"\r\n", SOON, 412, "it is at revision 1"),
        ("PUT", "If-Match: *\r\n", SOON, 200, "\"revision\":2"),
        ("PUT", "If-Match: 7\r\n", SOON, 400, "give one revision"),
        ("PUT", "", "{\"name\":\"b\"}", 422, "\"pointer\":\"/name\""),
        ("PUT", "", "{", 400, "malformed"),
        ("PUT", "Content-Type: text/plain\r\n", SOON, 415, "Content-Type"),
        ("PUT", "", r#"{"event":"reports.a.b","in":"1s"}"#, 403, "outside-domains"),
        ("PUT", "", r#"{"event":"a.b.c","in":"1s","to":{"task":"mail.letters"}}"#, 403, "outside-domains"),
        ("PUT", "", r#"{"event":"time.a.b","in":"1s"}"#, 403, "reserved-event"),
    ] {
        let (found, _, answer) = ask(method, "/v1/events/a", head, body).await;
        assert!(found == status && answer.to_string().contains(said), "{head} {body}: {found} {answer}");
    }
    let (status, head, view) = ask("GET", "/v1/events/a", "", "").await;
    assert!(status == 200 && head.contains("\r\netag: \"1.2\""), "{head}");
    assert_eq!(
        (&view["state"], &view["owner"], &view["data"]["order"]),
        (&json!("pending"), &json!("billing"), &json!(7))
    );
    for (head, status) in [("If-Match: \"1.1\"\r\n", 412), ("If-None-Match: *\r\n", 400)] {
        let (found, _, answer) = ask("POST", "/v1/events/a/send-now", head, "").await;
        assert_eq!(found, status, "{answer}");
    }
    let (status, head, now) = ask("POST", "/v1/events/a/send-now", "If-Match: \"1.2\"\r\n", "").await;
    assert_eq!((status, &now["outcome"], &now["revision"]), (202, &json!("changed"), &json!(3)), "{now}");
    assert!(head.contains("\r\netag: \"1.3\"") && now["event_id"] != view["event_id"], "{head}");
    for (head, status) in [
        ("If-Match: \"1.2\"\r\n", 412),
        ("If-None-Match: *\r\n", 400),
        ("If-Match: \"1.3\"\r\n", 204),
        ("", 204),
        ("If-Match: *\r\n", 412),
    ] {
        assert_eq!(ask("DELETE", "/v1/events/a", head, "").await.0, status, "{head}");
    }
    let (status, _, missing) = ask("GET", "/v1/events/a", "", "").await;
    assert_eq!((status, &missing["missing"]["kind"]), (404, &json!("delayed-event")), "{missing}");
    assert_eq!(ask("POST", "/v1/events/a/send-now", "", "").await.0, 404);
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(600_000));
    assert_eq!(ask("PUT", "/v1/events/a", "", &large).await.0, 413);
}

#[tokio::test]
async fn data_come_back_byte_for_byte() {
    let clock = clock().await;
    sent(&clock, 4, "PUT", "/v1/events/a", "", SOON).await;
    let request = format!(
        "GET /v1/events/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token(1).reveal()
    );
    let answer = whole(&clock, &request).await;
    assert!(answer.contains(r#""data":{"order": 7,  "x":1.0}"#), "{answer}");
}

#[tokio::test]
async fn what_may_have_been_sent_or_is_settled_is_said_by_its_code() {
    let clock = clock().await;
    let ask = async |method: &str, path: &str, body: &str| sent(&clock, 4, method, path, "", body).await;
    for name in ["a", "b"] {
        assert_eq!(ask("PUT", &format!("/v1/events/{name}"), CHRISTMAS).await.0, 201);
    }
    clock.machine.settle("b");
    clock.machine.reach(Timestamp::HORIZON);
    for (method, path, body, status, said) in [
        ("PUT", "/v1/events/a", SOON, 409, "may-have-been-sent"),
        ("DELETE", "/v1/events/a", "", 409, "may-have-been-sent"),
        ("POST", "/v1/events/a/send-now", "", 409, "may-have-been-sent"),
        ("PUT", "/v1/events/b", CHRISTMAS, 200, "\"outcome\":\"settled\""),
        ("POST", "/v1/events/b/send-now", "", 200, "\"outcome\":\"settled\""),
        ("PUT", "/v1/events/b", SOON, 409, "already-settled"),
        ("DELETE", "/v1/events/b", "", 409, "already-settled"),
        ("GET", "/v1/events/b", "", 200, "\"state\":\"settled\""),
    ] {
        let (found, _, answer) = ask(method, path, body).await;
        assert!(found == status && answer.to_string().contains(said), "{method} {path}: {found} {answer}");
    }
}

#[tokio::test]
async fn an_event_without_a_name_is_named_and_its_key_is_good_for_one() {
    let clock = clock().await;
    let post = async |head: &str, body: &str| sent(&clock, 4, "POST", "/v1/events", head, body).await;
    let (status, head, first) = post("Idempotency-Key: order-7\r\n", SOON).await;
    let name = first["name"].as_str().unwrap().to_owned();
    assert!(status == 201 && head.contains(&format!("\r\nlocation: /v1/events/{name}\r\n")), "{head}");
    let (status, _, again) = post("Idempotency-Key: order-7\r\n", SOON).await;
    assert_eq!((status, &again["outcome"], &again["name"]), (200, &json!("unchanged"), &first["name"]));
    assert_eq!((&again["due_at"], &again["event_id"]), (&first["due_at"], &first["event_id"]));
    let (status, _, other) = post("Idempotency-Key: order-7\r\n", CHRISTMAS).await;
    assert_eq!((status, &other["code"]), (422, &json!("message-id-used")), "{other}");
    let (status, _, unnamed) = post("", SOON).await;
    assert!(status == 201 && unnamed["name"] != first["name"], "{unnamed}");
    let (status, _, twice) = post("Idempotency-Key: a\r\nIdempotency-Key: b\r\n", SOON).await;
    assert!(status == 400 && twice["detail"].as_str().unwrap().contains("one Idempotency-Key"), "{twice}");
    let (status, _, list) = sent(&clock, 1, "GET", "/v1/events?limit=1", "", "").await;
    assert_eq!((status, list["events"].as_array().map(Vec::len)), (200, Some(1)), "{list}");
    let next = list["next"].as_str().unwrap();
    let (_, _, rest) = sent(&clock, 1, "GET", &format!("/v1/events?page={next}"), "", "").await;
    assert_eq!((rest["events"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null), "{rest}");
    assert!(rest["events"][0].get("data").is_none(), "{rest}");
}

#[tokio::test]
async fn a_batch_says_of_each_event_what_became_of_it() {
    let clock = clock().await;
    let batch = async |query: &str, head: &str, body: &str| {
        sent(&clock, 4, "POST", &format!("/v1/events:batch{query}"), head, body).await
    };
    let list = r#"[{"name":"a","event":"billing.a.b","in":"1h"},{"event":"billing.a.b","in":"1h"},{"name":"x"},7,{"event":"reports.a.b","in":"1s"}]"#;
    let (status, _, atomic) = batch("?atomic=true", "", list).await;
    assert_eq!((status, &atomic["done"], &atomic["refused"]), (200, &json!(0), &json!(5)), "{atomic}");
    assert_eq!(atomic["results"][0]["problem"]["code"], json!("another-refused"));
    let lines = list.trim_matches(['[', ']']).replace("},", "}\n").replace("7,", "7\n");
    for (head, body) in [("", list), ("Content-Type: application/x-ndjson; charset=utf-8\r\n", &*lines)] {
        let (status, _, answer) = batch("", head, body).await;
        assert_eq!((status, &answer["done"], &answer["refused"]), (200, &json!(2), &json!(3)), "{answer}");
        let of = |index: usize| answer["results"][index].clone();
        assert_eq!(
            (&of(0)["index"], &of(0)["name"], &of(0)["problem"]),
            (&json!(0), &json!("a"), &Value::Null)
        );
        assert!(of(1)["outcome"] == "created" && of(1)["name"].as_str().unwrap().len() == 36, "{answer}");
        let found: Vec<_> = (2..5).map(|index| of(index)["problem"]["status"].as_u64().unwrap()).collect();
        assert_eq!(found, [422, 422, 403], "{answer}");
    }
    for (head, body, status, said) in [
        ("", "{}", 400, "no list of events"),
        ("", "[]", 400, "1 to 10000 are allowed"),
        ("Content-Type: text/csv\r\n", "[]", 415, "Content-Type"),
    ] {
        let (found, _, answer) = batch("", head, body).await;
        assert!(found == status && answer.to_string().contains(said), "{answer}");
    }
}

/// Status and body of the answer to a batch, which is there as a whole: whoever refuses it need not read it.
async fn batched(clock: &Clock, batch: String) -> (u16, Value) {
    let request = Request::post("/v1/events:batch")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("content-length", batch.len())
        .header("authorization", format!("Bearer {}", token(4).reveal()))
        .extension(Connection { local: None, peer: "127.0.0.1".parse().ok(), encrypted: true })
        .body(Body::from(batch));
    let router = routes::public(clock.state.clone(), clock.shutdown.clone());
    let answer = TowerToHyperService::new(router).call(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_large_batch_takes_its_places_and_a_larger_one_is_refused() {
    let mut clock = clock().await;
    // Each item with 100 kB of data: 5 MB, which is two places.
    let item = format!(r#"{{"event":"billing.a.b","in":"1h","data":"{}"}}"#, "x".repeat(100_000));
    let batch = format!("[{}]", vec![item; 50].join(","));
    let (status, answer) = batched(&clock, batch.clone()).await;
    assert_eq!((status, &answer["done"]), (200, &json!(50)), "{answer}");
    assert_eq!(batched(&clock, format!("[{}", " ".repeat(16 << 20))).await.0, 413);
    clock.state.bodies = Shares::new(4);
    let taken = [(); 3].map(|()| clock.state.bodies.take(Whose::Everybody).ok().unwrap());
    assert_eq!(batched(&clock, batch.clone()).await.0, 503);
    drop(taken);
    assert_eq!(batched(&clock, batch).await.0, 200);
}

#[tokio::test]
async fn changing_events_takes_the_role_write_and_is_their_owners() {
    let clock = clock().await;
    assert_eq!(sent(&clock, 4, "PUT", "/v1/events/a", "", SOON).await.0, 201);
    for (method, path, body) in [
        ("PUT", "/v1/events/a", SOON),
        ("POST", "/v1/events", SOON),
        ("DELETE", "/v1/events/a", ""),
        ("POST", "/v1/events/a/send-now", ""),
        ("POST", "/v1/events:batch", &*format!("[{SOON}]")),
    ] {
        let (status, _, answer) = sent(&clock, 1, method, path, "", body).await;
        assert!(
            status == 403 && answer.to_string().contains("has the role read"),
            "{method} {path}: {answer}"
        );
        if path.contains("/a") {
            let (status, _, answer) = sent(&clock, 5, method, path, "", body).await;
            assert_eq!((status, &answer["code"]), (403, &json!("name-taken")), "{method} {path}: {answer}");
        }
    }
    for path in ["/v1/events", "/v1/events/a"] {
        assert_eq!(sent(&clock, 1, "GET", path, "", "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_a_clock_that_keeps_none() {
    let clock = clock().await;
    clock.machine.disk.fill(Some((1, 64 << 20)));
    let (status, head, answer) = sent(&clock, 4, "PUT", "/v1/events/a", "", SOON).await;
    assert_eq!((status, &answer["code"]), (507, &json!("out-of-disk")), "{answer}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    let none = access::clock().await;
    let (status, _, answer) = sent(&none, 4, "PUT", "/v1/events/a", "", SOON).await;
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
}

#[tokio::test]
async fn parked_events_are_listed_released_and_dropped_by_whom_they_concern() {
    let clock = clock().await;
    for name in ["a", "b"] {
        sent(&clock, 4, "PUT", &format!("/v1/events/{name}"), "", SOON).await;
        clock.machine.end(name, Outcome::Parked("full".into()));
    }
    let (status, _, list) = sent(&clock, 1, "GET", "/v1/parked-events?limit=1", "", "").await;
    assert_eq!(
        (status, &list["parked"][0]["name"], &list["next"]),
        (200, &json!("a"), &json!("1")),
        "{list}"
    );
    let (_, _, list) = sent(&clock, 1, "GET", "/v1/parked-events?page=1", "", "").await;
    assert_eq!((&list["parked"][0]["creation"], &list["next"]), (&json!(2), &Value::Null), "{list}");
    for (holder, path, body, status, said) in [
        (1, "release", r#"{"creations":[1]}"#, 403, "takes the role operate"),
        (4, "release", r#"{"creations":[]}"#, 400, "name 1 to 1000 parked events"),
        (4, "release", r#"{"ids":[1]}"#, 422, "unknown field"),
        (4, "release", r#"{"creations":[1,9]}"#, 200, r#""done":[1]"#),
        (4, "release", r#"{"creations":[1]}"#, 200, r#""being_sent":[1]"#),
        (4, "drop", r#"{"creations":[1,2]}"#, 200, r#""done":[1,2]"#),
        (4, "drop", r#"{"creations":[2]}"#, 200, r#""unknown":[2]"#),
    ] {
        let path = format!("/v1/parked-events/{path}");
        let (found, _, answer) = sent(&clock, holder, "POST", &path, "", body).await;
        assert!(found == status && answer.to_string().contains(said), "{path} {body}: {found} {answer}");
    }
}
