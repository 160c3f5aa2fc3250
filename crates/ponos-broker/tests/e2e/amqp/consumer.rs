//! The consumer of the RabbitMQ adapter.

use crate::support::{
    self, body, config, link, next, outcomes, publish_until_confirmed, publisher, publishing, topology,
};
use ponos_broker::{Link, Publisher, Settle};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use std::collections::HashSet;
use testkit::{Node, wait_until};

async fn filled(vhost: &str, topology: Topology, count: u64) -> (String, Publisher) {
    let url = Node::shared().vhost(vhost);
    let mut publisher = publisher(config(&url), topology).await;
    publisher.submit((0..count).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    outcomes(&mut publisher, usize::try_from(count).unwrap()).await;
    (url, publisher)
}

async fn empty(vhost: &str, queue: &str) {
    // Ready messages come back to the queue when a connection with unacked ones is gone: so look with nobody connected.
    wait_until("the queue to be empty with no consumer", support::LIMIT, async || {
        (Node::shared().queue(vhost, queue) == Some((0, 0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acked_in_any_order_is_gone_after_the_handle_is_dropped() {
    let (url, _publisher) = filled("acked", topology("all", "#"), 3_000).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 250);
    let mut seen = HashSet::new();
    let mut held = Vec::new();
    for _ in 0..3_000 {
        let delivery = next(&mut consumer).await;
        assert!(seen.insert(body(&delivery)), "delivered twice");
        held.push(delivery.tag);
        // Settle out of order, keeping some at work all the time.
        if held.len() > 100 {
            let index = (body(&delivery) as usize * 31) % held.len();
            consumer.settle(held.swap_remove(index), Settle::Ack).await.unwrap();
        }
    }
    for tag in held {
        consumer.settle(tag, Settle::Ack).await.unwrap();
    }
    let mut links = consumer.link();
    drop(consumer);
    link(&mut links, "the task to end", |link| *link == Link::Closed).await;
    empty("acked", "all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_flow_at_a_prefetch_of_one() {
    let (url, _publisher) = filled("one-by-one", topology("all", "#"), 500).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 1);
    for expected in 0..500 {
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_prefetch_is_delivered_unsettled() {
    let (url, _publisher) =
        filled("prefetch", Topology { queues: vec![Queue::quorum("all")], ..topology("all", "#") }, 50).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 7);
    for _ in 0..7 {
        next(&mut consumer).await;
    }
    let ready = wait_until("the broker's count", support::LIMIT, async || {
        Node::shared().queue("prefetch", "all").filter(|(_, consumers)| *consumers == 1)
    })
    .await;
    assert_eq!(ready, (43, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn released_and_rejected_come_again_and_dead_ones_go_to_the_dead_letters() {
    let dead =
        Queue::quorum("work").with("x-dead-letter-exchange", "dlx").with("x-dead-letter-routing-key", "work");
    let topology = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::direct("dlx")],
        queues: vec![dead, Queue::classic("work.dlq")],
        bindings: vec![Binding::queue("events", "work", "#"), Binding::queue("dlx", "work.dlq", "work")],
        ..Topology::default()
    };
    let (url, _publisher) = filled("settled", topology, 3).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "work", 3);
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        assert!(!delivery.redelivered);
        let how = [Settle::Release, Settle::Reject, Settle::Dead][usize::try_from(body(&delivery)).unwrap()];
        consumer.settle(delivery.tag, how).await.unwrap();
    }
    let mut again = HashSet::new();
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        assert!(delivery.redelivered);
        again.insert(body(&delivery));
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
    assert_eq!(again, HashSet::from([0, 1]));
    let mut dead = support::consumer(config(&url), Topology::default(), "work.dlq", 1);
    assert_eq!(body(&next(&mut dead).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_twice_or_what_was_never_delivered_is_void() {
    let (url, _publisher) = filled("void", topology("all", "#"), 2).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 10);
    let first = next(&mut consumer).await.tag;
    for how in [Settle::Ack, Settle::Ack, Settle::Dead] {
        consumer.settle(first, how).await.unwrap();
    }
    let mut unknown = first;
    unknown.tag = 999;
    consumer.settle(unknown, Settle::Ack).await.unwrap();
    // The channel lives: the next one comes on the same connection.
    let second = next(&mut consumer).await;
    assert_eq!(second.tag.generation, first.generation);
    consumer.settle(second.tag, Settle::Ack).await.unwrap();
    drop(consumer);
    empty("void", "all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_queue_was_deleted_declares_it_again_and_subscribes_again() {
    let (url, mut publisher) = filled("deleted", topology("all", "#"), 1).await;
    let mut consumer = support::consumer(config(&url), topology("all", "#"), "all", 10);
    let delivery = next(&mut consumer).await;
    consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    for token in 100..103 {
        Node::shared().delete_queue("deleted", "all");
        wait_until("the queue to be there again, with its consumer", support::LIMIT, async || {
            Node::shared().queue("deleted", "all").filter(|(_, consumers)| *consumers == 1)
        })
        .await;
        publish_until_confirmed(&mut publisher, token, "a.b.c").await;
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), token);
        assert_eq!(delivery.tag.generation, 1, "the channel lives on");
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_named_by_the_broker_is_consumed_and_gone_with_the_handle() {
    let url = Node::shared().vhost("temporary");
    let topology = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::temporary()],
        bindings: vec![Binding::queue("events", "", "a.#")],
        ..Topology::default()
    };
    let mut consumer = support::consumer(config(&url), topology, "", 10);
    support::up(&mut consumer.link()).await;
    let mut publisher = publisher(config(&url), Topology::default()).await;
    publish_until_confirmed(&mut publisher, 7, "a.b.c").await;
    assert_eq!(body(&next(&mut consumer).await), 7);
    drop(consumer);
    wait_until("the queue to be gone", support::LIMIT, async || {
        publisher.submit(vec![publishing(8, "a.b.c")]).await.unwrap();
        let returned = ponos_broker::PublishOutcome::Confirmed { returned: true };
        (outcomes(&mut publisher, 1).await[&8] == returned).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_keeps_its_message_when_the_handle_is_dropped_without_settling() {
    let (url, _publisher) = filled("unsettled", topology("all", "#"), 1).await;
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 1);
    assert!(!next(&mut consumer).await.redelivered);
    drop(consumer);
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 1);
    assert!(next(&mut consumer).await.redelivered);
}
