//! Headers that nearly fill a frame of the broker's: what is sent again makes room for ours.

use super::{NAME, QUEUE, parcel};
use crate::real::{Running, Sender, letters, verdict};
use ponos::{event::HeaderValue, prelude::*, worker::Backoff};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::Node;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_makes_room_and_says_so() {
    let url = Node::shared().vhost("full-headers");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let handler = move |_: Value, context: Context| {
        let event = context.event();
        let text = |name| event.extensions.text(name).unwrap_or_default().to_owned();
        let baggage = text("baggage").len();
        see.lock().unwrap().push((event.id.to_string(), context.attempt(), baggage, text("dropped-headers")));
        async { Err(Failure::new("no ".repeat(400))) }
    };
    let backoff = Backoff { first: Duration::from_millis(100), ..Backoff::default() };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2).backoff(backoff)));
    let running = Running::start(&url, worker).await;
    // 131,072 bytes are a frame, of which 4,096 are the broker's
    let mut messages = Vec::new();
    for (id, header, bytes) in [
        ("shorter", "baggage", 125_804),
        ("dropped", "baggage", 126_504),
        ("attribute", "cloudEvents_long", 126_504),
    ] {
        let mut message = parcel(id);
        message.headers.set(header, "b".repeat(bytes));
        messages.push(message);
    }
    Sender::new(&url).await.send(messages).await;
    running.ends.until(3, "all to be dead", |ended| matches!(ended, Ended::Dead(_))).await;
    let letters = letters(&url, QUEUE, 3).await;
    let of =
        |id: &str| letters.iter().find(|letter| letter.properties.message_id.as_deref() == Some(id)).unwrap();
    assert_eq!(verdict(of("shorter")).0, "attempts");
    assert_eq!(verdict(of("dropped")).0, "attempts");
    let (kind, reason) = verdict(of("attribute"));
    assert!(kind == "too-large" && reason.starts_with("no no"), "{kind}: {reason}");
    assert_eq!(of("attribute").headers.text("dropped-headers"), Some("cloudEvents_long"));
    assert!(matches!(of("shorter").headers.get("baggage"), Some(HeaderValue::Text(_))));
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected = [
        ("attribute", 1, 0, ""),
        ("dropped", 1, 126_504, ""),
        ("dropped", 2, 0, "baggage"),
        ("shorter", 1, 125_804, ""),
        ("shorter", 2, 125_804, ""),
    ];
    let expected =
        expected.map(|(id, attempt, bytes, said)| (id.to_owned(), attempt, bytes, said.to_owned()));
    assert_eq!(seen, expected);
    running.stop().await;
}
