//! The stream of what is said: absent, deleted, long, and written to by strangers.

use super::{
    super::{QUEUE, secs},
    shop::{Shop, at_most, hour},
};
use ponos::{
    broker::memory::Version,
    client::{ControlError, LONGEST_CONTROL, Until},
    event::{
        Event,
        control::{CONTROL, CONTROL_CHANGED, Change, Key, Setting},
    },
    prelude::*,
    schema::Contract,
    testing::BEGINNING,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_passive_worker_without_the_stream_works_as_ever_and_declares_none() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    shop.orders(5).await;
    let replica = shop.run(shop.worker(Policy::default()).passive());
    sleep(secs(10)).await;
    assert_eq!((shop.done(), shop.broker.queue_status(CONTROL)), (5, None));
    assert_eq!(replica.liveness.check(), Ok(()));
    replica.stop().await;
    // where it is there, it obeys
    shop.client.pause(QUEUE, hour()).await.unwrap();
    shop.orders(5).await;
    let replica = shop.run(shop.worker(Policy::default()).passive());
    sleep(secs(3_500)).await;
    assert_eq!((shop.done(), replica.liveness.paused_by_hand().len()), (5, 1));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_passive_worker_that_started_before_the_stream_obeys_it_within_a_minute_or_so() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.run(shop.worker(Policy::default()).passive());
    sleep(secs(600)).await;
    shop.client.pause(QUEUE, hour()).await.unwrap();
    sleep(secs(70)).await;
    assert_eq!(replica.liveness.paused_by_hand().len(), 1);
    shop.orders(5).await;
    sleep(secs(600)).await;
    assert_eq!(shop.done(), 0);
    assert!(shop.client.resume(QUEUE).await.unwrap());
    sleep(secs(10)).await;
    assert_eq!(shop.done(), 5, "and from then on at once");
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_the_stream_what_was_said_is_deleted() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.start(Policy::default());
    shop.client.pause(QUEUE, hour()).await.unwrap();
    replica.until_paused().await;
    shop.orders(5).await;
    sleep(secs(60)).await;
    assert_eq!(shop.done(), 0);
    shop.broker.delete_queue(CONTROL);
    sleep(secs(60)).await;
    assert_eq!(shop.done(), 5);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_said_is_refused_and_not_written() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let pause = async |queue: &str, until| shop.client.pause(queue, until).await.unwrap_err();
    let long = "x".repeat(501);
    for (error, words) in [
        (pause(QUEUE, Until::after(Duration::ZERO)).await, "over already"),
        (pause(QUEUE, Until::at(BEGINNING)).await, "over already"),
        (pause(QUEUE, Until::after(secs(31 * 86_400))).await, "longer than 30 days"),
        (pause(QUEUE, hour().why(long)).await, "more than 500 characters"),
        (pause("orders", hour()).await, "not the name of a queue of a service"),
        (pause("A.b", hour()).await, "not the name of a queue of a service"),
        (pause("shop.order.parcel.shiped", hour()).await, "there is no queue"),
        (shop.client.control().limit(QUEUE, at_most(0), hour()).await.unwrap_err(), "pause the queue"),
        (shop.client.control().by("x".repeat(101)).pause(QUEUE, hour()).await.unwrap_err(), "more than 100"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(matches!(shop.client.resume("shop.none").await, Err(ControlError::NoQueue(_))));
    assert!(shop.broker.queue_status(CONTROL).is_none_or(|status| status.ready == 0));
    assert_eq!(shop.client.control().list().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn after_a_thousand_records_the_state_is_written_anew() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let control = shop.client.control().by("alice");
    control.pause(QUEUE, hour()).await.unwrap();
    control.limit(QUEUE, at_most(3), hour()).await.unwrap();
    let change = |number: usize| Change {
        service: "mail".into(),
        key: Key::Pause { queue: format!("mail.q{}", number % 3) },
        value: number.is_multiple_of(2).then(Setting::default),
        until: BEGINNING.plus(7_200_000),
        by: "bob".into(),
        why: String::new(),
        folded_from: None,
    };
    let event = |number| {
        let data = serde_json::to_vec(&change(number)).unwrap();
        Event::new(format!("c-{number}").parse().unwrap(), "/ops", CONTROL_CHANGED.parse().unwrap(), data)
    };
    shop.send(CONTROL, (0..1_000).map(event).collect()).await;
    let before = control.list().await.unwrap();
    assert_eq!(before.iter().filter(|one| one.queue == QUEUE && one.by == "alice").count(), 2);
    let records = || shop.broker.queue_depth(CONTROL).unwrap();
    assert_eq!(records(), 1_002);
    assert!(!control.resume("shop.order.parcel.shipped.dlq").await.unwrap(), "it was not paused");
    let written = records() - 1_003;
    assert_eq!(written, 5, "two of the one queue, one of each of three, taken back or not");
    // and not with each record that follows
    control.resume("shop.order.parcel.shipped.dlq").await.unwrap();
    assert_eq!(records(), 1_009);
    assert_eq!(control.list().await.unwrap(), before);
    let schema =
        Contract::parse(include_str!("../../../../../../schemas/control/control-changed.json")).unwrap();
    for record in shop.broker.peek(CONTROL) {
        let event = Event::from_message(&record.message).unwrap();
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        schema.check(&data).unwrap_or_else(|why| panic!("{data}: {why}"));
    }
    // a worker that reads all of it obeys
    let replica = shop.start(Policy::default());
    shop.orders(1).await;
    sleep(secs(10)).await;
    assert_eq!((shop.done(), replica.liveness.paused_by_hand().len()), (0, 1));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_stays_so_for_longer_than_it_would_have_held() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let end = shop.client.pause(QUEUE, Until::after(LONGEST_CONTROL)).await.unwrap();
    assert!(shop.client.resume(QUEUE).await.unwrap());
    let last = shop.broker.peek(CONTROL).pop().unwrap();
    let event = Event::from_message(&last.message).unwrap();
    let change: Change = serde_json::from_slice(&event.data).unwrap();
    assert!(change.value.is_none() && change.until > end, "{change:?}");
}

#[tokio::test(start_paused = true)]
async fn what_strangers_write_into_the_stream_steers_nothing() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.start(Policy::default());
    sleep(secs(1)).await;
    let event = |data: Value| {
        let data = serde_json::to_vec(&data).unwrap();
        Event::new("s".parse().unwrap(), "/ops", CONTROL_CHANGED.parse().unwrap(), data)
    };
    shop.send(CONTROL, vec![event(json!({})), event(json!([1])), event(json!("x".repeat(100_000)))]).await;
    shop.orders(5).await;
    sleep(secs(1)).await;
    assert_eq!((shop.done(), replica.liveness.check()), (5, Ok(())));
    assert_eq!(shop.client.control().list().await.unwrap(), []);
    replica.stop().await;
}
