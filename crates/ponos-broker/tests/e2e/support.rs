//! What the tests of the RabbitMQ adapter share.

use ponos_broker::{
    Consume, Consumer, Delivery, Link, LinkError, PublishOutcome, Publisher, Publishing, Settlement,
    Transport,
    amqp::{self, AmqpConfig},
};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use ponos_event::{Message, Properties};
use std::{collections::HashMap, time::Duration};
use tokio::sync::watch;

/// Longer than anything takes that works, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A configuration with limits for tests: they are to be reached, or never.
pub(crate) fn config(url: &str) -> AmqpConfig {
    let mut config = AmqpConfig::parse(url).unwrap();
    config.backoff_max = Duration::from_millis(500);
    config.call_timeout = Duration::from_secs(20);
    config.connect_timeout = Duration::from_secs(20);
    config.confirm_timeout = LIMIT;
    config
}

/// The topic exchange `events` and one classic queue bound to `key`.
pub(crate) fn topology(queue: &str, key: &str) -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic(queue)],
        bindings: vec![Binding::queue("events", queue, key)],
        ..Topology::default()
    }
}

pub(crate) fn publishing(token: u64, key: &str) -> Publishing {
    let properties =
        Properties { message_id: Some(format!("id-{token}")), persistent: true, ..Properties::default() };
    let message = Message {
        routing_key: key.into(),
        properties,
        body: token.to_string().into_bytes(),
        ..Message::default()
    };
    Publishing { token, lane: 0, exchange: "events".into(), message }
}

/// Waits until the link is as wanted.
pub(crate) async fn link(
    links: &mut watch::Receiver<Link>,
    what: &str,
    wanted: impl FnMut(&Link) -> bool,
) -> Link {
    match tokio::time::timeout(LIMIT, links.wait_for(wanted)).await {
        Ok(Ok(link)) => link.clone(),
        Ok(Err(_)) => panic!("the adapter's task ended while waiting for: {what}"),
        Err(_) => panic!("waited in vain for: {what}"),
    }
}

pub(crate) async fn up(links: &mut watch::Receiver<Link>) -> u64 {
    match link(links, "the link to be up", |link| matches!(link, Link::Up { .. })).await {
        Link::Up { generation, .. } => generation,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn down(links: &mut watch::Receiver<Link>) -> LinkError {
    match link(links, "the link to be down", |link| matches!(link, Link::Down { error: Some(_), .. })).await {
        Link::Down { error: Some(error), .. } => error,
        other => panic!("{other:?}"),
    }
}

/// A publisher whose link is up.
pub(crate) async fn publisher(config: AmqpConfig, topology: Topology) -> Publisher {
    let publisher = amqp::publisher(config, topology);
    up(&mut publisher.link()).await;
    publisher
}

/// The outcomes of as many settlements as given, by token; one twice is an error.
pub(crate) async fn outcomes(publisher: &mut Publisher, count: usize) -> HashMap<u64, PublishOutcome> {
    let mut outcomes = HashMap::new();
    while outcomes.len() < count {
        let batch = tokio::time::timeout(LIMIT, publisher.settlements()).await;
        let Ok(batch) = batch else { panic!("only {} of {count} were settled", outcomes.len()) };
        for Settlement { token, outcome } in batch.expect("the adapter's task runs") {
            assert!(outcomes.insert(token, outcome).is_none(), "{token} was settled twice");
        }
    }
    outcomes
}

/// Publishes until it is confirmed, as a caller does, whatever the link is doing.
pub(crate) async fn publish_until_confirmed(publisher: &mut Publisher, token: u64, key: &str) {
    let mut links = publisher.link();
    for _ in 0..1000 {
        up(&mut links).await;
        publisher.submit(vec![publishing(token, key)]).await.unwrap();
        match outcomes(publisher, 1).await.remove(&token) {
            Some(PublishOutcome::Confirmed { .. }) => return,
            Some(PublishOutcome::Lost) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("never confirmed");
}

/// A consumer with a connection of its own.
pub(crate) fn consumer(config: AmqpConfig, topology: Topology, queue: &str, prefetch: u16) -> Consumer {
    Transport::amqp(config).consumer(topology, Consume::new(queue).prefetch(prefetch))
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(LIMIT, consumer.next()).await.expect("a delivery comes").expect("the task runs")
}

pub(crate) fn body(delivery: &Delivery) -> u64 {
    String::from_utf8_lossy(&delivery.message.body).parse().unwrap()
}
