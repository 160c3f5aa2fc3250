//! A service on a twin whose queue is steered by hand.

use super::super::{NAME, secs};
use ponos::{
    Client,
    broker::{
        Link, Publisher, Publishing, Transport,
        memory::{Broker, Version},
    },
    client::{Cancel, Until},
    clock::Clock,
    control::Limit,
    event::Event,
    prelude::*,
    shutdown::Trigger,
    testing::BEGINNING,
    topology::Topology,
    worker::{Liveness, Observed, Report, WorkerError},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// A service on a twin, with whoever steers it.
pub(super) struct Shop {
    pub(super) broker: Broker,
    pub(super) clock: Clock,
    pub(super) client: Client,
    pub(super) seen: Arc<Seen>,
    /// How long a task takes.
    takes: Duration,
}

/// What its handlers did, in all replicas.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) at_work: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) begun: Mutex<Vec<Instant>>,
    pub(super) done: Mutex<Vec<String>>,
    pub(super) dead: AtomicUsize,
    pub(super) missed: AtomicUsize,
    /// Ids and how their deliveries ended, in order.
    pub(super) ends: Mutex<Vec<(String, Ended)>>,
}

pub(super) struct Replica {
    pub(super) liveness: Liveness,
    trigger: Trigger,
    worker: JoinHandle<Result<Report, WorkerError>>,
}

impl Shop {
    /// Its queue is there, and nobody works.
    pub(super) async fn open(version: Version, takes: Duration) -> Self {
        let (broker, clock) = (Broker::like(version), Clock::starting_at(BEGINNING));
        let transport = Transport::memory(broker.clone());
        let client = Client::connect_on(transport, "ops").clock(clock).await.unwrap();
        let shop = Self { broker, clock, client, seen: Arc::default(), takes };
        shop.broker.declare(&shop.worker(Policy::default()).topology().unwrap()).unwrap();
        shop
    }

    pub(super) fn worker(&self, policy: Policy) -> Worker {
        let (seen, takes) = (Arc::clone(&self.seen), self.takes);
        let handler = move |_: Value, ctx: Context| {
            let seen = Arc::clone(&seen);
            async move {
                let beside = seen.at_work.fetch_add(1, SeqCst) + 1;
                seen.most.fetch_max(beside, SeqCst);
                seen.begun.lock().unwrap().push(Instant::now());
                sleep(takes).await;
                seen.at_work.fetch_sub(1, SeqCst);
                seen.done.lock().unwrap().push(ctx.id().to_string());
                Ok(Done)
            }
        };
        Worker::new("shop").clock(self.clock).on::<Value>(NAME, handler.with(policy))
    }

    pub(super) fn start(&self, policy: Policy) -> Replica {
        self.run(self.worker(policy))
    }

    pub(super) fn run(&self, worker: Worker) -> Replica {
        let seen = Arc::clone(&self.seen);
        let observer = move |observed: &Observed| {
            if let Observed::Ended { id: Some(id), ended, .. } = observed {
                seen.ends.lock().unwrap().push((id.to_string(), ended.clone()));
            }
            if let Observed::Ended { ended: Ended::Dead(_) | Ended::Retried { .. }, .. } = observed {
                seen.dead.fetch_add(1, SeqCst);
            } else if let Observed::Missed { .. } = observed {
                seen.missed.fetch_add(1, SeqCst);
            }
        };
        let ready = worker.observe(observer).ready().unwrap();
        let (trigger, shutdown) = shutdown();
        let (liveness, transport) = (ready.liveness(), Transport::memory(self.broker.clone()));
        let worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
        Replica { liveness, trigger, worker }
    }

    pub(super) async fn publisher(&self) -> Publisher {
        let publisher = self.broker.publisher(Topology::default());
        publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        publisher
    }

    pub(super) async fn send(&self, exchange: &str, events: Vec<Event>) {
        let mut publisher = self.publisher().await;
        let count = events.len();
        let publishing = |(token, event): (u64, Event)| Publishing {
            token,
            lane: 0,
            exchange: exchange.into(),
            message: event.into_message(),
        };
        publisher.submit((0..).zip(events).map(publishing).collect()).await.unwrap();
        let mut settled = 0;
        while settled < count {
            settled += publisher.settlements().await.unwrap().len();
        }
    }

    pub(super) async fn orders(&self, count: usize) {
        let order =
            |number| Event::new(format!("{number:04}").parse().unwrap(), "/t", NAME.parse().unwrap(), *b"{}");
        self.send("events", (0..count).map(order).collect()).await;
    }

    pub(super) fn done(&self) -> usize {
        self.seen.done.lock().unwrap().len()
    }

    pub(super) fn begun(&self) -> usize {
        self.seen.begun.lock().unwrap().len()
    }

    pub(super) async fn until_done(&self, count: usize) {
        let done = async {
            while self.done() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(secs(3_600), done).await.unwrap_or_else(|_| panic!("{} of {count}", self.done()));
    }

    /// How all deliveries of that id ended, in order.
    pub(super) fn ends(&self, id: &str) -> Vec<Ended> {
        let ends = self.seen.ends.lock().unwrap();
        ends.iter().filter(|(ended, _)| ended == id).map(|(_, ended)| ended.clone()).collect()
    }

    pub(super) async fn until_ended(&self, id: &str) {
        let ended = async {
            while self.ends(id).is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(secs(3_600), ended).await.unwrap_or_else(|_| panic!("{id} does not end"));
    }

    /// Somebody cancels that id in the queues of the service, and all workers that run know it.
    pub(super) async fn cancel(&self, id: &str) {
        self.client.cancel(&[id.parse().unwrap()], Cancel::of("shop").why("sent twice")).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }

    /// How often each was done.
    pub(super) fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for id in self.seen.done.lock().unwrap().iter() {
            *times.entry(id.clone()).or_default() += 1;
        }
        times
    }
}

impl Replica {
    pub(super) async fn until_paused(&self) {
        let paused = async {
            while self.liveness.paused_by_hand().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(secs(60), paused).await.expect("it obeys");
    }

    pub(super) async fn stop(self) -> Report {
        self.trigger.advance();
        self.worker.await.unwrap().unwrap()
    }
}

pub(super) fn hour() -> Until {
    Until::after(secs(3_600)).why("the shelf is being moved")
}

pub(super) fn at_most(concurrency: u32) -> Limit {
    Limit { concurrency: Some(concurrency), rate: None }
}
