//! The gateway on the twin, asked over streams in memory.

mod bounds;

use super::*;
use crate::gateway::settings::{Contracts, Holder, Limits, PlainPath, Settings, Unroutable};
use ponos::{
    broker::memory::Broker,
    schema::Registry,
    topology::{Binding, Queue, Topology, worker::EVENTS},
};
use ponos_http::{
    Domains,
    token::{RANDOM_BYTES, Token},
};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

const SECOND: Duration = Duration::from_secs(1);
/// Goes to the queue of the tests.
const EVENT: &str = "order.item.placed";
/// Goes nowhere.
const NOWHERE: &str = "order.item.lost";

static TOKEN: LazyLock<Token> = LazyLock::new(|| Token::from_random([1; RANDOM_BYTES]));

struct Tested {
    gateway: Arc<Gateway>,
    publishing: Publishing,
    broker: Broker,
    metrics: Metrics,
}

/// An answer: status, head and body.
type Answer = (u16, String, Value);

fn settings() -> Settings {
    Settings {
        listen: Settings::LISTEN,
        tls: None,
        are_tokens_wanted: true,
        holders: vec![Holder {
            id: TOKEN.id(),
            digest: TOKEN.digest(),
            owner: "shop".into(),
            domains: Domains::new(vec!["order.*".into(), "time".into()]).unwrap(),
            plain: Some(EVENT.parse().unwrap()),
            rate: None,
        }],
        paths: vec![PlainPath { path: "lost".into(), event: NOWHERE.parse().unwrap() }],
        unroutable: Unroutable::Refuse,
        limits: Limits { window: 3, batch: 3, body: 4_000, confirm: SECOND * 5, rate: None },
        origins: vec!["sender.example".into()],
        webhooks: Vec::new(),
        contracts: Contracts::Any,
    }
}

impl Tested {
    async fn start(settings: Settings) -> Self {
        Self::with(settings, Vec::new()).await
    }

    /// With these webhooks.
    async fn with(settings: Settings, webhooks: Vec<Webhook>) -> Self {
        let (broker, metrics) = (Broker::new(), Metrics::new());
        let bound = Topology {
            queues: vec![Queue::quorum("placed")],
            bindings: vec![Binding::queue(EVENTS, "placed", EVENT)],
            ..topology(false)
        };
        broker.declare(&bound).unwrap();
        let counted = GatewayMetrics::register(&metrics);
        let transport = Transport::memory(broker.clone());
        let limits = (settings.limits, settings.unroutable);
        let publishing = Publishing::new(&transport, false, limits, counted.clone());
        publishing.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        let routes = webhooks
            .into_iter()
            .map(|webhook| (webhook.name.clone(), WebhookRoute::new(&webhook, "edge", None).unwrap()))
            .collect();
        let gateway = Gateway::new(settings, "edge".into(), publishing.clone(), routes, counted);
        Self { gateway: Arc::new(gateway), publishing, broker, metrics }
    }

    async fn raw(&self, request: &[u8]) -> Answer {
        let (mut ours, theirs) = duplex(1 << 20);
        let (_end, ending) = shutdown();
        let asking = async {
            ours.write_all(request).await.unwrap();
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (answer, ()) = tokio::join!(asking, http::converse(&*self.gateway, theirs, SECOND * 60, ending));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn ask(&self, line: &str, head: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    /// With the token.
    async fn post(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let head = format!("Authorization: Bearer {}\r\nContent-Type: {kind}\r\n", TOKEN.reveal());
        self.ask(&format!("POST {path}"), &head, &body.to_string()).await
    }

    async fn send(&self, event: &Value) -> Answer {
        self.post("/v1/events", "application/cloudevents+json", event).await
    }

    async fn batch(&self, events: &[Value]) -> Answer {
        self.post("/v1/events", "application/cloudevents-batch+json", &Value::from(events)).await
    }

    fn scraped(&self) -> String {
        self.metrics.expose(None).unwrap().text
    }
}

fn event(id: &str, name: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": name, "data": {"n": 1}})
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.0, answer.2["code"].as_str()), (status, Some(code)), "{answer:?}");
    assert!(answer.1.contains("content-type: application/problem+json"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_is_in_the_queue_as_it_was_sent() {
    let tested = Tested::start(settings()).await;
    let sent = tested.send(&event("7", EVENT)).await;
    assert_eq!((sent.0, &sent.2), (202, &json!({"id": "7", "received": true})));
    let plain = tested.post("/v1/events", "application/json", &json!([1])).await;
    assert_eq!(plain.0, 202, "{plain:?}");
    let found = tested.broker.peek("placed");
    let [cloud, plain_one] = &found[..] else { panic!("{found:?}") };
    assert_eq!(cloud.message.properties.message_id.as_deref(), Some("7"));
    assert_eq!(cloud.message.headers.text("cloudEvents_source"), Some("/shop"));
    assert_eq!(cloud.message.body, br#"{"n":1}"#);
    assert_eq!(plain_one.message.headers.text("cloudEvents_source"), Some("/edge/shop"));
    assert_eq!(plain_one.message.properties.message_id.as_deref(), plain.2["id"].as_str());
    let scraped = tested.scraped();
    for line in [
        "ponos_gateway_requests_total{route=\"events\",status=\"202\"} 2",
        "ponos_gateway_events_total{outcome=\"accepted\"} 2",
        "ponos_gateway_unconfirmed 0",
        "ponos_gateway_confirm_duration_seconds_count 2",
    ] {
        assert!(scraped.contains(line), "{line}: {scraped}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_before_the_broker_has_confirmed() {
    let tested = Tested::start(settings()).await;
    tested.broker.hold_confirms(true);
    let placed = event("7", EVENT);
    let asking = tested.send(&placed);
    tokio::pin!(asking);
    assert!(timeout(SECOND, asking.as_mut()).await.is_err());
    assert!(tested.scraped().contains("ponos_gateway_unconfirmed 1"));
    tested.broker.hold_confirms(false);
    assert_eq!(asking.await.0, 202);
    // without a confirm in time it is not accepted
    tested.broker.hold_confirms(true);
    let late = tested.send(&placed).await;
    refused(&late, 503, "unconfirmed");
    assert!(
        late.1.contains("retry-after: ") && late.2["detail"].as_str().unwrap().contains("same id"),
        "{late:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_takes_no_place_of_the_window_with_him_and_a_full_one_refuses() {
    let tested = Tested::start(settings()).await;
    tested.broker.hold_confirms(true);
    for id in ["1", "2", "3"] {
        let placed = event(id, EVENT);
        assert!(timeout(SECOND / 10, tested.send(&placed)).await.is_err(), "nobody waits for it any more");
    }
    let full = tested.send(&event("4", EVENT)).await;
    refused(&full, 429, "full");
    assert!(full.1.contains("retry-after: 1"), "{full:?}");
    tested.broker.hold_confirms(false);
    tokio::time::sleep(SECOND * 6).await;
    assert_eq!(tested.send(&event("4", EVENT)).await.0, 202);
    assert_eq!(tested.broker.queue_depth("placed"), Some(4));
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_that_takes_it_nothing_is_accepted() {
    let tested = Tested::start(settings()).await;
    let ready = async || tested.ask("GET /readyz", "", "").await.0;
    assert_eq!(ready().await, 200);
    tested.broker.block("memory");
    tested.publishing.link().wait_for(|link| matches!(link, Link::Blocked { .. })).await.unwrap();
    let blocked = tested.send(&event("7", EVENT)).await;
    refused(&blocked, 503, "blocked");
    assert!(blocked.1.contains("retry-after: ") && blocked.2["detail"].as_str().unwrap().contains("memory"));
    assert_eq!(ready().await, 503);
    tested.broker.unblock();
    tested.broker.stop();
    tested.publishing.link().wait_for(|link| matches!(link, Link::Down { .. })).await.unwrap();
    refused(&tested.send(&event("7", EVENT)).await, 503, "unavailable");
    assert_eq!((ready().await, tested.ask("GET /healthz", "", "").await.0), (503, 200));
    assert_eq!(tested.broker.queue_depth("placed"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_would_receive_is_refused_or_accepted_as_is_configured() {
    let tested = Tested::start(settings()).await;
    refused(&tested.send(&event("7", NOWHERE)).await, 422, "unroutable");
    refused(&tested.post("/v1/events/lost", "application/json", &json!(1)).await, 422, "unroutable");
    refused(&tested.post("/v1/events/none", "application/json", &json!(1)).await, 404, "no-such-path");
    let accepting = Tested::start(Settings { unroutable: Unroutable::Accept, ..settings() }).await;
    let sent = accepting.send(&event("7", NOWHERE)).await;
    assert_eq!((sent.0, &sent.2), (202, &json!({"id": "7", "received": false})));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_all_or_nothing_until_it_is_published_and_then_each_ends_for_itself() {
    let tested = Tested::start(settings()).await;
    let whole = tested.batch(&[event("1", EVENT), event("2", EVENT)]).await;
    assert_eq!((whole.0, whole.2["results"].as_array().unwrap().len()), (202, 2));
    for (second, status, code) in [
        (event("", EVENT), 400, "invalid"),
        (event("4", "stock.shelf.emptied"), 403, "outside-domains"),
        (event("4", "time.one-day.passed"), 403, "reserved-event"),
    ] {
        let none = tested.batch(&[event("3", EVENT), second]).await;
        refused(&none, status, code);
        let pointer = none.2["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/1/"), "{none:?}");
    }
    assert_eq!(tested.broker.queue_depth("placed"), Some(2), "a part of a batch came");
    let mixed = tested.batch(&[event("5", NOWHERE), event("6", EVENT)]).await;
    refused(&mixed, 422, "unroutable");
    let statuses = [0, 1].map(|at| mixed.2["results"][at]["status"].as_u64().unwrap());
    assert_eq!(statuses, [422, 202]);
    assert_eq!(tested.broker.queue_depth("placed"), Some(3));
    let four: [Value; 4] = std::array::from_fn(|id| event(&id.to_string(), EVENT));
    refused(&tested.batch(&four).await, 413, "too-many");
    assert_eq!(tested.batch(&[]).await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_publish_is_refused_before_anything_is_read() {
    let tested = Tested::start(settings()).await;
    let body = event("7", EVENT).to_string();
    let other = Token::from_random([2; RANDOM_BYTES]);
    for head in [
        String::new(),
        format!("Authorization: Bearer {}\r\n", other.reveal()),
        "Authorization: Basic x\r\n".to_owned(),
        format!("Authorization: Bearer {0}\r\nAuthorization: Bearer {0}\r\n", TOKEN.reveal()),
    ] {
        let answer = tested.ask("POST /v1/events", &head, &body).await;
        refused(&answer, 401, "no-token");
        assert!(answer.1.contains("www-authenticate: bearer"), "{answer:?}");
        refused(&tested.ask("POST /v1/events/none", &head, &body).await, 401, "no-token");
    }
    refused(&tested.send(&event("7", "stock.shelf.emptied")).await, 403, "outside-domains");
    let reserved = tested.send(&event("7", "time.one-day.passed")).await;
    refused(&reserved, 403, "reserved-event");
    assert_eq!(reserved.2["errors"][0]["pointer"], "/type");
    assert_eq!(tested.broker.queue_depth("placed"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn without_tokens_this_machine_publishes_and_pages_of_the_web_do_not() {
    let open = Settings { are_tokens_wanted: false, holders: Vec::new(), ..settings() };
    let tested = Tested::start(open.clone()).await;
    let (kind, body) = ("Content-Type: application/cloudevents+json\r\n", event("7", EVENT).to_string());
    let ask = async |head: &str| tested.ask("POST /v1/events", &format!("{kind}{head}"), &body).await;
    assert_eq!(ask("").await.0, 202);
    refused(&ask("Origin: http://evil.example\r\n").await, 403, "foreign");
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    refused(&tested.raw(request.as_bytes()).await, 403, "foreign");
    // reached from elsewhere it takes webhooks alone
    let elsewhere = Settings { listen: "0.0.0.0:7314".parse().unwrap(), ..open };
    let elsewhere = Tested::start(elsewhere).await;
    refused(&elsewhere.ask("POST /v1/events", kind, &body).await, 401, "no-token");
}

#[tokio::test(start_paused = true)]
async fn data_are_held_to_their_contract_and_undeclared_events_refused() {
    let schema = json!({EVENT: {"type": "object", "properties": {"n": {"type": "string"}}}});
    let contracts = Contracts::Folder(Registry::from_json(&schema).unwrap());
    let tested = Tested::start(Settings { contracts, ..settings() }).await;
    let broken = tested.send(&event("7", EVENT)).await;
    refused(&broken, 400, "invalid");
    assert_eq!(broken.2["errors"][0]["pointer"], "/data/n");
    let undeclared = tested.send(&event("7", NOWHERE)).await;
    assert_eq!((undeclared.0, &undeclared.2["errors"][0]["pointer"]), (400, &json!("/type")));
    let mut good = event("7", EVENT);
    good["data"]["n"] = "1".into();
    assert_eq!(tested.send(&good).await.0, 202);
    assert!(tested.scraped().contains("ponos_gateway_events_total{outcome=\"contract\"} 2"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_of_ours_is_refused() {
    let tested = Tested::start(settings()).await;
    let json = "application/cloudevents+json";
    refused(&tested.post("/v1/events", "text/plain", &json!({})).await, 415, "not-json");
    refused(&tested.post("/v1/events", json, &json!("x".repeat(5_000))).await, 413, "too-large");
    refused(&tested.post("/v1/webhooks/none", json, &json!({})).await, 404, "no-such-webhook");
    refused(&tested.post("/v2", json, &json!({})).await, 404, "no-such-route");
    let method = tested.ask("GET /v1/events", "", "").await;
    refused(&method, 405, "method");
    assert!(method.1.contains("allow: post, options"), "{method:?}");
    // half a body
    let head = format!("Authorization: Bearer {}\r\nContent-Type: {json}\r\n", TOKEN.reveal());
    let request =
        format!("POST /v1/events HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: 50\r\n\r\n{{\"id\"");
    let (mut ours, theirs) = duplex(1 << 20);
    let (_end, ending) = shutdown();
    let half = async {
        ours.write_all(request.as_bytes()).await.unwrap();
        drop(ours);
    };
    tokio::join!(half, http::converse(&*tested.gateway, theirs, SECOND, ending));
    // a slow one
    let slow = tested.raw(request.as_bytes()).await;
    refused(&slow, 408, "slow");
    assert_eq!(tested.broker.queue_depth("placed"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_handshake_of_webhooks_is_answered_for_origins_that_are_configured() {
    let mut holders = settings().holders;
    holders[0].rate = Some(2);
    let tested = Tested::start(Settings { holders, ..settings() }).await;
    let ask = async |head: &str| tested.ask("OPTIONS /v1/events", head, "").await;
    let (status, head, _) = ask("WebHook-Request-Origin: sender.example\r\n").await;
    assert_eq!(status, 200);
    for line in ["webhook-allowed-origin: sender.example", "webhook-allowed-rate: *", "allow: post"] {
        assert!(head.contains(line), "{head}");
    }
    let token = format!("Authorization: Bearer {}\r\n", TOKEN.reveal());
    let (_, head, _) = ask(&format!("WebHook-Request-Origin: sender.example\r\n{token}")).await;
    assert!(head.contains("webhook-allowed-rate: 120"), "{head}");
    refused(&ask("WebHook-Request-Origin: evil.example\r\n").await, 403, "foreign");
    refused(&ask("").await, 403, "foreign");
    let any = Tested::start(Settings { origins: vec!["*".into()], ..settings() }).await;
    let (_, head, _) = any.ask("OPTIONS /v1/events", "WebHook-Request-Origin: a.example\r\n", "").await;
    assert!(head.contains("webhook-allowed-origin: *"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_was_begun_is_confirmed_and_nothing_more_is_taken() {
    let tested = Tested::start(settings()).await;
    tested.broker.hold_confirms(true);
    let placed = event("7", EVENT);
    let (answer, ()) = tokio::join!(tested.send(&placed), async {
        tokio::time::sleep(SECOND).await;
        let (closing, ()) = tokio::join!(tested.publishing.close(), async {
            tokio::time::sleep(SECOND).await;
            tested.broker.hold_confirms(false);
        });
        closing
    });
    assert_eq!(answer.0, 202, "{answer:?}");
    let late = tested.send(&placed).await;
    assert_eq!(late.0, 503, "{late:?}");
}

#[tokio::test]
async fn the_interface_is_described() {
    let tested = Tested::start(settings()).await;
    let (status, _, document) = tested.ask("GET /v1/openapi.json", "", "").await;
    assert_eq!(status, 200);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/events", "/v1/events/{path}", "/v1/webhooks/{name}", "/healthz", "/readyz"]);
    for status in ["202", "400", "401", "403", "408", "413", "415", "422", "429", "503"] {
        assert!(document["paths"]["/v1/events"]["post"]["responses"][status].is_object(), "{status}");
    }
}
