use super::*;
use crate::{
    config::Config,
    described::{Described, DescribedQueue, Takes},
    serve::{deliveries::Deliveries, publishing::Publisher},
};
use ponos::{
    broker::{Transport, memory::Broker},
    metrics::Metrics,
    shutdown::{Trigger, shutdown},
    topology::{Binding, Exchange, Queue, Topology},
    worker::Policy,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

const TASK: &str = "stock.shelf.clean";
const EVENT: &str = "order.label.printed";
const SECOND: Duration = Duration::from_secs(1);

/// A sidecar on the twin, which is asked over a stream in memory.
struct Sidecar {
    server: Arc<Server>,
    broker: Broker,
    _worker: Trigger,
}

/// An answer: status, head and body.
type Answer = (u16, String, Value);

impl Sidecar {
    async fn start(token: Option<&str>) -> Self {
        let handlers = vec![(TASK.to_owned(), None)];
        let policy = Policy::retry(2).timeout(SECOND * 100);
        let queue = DescribedQueue { takes: Takes::Tasks, label: TASK.into(), handlers, policy };
        let events = vec![(EVENT.to_owned(), None)];
        let described =
            Described { service: "shop".into(), queues: vec![queue], events, ..Described::default() };
        let config = Config { described: described.clone(), ..Config::default() };
        let (deliveries, broker) = (Deliveries::new(SECOND * 300), Broker::new());
        let ready = super::super::worker(&config, &deliveries).ready().unwrap();
        broker.declare(ready.topology()).unwrap();
        let (worker, asked) = shutdown();
        tokio::spawn(Box::pin(ready.run_on(Transport::memory(broker.clone()), asked)));
        let publisher = Publisher::on(&described, Transport::memory(broker.clone()));
        let served = Served { described, deliveries, publisher };
        let server = Arc::new(Server::new(served, token.map(str::to_owned), true));
        Self { server, broker, _worker: worker }
    }

    async fn ask(&self, path: &str, head: &str, body: &[u8]) -> Answer {
        let request = format!("POST {path} HTTP/1.1\r\nConnection: close\r\n{head}\r\n");
        let (mut ours, theirs) = duplex(1 << 20);
        let (_end, ending) = shutdown();
        let asking = async {
            ours.write_all(&[request.as_bytes(), body].concat()).await.unwrap();
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (answer, ()) = tokio::join!(asking, http::converse(&*self.server, theirs, LIMITS.idle, ending));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let head = format!(
            "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask(path, &head, body.as_bytes()).await
    }

    fn held(&self) -> usize {
        self.server.bodies.held()
    }

    /// Each of these is scraped.
    fn counts(&self, lines: &[&str]) {
        let metrics = Metrics::new();
        self.server.served.deliveries.metrics().register(&metrics);
        let scraped = metrics.expose(None).unwrap().text;
        for line in lines {
            assert!(scraped.lines().any(|shown| shown == *line), "{line}: {scraped}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_which_host_he_means_is_refused() {
    let sidecar = Sidecar::start(None).await;
    for (host, status) in [
        ("", 403),
        ("Host: \u{e9}vil\r\n", 403),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost\r\n", 204),
    ] {
        assert_eq!(sidecar.ask("/v1/receive", host, b"").await.0, status, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_shows_no_token_is_told_how_to_show_it() {
    let sidecar = Sidecar::start(Some("0123456789abcdef")).await;
    let (status, head, _) = sidecar.ask("/v1/receive", "Host: localhost\r\n", b"").await;
    assert!(status == 401 && head.contains("\r\nwww-authenticate: bearer"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_room_until_it_is_answered() {
    let sidecar = Sidecar::start(None).await;
    // so that nothing can be published
    sidecar.broker.stop();
    let large = json!({"event": EVENT, "data": "x".repeat(9 << 10)});
    let publishing = async {
        let answer = sidecar.post("/v1/publish", &large).await;
        assert_eq!((answer.0, &answer.2["code"]), (503, &"unavailable".into()));
    };
    tokio::pin!(publishing);
    assert!(timeout(SECOND, publishing.as_mut()).await.is_err());
    assert_eq!(sidecar.held(), 10);
    publishing.await;
    assert_eq!(sidecar.held(), 0);
    // of one that does not say how long it is, what it has; and one who waits for a delivery has none
    let chunked = "Host: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let body = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.to_string().len());
    for (path, held) in [("/v1/publish", 10), ("/v1/receive?wait=30s", 0)] {
        let asking = sidecar.ask(path, chunked, body.as_bytes());
        assert!(timeout(SECOND, asking).await.is_err(), "{path}");
        assert_eq!(sidecar.held(), 0, "{path}: it was left");
        let asking = sidecar.ask(path, chunked, body.as_bytes());
        tokio::pin!(asking);
        assert!(timeout(SECOND, asking.as_mut()).await.is_err(), "{path}");
        assert_eq!(sidecar.held(), held, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_unknown_delivery_is_not_read() {
    let sidecar = Sidecar::start(None).await;
    let head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n";
    assert_eq!(sidecar.ask("/v1/deliveries/nobody-s", head, b"{").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_takes_long_is_asked_for_again_and_then_answered() {
    let sidecar = Sidecar::start(None).await;
    let sent = sidecar.post("/v1/publish", &json!({"task": TASK, "data": 1})).await;
    assert_eq!(sent.0, 200, "{sent:?}");
    let (_, _, delivery) = sidecar.post("/v1/receive?wait=20s", &Value::Null).await;
    let path = format!("/v1/deliveries/{}", delivery["token"].as_str().unwrap());
    sidecar.broker.hold_confirms(true);
    let outcome = json!({"outcome": "done", "publish": [{"event": EVENT, "data": 1}]});
    let began = tokio::time::Instant::now();
    let settling = sidecar.post(&path, &outcome).await;
    assert_eq!((settling.0, &settling.2["code"]), (503, &"settling".into()), "{settling:?}");
    // a client repeats a request for a minute, and some of it must be left
    assert!(began.elapsed() < SECOND * 30, "{:?}", began.elapsed());
    sidecar.broker.hold_confirms(false);
    let settled = sidecar.post(&path, &outcome).await;
    assert_eq!((settled.0, &settled.2), (200, &json!({"ended": "done"})), "{settled:?}");
    assert_eq!(sidecar.post(&path, &outcome).await.0, 200, "after it has ended, too");
    sidecar.counts(&[
        "ponos_serve_outcomes_total{outcome=\"done\"} 1",
        "ponos_serve_outcomes_total{outcome=\"dead\"} 0",
        "ponos_serve_outcomes_repeated_total 2",
        "ponos_serve_held 0",
    ]);
}

#[tokio::test(start_paused = true)]
async fn what_the_clock_did_not_answer_may_be_done_and_is_not_said_to_be_unsent() {
    let sidecar = Sidecar::start(None).await;
    let later = json!({"event": EVENT, "data": 1, "in": "10m"});
    let (status, _, problem) = sidecar.post("/v1/publish", &later).await;
    assert_eq!((status, &problem["code"]), (503, &"no-clock".into()), "{problem}");
    // a clock that takes commands and is slow
    let commands = Topology {
        exchanges: vec![Exchange::topic("khronos.commands")],
        queues: vec![Queue::quorum("khronos.commands")],
        bindings: vec![Binding::queue("khronos.commands", "khronos.commands", "#")],
        ..Topology::default()
    };
    sidecar.broker.declare(&commands).unwrap();
    let (status, head, problem) = sidecar.post("/v1/publish", &later).await;
    assert_eq!((status, &problem["code"]), (504, &"unconfirmed".into()), "{problem}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
}
