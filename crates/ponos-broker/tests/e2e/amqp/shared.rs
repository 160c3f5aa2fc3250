//! The consumers of one transport: one connection, a channel each.

use crate::support::{self, config, down, link, next, outcomes, publisher, publishing, topology, up};
use ponos_broker::{Consume, LinkErrorClass, Settle, Transport};
use ponos_event::topology::{Queue, Topology};
use std::time::Duration;
use testkit::{Node, wait_until};

async fn connections(node: &Node, count: usize) {
    let what = format!("{count} connections");
    wait_until(&what, support::LIMIT, async || (node.connections() == count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_share_one_connection_which_goes_with_the_last_and_comes_back_for_all() {
    let node = Node::start();
    let transport = Transport::amqp(config(&node.vhost("shared")));
    let mut consumers = Vec::new();
    for queue in ["a", "b", "c", "d"] {
        consumers.push(transport.consumer(topology(queue, "#"), Consume::new(queue)));
    }
    for consumer in &consumers {
        up(&mut consumer.link()).await;
    }
    assert_eq!(node.connections(), 1);
    assert_eq!(transport.inspect("a").await.unwrap().unwrap().consumers, 1);
    assert_eq!(node.connections(), 1);

    node.close_connections();
    for consumer in &consumers {
        let again = |now: &_| matches!(now, ponos_broker::Link::Up { generation: 2.., .. });
        link(&mut consumer.link(), "the next generation", again).await;
    }
    connections(&node, 1).await;

    let last = consumers.pop();
    drop(consumers);
    wait_until("the others to be gone", support::LIMIT, async || {
        (node.queue("shared", "a") == Some((0, 0))).then_some(())
    })
    .await;
    assert_eq!(node.connections(), 1);
    drop(last);
    connections(&node, 0).await;

    // and it is made again for the next
    let consumer = transport.consumer(Topology::default(), Consume::new("a"));
    up(&mut consumer.link()).await;
    connections(&node, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_ends_before_the_broker_answered_counts_as_lost() {
    let url = Node::shared().vhost("unanswered");
    let transport = Transport::amqp(config(&url));
    let alone = transport.consumer(topology("q", "#"), Consume::new("q").exclusive());
    up(&mut alone.link()).await;
    let second = transport.consumer(topology("q", "#"), Consume::new("q"));
    let error = down(&mut second.link()).await;
    let losses = second.losses().borrow().clone();
    assert!(losses.count > 0 && losses.last == Some(error), "{losses:?}");
    assert_eq!(alone.losses().borrow().count, 0);
}

/// RabbitMQ closes the channel of a consumer that holds a delivery too long; 4.3 only cancels it, and would bring nobody
/// else anything from a queue with a single active consumer.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_held_too_long_costs_its_consumer_the_channel_and_nobody_else() {
    let node = Node::start();
    node.eval("application:set_env(rabbit, consumer_timeout, 1000)");
    node.eval("application:set_env(rabbit, channel_tick_interval, 200)");
    let shared = Queue::quorum("slow");
    held_too_long(&node, "shared", shared.clone()).await;
    held_too_long(&node, "single", shared.with("x-single-active-consumer", true)).await;
}

async fn held_too_long(node: &Node, vhost: &str, queue: Queue) {
    let url = node.vhost(vhost);
    let slow_topology = Topology { queues: vec![queue], ..topology("slow", "slow") };
    let mut publisher = publisher(config(&url), slow_topology.clone()).await;
    let transport = Transport::amqp(config(&url));
    let mut slow = transport.consumer(slow_topology, Consume::new("slow"));
    let mut well = transport.consumer(topology("well", "well"), Consume::new("well"));
    up(&mut well.link()).await;
    publisher.submit(vec![publishing(1, "slow")]).await.unwrap();
    outcomes(&mut publisher, 1).await;

    let held = next(&mut slow).await;
    let error = down(&mut slow.link()).await;
    assert_eq!(error.class, LinkErrorClass::Overdue, "{error}");
    assert!(error.what.contains("'slow'") && error.remedy.contains("consumer_timeout"), "{error}");
    slow.settle(held.tag, Settle::Ack).await.unwrap();
    let again = next(&mut slow).await;
    assert!(again.redelivered && again.tag.generation > held.tag.generation);
    slow.settle(again.tag, Settle::Ack).await.unwrap();

    publisher.submit(vec![publishing(2, "well")]).await.unwrap();
    outcomes(&mut publisher, 1).await;
    let delivery = next(&mut well).await;
    assert_eq!(delivery.tag.generation, 1, "the other's channel lives");
    well.settle(delivery.tag, Settle::Ack).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_no_answer_came_is_cut_off_for_all_who_share_it() {
    let node = Node::start();
    let mut config = config(&format!("{}?heartbeat=60", node.vhost("hung")));
    config.call_timeout = Duration::from_secs(1);
    let transport = Transport::amqp(config);
    let consumer = transport.consumer(topology("a", "#"), Consume::new("a"));
    let mut told = consumer.link();
    up(&mut told).await;
    node.pause();
    transport.inspect("a").await.unwrap_err();
    // earlier than by heartbeats, of which several must be missed
    down(&mut told).await;
    node.unpause();
    up(&mut told).await;
    // on a busy machine a call may take longer than that now and then
    let found = async || transport.inspect("a").await.ok();
    assert!(wait_until("an answer", support::LIMIT, found).await.is_some());
}
