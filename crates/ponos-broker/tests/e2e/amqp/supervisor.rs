//! Connections of the RabbitMQ adapter that go and come back, on nodes of their own.

use crate::support::{
    self, config, down, link, outcomes, publish_until_confirmed, publisher, publishing, topology, up,
};
use ponos_broker::{Link, LinkErrorClass, PublishOutcome, Settle};
use std::time::Duration;
use testkit::{Node, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn after_the_broker_was_killed_everything_is_settled_and_it_reconnects_and_declares_again() {
    let node = Node::start();
    let url = node.vhost("killed");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    let mut consumer = support::consumer(config(&url), topology("all", "#"), "all", 10);
    let mut links = publisher.link();
    publish_until_confirmed(&mut publisher, 0, "a.b.c").await;
    let first = support::next(&mut consumer).await;
    assert_eq!(first.tag.generation, 1);

    node.write_down();
    publisher.submit((1..=2_000).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    node.kill9();
    let outcomes = outcomes(&mut publisher, 2_000).await;
    let settled = |outcome: &PublishOutcome| {
        matches!(outcome, PublishOutcome::Confirmed { returned: false } | PublishOutcome::Lost)
    };
    assert!(outcomes.values().all(settled), "{outcomes:?}");
    assert_eq!(down(&mut links).await.class, LinkErrorClass::Unreachable);
    // What comes while it is down is settled too.
    publisher.submit(vec![publishing(3_000, "a.b.c")]).await.unwrap();
    assert_eq!(support::outcomes(&mut publisher, 1).await[&3_000], PublishOutcome::Lost);

    node.restart();
    assert!(up(&mut links).await > 1);
    publish_until_confirmed(&mut publisher, 4_000, "a.b.c").await;
    // A settlement of the connection that is gone is void: the message comes again.
    consumer.settle(first.tag, Settle::Ack).await.unwrap();
    let again = support::next(&mut consumer).await;
    let again = if again.tag.generation == 1 {
        // Deliveries of the old connection may still wait in the handle.
        wait_until("a delivery of the new connection", support::LIMIT, async || {
            let delivery = support::next(&mut consumer).await;
            (delivery.tag.generation > 1).then_some(delivery)
        })
        .await
    } else {
        again
    };
    assert!(again.redelivered);
    assert_eq!(support::body(&again), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_by_an_operator_comes_back() {
    let node = Node::start();
    let url = node.vhost("closed");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    let mut links = publisher.link();
    for generation in 2..5 {
        node.close_connections();
        let next = |link: &Link| matches!(link, Link::Up { generation: now, .. } if *now >= generation);
        link(&mut links, "the next connection", next).await;
    }
    publish_until_confirmed(&mut publisher, 1, "a.b.c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_blocks_the_link_and_nothing_hangs() {
    let node = Node::start();
    let url = node.vhost("blocked");
    let mut config = config(&url);
    config.confirm_timeout = Duration::from_secs(2);
    let mut publisher = publisher(config.clone(), topology("all", "#")).await;
    let mut links = publisher.link();
    publish_until_confirmed(&mut publisher, 1, "a.b.c").await;
    let mut consumer = support::consumer(config, topology("all", "#"), "all", 10);
    up(&mut consumer.link()).await;
    let channels = || {
        node.eval("lists:sort([proplists:get_value(number, I) || I <- rabbit_channel:info_all([number])])")
    };
    let before = channels();

    node.raise_memory_alarm();
    // The broker says so once something is published.
    publisher.submit((10..20).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    let blocked =
        link(&mut links, "the link to be blocked", |link| matches!(link, Link::Blocked { .. })).await;
    assert!(matches!(&blocked, Link::Blocked { reason } if reason.contains("memory")), "{blocked:?}");
    let settled = outcomes(&mut publisher, 10).await;
    assert!(settled.values().all(|outcome| *outcome == PublishOutcome::Lost), "{settled:?}");
    publisher.submit(vec![publishing(30, "a.b.c")]).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 1).await[&30], PublishOutcome::Lost);
    // Consuming has a connection of its own, which goes on: deliveries and acks.
    let delivery = support::next(&mut consumer).await;
    consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    assert!(matches!(*links.borrow(), Link::Blocked { .. }));

    node.clear_memory_alarm();
    up(&mut links).await;
    publish_until_confirmed(&mut publisher, 40, "a.b.c").await;
    assert_eq!(channels(), before, "a channel that was blocked does not stand still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_publisher_ends_when_its_handle_is_dropped() {
    let node = Node::start();
    let url = node.vhost("blocked-drop");
    let mut config = config(&url);
    config.call_timeout = Duration::from_secs(1);
    let publisher = publisher(config, topology("all", "#")).await;
    let mut links = publisher.link();
    node.raise_memory_alarm();
    publisher.submit(vec![publishing(1, "a.b.c")]).await.unwrap();
    link(&mut links, "the link to be blocked", |link| matches!(link, Link::Blocked { .. })).await;
    drop(publisher);
    link(&mut links, "the task to end", |link| *link == Link::Closed).await;
    wait_until("the connection to be gone", support::LIMIT, async || (node.connections() == 0).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirms_that_never_come_are_settled_as_lost() {
    // The broker stands still (SIGSTOP): its sockets are open, nothing is answered.
    let node = Node::start();
    let url = node.vhost("silent");
    let mut config = config(&url);
    config.confirm_timeout = Duration::from_secs(1);
    let mut publisher = publisher(config, topology("all", "#")).await;
    node.pause();
    publisher.submit((0..100).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    let settled = outcomes(&mut publisher, 100).await;
    assert!(settled.values().all(|outcome| *outcome == PublishOutcome::Lost), "{settled:?}");
    node.unpause();
    publish_until_confirmed(&mut publisher, 1_000, "a.b.c").await;
}
