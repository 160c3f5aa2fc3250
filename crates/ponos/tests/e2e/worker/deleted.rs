//! What somebody deletes by hand while the worker runs comes back, and nothing is lost by it.

use super::{NAME, QUEUE, parcel, parcels, shop};
use crate::real::{Running, Sender, event, letters, verdict};
use ponos::{
    prelude::*,
    topology::worker::{PARKING, dead_letters},
    worker::Backoff,
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Node;

/// Fails the first time, and goes by way of the first rung.
fn failing_once() -> Worker {
    let backoff = Backoff { first: Duration::from_millis(1_400), jitter: 0.0, ..Backoff::default() };
    let handler = async |_: Value, ctx: Context| {
        if ctx.attempt() == 1 { Err(Failure::new("not yet")) } else { Ok(Done) }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2).backoff(backoff)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_of_the_ladder_that_was_deleted_is_declared_again_and_the_retry_comes() {
    let node = Node::shared();
    let url = node.vhost("ladder-deleted");
    let running = Running::start(&url, failing_once()).await;
    let mut sender = Sender::new(&url).await;
    node.delete_queue("ladder-deleted", "retry.1s");
    sender.send(parcels("p", 20)).await;
    running.ends.done(20).await;
    assert!(node.queue("ladder-deleted", "retry.1s").is_some());
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (20, 20, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_whose_queue_was_deleted_lie_in_it_again() {
    let node = Node::shared();
    let url = node.vhost("letters-deleted");
    let running = Running::start(&url, shop()).await;
    let mut sender = Sender::new(&url).await;
    node.delete_queue("letters-deleted", &dead_letters(QUEUE));
    let mut broken = parcel("broken");
    broken.body = b"{".to_vec();
    sender.send(vec![broken, parcel("whole")]).await;
    running.ends.done(1).await;
    let letters = letters(&url, QUEUE, 1).await;
    assert_eq!(verdict(&letters[0]).0, "malformed");
    assert_eq!(node.queue("letters-deleted", PARKING), Some((0, 0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_exchange_that_was_deleted_is_declared_again() {
    let node = Node::shared();
    let url = node.vhost("dlx-deleted");
    let running = Running::start(&url, shop()).await;
    let mut sender = Sender::new(&url).await;
    node.delete_exchange("dlx-deleted", "dlx");
    node.delete_exchange("dlx-deleted", "retry.1s");
    let mut broken = parcel("broken");
    broken.body = b"{".to_vec();
    sender.send(vec![broken, parcel("whole")]).await;
    assert_eq!(letters(&url, QUEUE, 1).await[0].properties.message_id.as_deref(), Some("broken"));
    running.ends.done(1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_its_consumer_is_declared_again_and_consumed() {
    let node = Node::shared();
    let url = node.vhost("queue-deleted");
    let running = Running::start(&url, shop()).await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("before", 10)).await;
    running.ends.done(10).await;
    node.delete_queue("queue-deleted", QUEUE);
    testkit::wait_until("the queue to be consumed again", crate::real::support::LIMIT, async || {
        matches!(node.queue("queue-deleted", QUEUE), Some((_, 1))).then_some(())
    })
    .await;
    // on a fresh channel: what one that knew the deleted queue sends at once may be confirmed and dropped by RabbitMQ
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("after", 10)).await;
    running.ends.done(20).await;
    assert_eq!(running.liveness.check(), Ok(()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_for_a_queue_that_is_not_there_is_tried_again_until_it_is() {
    let node = Node::shared();
    let url = node.vhost("task-queue-deleted");
    let backoff = Backoff { first: Duration::from_millis(300), ..Backoff::default() };
    let handler = async |_: Value, ctx: Context| {
        ctx.task("shop.stock.counted", &json!({}))?;
        Ok(Done)
    };
    // the other program of this service, whose queue it is, does not run
    let other = Worker::new("shop").task("shop.stock.counted", async |_: Value, _: Context| Ok(Done));
    let worker = Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::retry(10).backoff(backoff)))
        .sends_task::<Value>("shop.stock.counted");
    let running = Running::start(&url, worker).await;
    let mut sender = Sender::new(&url).await;
    sender.send(vec![event("counts", NAME, &json!({}))]).await;
    running.ends.until(1, "an attempt to fail", |ended| {
        matches!(ended, Ended::Retried { reason, .. } if reason.contains("no queue is bound to the exchange 'tasks'"))
    })
    .await;
    let other = Running::start(&url, other).await;
    running.ends.done(1).await;
    other.ends.done(1).await;
    assert_eq!(other.stop().await.handled, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_exchange_was_deleted_while_nothing_happened_hears_events_again() {
    let node = Node::shared();
    let url = node.vhost("events-deleted");
    // it publishes too, so that its publisher is known to be connected
    let handler = async |_: Value, ctx: Context| {
        ctx.publish("order.parcel.counted", &json!({}))?;
        Ok(Done)
    };
    let worker = Worker::new("shop").publishes::<Value>("order.parcel.counted").on::<Value>(NAME, handler);
    let running = Running::start_comparing(&url, worker).await;
    Sender::new(&url).await.send(vec![parcel("before")]).await;
    running.ends.done(1).await;
    node.delete_exchange("events-deleted", "events");
    testkit::wait_until("it to be noted and mended", crate::real::support::LIMIT, async || {
        let notes = running.liveness.notes();
        notes.iter().any(|note| note.contains("exchange 'events'")).then_some(())
    })
    .await;
    assert_eq!(running.liveness.check(), Ok(()));
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("after", 5)).await;
    running.ends.done(6).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_was_taken_away_is_there_again() {
    let node = Node::shared();
    let url = node.vhost("binding-deleted");
    let running = Running::start_comparing(&url, shop()).await;
    let mut sender = Sender::new(&url).await;
    sender.send(vec![parcel("before")]).await;
    running.ends.done(1).await;
    let of =
        |kind: &str, name: &str| format!("rabbit_misc:r(<<\"binding-deleted\">>, {kind}, <<\"{name}\">>)");
    let (events, queue) = (of("exchange", "events"), of("queue", QUEUE));
    let bound = format!("length(rabbit_binding:list_for_source_and_destination({events}, {queue}))");
    assert_eq!(node.eval(&bound).trim(), "1");
    // in one step, before the worker can mend it, and once more if it did; a listing may lag behind
    let take_away = format!(
        "begin
             ok = rabbit_binding:remove({{binding, {events}, <<\"{NAME}\">>, {queue}, []}}, <<\"test\">>),
             Look = fun Look(Left) ->
                 case {bound} of Count when Count > 0, Left > 0 -> timer:sleep(1), Look(Left - 1); Count -> Count end
             end,
             Look(500)
         end"
    );
    testkit::wait_until("the binding to be away", crate::real::support::LIMIT, async || {
        (node.eval(&take_away).trim() == "0").then_some(())
    })
    .await;
    // routing may lag behind too, in both directions: what reaches the queue proves nothing by itself
    testkit::wait_until("the binding to be declared again", crate::real::support::LIMIT, async || {
        (node.eval(&bound).trim() == "1").then_some(())
    })
    .await;
    // the broker lists a binding a moment before it routes by it
    testkit::wait_until("an event to reach the queue again", crate::real::support::LIMIT, async || {
        sender.reaches_a_queue(parcel("after")).await.then_some(())
    })
    .await;
    running.ends.done(2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_that_wait_go_on_when_the_way_back_was_mended() {
    let node = Node::start();
    // how long RabbitMQ waits before it tries a dead letter again that had nowhere to go: 3 minutes by default
    node.eval("application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 5000)");
    let url = node.vhost("way-back");
    let running = Running::start_comparing(&url, failing_once()).await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("p", 10)).await;
    running.ends.until(10, "all to be put off", |ended| matches!(ended, Ended::Retried { .. })).await;
    node.delete_exchange("way-back", "retry.return");
    running.ends.done(10).await;
    assert_eq!(node.queue("way-back", PARKING), Some((0, 0)));
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (10, 10, 0), "{report}");
}
