//! The records of what is cancelled: refused, written anew, too many, and a stranger's.

use super::{
    super::secs,
    cancel::{id, order},
    shop::Shop,
};
use ponos::{
    broker::memory::Version,
    client::{Cancel, ControlError},
    event::{
        Event, EventId,
        control::{CONTROL, CONTROL_CANCELLED, Cancellation},
    },
    prelude::*,
    schema::Contract,
    testing::BEGINNING,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn what_can_not_be_cancelled_is_refused_and_not_written() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let cancel = async |ids: &[EventId], which| shop.client.cancel(ids, which).await.unwrap_err();
    let many: Vec<EventId> = (0..300).map(|number| id(&format!("{number:036}"))).collect();
    let one = [id("1")];
    for (error, words) in [
        (cancel(&[], Cancel::of("shop")).await, "0 ids"),
        (cancel(&many, Cancel::of("shop")).await, "300 ids"),
        (cancel(&one, Cancel::of("Shop")).await, "not the name of a service"),
        (cancel(&one, Cancel::of("shop").queue("mail.a")).await, "not the name of a queue of shop"),
        (cancel(&one, Cancel::of("shop").queue("shop.none")).await, "there is no queue"),
        (cancel(&one, Cancel::of("shop").name("shipped")).await, "name"),
        (cancel(&one, Cancel::of("shop").why("x".repeat(501))).await, "more than 500 characters"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(shop.broker.queue_status(CONTROL).is_none_or(|status| status.ready == 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cancelled_messages_are_written_anew_as_few_records_and_more_than_fit_are_refused() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let record = |ids: Vec<String>, why: String| {
        let until = BEGINNING.plus(8 * 86_400_000);
        let (service, by) = ("shop".into(), "bob".into());
        let data = Cancellation { service, queue: None, name: None, ids, until, by, why, folded: false };
        let data = serde_json::to_vec(&data).unwrap();
        Event::new(id("c"), "/ops", CONTROL_CANCELLED.parse().unwrap(), data)
    };
    shop.cancel("zero").await;
    let each = (0..1_000).map(|number| record(vec![format!("{number:036}")], "the same".into()));
    shop.send(CONTROL, each.collect()).await;
    let records = || shop.broker.queue_depth(CONTROL).unwrap();
    let before = records();
    shop.client.cancel(&[id("one")], Cancel::of("shop")).await.unwrap();
    let written = records() - before;
    assert_eq!(written, 6, "itself, the one before, and a thousand ids of 39 bytes in 10 KiB each");
    shop.client.cancel(&[id("two")], Cancel::of("shop")).await.unwrap();
    assert_eq!(records() - before, 7, "and not each time");
    let schema =
        Contract::parse(include_str!("../../../../../../schemas/control/control-cancelled.json")).unwrap();
    for record in shop.broker.peek(CONTROL).iter().rev().take(7) {
        let event = Event::from_message(&record.message).unwrap();
        assert_eq!(event.name.as_str(), CONTROL_CANCELLED);
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        schema.check(&data).unwrap_or_else(|why| panic!("{data}: {why}"));
    }
    // each with a reason of its own takes a record of its own
    let reasons = (0..6_000).map(|number| record(vec![format!("r{number}")], format!("ticket {number}")));
    shop.send(CONTROL, reasons.collect()).await;
    let full = shop.client.cancel(&[id("three")], Cancel::of("shop").why("x".repeat(100))).await.unwrap_err();
    assert!(matches!(full, ControlError::Full), "{full}");
    // what there is room for is obeyed
    shop.send("events", ["one", "0000", "three"].map(order).into()).await;
    let replica = shop.start(Policy::default());
    shop.until_done(2).await;
    assert!(matches!(shop.ends("one")[..], [Ended::Cancelled(_)]), "{:?}", shop.ends("one"));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_strangers_write_cancels_nothing_else() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.start(Policy::default());
    sleep(secs(1)).await;
    let event = |data: Value| {
        let data = serde_json::to_vec(&data).unwrap();
        Event::new(id("s"), "/ops", CONTROL_CANCELLED.parse().unwrap(), data)
    };
    let all = json!({ "service": "shop", "ids": ["#", "*", ""], "until": "2099-01-01T00:00:00.000Z", "by": "", "why": "" });
    shop.send(CONTROL, vec![event(json!({})), event(json!({ "ids": "0000" })), event(all)]).await;
    shop.orders(5).await;
    shop.until_done(5).await;
    replica.stop().await;
}
