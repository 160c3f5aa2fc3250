//! Streams: what is read stays, and each reader has all of it.

use super::*;
use ponos_broker::{Consume, Consumer, Settle, StreamStart};
use ponos_event::Message;
use ponos_event::topology::{Queue, Topology};

fn stream() -> Topology {
    topology([], [Queue::classic("log").with("x-queue-type", "stream")])
}

fn reader(harness: &impl Harness, start: StreamStart) -> Consumer {
    harness.transport().consumer(stream(), Consume::new("log").prefetch(7).reading(start))
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|number| message("log", &number.to_string())).collect()
}

pub(crate) async fn a_stream_gives_each_reader_all_from_its_beginning(harness: &impl Harness) {
    let mut publisher = harness.publisher(stream());
    send(&mut publisher, "", numbered(0..30)).await;
    let all: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let mut first = reader(harness, StreamStart::First);
    assert_eq!(take(&mut first, 30).await, all);
    let mut second = reader(harness, StreamStart::First);
    assert_eq!(take(&mut second, 30).await, all);
    // and what comes now, with its place
    send(&mut publisher, "", numbered(30..31)).await;
    for reader in [&mut first, &mut second] {
        let delivery = next(reader).await;
        let found = (text(&delivery), delivery.message.headers.int("x-stream-offset"));
        assert_eq!(found, ("30".to_owned(), Some(30)));
        assert_eq!((delivery.redelivered, delivery.delivery_count()), (false, None));
        reader.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
}

pub(crate) async fn a_stream_is_read_from_its_beginning_after_each_loss(harness: &impl Harness) {
    let mut publisher = harness.publisher(stream());
    send(&mut publisher, "", numbered(0..3)).await;
    let mut reader = reader(harness, StreamStart::First);
    let before = next(&mut reader).await;
    reader.settle(before.tag, Settle::Ack).await.unwrap();
    harness.disconnect_all();
    let again = within("the beginning again", async {
        loop {
            let delivery = reader.next().await.unwrap();
            if delivery.tag.generation > before.tag.generation {
                return delivery;
            }
        }
    });
    assert_eq!(text(&again.await), "0");
}

pub(crate) async fn a_stream_can_be_read_from_its_last_message(harness: &impl Harness) {
    let mut empty = reader(harness, StreamStart::Last);
    up(empty.link()).await;
    let mut publisher = harness.publisher(stream());
    for one in numbered(0..5) {
        // each confirmed before the next is stored, so that they are not stored together
        send(&mut publisher, "", [one]).await;
    }
    let mut last = reader(harness, StreamStart::Last);
    assert_eq!(take(&mut last, 1).await, ["4"]);
    assert_eq!(take(&mut empty, 5).await, ["0", "1", "2", "3", "4"]);
}
