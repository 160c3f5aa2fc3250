//! A worker on a real RabbitMQ, what is sent to it, and how it ended.

pub(crate) use crate::support;

use crate::support::{LIMIT, config};
use ponos::{
    broker::{PublishOutcome, Publisher, Publishing, Transport, amqp::AmqpConfig},
    event::{Event, EventName, Message},
    prelude::*,
    shutdown::Trigger,
    topology::{Topology, worker::dead_letters},
    worker::{Liveness, Observed, Report, WorkerError},
};
use serde::Serialize;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::wait_until;
use tokio::task::JoinHandle;

/// In this process. Stops when dropped.
pub(crate) struct Running {
    pub(crate) ends: Ends,
    pub(crate) liveness: Liveness,
    /// Where its metrics are served.
    pub(crate) metrics: Option<SocketAddr>,
    trigger: Trigger,
    worker: JoinHandle<Result<Report, WorkerError>>,
}

/// Ids and how their deliveries ended, in order.
#[derive(Clone, Default)]
pub(crate) struct Ends(Arc<Mutex<Vec<(String, Ended)>>>);

impl Ends {
    fn note(&self, observed: &Observed) {
        if let Observed::Ended { id, ended, .. } = observed {
            let id = id.as_ref().map(ToString::to_string).unwrap_or_default();
            self.0.lock().unwrap().push((id, ended.clone()));
        }
    }

    pub(crate) fn all(&self) -> Vec<(String, Ended)> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until so many deliveries ended in a way that is looked for.
    pub(crate) async fn until(&self, count: usize, what: &str, wanted: impl Fn(&Ended) -> bool) {
        self.satisfy(what, |ends| ends.iter().filter(|(_, ended)| wanted(ended)).count() >= count).await;
    }

    /// Waits until all ends together are as wanted.
    pub(crate) async fn satisfy(&self, what: &str, wanted: impl Fn(&[(String, Ended)]) -> bool) {
        let waiting = wait_until(what, LIMIT, async || wanted(&self.all()).then_some(()));
        tokio::select! {
            () = waiting => {}
            // sooner than the above, to say more
            () = tokio::time::sleep(LIMIT - Duration::from_millis(100)) => panic!("{what}: {:?}", self.all()),
        }
    }

    pub(crate) async fn done(&self, count: usize) {
        self.until(count, "tasks to be done", |ended| *ended == Ended::Done).await;
    }
}

impl Running {
    /// Everything is declared when this returns, and deliveries begin.
    pub(crate) async fn start(url: &str, worker: Worker) -> Self {
        Self::start_watched(url, worker, |_| {}).await
    }

    /// The same, and `watch` sees each end before that is settled, which waits for it.
    pub(crate) async fn start_watched(
        url: &str,
        worker: Worker,
        watch: impl Fn(&Observed) + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(config(url), worker, watch).await
    }

    /// The same, and what it needs is compared with the broker every second or two.
    pub(crate) async fn start_comparing(url: &str, worker: Worker) -> Self {
        let mut config = config(url);
        config.compare = Duration::from_secs(1);
        Self::start_on(config, worker, |_| {}).await
    }

    async fn start_on(
        config: AmqpConfig,
        worker: Worker,
        watch: impl Fn(&Observed) + Send + Sync + 'static,
    ) -> Self {
        let ends = Ends::default();
        let noted = ends.clone();
        let observer = move |observed: &Observed| {
            noted.note(observed);
            watch(observed);
        };
        let ready = worker.observe(observer).ready().unwrap();
        let transport = Transport::amqp(config);
        transport.check(ready.topology()).await.unwrap();
        let (trigger, shutdown) = shutdown();
        let (liveness, metrics) = (ready.liveness(), ready.metrics_address());
        let worker = tokio::spawn(async move {
            let ended = Box::pin(ready.run_on(transport, shutdown)).await;
            println!("the worker ended: {ended:?}");
            ended
        });
        Self { ends, liveness, metrics, trigger, worker }
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.trigger.advance();
    }

    /// Asks it to stop, and waits.
    pub(crate) async fn stop(self) -> Report {
        self.trigger.advance();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Report {
        tokio::time::timeout(LIMIT, self.worker).await.expect("it stops").unwrap().unwrap()
    }
}

/// Publishes, and is sure of it.
pub(crate) struct Sender {
    publisher: Publisher,
    token: u64,
}

impl Sender {
    pub(crate) async fn new(url: &str) -> Self {
        let mut config = config(url);
        config.connection_name = "sender".into();
        Self { publisher: support::publisher(config, Topology::default()).await, token: 0 }
    }

    /// To the exchange `events`.
    pub(crate) async fn send(&mut self, messages: Vec<Message>) {
        self.send_to("events", messages).await;
    }

    pub(crate) async fn send_to(&mut self, exchange: &str, messages: Vec<Message>) {
        let count = messages.len();
        let outcomes = self.outcomes_of(exchange, messages).await;
        assert!(
            outcomes.values().all(|outcome| *outcome == PublishOutcome::Confirmed { returned: false }),
            "{outcomes:?}"
        );
        assert_eq!(outcomes.len(), count);
    }

    /// Whether the exchange `events` leads the message to a queue. One that does not get there has no effect.
    pub(crate) async fn reaches_a_queue(&mut self, message: Message) -> bool {
        let outcomes = self.outcomes_of("events", vec![message]).await;
        outcomes.values().all(|outcome| *outcome == PublishOutcome::Confirmed { returned: false })
    }

    async fn outcomes_of(&mut self, exchange: &str, messages: Vec<Message>) -> HashMap<u64, PublishOutcome> {
        let exchange: Arc<str> = Arc::from(exchange);
        let mut batch = Vec::with_capacity(messages.len());
        for message in messages {
            batch.push(Publishing { token: self.token, lane: 0, exchange: Arc::clone(&exchange), message });
            self.token += 1;
        }
        let mut outcomes: HashMap<u64, PublishOutcome> = HashMap::new();
        for chunk in batch.chunks(1_000) {
            self.publisher.submit(chunk.to_vec()).await.unwrap();
            outcomes.extend(support::outcomes(&mut self.publisher, chunk.len()).await);
        }
        outcomes
    }
}

/// An event as another service would send it.
pub(crate) fn event(id: &str, name: &str, data: &impl Serialize) -> Message {
    let name: EventName = name.parse().unwrap();
    Event::new(id.parse().unwrap(), "/test", name, serde_json::to_vec(data).unwrap()).into_message()
}

/// So many are ready in a queue.
pub(crate) async fn holds(node: &testkit::Node, vhost: &str, queue: &str, count: u64) {
    wait_until(&format!("{count} in {queue}"), LIMIT, async || {
        node.queue(vhost, queue).filter(|(ready, _)| *ready == count)
    })
    .await;
}

/// As many dead letters of a work queue, which stay there.
pub(crate) async fn letters(url: &str, queue: &str, count: usize) -> Vec<Message> {
    read(url, &dead_letters(queue), count).await
}

/// As many messages of a queue, which stay there.
pub(crate) async fn read(url: &str, queue: &str, count: usize) -> Vec<Message> {
    let mut consumer = support::consumer(config(url), Topology::default(), queue, 60_000);
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        match tokio::time::timeout(LIMIT, consumer.next()).await {
            Ok(Some(delivery)) => found.push(delivery.message),
            _ => panic!("only {} of {count} in {queue}", found.len()),
        }
    }
    found
}

/// `dead-kind` and `dead-reason`.
pub(crate) fn verdict(letter: &Message) -> (&str, &str) {
    (
        letter.headers.text("dead-kind").unwrap_or_default(),
        letter.headers.text("dead-reason").unwrap_or_default(),
    )
}
