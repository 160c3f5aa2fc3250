//! Compressed bodies on a real RabbitMQ: read at each attempt, through the ladder, in either mode; written for others to read.

use super::{NAME, QUEUE};
use crate::{
    real::{Running, Sender, event, letters},
    support::config,
};
use ponos::{
    Client, broker::Transport, client::ClientLimits, compression, event::Message, prelude::*, worker::Backoff,
};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Node;

fn long() -> Value {
    json!({ "lines": vec!["a cup"; 1_000] })
}

/// By gzip in binary mode, and by zstd as a whole in the body.
fn compressed(id: &str) -> [Message; 2] {
    let mut binary = event(&format!("{id}-gzip"), NAME, &long());
    assert!(compression::gzip(&mut binary));
    let id = format!("{id}-zstd");
    let whole = json!({ "specversion": "1.0", "id": id, "source": "/test", "type": NAME, "data": long() });
    let mut structured = Message { routing_key: NAME.into(), ..Message::default() };
    structured.properties.content_type = Some("application/cloudevents+json".into());
    structured.properties.content_encoding = Some("zstd".into());
    structured.body = compress_to_vec(whole.to_string().as_bytes(), CompressionLevel::Fastest);
    [binary, structured]
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_read_at_each_attempt_and_lie_in_the_dead_letters_as_they_came() {
    let url = Node::shared().vhost("compressed");
    let policy = Policy::retry(2).timeout(Duration::from_secs(20)).concurrency(2);
    let policy = policy.backoff(Backoff { first: Duration::from_secs(1), factor: 1.0, ..Backoff::default() });
    let handler = async |payload: Value, ctx: Context| {
        assert_eq!(payload, long());
        if ctx.attempt() == 1 {
            return Err(Failure::new("not yet"));
        }
        Ok(if ctx.event().id.as_str().starts_with("bad") { Outcome::dead("not ours") } else { Done })
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy));
    let running = Running::start(&url, worker).await;
    let sent = [compressed("good"), compressed("bad")].concat();
    Sender::new(&url).await.send(sent.clone()).await;
    running.ends.done(2).await;
    let letters = letters(&url, QUEUE, 2).await;
    for came in &sent[2..] {
        let letter =
            letters.iter().find(|letter| letter.body == came.body).expect("it lies there as it came");
        assert_eq!(letter.properties.content_encoding, came.properties.content_encoding);
        assert_eq!(letter.headers.int("dead-attempt"), Some(2));
    }
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (2, 4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_compresses_its_worker_reads() {
    let url = Node::shared().vhost("compressed-client");
    let worker = Worker::new("shop").task("shop.bill.print", async |payload: Value, _: Context| {
        Ok(if payload == long() { Done } else { Outcome::dead("something else came") })
    });
    let running = Running::start(&url, worker).await;
    let client = Client::connect_on(Transport::amqp(config(&url)), "shop")
        .sends_task::<Value>("shop.bill.print")
        .limits(ClientLimits { compress: Some(4 << 10), ..ClientLimits::default() })
        .await
        .unwrap();
    client.task("shop.bill.print", &long()).await.unwrap();
    running.ends.done(1).await;
    client.close().await.unwrap();
    running.stop().await;
}
