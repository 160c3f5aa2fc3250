//! Limits of all replicas together, shared by replicas that come and go: several workers on one twin.

use super::{NAME, QUEUE, secs};
use ponos::{
    Client,
    broker::{Link, Publisher, Publishing, Transport, memory::Broker},
    client::Until,
    clock::Clock,
    event::Event,
    prelude::*,
    shutdown::Trigger,
    testing::BEGINNING,
    topology::Topology,
    worker::{Liveness, Report, WorkerError},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// One of the replicas.
struct Replica {
    liveness: Liveness,
    trigger: Trigger,
    running: JoinHandle<Result<Report, WorkerError>>,
    begun: Arc<AtomicUsize>,
    at_work: Arc<AtomicUsize>,
}

impl Replica {
    /// Its tasks end when there is a permit for them.
    fn start(broker: &Broker, policy: Policy, ends: &Arc<Semaphore>) -> Self {
        let (begun, at_work) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, working, ends) = (Arc::clone(&begun), Arc::clone(&at_work), Arc::clone(ends));
        let handler = move |_: Value, _: Context| {
            let (counted, working, ends) = (Arc::clone(&counted), Arc::clone(&working), Arc::clone(&ends));
            async move {
                counted.fetch_add(1, SeqCst);
                working.fetch_add(1, SeqCst);
                ends.acquire().await?.forget();
                working.fetch_sub(1, SeqCst);
                Ok(Done)
            }
        };
        let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy.timeout(secs(170))));
        let ready = worker.clock(Clock::starting_at(BEGINNING)).ready().unwrap();
        broker.declare(ready.topology()).unwrap();
        let (trigger, shutdown) = shutdown();
        let (liveness, transport) = (ready.liveness(), Transport::memory(broker.clone()));
        let running = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
        Self { liveness, trigger, running, begun, at_work }
    }

    fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    fn at_work(&self) -> usize {
        self.at_work.load(SeqCst)
    }

    /// Waits until it knows of so many.
    async fn knows(&self, replicas: u32) {
        until("the number of replicas", || {
            self.liveness.replicas().iter().any(|(queue, known)| &**queue == QUEUE && *known == replicas)
        })
        .await;
    }

    async fn stop(self) -> Report {
        self.trigger.advance();
        self.ended().await
    }

    async fn ended(self) -> Report {
        timeout(secs(300), self.running).await.expect("it stops").unwrap().unwrap()
    }
}

/// On the clock of the test.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(secs(300), waiting).await.is_ok(), "waited in vain for {what}");
}

async fn publish(broker: &Broker, count: usize) -> Publisher {
    let mut publisher = broker.publisher(Topology::default());
    publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
    for number in 0..count {
        let event = Event::new(
            format!("e-{number}").parse().unwrap(),
            "/test",
            NAME.parse().unwrap(),
            b"{}".to_vec(),
        );
        let publishing = Publishing {
            token: number as u64,
            lane: 0,
            exchange: "events".into(),
            message: event.into_message(),
        };
        publisher.submit(vec![publishing]).await.unwrap();
        let settled = publisher.settlements().await.unwrap();
        assert_eq!(settled.len(), 1);
    }
    publisher
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_of_the_fleet_is_shared_by_replicas_that_come_and_go() {
    let (broker, ends) = (Broker::new(), Arc::new(Semaphore::new(0)));
    let policy = Policy::default().concurrency(6).fleet();
    let start = || Replica::start(&broker, policy.clone(), &ends);
    let first = start();
    let _publisher = publish(&broker, 80).await;
    until("all slots of one replica", || first.at_work() == 6).await;
    let others = [start(), start()];
    let all = [&first, &others[0], &others[1]];
    for replica in all {
        replica.knows(3).await;
    }
    // who joined first may have begun with a half
    until("a share for those who joined", || others.iter().all(|other| other.at_work() >= 2)).await;
    assert!(others.iter().map(Replica::at_work).sum::<usize>() <= 5, "a half and a third at most");
    assert_eq!(first.at_work(), 6, "what has begun goes on");
    ends.add_permits(10);
    until("an equal share for each", || all.iter().all(|replica| replica.at_work() == 2)).await;
    // as many as have begun and not ended, however long it lasts
    for _ in 0..10 {
        ends.add_permits(1);
        sleep(secs(10)).await;
        assert_eq!(all.map(Replica::at_work), [2, 2, 2]);
    }
    others.iter().for_each(|other| other.trigger.advance());
    ends.add_permits(6);
    for other in others {
        other.ended().await;
    }
    until("all slots again", || first.at_work() == 6).await;
    ends.add_permits(Semaphore::MAX_PERMITS / 2);
    until("all to be done", || {
        broker.queue_status(QUEUE).is_some_and(|status| status.ready + status.unacked == 0)
    })
    .await;
    assert_eq!(first.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_the_fleet_is_kept_by_one_replica_by_three_and_by_one_again() {
    let (broker, ends) = (Broker::new(), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS / 2)));
    let minute = secs(60);
    let policy = Policy::default().rate(10, minute).fleet();
    let start = || Replica::start(&broker, policy.clone(), &ends);
    let first = start();
    let _publisher = publish(&broker, 1_000).await;
    first.knows(1).await;
    sleep(minute * 20).await;
    // the least share for a moment, then ten in each minute
    let begun = first.begun();
    assert!((190..=215).contains(&begun), "{begun} in 20 minutes");
    let others = [start(), start()];
    for replica in [&first, &others[0], &others[1]] {
        replica.knows(3).await;
    }
    let all = || first.begun() + others.iter().map(Replica::begun).sum::<usize>();
    let before = all();
    sleep(minute * 30).await;
    let begun = all() - before;
    assert!((280..=322).contains(&begun), "{begun} in 30 minutes by three replicas");
    for other in &others {
        assert!((90..=115).contains(&other.begun()), "{}: each has its share", other.begun());
    }
    for other in others {
        other.stop().await;
    }
    first.knows(1).await;
    let before = first.begun();
    sleep(minute * 20).await;
    let begun = first.begun() - before;
    assert!((190..=215).contains(&begun), "{begun} in 20 minutes by one again");
    assert_eq!(first.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_beyond_a_share_goes_to_the_other_replicas() {
    let (broker, ends) = (Broker::new(), Arc::new(Semaphore::new(0)));
    let policy = Policy::default().concurrency(4).prefetch(12).fleet();
    let start = || Replica::start(&broker, policy.clone(), &ends);
    let first = start();
    let _publisher = publish(&broker, 12).await;
    until("the first to hold all", || {
        first.at_work() == 4 && broker.queue_status(QUEUE).is_some_and(|status| status.unacked == 12)
    })
    .await;
    let second = start();
    second.knows(2).await;
    first.knows(2).await;
    until("the other to have some of them", || second.at_work() > 0).await;
    ends.add_permits(12);
    until("all to be done", || first.begun() + second.begun() >= 12).await;
    let reports = (first.stop().await, second.stop().await);
    assert_eq!(reports.0.handled + reports.1.handled, 12);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_by_hand_all_together_do_no_more_than_they_may() {
    let (broker, ends) = (Broker::new(), Arc::new(Semaphore::new(0)));
    let client = Client::connect_on(Transport::memory(broker.clone()), "ops");
    let client = client.clock(Clock::starting_at(BEGINNING)).await.unwrap();
    let policy = Policy::default().concurrency(6).fleet();
    let replicas = [(); 3].map(|()| Replica::start(&broker, policy.clone(), &ends));
    for replica in &replicas {
        replica.knows(3).await;
    }
    client.pause(QUEUE, Until::after(secs(3_600))).await.unwrap();
    until("all to be paused", || replicas.iter().all(|replica| replica.liveness.paused_by_hand().len() == 1))
        .await;
    let _publisher = publish(&broker, 80).await;
    // so long that each asks how many there are, and there is none
    sleep(secs(60)).await;
    let at_work = || replicas.iter().map(Replica::at_work).sum::<usize>();
    assert_eq!(at_work(), 0);
    client.resume(QUEUE).await.unwrap();
    let mut most = 0;
    for _ in 0..300 {
        sleep(Duration::from_millis(100)).await;
        most = most.max(at_work());
    }
    assert_eq!((most, at_work()), (6, 6));
    ends.add_permits(Semaphore::MAX_PERMITS / 2);
    for replica in replicas {
        assert_eq!(replica.stop().await.dead, 0);
    }
}

#[test]
fn a_fleet_of_one_consumer_at_a_time_is_refused() {
    let handler = (async |_: Value, _: Context| Ok(Done)).with(Policy::default().exclusive().fleet());
    let refused = Worker::new("shop").on::<Value>(NAME, handler).ready().unwrap_err().to_string();
    assert!(refused.contains("fleet is set, and exclusive too"), "{refused}");
}
