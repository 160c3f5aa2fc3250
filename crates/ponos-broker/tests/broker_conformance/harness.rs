//! What a broker under test offers beside the port, and the words that the cases are written in.

use ponos_broker::{
    Consume, Consumer, Delivery, Link, LinkError, PublishOutcome, Publisher, Publishing, Settle, Transport,
    memory::Version,
};
use ponos_event::topology::{Exchange, Queue, Topology};
use ponos_event::{Message, Properties};
use std::{collections::BTreeMap, future::Future, time::Duration};
use tokio::sync::watch;

/// A broker under test; each test has an empty one (a vhost of its own).
pub(crate) trait Harness {
    /// Onto the same broker each time.
    fn transport(&self) -> &Transport;
    /// How it behaves where versions of RabbitMQ differ.
    fn version(&self) -> Version;
    /// Cuts all connections.
    fn disconnect_all(&self);
    fn delete_queue(&self, queue: &str);
    fn delete_exchange(&self, exchange: &str);
    /// Ready messages; `None` if there is no such queue.
    fn depth(&self, queue: &str) -> Option<u64>;

    fn publisher(&self, topology: Topology) -> Publisher {
        self.transport().publisher(topology)
    }

    fn consumer(&self, topology: Topology, queue: &str, prefetch: u16) -> Consumer {
        self.transport().consumer(topology, Consume::new(queue).prefetch(prefetch))
    }
}

/// How long one step may take: a time limit, not a measure.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// `what` within the limit.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    limited(LIMIT, what, work).await
}

/// A whole case, which has several steps.
pub(crate) async fn case(name: &str, work: impl Future<Output = ()>) {
    limited(4 * LIMIT, name, work).await;
}

async fn limited<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => panic!("waited {limit:?} in vain for: {what}"),
    }
}

/// Waits until `queue` holds that many ready messages.
pub(crate) async fn depth_becomes(harness: &impl Harness, queue: &str, depth: u64) {
    let what = format!("{depth} ready messages in {queue}");
    testkit::wait_until(&what, LIMIT, || async { (harness.depth(queue) == Some(depth)).then_some(()) }).await;
}

/// A persistent text message.
pub(crate) fn message(key: &str, id: &str) -> Message {
    let message_id = Some(id.to_owned());
    Message {
        routing_key: key.into(),
        properties: Properties { message_id, persistent: true, ..Properties::default() },
        body: id.into(),
        ..Message::default()
    }
}

pub(crate) fn publishing(token: u64, exchange: &str, message: Message) -> Publishing {
    Publishing { token, lane: 0, exchange: exchange.into(), message }
}

/// Publishes in one batch, and waits for the outcomes in the order of the messages.
pub(crate) async fn publish(
    publisher: &mut Publisher,
    exchange: &str,
    messages: impl IntoIterator<Item = Message>,
) -> Vec<PublishOutcome> {
    up(publisher.link()).await;
    let batch: Vec<Publishing> =
        (0..).zip(messages).map(|(token, message)| publishing(token, exchange, message)).collect();
    let expected = batch.len();
    publisher.submit(batch).await.unwrap();
    let outcomes = settlements(publisher, expected).await;
    outcomes.into_values().collect()
}

/// Waits for `expected` settlements, by token; a token settled twice fails.
pub(crate) async fn settlements(publisher: &mut Publisher, expected: usize) -> BTreeMap<u64, PublishOutcome> {
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < expected {
        let batch = within("settlements", publisher.settlements()).await.unwrap();
        for settlement in batch {
            let before = outcomes.insert(settlement.token, settlement.outcome);
            assert_eq!(before, None, "token {} was settled twice", settlement.token);
        }
    }
    outcomes
}

pub(crate) const REACHED: PublishOutcome = PublishOutcome::Confirmed { returned: false };
pub(crate) const RETURNED: PublishOutcome = PublishOutcome::Confirmed { returned: true };

/// Publishes messages that must reach a queue, in order. The first is repeated while it is nacked: a quorum queue that was
/// just declared refuses everything until it has a leader.
pub(crate) async fn send(
    publisher: &mut Publisher,
    exchange: &str,
    messages: impl IntoIterator<Item = Message>,
) {
    let mut messages = messages.into_iter();
    let first = messages.next().expect("at least one message");
    let attempt = async {
        loop {
            match publish(publisher, exchange, [first.clone()]).await[..] {
                [PublishOutcome::Nacked] => {}
                ref other => return assert_eq!(other, [REACHED]),
            }
        }
    };
    within("the first message to be accepted", attempt).await;
    for outcome in publish(publisher, exchange, messages).await {
        assert_eq!(outcome, REACHED);
    }
}

/// Waits until the link is up; gives its generation.
pub(crate) async fn up(mut link: watch::Receiver<Link>) -> u64 {
    let link = within("the link", link.wait_for(|link| matches!(link, Link::Up { .. }))).await.unwrap();
    match &*link {
        Link::Up { generation, .. } => *generation,
        _ => unreachable!(),
    }
}

/// Waits until the link is down with an error; gives it.
pub(crate) async fn down(mut link: watch::Receiver<Link>) -> LinkError {
    let failed = |link: &Link| matches!(link, Link::Down { error: Some(_), .. });
    match &*within("an error of the link", link.wait_for(failed)).await.unwrap() {
        Link::Down { error: Some(error), .. } => error.clone(),
        _ => unreachable!(),
    }
}

/// The next delivery.
pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    within("a delivery", consumer.next()).await.unwrap()
}

/// The bodies of the next deliveries, each acked.
pub(crate) async fn take(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = next(consumer).await;
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        bodies.push(text(&delivery));
    }
    bodies
}

/// The message without the user, whom an adapter may fill in.
pub(crate) fn anonymous(mut message: Message) -> Message {
    message.properties.user_id = None;
    message
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.clone()).unwrap()
}

pub(crate) fn topology<const E: usize, const Q: usize>(
    exchanges: [Exchange; E],
    queues: [Queue; Q],
) -> Topology {
    Topology { exchanges: exchanges.into(), queues: queues.into(), ..Topology::default() }
}

/// Topologies read like sentences: `topology(…).bind(queue)`.
pub(crate) trait Bind {
    fn bind<const B: usize>(self, bindings: [ponos_event::topology::Binding; B]) -> Self;
}

impl Bind for Topology {
    fn bind<const B: usize>(mut self, bindings: [ponos_event::topology::Binding; B]) -> Self {
        self.bindings.extend(bindings);
        self
    }
}
