//! `ponos gateway`: events from HTTP to a real RabbitMQ, every answer of its list; tokens, TLS, metrics.

use super::{
    config::file,
    serve::{Answer, ask_as},
    support::{LIMIT, Running, declare_all, holds, look, ponos_ends, start_in},
};
use ponos::topology::{Binding, Exchange, Queue, Topology};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};
use tempfile::TempDir;
use testkit::{Certificates, Node, Signal};

/// Where events go that a test looks at.
pub(crate) const QUEUE: &str = "seen";
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// A gateway that runs.
pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) address: String,
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

/// A queue that has all events of `order.item.*` but those that are lost.
pub(crate) fn seen() -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::quorum(QUEUE)],
        bindings: ["order.item.placed", "vendor.#", "source.#"]
            .map(|key| Binding::queue("events", QUEUE, key))
            .into(),
        ..Topology::default()
    }
}

/// Starts one on a vhost of its own, with this text behind the service's name.
pub(crate) fn gateway(vhost: &str, text: &str) -> Gateway {
    let url = Node::shared().vhost(vhost);
    declare_all(&url, &seen());
    gateway_at(url, file(&format!("service = \"edge\"\n{text}")).0, ("NO_KEY", ""))
}

/// Starts one by the file in this folder.
pub(crate) fn gateway_at(url: String, folder: TempDir, variable: (&str, &str)) -> Gateway {
    let path = folder.path().join("ponos.toml");
    let words = ["gateway", "--config", path.to_str().unwrap(), "--metrics", "127.0.0.1:0"];
    let running = start_in(&url, &words, variable);
    running.says("listening at ");
    let said = running.err();
    let address = said.split("listening at ").nth(1).unwrap().lines().next().unwrap();
    let address = address.split("://").nth(1).unwrap().to_owned();
    Gateway { url, address, running, folder }
}

impl Gateway {
    pub(crate) fn ask(&self, line: (&str, &str), head: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        ask_as(stream, line.0, line.1, head, body)
    }

    fn post(&self, kind: &str, token: &str, body: &Value) -> Answer {
        let head = format!("Content-Type: {kind}\r\nAuthorization: Bearer {token}\r\n");
        self.ask(("POST", "/v1/events"), &head, &body.to_string())
    }

    /// Waits until it accepts events.
    pub(crate) fn is_ready(&self) {
        testkit::block_until_or_tell(
            "the gateway to be ready",
            LIMIT,
            || (self.ask(("GET", "/readyz"), "", "").status == 200).then_some(()),
            || self.running.err(),
        );
    }

    /// A scrape.
    pub(crate) fn metrics(&self) -> String {
        self.running.says("the metrics are at http://");
        let said = self.running.err();
        let address = said.split("the metrics are at http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

pub(crate) fn event(id: &str, name: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": name, "subject": "\u{e9}", "data": {"n": 1}})
}

/// A token of these domains, and the lines of it.
fn token(owner: &str, domains: &str) -> (String, String) {
    let made = ponos_ends("amqp://127.0.0.1:1", &["token", owner, "--domains", domains], 0).out;
    let lines = made.split("[[gateway.tokens]]").nth(1).unwrap();
    (made.lines().next().unwrap().to_owned(), format!("[[gateway.tokens]]{lines}"))
}

#[test]
fn every_request_has_its_answer() {
    let (shop, lines) = token("shop", "order.*");
    let (stranger, _) = token("stranger", "#");
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nbody = 4096\nbatch = 3\nwindow = 6\n{lines}plain = \"order.item.placed\"\nrate = 1000\n"
    );
    let gateway = gateway("gateway-answers", &text);
    gateway.is_ready();
    let placed = event("7", "order.item.placed");
    let accepted = gateway.post(CLOUD_EVENT, &shop, &placed);
    assert_eq!((accepted.status, &accepted.body), (202, &json!({"id": "7", "received": true})));
    let two = json!([event("8", "order.item.placed"), event("9", "order.item.placed")]);
    assert_eq!(gateway.post(BATCH, &shop, &two).status, 202);
    let head = format!(
        "Authorization: Bearer {shop}\r\nContent-Type: application/json\r\nce-specversion: 1.0\r\nce-id: 10\r\nce-source: /shop\r\nce-type: order.item.placed\r\nce-subject: %C3%A9\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    );
    assert_eq!(gateway.ask(("POST", "/v1/events"), &head, " {\"n\": 1} ").status, 202);
    let plain = gateway.post("application/json", &shop, &json!({"n": 1}));
    assert_eq!(plain.status, 202);
    let found = look(&gateway.url, QUEUE, 5);
    let ids: Vec<_> = found.iter().map(|message| message.properties.message_id.clone().unwrap()).collect();
    assert_eq!(ids, ["7", "8", "9", "10", plain.body["id"].as_str().unwrap()]);
    assert_eq!(found[0].body, br#"{"n":1}"#);
    assert_eq!(found[3].body, b" {\"n\": 1} ");
    for message in &found[..4] {
        assert_eq!(message.headers.text("cloudEvents_subject"), Some("\u{e9}"));
    }
    assert!(found[3].headers.text("traceparent").unwrap().starts_with("00-0af7"));
    let one_bad = json!([placed, event("", "order.item.placed")]);
    let foreign = json!([placed, event("8", "stock.shelf.emptied")]);
    let reserved = event("1", "time.one-day.passed");
    // another source's may have the same id at the same time
    let mut unroutable = event("7", "order.item.lost");
    unroutable["source"] = "/warehouse".into();
    for (kind, token, body, status, pointer) in [
        (CLOUD_EVENT, &shop, &event("", "order.item.placed"), 400, "/id"),
        (BATCH, &shop, &one_bad, 400, "/1/id"),
        (CLOUD_EVENT, &stranger, &placed, 401, ""),
        (BATCH, &shop, &foreign, 403, "/1/type"),
        (CLOUD_EVENT, &shop, &reserved, 403, "/type"),
        (BATCH, &shop, &json!([placed, placed, placed, placed]), 413, ""),
        (CLOUD_EVENT, &shop, &json!("x".repeat(5000)), 413, ""),
        ("text/plain", &shop, &placed, 415, ""),
        (CLOUD_EVENT, &shop, &unroutable, 422, ""),
    ] {
        let answer = gateway.post(kind, token, body);
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        let at = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(at, pointer, "{}", answer.body);
    }
    // one of two: each has its own
    let mixed = gateway.post(BATCH, &shop, &json!([placed, unroutable]));
    assert_eq!((mixed.status, &mixed.body["results"][0]["status"]), (422, &json!(202)), "{}", mixed.body);
    assert_eq!(mixed.body["results"][1]["code"], "unroutable");
    // a body that is cut off
    let mut stream = TcpStream::connect(&gateway.address).unwrap();
    stream
        .write_all(
            format!("POST /v1/events HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: 50\r\n\r\n{{\"n\"")
                .as_bytes(),
        )
        .unwrap();
    drop(stream);
    holds(&gateway.url, QUEUE, 6);
    let metrics = gateway.metrics();
    for line in [
        "ponos_gateway_events_total{outcome=\"accepted\"} 6",
        "ponos_gateway_events_total{outcome=\"unroutable\"} 2",
        "ponos_gateway_requests_total{route=\"events\",status=\"403\"} 2",
        "ponos_gateway_broker_connected 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    gateway.running.program.signal(Signal::TERM);
    let ended = gateway.running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains(&shop[12..]), "a token was shown");
}

/// Posts an event with Python's own client.
const POST: &str = r#"
import json, ssl, sys, urllib.error, urllib.request

url, ca, token, event = sys.argv[1:]
headers = {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer " + token}
request = urllib.request.Request(url, event.encode(), headers)
try:
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca)) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"#;

#[test]
fn beyond_this_machine_it_wants_tls_and_tokens() {
    let (_folder, path) = file("service = \"edge\"\n[gateway]\nlisten = \"0.0.0.0:0\"\n");
    let refused = ponos_ends("amqp://127.0.0.1:1", &["gateway", "--config", &path], 78);
    assert!(
        refused.err.contains("does not encrypt") && refused.err.contains("show a token"),
        "{}",
        refused.err
    );
    let certificates = tempfile::tempdir().unwrap();
    let made = Certificates::generate(certificates.path());
    let (shop, lines) = token("shop", "order.*");
    let text = format!(
        "[gateway]\nlisten = \"0.0.0.0:0\"\n[gateway.tls]\ncert_file = {:?}\nkey_file = {:?}\n{lines}",
        made.server.certificate, made.server.key
    );
    let gateway = gateway("gateway-tls", &text);
    let port = gateway.address.rsplit(':').next().unwrap();
    let post = |scheme: &str, token: &str| {
        let url = format!("{scheme}://127.0.0.1:{port}/v1/events");
        let placed = event("7", "order.item.placed").to_string();
        let output = Command::new("/usr/bin/python3")
            .args(["-c", POST, &url, made.ca.to_str().unwrap(), token, &placed])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    testkit::block_until_or_tell(
        "an event to be accepted",
        LIMIT,
        || (post("https", &shop) == "202").then_some(()),
        || gateway.running.err(),
    );
    assert_eq!(post("https", "kh_1f2e3d4c_x"), "401");
    assert_eq!(post("http", &shop), "", "it is not answered in the clear");
}

#[test]
fn a_file_without_a_gateway_and_a_broker_that_refuses_end_the_start() {
    let (_folder, path) = file("service = \"edge\"\n[[queues]]\non = [\"a.b.c\"]\n");
    let none = ponos_ends("amqp://127.0.0.1:1", &["gateway", "--config", &path], 78);
    assert!(none.err.contains("no section [gateway]"), "{}", none.err);
    let (folder, path) = file("service = \"edge\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n");
    let checked = ponos_ends("", &["check", &path], 0);
    assert!(checked.out.contains("'edge'"), "{}", checked.out);
    let nowhere = Node::shared().url_for("guest", "guest", "nowhere");
    let refused = ponos_ends(&nowhere, &["gateway", "--config", &path], 77);
    assert!(refused.err.contains("no vhost 'nowhere'"), "{}", refused.err);
    // one that is away is waited for, and nothing accepted meanwhile
    let gateway = gateway_at("amqp://127.0.0.1:1".into(), folder, ("NO_KEY", ""));
    let away = gateway.post(CLOUD_EVENT, "", &event("7", "order.item.placed"));
    assert_eq!((away.status, &away.body["code"]), (503, &json!("unavailable")));
    assert!(away.head.contains("retry-after: "), "{}", away.head);
    assert_eq!(gateway.ask(("GET", "/healthz"), "", "").status, 200);
    gateway.running.program.signal(Signal::INT);
    assert_eq!(gateway.running.end().code, Some(130));
}
