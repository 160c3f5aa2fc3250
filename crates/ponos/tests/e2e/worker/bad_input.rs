//! What can't be handled lies in the dead letters, whole, with its kind and the reason; what comes after it is handled.

use super::{NAME, QUEUE, parcel};
use crate::real::{Running, Sender, event, letters, verdict};
use ponos::{event::Message, prelude::*, worker::Limits};
use serde_json::json;
use std::time::Duration;
use testkit::Node;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Parcel {
    #[allow(dead_code)] // read by the contract alone
    number: u32,
}

/// Id, what is wrong, `dead-kind`, and words of `dead-reason`.
type Case = (&'static str, fn(&mut Message), &'static str, &'static str);

const CASES: &[Case] = &[
    ("no-json", |m| m.body = b"hello".to_vec(), "malformed", "the payload is not valid JSON"),
    ("half-json", |m| m.body.truncate(4), "malformed", "the payload is not valid JSON"),
    ("two-documents", |m| m.body = b"{} {}".to_vec(), "malformed", "the payload is not valid JSON"),
    ("no-text", |m| m.body = vec![0xff, 0xfe], "malformed", "the payload is not valid JSON"),
    ("too-deep", |m| m.body = vec![b'['; 100_000], "malformed", "recursion limit"),
    ("no-object", |m| m.body = b"[1, 2]".to_vec(), "schema", "object"),
    ("empty", |m| m.body.clear(), "schema", "object"),
    ("wrong-schema", |m| m.body = br#"{"number":"seven"}"#.to_vec(), "schema", "/number"),
    ("too-large-a-number", |m| m.body = br#"{"number":4294967296}"#.to_vec(), "schema", "/number"),
    ("nothing-required", |m| m.body = b"{}".to_vec(), "schema", "number"),
    ("too-large", |m| m.body = vec![b' '; 2 << 20], "too-large", "at most 1048576 are read"),
    ("cut-gzip", |m| compressed(m, |gzip| gzip.truncate(gzip.len() - 9)), "malformed", "is not valid gzip"),
    ("no-zstd", |m| encoded(m, "zstd"), "malformed", "is not valid zstd"),
    ("unknown-encoding", |m| encoded(m, "br"), "malformed", "content_encoding is 'br'"),
    ("gzip-of-no-json", |m| compressed(m, |_| {}), "malformed", "the payload is not valid JSON"),
    ("ten-gibibytes", ten_gibibytes, "too-large", "inflates to more than 1048576 bytes"),
    (
        "empty-message-id",
        |m| {
            m.properties.message_id = Some(String::new());
            m.body = b"hello".to_vec();
        },
        "malformed",
        "the payload is not valid JSON",
    ),
    ("no-type", |m| without(m, "cloudEvents_type"), "malformed", "attribute type is missing"),
    ("no-source", |m| without(m, "cloudEvents_source"), "malformed", "attribute source is missing"),
    ("type-of-two-words", |m| m.headers.set("cloudEvents_type", "parcel.shipped"), "malformed", "type"),
    (
        "unknown-name",
        |m| m.headers.set("cloudEvents_type", "order.parcel.lost"),
        "unhandled",
        "order.parcel.lost",
    ),
    (
        "time-of-the-wrong-type",
        |m| m.headers.set("cloudEvents_time", 5),
        "malformed",
        "attribute time is an integer",
    ),
    ("time-that-is-none", |m| m.headers.set("cloudEvents_time", "at noon"), "malformed", "time"),
    (
        "attempt-of-the-wrong-type",
        |m| m.headers.set("retry-attempt", "two"),
        "malformed",
        "header retry-attempt is the text 'two'",
    ),
    (
        "attempt-below-one",
        |m| m.headers.set("retry-attempt", 0),
        "malformed",
        "retry-attempt is not a number from 1 up",
    ),
    (
        "due-of-the-wrong-type",
        |m| m.headers.set("retry-due", true),
        "malformed",
        "header retry-due is of another type",
    ),
    (
        "due-in-a-thousand-years",
        |m| m.headers.set("retry-due", "3026-01-01T00:00:00Z"),
        "malformed",
        "7 days",
    ),
];

/// As if the body were encoded so.
fn encoded(message: &mut Message, encoding: &str) {
    message.properties.content_encoding = Some(encoding.into());
}

/// A long body that is no JSON, by gzip, which is then spoiled.
fn compressed(message: &mut Message, spoil: impl FnOnce(&mut Vec<u8>)) {
    message.body = b"hello ".repeat(100);
    assert!(ponos::compression::gzip(message));
    spoil(&mut message.body);
}

/// 320 KiB of zstd: a frame with a window of 1 MiB, of blocks of one space, 128 KiB times.
fn ten_gibibytes(message: &mut Message) {
    let block = |is_last: bool| (128 << 10 << 3) | (1 << 1) | u32::from(is_last);
    let blocks = (1..=80 << 10).map(|number| block(number == 80 << 10).to_le_bytes());
    let blocks = blocks.flat_map(|[low, middle, high, _]| [low, middle, high, b' ']);
    message.body = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50].into_iter().chain(blocks).collect();
    encoded(message, "zstd");
}

fn without(message: &mut Message, header: &str) {
    assert!(message.headers.remove(header));
}

fn worker() -> Worker {
    let policy = Policy::retry(3).timeout(Duration::from_secs(20)).concurrency(3);
    let handler = async |_: Parcel, _: Context| Ok(Done);
    // RabbitMQ 4 itself takes no more than 16 MiB
    let limits = Limits { body: 1 << 20, ..Limits::default() };
    Worker::new("shop").on::<Parcel>(NAME, handler.with(policy)).limits(limits)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_bad_input_is_dead_with_its_reason_and_holds_nobody_up() {
    let url = Node::shared().vhost("bad-input");
    let running = Running::start(&url, worker()).await;
    let mut sender = Sender::new(&url).await;
    let mut sent = Vec::new();
    for (id, spoil, ..) in CASES {
        let mut message = parcel(id);
        spoil(&mut message);
        sent.push(message.clone());
        sender.send(vec![message, parcel(&format!("after-{id}"))]).await;
    }
    running.ends.done(CASES.len()).await;
    let letters = letters(&url, QUEUE, CASES.len()).await;
    for ((id, _, kind, words), sent) in CASES.iter().zip(&sent) {
        let found: Vec<&Message> =
            letters.iter().filter(|letter| letter.properties.message_id.as_deref() == Some(id)).collect();
        assert_eq!(found.len(), 1, "{id}");
        let (found_kind, reason) = verdict(found[0]);
        assert_eq!(found_kind, *kind, "{id}: {reason}");
        assert!(reason.contains(words), "{id}: {reason}");
        assert!(found[0].body == sent.body, "{id}: the body is not what it was");
        let encoding = |message: &Message| message.properties.content_encoding.clone();
        assert_eq!(encoding(found[0]), encoding(sent), "{id}");
        assert_eq!(found[0].headers.text("dead-queue"), Some(QUEUE), "{id}");
        assert!(
            found[0].headers.text("dead-at").is_some() && found[0].headers.int("dead-attempt") == Some(1),
            "{id}"
        );
    }
    let report = running.stop().await;
    let count = CASES.len() as u64;
    assert_eq!((report.handled, report.dead, report.retried, report.released), (count, count, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_bad_handler_is_dead_with_its_reason_and_its_neighbours_are_done() {
    let url = Node::shared().vhost("bad-handlers");
    let handler = async |payload: serde_json::Value, ctx: Context| {
        match payload["does"].as_str().unwrap_or_default() {
            "fail" => return Err(Failure::new("the shelf is empty")),
            "panic" => panic!("the shelf fell over"),
            "sleep" => std::future::pending().await,
            "flood" => {
                for _ in 0..=10_000 {
                    ctx.publish("order.parcel.lost", &json!({}))?;
                }
            }
            "stream" => loop {
                ctx.send_now("order.parcel.lost", &json!({})).await?;
            },
            "refuse" => return Ok(Outcome::dead("not ours")),
            _ => {}
        }
        Ok(Done)
    };
    let policy = Policy::retry(1).timeout(Duration::from_secs(1)).concurrency(4);
    let worker = Worker::new("shop")
        .on::<serde_json::Value>(NAME, handler.with(policy))
        .publishes::<serde_json::Value>("order.parcel.lost")
        .limits(Limits::default());
    let running = Running::start(&url, worker).await;
    let mut sender = Sender::new(&url).await;
    let cases = [
        ("fail", "attempts", "the shelf is empty"),
        ("panic", "attempts", "panicked: the shelf fell over"),
        ("sleep", "attempts", "timed out: it ran for longer than 1 s"),
        ("flood", "attempts", "10001 messages"),
        ("stream", "attempts", "timed out: it ran for longer than 1 s"),
        ("refuse", "refused", "not ours"),
    ];
    for (does, ..) in cases {
        let after = (0..20).map(|number| parcel(&format!("{does}-{number}")));
        sender
            .send(std::iter::once(event(does, NAME, &json!({ "does": does }))).chain(after).collect())
            .await;
    }
    running.ends.done(cases.len() * 20).await;
    let letters = letters(&url, QUEUE, cases.len()).await;
    for (does, kind, words) in cases {
        let letter =
            letters.iter().find(|letter| letter.properties.message_id.as_deref() == Some(does)).unwrap();
        let (found, reason) = verdict(letter);
        assert!(found == kind && reason.contains(words), "{does}: {found}: {reason}");
    }
    assert_eq!(running.stop().await.dead, cases.len() as u64);
}
