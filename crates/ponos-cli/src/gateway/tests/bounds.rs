//! Bounds, and who is held to them.

use super::*;
use crate::gateway::settings::{KeySource, WebhookScheme};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;

const KEY: &str = "0123456789abcdef";

/// A webhook of GitHub's scheme, whose catch-all goes to the queue of the tests.
fn webhook(folder: &tempfile::TempDir) -> Webhook {
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let event = Some(EVENT.parse().unwrap());
    let (name, scheme, keys) = ("hub".into(), WebhookScheme::GitHub, vec![KeySource::File(file)]);
    Webhook { name, scheme, keys, event, events: BTreeMap::new() }
}

fn signed(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: d-1\r\nX-Hub-Signature-256: sha256={hex}\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_body_is_taken_until_its_event_is_confirmed_though_its_sender_hung_up() {
    let tested = Tested::start(settings()).await;
    tested.broker.hold_confirms(true);
    let placed = event("7", EVENT);
    assert!(timeout(SECOND, tested.send(&placed)).await.is_err(), "nobody waits for it any more");
    assert_eq!(tested.gateway.bodies.held(), 1);
    tested.broker.hold_confirms(false);
    tokio::time::sleep(SECOND * 6).await;
    assert_eq!(tested.gateway.bodies.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_remembered_though_its_sender_hung_up() {
    let folder = tempfile::tempdir().unwrap();
    let tested = Tested::with(settings(), vec![webhook(&folder)]).await;
    let head = signed("{}");
    tested.broker.hold_confirms(true);
    assert!(timeout(SECOND, tested.ask("POST /v1/webhooks/hub", &head, "{}")).await.is_err());
    tested.broker.hold_confirms(false);
    testkit::wait_until("the webhook to be confirmed", SECOND * 20, async || {
        tested.scraped().contains("ponos_gateway_unconfirmed 0").then_some(())
    })
    .await;
    let again = tested.ask("POST /v1/webhooks/hub", &head, "{}").await;
    assert_eq!((again.0, &again.2["repeated"]), (202, &json!(true)), "{again:?}");
    assert_eq!(tested.broker.queue_depth("placed"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn webhooks_that_nobody_signed_take_no_room_from_publishers() {
    let folder = tempfile::tempdir().unwrap();
    let tested = Tested::with(settings(), vec![webhook(&folder)]).await;
    let half =
        tested.raw(b"POST /v1/webhooks/hub HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n{");
    tokio::pin!(half);
    assert!(timeout(SECOND, half.as_mut()).await.is_err());
    assert_eq!(tested.gateway.bodies.held(), 0);
    refused(&half.await, 408, "slow");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_not_taken_from_the_rate() {
    let mut holders = settings().holders;
    holders[0].rate = Some(4);
    let tested = Tested::start(Settings { holders, ..settings() }).await;
    let three = ["1", "2", "3"].map(|id| event(id, EVENT));
    for _ in 0..5 {
        refused(
            &tested.batch(&[event("1", EVENT), event("2", EVENT), event("", EVENT)]).await,
            400,
            "invalid",
        );
    }
    tested.broker.hold_confirms(true);
    let single = event("0", EVENT);
    let waiting = tested.send(&single);
    tokio::pin!(waiting);
    assert!(timeout(SECOND / 100, waiting.as_mut()).await.is_err());
    for _ in 0..5 {
        refused(&tested.batch(&three).await, 429, "full");
    }
    tested.broker.hold_confirms(false);
    assert_eq!(waiting.await.0, 202);
    assert_eq!(tested.batch(&three).await.0, 202);
    refused(&tested.send(&single).await, 429, "too-often");
}

#[tokio::test(start_paused = true)]
async fn of_many_faults_the_first_are_said() {
    let limits = Limits { batch: 1_000, body: 1 << 20, ..settings().limits };
    let tested = Tested::start(Settings { limits, ..settings() }).await;
    for name in ["stock.shelf.emptied", "time.one-day.passed"] {
        let foreign: Vec<Value> = (0..300).map(|id| event(&id.to_string(), name)).collect();
        let answer = tested.batch(&foreign).await;
        assert_eq!((answer.0, answer.2["errors"].as_array().unwrap().len()), (403, 100));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_publishes_under_a_source_of_the_gateway_s_own_or_of_another_publisher() {
    let tested = Tested::start(settings()).await;
    let from = |source: &str| {
        let mut event = event("7", EVENT);
        event["source"] = source.into();
        event
    };
    for source in ["/edge/webhooks/github", "/edge/billing", "/edge/shopping", "/edge/"] {
        let answer = tested.send(&from(source)).await;
        refused(&answer, 403, "reserved-source");
        assert_eq!(answer.2["errors"][0]["pointer"], "/source");
    }
    for source in ["/edge/shop", "/edge/shop/till", "/edges/x", "https://shop.example/edge/x"] {
        assert_eq!(tested.send(&from(source)).await.0, 202, "{source}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tokens_nothing_that_a_proxy_passed_on_is_published() {
    let open = Settings { are_tokens_wanted: false, holders: Vec::new(), ..settings() };
    let tested = Tested::start(open.clone()).await;
    let (kind, body) = ("Content-Type: application/cloudevents+json\r\n", event("7", EVENT).to_string());
    for line in ["Forwarded: for=203.0.113.9", "Via: 1.1 x", "X-Real-IP: 203.0.113.9", "X-Forwarded-For: ::1"]
    {
        let answer = tested.ask("POST /v1/events", &format!("{kind}{line}\r\n"), &body).await;
        refused(&answer, 403, "foreign");
    }
    for hosts in ["Host: 203.0.113.9", "Host: localhost\r\nHost: localhost"] {
        let length = body.len();
        let request = format!(
            "POST /v1/events HTTP/1.1\r\n{hosts}\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        );
        refused(&tested.raw(request.as_bytes()).await, 403, "foreign");
    }
    // a proxy in front of webhooks may say nothing of itself
    let folder = tempfile::tempdir().unwrap();
    let webhooks = Tested::start(Settings { webhooks: vec![webhook(&folder)], ..open }).await;
    refused(&webhooks.ask("POST /v1/events", kind, &body).await, 401, "no-token");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_has_a_rate_that_his_tokens_share_and_a_batch_counts_whole() {
    let mut holders = settings().holders;
    holders[0].rate = Some(2);
    let tested = Tested::start(Settings { holders, ..settings() }).await;
    assert_eq!(tested.send(&event("1", EVENT)).await.0, 202);
    let three = ["2", "3", "4"].map(|id| event(id, EVENT));
    // more than there may be at once: after a rest
    refused(&tested.batch(&three).await, 429, "too-often");
    tokio::time::sleep(SECOND).await;
    assert_eq!(tested.batch(&three).await.0, 202);
    let often = tested.send(&event("5", EVENT)).await;
    refused(&often, 429, "too-often");
    assert!(often.1.contains("retry-after: 1"), "{often:?}");
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(tested.send(&event("5", EVENT)).await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_off_or_grow_too_large_on_their_way_are_refused() {
    let tested = Tested::start(settings()).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        TOKEN.reveal()
    );
    let broken = tested.raw(format!("{head}5\r\n{{\"id\"\r\nnot a length\r\n").as_bytes()).await;
    refused(&broken, 400, "broken-off");
    let large = format!("{head}1388\r\n{}\r\n0\r\n\r\n", "x".repeat(5_000));
    refused(&tested.raw(large.as_bytes()).await, 413, "too-large");
    assert_eq!(tested.gateway.bodies.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_full_queue_does_not_take_is_to_be_sent_again() {
    let tested = Tested::start(settings()).await;
    let full = Topology {
        queues: vec![Queue::quorum("full").with("x-max-length", 1).with("x-overflow", "reject-publish")],
        bindings: vec![Binding::queue(EVENTS, "full", EVENT)],
        ..topology(false)
    };
    tested.broker.declare(&full).unwrap();
    assert_eq!(tested.send(&event("7", EVENT)).await.0, 202);
    let refusal = testkit::wait_until("the queue to be full", SECOND * 60, async || {
        let answer = tested.send(&event("8", EVENT)).await;
        (answer.0 != 202).then_some(answer)
    });
    let refusal = refusal.await;
    refused(&refusal, 503, "refused-for-now");
    assert!(refusal.1.contains("retry-after: "), "{refusal:?}");
    assert!(tested.scraped().contains("ponos_gateway_problems_total{code=\"refused-for-now\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn who_can_not_show_who_he_is_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let tested = Tested::with(settings(), vec![webhook(&folder)]).await;
    refused(&tested.ask("POST /v1/events", "Authorization: Bearer kh_x\r\n", "{}").await, 401, "no-token");
    let wrong = signed("{}").replace("sha256=", "sha256=00");
    refused(&tested.ask("POST /v1/webhooks/hub", &wrong, "{}").await, 401, "wrong-signature");
    for code in ["no-token", "wrong-signature"] {
        assert!(
            tested.scraped().contains(&format!("ponos_gateway_problems_total{{code=\"{code}\"}} 1")),
            "{code}"
        );
    }
}
