//! Headers that the broker itself makes larger than a frame: a message that was taken by the largest frame there is comes back with a
//! count in its headers, and no client can read it any more.

use super::{NAME, QUEUE, parcel, parcels, shop};
use crate::real::{
    Running, Sender, event, holds,
    support::{LIMIT, config, outcomes, publisher},
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use ponos::{
    broker::{Consume, Link, PublishOutcome, Publishing, Transport},
    event::HeaderValue,
    prelude::*,
    topology::Topology,
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use testkit::{Node, wait_until};
use tokio::sync::Semaphore;

/// A frame's bytes, and those of it that are no payload.
const FRAME: usize = 131_072;
const AROUND: usize = 8;

/// A parcel of which the header frame is as large as a frame can be.
fn filled(id: &str) -> (BasicProperties, Vec<u8>) {
    let message = parcel(id);
    let mut headers = FieldTable::default();
    // class, weight, body size, flags, delivery mode, length of the table
    let mut bytes = AROUND + 2 + 2 + 8 + 2 + 1 + 4;
    let mut put = |name: &str, text: String, bytes: &mut usize| {
        *bytes += 1 + name.len() + 1 + 4 + text.len();
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    };
    for (name, value) in message.headers.iter() {
        if let HeaderValue::Text(text) = value {
            put(name, text.clone(), &mut bytes);
        }
    }
    let room = FRAME - bytes - (1 + "baggage".len() + 1 + 4);
    put("baggage", "b".repeat(room), &mut bytes);
    assert_eq!(bytes, FRAME);
    (BasicProperties::default().with_delivery_mode(2).with_headers(headers), message.body)
}

/// Publishes it, takes it and goes away with it, as a process that is killed does.
async fn taken_once(url: &str, id: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (properties, body) = filled(id);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        channel.basic_publish("events".into(), NAME.into(), options, &body, properties).await.unwrap();
    assert!(confirm.await.unwrap().is_ack());
    let taken = channel.basic_get(QUEUE.into(), BasicGetOptions::default());
    // some versions count the first delivery too, and then it can't be read from the beginning
    tokio::select! {
        taken = taken => {
            assert!(taken.unwrap().is_some());
            connection.close(200, "away".into()).await.unwrap();
        }
        () = wait_until("the connection to break", LIMIT, async || (!connection.status().connected()).then_some(())) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_makes_too_large_to_be_read_does_not_stop_its_queue_nor_another() {
    const OTHER: &str = "order.parcel.lost";
    let node = Node::shared();
    let url = node.vhost("large-headers");
    let (begun, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let worker = |begun: Arc<AtomicUsize>, end: Arc<Semaphore>| {
        shop().on::<Value>(OTHER, move |_: Value, _: Context| {
            let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                end.acquire().await.unwrap().forget();
                Ok(Done)
            }
        })
    };
    let ready = worker(Arc::clone(&begun), Arc::clone(&end)).ready().unwrap();
    Transport::amqp(config(&url)).check(ready.topology()).await.unwrap();
    taken_once(&url, "large").await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("small", 20)).await;
    sender.send(vec![event("other", OTHER, &())]).await;
    let running = Running::start(&url, worker(Arc::clone(&begun), Arc::clone(&end))).await;
    running.ends.done(20).await;
    holds(node, "large-headers", &format!("{QUEUE}.dlq"), 1).await;
    // the connection of both was lost once, and not each of the fifty times that the broker counted
    let times = begun.load(Ordering::SeqCst);
    assert!((1..=2).contains(&times), "what another queue was at work on came {times} times");
    // for both, should it have come twice
    end.add_permits(2);
    running.ends.done(21).await;
    assert!(running.ends.all().iter().all(|(_, ended)| *ended == Ended::Done), "{:?}", running.ends.all());
    running.stop().await;
}

/// Publishes as many, takes them and goes away with them.
async fn all_taken_once(url: &str, count: usize) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for number in 0..count {
        let (properties, body) = filled(&number.to_string());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm =
            channel.basic_publish("events".into(), NAME.into(), options, &body, properties).await.unwrap();
        assert!(confirm.await.unwrap().is_ack());
    }
    let mut taken = channel
        .basic_consume(QUEUE.into(), "".into(), Default::default(), FieldTable::default())
        .await
        .unwrap();
    for _ in 0..count {
        // an error: some versions count the first delivery too
        if tokio::time::timeout(LIMIT, taken.next()).await.unwrap().is_none_or(|taken| taken.is_err()) {
            return;
        }
    }
    connection.close(200, "away".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_in_a_row_that_can_not_be_read_are_each_dead_without_a_long_wait() {
    const LARGE: usize = 4;
    let node = Node::shared();
    let url = node.vhost("large-headers-in-a-row");
    let ready = shop().ready().unwrap();
    Transport::amqp(config(&url)).check(ready.topology()).await.unwrap();
    all_taken_once(&url, LARGE).await;
    let options = Consume::new(QUEUE).prefetch(10).cautious();
    let mut consumer = Transport::amqp(config(&url)).consumer(ready.topology().clone(), options);
    let mut link = consumer.link();
    let waits = tokio::spawn(async move {
        let mut longest = 0;
        while link.changed().await.is_ok() {
            if let Link::Down { attempts, .. } = &*link.borrow_and_update() {
                longest = longest.max(*attempts);
            }
        }
        longest
    });
    holds(node, "large-headers-in-a-row", &format!("{QUEUE}.dlq"), LARGE as u64).await;
    Sender::new(&url).await.send(parcels("small", 1)).await;
    assert!(tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().is_some());
    drop(consumer);
    let longest = waits.await.unwrap();
    assert!((1..=3).contains(&longest), "it waited as after {longest} failures in a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_leaves_room_for_what_the_broker_adds() {
    let url = Node::shared().vhost("room-for-the-broker");
    let ready = shop().ready().unwrap();
    Transport::amqp(config(&url)).check(ready.topology()).await.unwrap();
    let mut publisher = publisher(config(&url), Topology::default()).await;
    let mut message = parcel("full");
    message.headers.set("baggage", "b".repeat(FRAME - 3_000));
    let publishing = Publishing { token: 1, lane: 0, exchange: "events".into(), message };
    publisher.submit(vec![publishing]).await.unwrap();
    match outcomes(&mut publisher, 1).await.remove(&1) {
        Some(PublishOutcome::Refused(why)) => assert!(why.contains("headers and properties"), "{why}"),
        other => panic!("{other:?}"),
    }
}
