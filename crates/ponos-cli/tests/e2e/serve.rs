//! `ponos serve`: a program of any language receives deliveries and settles them over HTTP.

use super::{
    config::file,
    support::{LIMIT, Running, holds, look, ponos_ends, ready, start},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};
use tempfile::TempDir;
use testkit::{Node, Signal};

const QUEUE: &str = "shop.order.item.placed";

/// What most tests serve: an event with a contract, a task that it publishes, and an event too.
pub(crate) const SHOP: &str = r#"
service = "shop"
inbox = "sled:inbox"

[contracts]
folder = "schemas"

[policy]
timeout = "20s"
backoff = { first = "1s", factor = 1, longest = "1s", jitter = 0 }

[[queues]]
on = ["order.item.placed"]

[[queues]]
task = "stock.shelf.clean"

[publish]
events = ["order.label.printed"]
"#;

/// A sidecar.
pub(crate) struct Serving {
    pub(crate) url: String,
    pub(crate) address: String,
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

/// Starts one with this text, on a vhost of its own, with its topology declared.
pub(crate) fn serve(vhost: &str, text: &str, more: &[&str]) -> Serving {
    let url = Node::shared().vhost(vhost);
    let (folder, path) = file(text);
    let schemas = folder.path().join("schemas");
    fs::create_dir(&schemas).unwrap();
    for (name, schema) in [
        ("order.item.placed", r#"{"type": "object"}"#),
        ("stock.shelf.clean", r#"{"type": "object", "required": ["shelf"]}"#),
        (
            "order.label.printed",
            r#"{"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}"#,
        ),
    ] {
        fs::write(schemas.join(format!("{name}.json")), schema).unwrap();
    }
    ponos_ends(&url, &["declare", "--config", &path], 0);
    again(url, folder, more)
}

/// Starts one in this folder.
fn again(url: String, folder: TempDir, more: &[&str]) -> Serving {
    let path = folder.path().join("ponos.toml");
    let place: &[&str] = if more.contains(&"--socket") { &[] } else { &["--listen", "127.0.0.1:0"] };
    let running = start(&url, &[&["serve", "--config", path.to_str().unwrap()], place, more].concat());
    running.says("listening at ");
    let said = running.err();
    let address = said.split("listening at ").nth(1).unwrap().lines().next().unwrap();
    let address = address.trim_start_matches("http://").to_owned();
    Serving { url, address, running, folder }
}

/// An answer: status, head and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

pub(crate) fn ask_on(stream: impl Read + Write, method: &str, path: &str, head: &str, body: &str) -> Answer {
    ask_as(stream, method, path, &format!("Content-Type: application/json\r\n{head}"), body)
}

/// The same with whatever Content-Type the head has.
pub(crate) fn ask_as(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    head: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Answer { status, head: head.to_ascii_lowercase(), body }
}

impl Serving {
    pub(crate) fn ask_with(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        ask_on(stream, method, path, head, body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask_with("POST", path, "", &body.to_string())
    }

    /// The next delivery, which comes soon.
    pub(crate) fn receive(&self) -> Value {
        for _ in 0..9 {
            let answer = self.post("/v1/receive?wait=20s", &Value::Null);
            match answer.status {
                200 => return answer.body,
                204 => {}
                status => panic!("{status} {}\n{}", answer.body, self.running.err()),
            }
        }
        panic!("none came\n{}", self.running.err())
    }

    pub(crate) fn settle(&self, delivery: &Value, outcome: &Value) -> Answer {
        self.post(&format!("/v1/deliveries/{}", delivery["token"].as_str().unwrap()), outcome)
    }

    pub(crate) fn publish(&self, words: &[&str]) {
        ponos_ends(&self.url, &[&["publish"], words].concat(), 0);
    }
}

#[test]
fn a_delivery_is_received_settled_and_what_it_publishes_has_arrived_with_the_answer() {
    let serving = serve("serve-settle", SHOP, &[]);
    let id = "6a6f6b65-0000-4000-8000-000000000001";
    serving.publish(&["order.item.placed", r#"{"order": 7}"#, "--id", id, "--subject", "täglich"]);
    let delivery = serving.receive();
    assert_eq!(delivery["queue"], QUEUE);
    assert_eq!((&delivery["attempt"], &delivery["attempts"]), (&json!(1), &json!(5)));
    assert!(delivery["deadline"].as_str().unwrap() > delivery["first_seen"].as_str().unwrap());
    let event = &delivery["event"];
    assert_eq!(
        (&event["specversion"], &event["id"], &event["type"]),
        (&"1.0".into(), &id.into(), &"order.item.placed".into())
    );
    assert_eq!((&event["data"], &event["subject"]), (&json!({"order": 7}), &"täglich".into()));
    assert_eq!(serving.post("/v1/receive", &Value::Null).status, 204, "it is held once");
    let outcome = json!({"outcome": "done", "publish": [
        {"task": "stock.shelf.clean", "data": {"shelf": 1}, "key": "shelf-1"},
        {"event": "order.label.printed", "data": {"order": 7}},
    ]});
    let done = serving.settle(&delivery, &outcome);
    assert_eq!((done.status, &done.body), (200, &json!({"ended": "done"})), "{}", serving.running.err());
    let task = serving.receive();
    assert_eq!(task["event"]["data"], json!({"shelf": 1}));
    assert_eq!((&task["causation_id"], &task["correlation_id"]), (&id.into(), &id.into()));
    // the answer was lost: asked again, it is the same, and nothing is published twice
    let again = serving.settle(&delivery, &outcome);
    assert_eq!((again.status, &again.body), (200, &done.body));
    let other = serving.settle(&delivery, &json!({"outcome": "skip"}));
    assert_eq!((other.status, &other.body["code"]), (409, &"already-settled".into()));
    let nobody = serving.post("/v1/deliveries/0123456789abcdef0123456789abcdef", &outcome);
    assert_eq!((nobody.status, &nobody.body["code"]), (404, &"no-such-delivery".into()));
    assert_eq!(serving.settle(&task, &json!({"outcome": "done"})).status, 200);
    holds(&serving.url, "shop.stock.shelf.clean", 0);
    // sent again, the inbox knows it: no program sees it
    serving.publish(&["order.item.placed", r#"{"order": 7}"#, "--id", id]);
    assert_eq!(serving.post("/v1/receive?wait=1s", &Value::Null).status, 204);
    holds(&serving.url, QUEUE, 0);
}

#[test]
fn every_outcome_is_carried_out() {
    let serving = serve("serve-outcomes", SHOP, &[]);
    let next = |n: u32| {
        serving.publish(&["order.item.placed", &format!(r#"{{"n": {n}}}"#)]);
        serving.receive()
    };
    let dead = serving.settle(&next(1), &json!({"outcome": "dead", "reason": "no such order"}));
    assert_eq!(dead.body, json!({"ended": "dead", "reason": "no such order"}));
    let letter = look(&serving.url, "shop.order.item.placed.dlq", 1).remove(0);
    assert_eq!(letter.headers.text("dead-reason"), Some("no such order"));
    assert_eq!(serving.settle(&next(2), &json!({"outcome": "skip"})).body["ended"], "skipped");
    let retried =
        serving.settle(&next(3), &json!({"outcome": "retry", "reason": "amqp://me:hunter2@h is away"}));
    assert_eq!((retried.status, &retried.body["ended"]), (200, &"retried".into()));
    assert!(!retried.body.to_string().contains("hunter2"), "{}", retried.body);
    let second = serving.receive();
    assert_eq!((&second["attempt"], &second["event"]["data"]), (&2.into(), &json!({"n": 3})));
    let snoozed = serving.settle(&second, &json!({"outcome": "snooze", "after": "1s"}));
    assert!(snoozed.body["ended"] == "snoozed" && snoozed.body["due"].is_string(), "{}", snoozed.body);
    let same = serving.receive();
    assert_eq!(same["attempt"], 2);
    assert_eq!(serving.settle(&same, &json!({"outcome": "release"})).body["ended"], "released");
    let same = serving.receive();
    assert_eq!(same["attempt"], 2);
    assert_eq!(serving.settle(&same, &json!({"outcome": "done"})).body["ended"], "done");
    for (wrong, pointer) in [
        (json!({"outcome": "dead"}), "/reason"),
        (json!({"outcome": "snooze"}), "/after"),
        (json!({"outcome": "done", "after": "1s"}), "/after"),
        (json!({"outcome": "retry", "after": "8 days"}), "/after"),
        (json!({"outcome": "retry", "after": "soon"}), "/after"),
        (
            json!({"outcome": "skip", "publish": [{"event": "order.label.printed", "data": {"order": 1}}]}),
            "/publish",
        ),
        (json!({"outcome": "don"}), "/outcome"),
        (json!({"outcome": "done", "publsh": []}), "/publsh"),
    ] {
        let delivery = next(9);
        let refused = serving.settle(&delivery, &wrong);
        assert_eq!(
            (refused.status, &refused.body["errors"][0]["pointer"]),
            (422, &pointer.into()),
            "{wrong}"
        );
        // and it can be settled all the same
        assert_eq!(serving.settle(&delivery, &json!({"outcome": "done"})).status, 200);
    }
}

#[test]
fn what_breaks_its_contract_is_refused_whole_and_nothing_of_it_is_sent() {
    let serving = serve("serve-contracts", SHOP, &[]);
    serving.publish(&["order.item.placed", "{}"]);
    let delivery = serving.receive();
    let refused = serving.settle(
        &delivery,
        &json!({"outcome": "done", "publish": [
            {"task": "stock.shelf.clean", "data": {"shelf": 1}},
            {"event": "order.label.printed", "data": {"order": "7"}},
            {"event": "order.label.prnted", "data": {"order": 7}},
            {"event": "order.label.printed", "data": {"order": 7}, "at": "tomorrow"},
            {"event": "order.label.printed", "data": {"order": 7}, "id": "mine"},
            {"data": 1},
        ]}),
    );
    assert_eq!(refused.status, 422);
    let faults: Vec<_> = refused.body["errors"].as_array().unwrap().iter().collect();
    let pointers: Vec<_> = faults.iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    assert_eq!(
        pointers,
        ["/publish/1/data", "/publish/2/event", "/publish/3/at", "/publish/4/id", "/publish/5"]
    );
    assert!(faults[0]["detail"].as_str().unwrap().contains("/order"), "{}", refused.body);
    assert!(
        faults[1]["detail"].as_str().unwrap().contains("did you mean order.label.printed?"),
        "{}",
        refused.body
    );
    assert_eq!(serving.settle(&delivery, &json!({"outcome": "done"})).status, 200);
    assert_eq!(ready(&serving.url, "shop.stock.shelf.clean"), 0);
    // outside of a delivery
    let wrong = serving.post("/v1/publish", &json!({"event": "order.label.printed", "data": {}}));
    assert_eq!((wrong.status, &wrong.body["errors"][0]["pointer"]), (422, &"/data".into()), "{}", wrong.body);
    let sent =
        serving.post("/v1/publish", &json!({"task": "stock.shelf.clean", "data": {"shelf": 3}, "key": "k"}));
    assert_eq!(sent.status, 200, "{}", sent.body);
    let task = serving.receive();
    assert_eq!((&task["event"]["id"], &task["event"]["data"]), (&sent.body["id"], &json!({"shelf": 3})));
    let contracts = serving.ask_with("GET", "/v1/contracts", "", "").body;
    assert_eq!(contracts["queues"][0]["takes"]["order.item.placed"], json!({"type": "object"}));
    assert_eq!(contracts["tasks"]["stock.shelf.clean"]["required"], json!(["shelf"]));
    let described = serving.ask_with("GET", "/v1/openapi.json", "", "").body;
    assert_eq!(described["paths"].as_object().unwrap().len(), 5, "{described}");
}

#[test]
fn who_dies_with_a_delivery_spends_an_attempt_and_another_gets_the_next() {
    let text = SHOP.replace("timeout = \"20s\"", "timeout = \"1s\"");
    let serving = serve("serve-late", &text, &["--longest", "30s"]);
    serving.publish(&["order.item.placed", "{}"]);
    let lost = serving.receive();
    let second = serving.receive();
    assert_eq!((&second["attempt"], &second["event"]["id"]), (&2.into(), &lost["event"]["id"]));
    let token = second["token"].as_str().unwrap();
    let extended = serving.post(&format!("/v1/deliveries/{token}/extend"), &json!({"by": "10m"}));
    assert_eq!(extended.status, 200);
    assert!(extended.body["deadline"].as_str().unwrap() > second["deadline"].as_str().unwrap());
    let late = serving.settle(&lost, &json!({"outcome": "done"}));
    assert_eq!((late.status, &late.body["code"]), (410, &"late".into()), "{}", late.body);
    assert_eq!(serving.settle(&second, &json!({"outcome": "done"})).body["ended"], "done");
}

#[test]
fn after_a_signal_what_is_held_can_be_settled_and_then_it_ends() {
    let serving = serve("serve-stops", SHOP, &[]);
    serving.publish(&["order.item.placed", "{}"]);
    let delivery = serving.receive();
    serving.running.program.signal(Signal::TERM);
    serving.running.says("stopping");
    testkit::block_until("nothing is given out", LIMIT, || {
        let none = serving.post("/v1/receive?wait=1s", &Value::Null);
        (none.status == 503 && none.head.contains("retry-after") && none.body["code"] == "draining")
            .then_some(())
    });
    let done = serving.settle(&delivery, &json!({"outcome": "done"}));
    assert_eq!((done.status, &done.body["ended"]), (200, &"done".into()));
    let ended = serving.running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("ended: 1 handled"), "{}", ended.err);
    assert_eq!(ready(&serving.url, QUEUE), 0);
}

#[test]
fn what_was_done_is_known_after_the_sidecar_was_killed() {
    let serving = serve("serve-killed", SHOP, &[]);
    let id = "6a6f6b65-0000-4000-8000-000000000002";
    serving.publish(&["order.item.placed", "{}", "--id", id]);
    let delivery = serving.receive();
    assert_eq!(serving.settle(&delivery, &json!({"outcome": "done"})).status, 200);
    let second = "6a6f6b65-0000-4000-8000-000000000003";
    serving.publish(&["order.item.placed", "{}", "--id", second]);
    let held = serving.receive();
    serving.running.program.signal(Signal::KILL);
    let Serving { url, running, folder, .. } = serving;
    running.end();
    // whatever came of the ack
    ponos_ends(&url, &["publish", "order.item.placed", "{}", "--id", id], 0);
    let serving = again(url, folder, &[]);
    let again = serving.receive();
    assert_eq!(again["event"]["id"], second, "what was held comes again, what was done does not");
    let gone = serving.settle(&held, &json!({"outcome": "done"}));
    assert_eq!(gone.status, 404, "the token was another sidecar's");
    assert_eq!(serving.settle(&again, &json!({"outcome": "done"})).status, 200);
    assert_eq!(serving.post("/v1/receive?wait=1s", &Value::Null).status, 204);
}
