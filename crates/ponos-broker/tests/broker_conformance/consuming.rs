//! What a consumer gets, and what settling does.

use super::*;
use ponos_broker::{Settle, memory::Version};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};

fn queue(queue: Queue) -> Topology {
    topology([], [queue])
}

pub(crate) async fn prefetch_bounds_what_is_out(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let name = wanted.name.clone();
        let mut publisher = harness.publisher(queue(wanted.clone()));
        send(&mut publisher, "", (0..10).map(|n| message(&name, &n.to_string()))).await;
        let mut consumer = harness.consumer(queue(wanted), &name, 3);
        let mut out = Vec::new();
        for _ in 0..3 {
            out.push(next(&mut consumer).await.tag);
        }
        depth_becomes(harness, &name, 7).await;
        consumer.settle(out[0], Settle::Ack).await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "3");
        depth_becomes(harness, &name, 6).await;
    }
}

pub(crate) async fn what_is_acked_is_gone(harness: &impl Harness) {
    let wanted = queue(Queue::quorum("q"));
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", (0..20).map(|n| message("q", &n.to_string()))).await;
    let mut consumer = harness.consumer(wanted.clone(), "q", 20);
    let mut out = Vec::new();
    for _ in 0..20 {
        out.push(next(&mut consumer).await);
    }
    // in another order than they came in
    for delivery in out.iter().rev().filter(|delivery| text(delivery) != "7") {
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
    drop(consumer);
    depth_becomes(harness, "q", 1).await;
    assert_eq!(take(&mut harness.consumer(wanted, "q", 20), 1).await, ["7"]);
}

pub(crate) async fn what_is_released_comes_again_as_redelivered(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let name = wanted.name.clone();
        let mut publisher = harness.publisher(queue(wanted.clone()));
        let mut consumer = harness.consumer(queue(wanted), &name, 1);
        for how in [Settle::Release, Settle::Reject] {
            send(&mut publisher, "", [message(&name, "1")]).await;
            let first = next(&mut consumer).await;
            assert!(!first.redelivered);
            consumer.settle(first.tag, how).await.unwrap();
            let again = next(&mut consumer).await;
            assert!(again.redelivered, "{name} {how:?}");
            assert_eq!(text(&again), "1");
            consumer.settle(again.tag, Settle::Ack).await.unwrap();
        }
        depth_becomes(harness, &name, 0).await;
    }
}

pub(crate) async fn a_quorum_queue_counts_how_often_it_was_given_back(harness: &impl Harness) {
    let wanted = queue(Queue::quorum("q").with("x-delivery-limit", 50));
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", [message("q", "1")]).await;
    let mut consumer = harness.consumer(wanted, "q", 1);
    for count in [None, Some(1), Some(2), Some(3)] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.headers.int("x-delivery-count"), count);
        assert_eq!(delivery.redelivered, count.is_some());
        consumer.settle(delivery.tag, Settle::Reject).await.unwrap();
    }
}

pub(crate) async fn a_delivery_limit_leads_to_the_dead_letters(harness: &impl Harness) {
    let limited = Queue::quorum("q")
        .with("x-delivery-limit", 2)
        .with("x-dead-letter-exchange", "dlx")
        .with("x-dead-letter-routing-key", "q.dlq");
    let wanted = topology([Exchange::direct("dlx")], [limited, Queue::quorum("q.dlq")])
        .bind([Binding::queue("dlx", "q.dlq", "q.dlq")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", [message("q", "poison"), message("q", "good")]).await;
    let mut consumer = harness.consumer(wanted.clone(), "q", 1);
    // the limit counts how often it was given back: it comes once more than that
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let delivery = next(&mut consumer).await;
        let how = if text(&delivery) == "poison" { Settle::Reject } else { Settle::Ack };
        consumer.settle(delivery.tag, how).await.unwrap();
        seen.push(text(&delivery));
    }
    assert_eq!(seen.iter().filter(|body| *body == "poison").count(), 3);
    let dead = next(&mut harness.consumer(wanted, "q.dlq", 1)).await;
    assert_eq!(text(&dead), "poison");
    assert_eq!(dead.message.headers.text("x-first-death-reason"), Some("delivery_limit"));
}

pub(crate) async fn whether_a_release_counts_towards_the_delivery_limit_depends_on_the_version(
    harness: &impl Harness,
) {
    let counts = harness.version() == Version::V3;
    let wanted = queue(Queue::quorum("q").with("x-delivery-limit", 50));
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", [message("q", "1")]).await;
    let mut consumer = harness.consumer(wanted, "q", 1);
    for released in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.delivery_count(), (counts && released > 0).then_some(released));
        assert_eq!(delivery.redelivered, released > 0);
        consumer.settle(delivery.tag, Settle::Release).await.unwrap();
    }
    // A rejection counts on all of them.
    let before = next(&mut consumer).await;
    consumer.settle(before.tag, Settle::Reject).await.unwrap();
    let after = next(&mut consumer).await;
    assert_eq!(after.delivery_count(), Some(before.delivery_count().unwrap_or(0) + 1));
    consumer.settle(after.tag, Settle::Ack).await.unwrap();
    depth_becomes(harness, "q", 0).await;
}

pub(crate) async fn consumers_of_one_queue_share_its_messages(harness: &impl Harness) {
    let wanted = queue(Queue::classic("q"));
    let mut one = harness.consumer(wanted.clone(), "q", 1);
    let mut two = harness.consumer(wanted.clone(), "q", 1);
    up(one.link()).await;
    up(two.link()).await;
    let mut publisher = harness.publisher(wanted);
    send(&mut publisher, "", [message("q", "1"), message("q", "2")]).await;
    let mut bodies = [text(&next(&mut one).await), text(&next(&mut two).await)];
    bodies.sort();
    assert_eq!(bodies, ["1", "2"]);
}

pub(crate) async fn a_single_active_consumer_is_followed_by_the_next(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let wanted = wanted.with("x-single-active-consumer", true);
        let name = wanted.name.clone();
        let mut active = harness.consumer(queue(wanted.clone()), &name, 1);
        up(active.link()).await;
        let mut waiting = harness.consumer(queue(wanted.clone()), &name, 10);
        up(waiting.link()).await;
        let mut publisher = harness.publisher(queue(wanted));
        send(&mut publisher, "", ["1", "2", "3"].map(|id| message(&name, id))).await;
        // though the other has room, all come here one after the other
        assert_eq!(take(&mut active, 2).await, ["1", "2"]);
        assert_eq!(text(&next(&mut active).await), "3");
        drop(active);
        let followed = next(&mut waiting).await;
        assert_eq!((text(&followed).as_str(), followed.redelivered), ("3", true));
    }
}

pub(crate) async fn a_temporary_queue_is_bound_by_its_consumer_and_goes_with_it(harness: &impl Harness) {
    let events = topology([Exchange::topic("events")], []);
    let listening = topology([Exchange::topic("events")], [Queue::temporary()])
        .bind([Binding::queue("events", "", "time.#")]);
    let mut one = harness.consumer(listening.clone(), "", 10);
    let mut two = harness.consumer(listening, "", 10);
    up(one.link()).await;
    up(two.link()).await;
    let mut publisher = harness.publisher(events);
    let outcomes =
        publish(&mut publisher, "events", [message("time.x.y", "1"), message("other.x.y", "2")]).await;
    assert_eq!(outcomes, [REACHED, RETURNED]);
    assert_eq!(take(&mut one, 1).await, ["1"]);
    assert_eq!(take(&mut two, 1).await, ["1"]);
    // it is made anew for a new connection
    harness.disconnect_all();
    up(publisher.link()).await;
    within("the temporary queue of the new connection", async {
        while publish(&mut publisher, "events", [message("time.x.y", "3")]).await != [REACHED] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop((one, two));
    within("the end of the temporary queues", async {
        while publish(&mut publisher, "events", [message("time.x.y", "4")]).await != [RETURNED] {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
