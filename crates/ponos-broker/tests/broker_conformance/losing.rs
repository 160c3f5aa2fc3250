//! Connections and queues that go away.

use super::*;
use ponos_broker::{Link, LinkErrorClass, Losses, PublishOutcome, Settle};
use ponos_event::topology::{Queue, Topology};
use std::collections::BTreeSet;

fn queue() -> Topology {
    topology([], [Queue::quorum("q").with("x-delivery-limit", 50)])
}

pub(crate) async fn a_lost_connection_settles_all_and_redelivers_under_a_newer_generation(
    harness: &impl Harness,
) {
    let mut publisher = harness.publisher(queue());
    let mut consumer = harness.consumer(queue(), "q", 10);
    send(&mut publisher, "", ["1", "2"].map(|id| message("q", id))).await;
    let first = next(&mut consumer).await;
    assert_eq!(first.tag.generation, up(consumer.link()).await);

    // cut while publishing: each is settled, lost or confirmed
    let batch: Vec<_> = (0..2000).map(|n| publishing(n, "", message("q", &format!("many {n}")))).collect();
    publisher.submit(batch).await.unwrap();
    harness.disconnect_all();
    let outcomes = settlements(&mut publisher, 2000).await;
    let confirmed: BTreeSet<String> = outcomes
        .iter()
        .filter(|(_, outcome)| **outcome != PublishOutcome::Lost)
        .map(|(token, outcome)| {
            assert_eq!(*outcome, REACHED);
            format!("many {token}")
        })
        .collect();

    // publishing goes on by itself
    within("publishing to go on", async {
        while publish(&mut publisher, "", [message("q", "last")]).await != [REACHED] {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // all that was confirmed arrives, and what was out comes again under a newer generation
    let mut missing = confirmed;
    missing.extend(["1", "2", "last"].map(str::to_owned));
    while !missing.is_empty() {
        let delivery = next(&mut consumer).await;
        if delivery.tag.generation > first.tag.generation {
            if text(&delivery) == "1" {
                assert!(delivery.redelivered);
                assert_eq!(delivery.message.headers.int("x-delivery-count"), Some(1));
            }
            missing.remove(&text(&delivery));
        }
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
    assert!(up(consumer.link()).await > first.tag.generation);
}

pub(crate) async fn the_link_shows_that_a_connection_is_lost_before_that_is_said_of_a_publishing(
    harness: &impl Harness,
) {
    let mut publisher = harness.publisher(queue());
    let link = publisher.link();
    for round in 0..5 {
        let before = up(link.clone()).await;
        let batch = (0..500).map(|n| publishing(n, "", message("q", &format!("{round} {n}")))).collect();
        publisher.submit(batch).await.unwrap();
        harness.disconnect_all();
        let mut settled = 0;
        while settled < 500 {
            let settlements = within("settlements", publisher.settlements()).await.unwrap();
            // Whoever publishes it again at once would do so into the same connection.
            let is_lost = settlements.iter().any(|one| one.outcome == PublishOutcome::Lost);
            let is_up = matches!(&*link.borrow(), Link::Up { generation, .. } if *generation == before);
            assert!(!(is_lost && is_up), "{round}: {settled} were settled before");
            settled += settlements.len();
        }
    }
}

pub(crate) async fn what_was_settled_has_arrived_once_that_is_answered(harness: &impl Harness) {
    let mut publisher = harness.publisher(queue());
    let mut consumer = harness.consumer(queue(), "q", 10);
    let arrivals = consumer.arrivals();
    send(&mut publisher, "", ["1", "2", "3"].map(|id| message("q", id))).await;
    let mut tags = Vec::new();
    for _ in 0..3 {
        tags.push(next(&mut consumer).await.tag);
    }
    // The third waits for the second, that one frame may ack both; but not for long, and not for this.
    consumer.settle(tags[0], Settle::Ack).await.unwrap();
    consumer.settle(tags[2], Settle::Ack).await.unwrap();
    assert_eq!(within("the answer", arrivals.of_settlements()).await, Some(tags[1].generation));
    harness.disconnect_all();
    let again = next(&mut consumer).await;
    assert_eq!(text(&again), "2");
    // What is settled too late is told apart by its generation.
    consumer.settle(tags[1], Settle::Ack).await.unwrap();
    let of = within("the answer", arrivals.of_settlements()).await.unwrap();
    assert!(of > tags[1].generation && of == again.tag.generation);
    consumer.settle(again.tag, Settle::Ack).await.unwrap();
    within("the answer", arrivals.of_settlements()).await.unwrap();
    harness.disconnect_all();
    within("publishing to go on", async {
        while publish(&mut publisher, "", [message("q", "last")]).await != [REACHED] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(take(&mut consumer, 1).await, ["last"]);
    drop(consumer);
    assert_eq!(within("the end", arrivals.of_settlements()).await, None);
}

pub(crate) async fn settling_a_delivery_of_a_lost_connection_is_void(harness: &impl Harness) {
    let mut publisher = harness.publisher(queue());
    let mut consumer = harness.consumer(queue(), "q", 1);
    send(&mut publisher, "", [message("q", "1")]).await;
    let stale = next(&mut consumer).await;
    harness.disconnect_all();
    let again = next(&mut consumer).await;
    assert!(again.tag.generation > stale.tag.generation);
    assert_eq!(text(&again), "1");
    // not taken for a settling of the new one, whose tag has the same number
    assert_eq!(again.tag.tag, stale.tag.tag);
    consumer.settle(stale.tag, Settle::Dead).await.unwrap();
    consumer.settle(stale.tag, Settle::Ack).await.unwrap();
    consumer.settle(again.tag, Settle::Release).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await, ["1"]);
}

pub(crate) async fn why_a_connection_was_lost_is_known_when_it_was_made_again(harness: &impl Harness) {
    let mut publisher = harness.publisher(queue());
    let mut consumer = harness.consumer(queue(), "q", 1);
    send(&mut publisher, "", [message("q", "1")]).await;
    let before = next(&mut consumer).await;
    // A RabbitMQ 4.0 that has just begun may close a connection by itself (541, INTERNAL_ERROR).
    let earlier = consumer.losses().borrow().count;
    harness.disconnect_all();
    assert!(next(&mut consumer).await.tag.generation > before.tag.generation);
    let Losses { count, last } = consumer.losses().borrow().clone();
    assert!(count > earlier, "it was not counted");
    assert_eq!(last.map(|error| error.class), Some(LinkErrorClass::Unreachable));
}

pub(crate) async fn why_a_deleted_queue_is_not_consumed_again_is_known(harness: &impl Harness) {
    harness.transport().check(&queue()).await.unwrap();
    let consumer = harness.consumer(queue().passive(), "q", 1);
    up(consumer.link()).await;
    harness.delete_queue("q");
    let mut losses = consumer.losses();
    // The broker's cancel may be a loss of its own, before the queue is asked for again.
    let is_missing =
        |losses: &Losses| losses.last.as_ref().is_some_and(|error| error.class == LinkErrorClass::Missing);
    within("the reason", losses.wait_for(is_missing)).await.unwrap();
}

pub(crate) async fn a_consumer_of_a_deleted_queue_declares_it_again_and_goes_on(harness: &impl Harness) {
    let wanted = topology([], [Queue::classic("q")]);
    let mut publisher = harness.publisher(wanted.clone());
    let mut consumer = harness.consumer(wanted, "q", 1);
    send(&mut publisher, "", [message("q", "1")]).await;
    let out = next(&mut consumer).await;
    harness.delete_queue("q");
    testkit::wait_until("the queue declared again", LIMIT, || async { harness.depth("q") }).await;
    consumer.settle(out.tag, Settle::Ack).await.unwrap();
    send(&mut publisher, "", [message("q", "2")]).await;
    assert_eq!(take(&mut consumer, 1).await, ["2"]);
}

pub(crate) async fn dropping_a_consumer_gives_back_what_is_unsettled(harness: &impl Harness) {
    let mut publisher = harness.publisher(queue());
    send(&mut publisher, "", ["1", "2", "3"].map(|id| message("q", id))).await;
    let mut consumer = harness.consumer(queue(), "q", 2);
    let first = next(&mut consumer).await;
    consumer.settle(first.tag, Settle::Ack).await.unwrap();
    next(&mut consumer).await;
    drop(consumer);
    depth_becomes(harness, "q", 2).await;
    let mut left = take(&mut harness.consumer(queue(), "q", 10), 2).await;
    left.sort();
    assert_eq!(left, ["2", "3"]);
}
