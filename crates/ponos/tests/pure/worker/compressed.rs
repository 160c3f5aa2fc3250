//! Compressed bodies on the twin: what is read and written, and that a message stays as it came.

use super::{NAME, QUEUE, secs};
use crate::fake_clock::FakeClock;
use ponos::{
    Client,
    broker::Transport,
    client::{ClientError, ClientLimits},
    compression,
    event::Message,
    inbox::Inbox,
    prelude::*,
    testing::Kit,
    topology::worker::{EVENTS, TASKS, dead_letters},
    worker::Limits,
};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

const TASK: &str = "shop.bill.print";
const SENT: &str = "shop.bill.sent";
const KIBIBYTE: usize = 1 << 10;

fn long() -> Value {
    json!({ "lines": vec!["a cup"; KIBIBYTE] })
}

/// Refuses what is not [`long`]; counts its runs, of which the first fails.
fn reader() -> (Worker, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let handler = move |payload: Value, _: Context| {
        let is_first = count.fetch_add(1, SeqCst) == 0;
        async move {
            match payload == long() {
                true if is_first => Err(Failure::new("not yet")),
                true => Ok(Done),
                false => Ok(Outcome::dead("something else came")),
            }
        }
    };
    (Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2))), runs)
}

/// The same event by gzip, by zstd, and by both as a whole in the body.
fn compressed(kit: &mut Kit) -> Vec<Message> {
    let plain = kit.event(NAME, &long()).into_message();
    let whole = json!({ "specversion": "1.0", "id": "whole", "source": "/s", "type": NAME, "data": long() });
    let mut structured = Message { routing_key: NAME.into(), ..Message::default() };
    structured.properties.content_type = Some("application/cloudevents+json".into());
    structured.body = whole.to_string().into_bytes();
    let zstd = |mut message: Message| {
        message.body = compress_to_vec(message.body.as_slice(), CompressionLevel::Fastest);
        message.properties.content_encoding = Some("zstd".into());
        message
    };
    let gzip = |mut message: Message| {
        assert!(compression::gzip(&mut message));
        message
    };
    vec![gzip(plain.clone()), zstd(plain), gzip(structured.clone()), zstd(structured)]
}

#[tokio::test(start_paused = true)]
async fn a_compressed_event_is_handled_at_each_attempt_in_either_mode() {
    for number in 0..4 {
        let (worker, runs) = reader();
        let mut kit = Kit::start(worker).await;
        let message = compressed(&mut kit).remove(number);
        kit.publish_message(EVENTS, message).await;
        kit.settled().await;
        assert_eq!(runs.load(SeqCst), 1);
        kit.advance(secs(660)).await;
        assert_eq!((runs.load(SeqCst), kit.dead()), (2, Vec::new()), "{number}");
        let report = kit.stop().await;
        assert_eq!((report.retried, report.handled), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn dead_and_requeued_it_keeps_its_bytes_and_says_so() {
    for number in 0..4 {
        let worker = Worker::new("shop").on::<u64>(NAME, async |_: u64, _: Context| Ok(Done));
        let mut kit = Kit::start(worker).await;
        let sent = compressed(&mut kit).remove(number);
        kit.publish_message(EVENTS, sent.clone()).await;
        kit.settled().await;
        let letter = kit.dead().remove(0);
        assert_eq!(letter.kind, "schema", "{}", letter.reason);
        let as_it_came = |message: &Message| {
            assert_eq!(message.body, sent.body);
            assert_eq!(message.properties.content_encoding, sent.properties.content_encoding);
        };
        as_it_came(&letter.message);
        let client = Client::connect_on(Transport::memory(kit.broker().clone()), "shop").await.unwrap();
        let dead = client.dead(QUEUE);
        let id = dead.list(&ponos::dead::LetterFilter::all()).await.unwrap().remove(0).id;
        assert_eq!(id, if number < 2 { sent.properties.message_id.clone().unwrap() } else { "whole".into() });
        let again = dead.requeue(&ponos::dead::LetterFilter::all().id(id)).await.unwrap();
        assert_eq!((again.sent, again.stayed), (1, 0));
        kit.settled().await;
        as_it_came(&kit.broker().peek(&dead_letters(QUEUE)).remove(0).message);
        client.close().await.unwrap();
    }
}

async fn publish_all(_: Value, ctx: Context) -> HandlerResult {
    ctx.task(TASK, &long())?;
    ctx.publish(SENT, &long())?;
    ctx.publish(SENT, &json!("short"))?;
    ctx.publish_in(secs(600), SENT, &long())?;
    Ok(Done)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_compresses_does_so_with_long_bodies_and_not_with_what_the_clock_keeps() {
    let worker = Worker::new("shop")
        .publishes::<Value>(SENT)
        .on::<Value>(NAME, publish_all)
        .task(TASK, async |payload: Value, _: Context| match payload == long() {
            true => Ok(Done),
            false => Ok(Outcome::dead("something else came")),
        })
        .inbox(Inbox::memory(100))
        .limits(Limits { compress: Some(4 * KIBIBYTE), ..Limits::default() });
    let mut kit = Kit::start(worker).await;
    let clock = FakeClock::willing(kit.broker()).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!((kit.published(TASK), kit.published(SENT)), (vec![long()], vec![long(), json!("short")]));
    assert_eq!(kit.dead(), []);
    let tapped = kit.broker().peek("testing.tap");
    let encodings: Vec<_> = tapped
        .iter()
        .filter(|delivery| delivery.message.properties.app_id.as_deref() == Some("shop"))
        .map(|delivery| (delivery.exchange.as_str(), delivery.message.properties.content_encoding.as_deref()))
        .collect();
    assert_eq!(encodings.len(), 3);
    for expected in [(TASKS, Some("gzip")), (EVENTS, Some("gzip")), (EVENTS, None)] {
        assert!(encodings.contains(&expected), "{encodings:?}");
    }
    let put = clock.came();
    assert!(put.iter().all(|(_, _, body)| body["item"]["data"] == long()) && !put.is_empty(), "{put:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_compresses_if_it_is_told_to_and_no_body_that_workers_would_not_read() {
    let worker = Worker::new("shop").task(TASK, async |payload: Value, _: Context| match payload == long() {
        true => Ok(Done),
        false => Ok(Outcome::dead("something else came")),
    });
    let kit = Kit::start(worker).await;
    for (compress, encoding) in
        [(None, None), (Some(4 * KIBIBYTE), Some("gzip")), (Some(KIBIBYTE << 10), None)]
    {
        let limits = ClientLimits { compress, body: 16 * KIBIBYTE, ..ClientLimits::default() };
        let client = Client::connect_on(Transport::memory(kit.broker().clone()), "shop")
            .sends_task::<Value>(TASK)
            .limits(limits)
            .await
            .unwrap();
        let id = client.task(TASK, &long()).await.unwrap();
        kit.settled().await;
        assert_eq!(kit.ended(&id), Some(Ended::Done));
        let last = kit.broker().peek("testing.tap").pop().unwrap().message;
        assert_eq!(last.properties.content_encoding.as_deref(), encoding);
        let large = client.task(TASK, &json!("a".repeat(17 * KIBIBYTE))).await.unwrap_err();
        assert!(matches!(large, ClientError::TooLarge { .. }), "{large}");
        client.close().await.unwrap();
    }
}
