//! What arrives in real queues, all of it, in the order of arrival.

use super::LIMIT;
use khronos::clock;
use ponos::{
    broker::{Consume, Consumer, Link, Settle, Transport, amqp},
    event::{Event, Message, Timestamp},
    topology::{Binding, Exchange, Queue, Topology},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::block_until;
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The queue, by its place in the list.
    pub(crate) queue: usize,
    pub(crate) at: Timestamp,
    pub(crate) exchange: String,
    pub(crate) message: Message,
    pub(crate) event: Event,
}

/// Consumes queues until it is dropped.
pub(crate) struct Arrivals {
    all: Arc<Mutex<Vec<Arrival>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    links: Vec<watch::Receiver<Link>>,
}

impl Arrivals {
    /// Of queues that are each bound to all events.
    pub(crate) async fn of_all_events(url: &str, queues: &[Queue]) -> Self {
        let topologies = queues.iter().map(|queue| Topology {
            exchanges: vec![Exchange::topic("events")],
            queues: vec![queue.clone()],
            bindings: vec![Binding::queue("events", &*queue.name, "#")],
            ..Topology::default()
        });
        Self::of(url, topologies.collect()).await
    }

    /// Of the first queue of each topology, which is declared before.
    pub(crate) async fn of(url: &str, topologies: Vec<Topology>) -> Self {
        let all = Arc::new(Mutex::new(Vec::new()));
        let (mut tasks, mut links) = (Vec::new(), Vec::new());
        for (queue, topology) in topologies.into_iter().enumerate() {
            let mut config = amqp::AmqpConfig::parse(url).unwrap();
            config.backoff_max = Duration::from_millis(500);
            let name = topology.queues[0].name.clone();
            let consumer = Transport::amqp(config).consumer(topology, Consume::new(&name).prefetch(200));
            let mut link = consumer.link();
            let up = link.wait_for(|link| matches!(link, Link::Up { .. }));
            tokio::time::timeout(LIMIT, up).await.expect("the queue can be consumed").unwrap();
            links.push(link);
            tasks.push(tokio::spawn(collect(consumer, queue, all.clone())));
        }
        Self { all, tasks, links }
    }

    /// Looks at all so far, without a copy of them: a long test has very many. Meanwhile none is added.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        look(&self.all.lock().unwrap())
    }

    /// All so far.
    pub(crate) fn so_far(&self) -> Vec<Arrival> {
        self.all.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.lock().unwrap().len()
    }

    /// The first that is as wanted; waits for it.
    pub(crate) fn first(&self, what: &str, wanted: impl Fn(&Arrival) -> bool) -> Arrival {
        block_until(what, LIMIT, || self.all.lock().unwrap().iter().find(|arrival| wanted(arrival)).cloned())
    }

    /// Waits until so many more have come.
    pub(crate) fn more(&self, count: usize) {
        let begun = self.len();
        let what = format!("{count} more events to arrive than {begun}; the consumers: {:?}", self.links());
        block_until(&what, LIMIT, || (self.len() >= begun + count).then_some(()));
    }

    fn links(&self) -> Vec<Link> {
        self.links.iter().map(|link| link.borrow().clone()).collect()
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn collect(mut consumer: Consumer, queue: usize, all: Arc<Mutex<Vec<Arrival>>>) {
    while let Some(delivery) = consumer.next().await {
        let event = Event::from_message(&delivery.message).expect("what arrives is an event");
        let arrival = Arrival {
            queue,
            at: clock::now(),
            exchange: delivery.exchange.clone(),
            message: delivery.message,
            event,
        };
        all.lock().unwrap().push(arrival);
        if consumer.settle(delivery.tag, Settle::Ack).await.is_err() {
            return;
        }
    }
}
