//! What tasks need is not there: their queue is paused, nothing is spent, and it goes on by degrees.

mod ends;
mod trips;

use super::{NAME, QUEUE, secs};
use ponos::{
    broker::{
        Transport,
        memory::{Broker, Version},
    },
    event::Event,
    prelude::*,
    testing::Kit,
    worker::{Breaker, Liveness, Observed, Report, WorkerError},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// A service that may be down, and what was asked of it.
#[derive(Clone, Default)]
struct Service {
    down: Arc<AtomicBool>,
    at_work: Arc<AtomicUsize>,
    /// When each was asked, whether it answered, and how many were asking then.
    asked: Arc<Mutex<Vec<(Instant, bool, usize)>>>,
    done: Arc<Mutex<BTreeMap<String, usize>>>,
    order: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn down() -> Self {
        let service = Self::default();
        service.down.store(true, SeqCst);
        service
    }

    async fn ask(&self, context: &Context) -> HandlerResult {
        assert_eq!(context.attempt(), 1, "no attempt is spent");
        let up = !self.down.load(SeqCst);
        let beside = self.at_work.fetch_add(1, SeqCst) + 1;
        self.asked.lock().unwrap().push((Instant::now(), up, beside));
        sleep(Duration::from_millis(200)).await;
        self.at_work.fetch_sub(1, SeqCst);
        if !up {
            return Err(Failure::unavailable("billing-api", std::io::Error::other("connection refused")));
        }
        *self.done.lock().unwrap().entry(context.id().to_string()).or_default() += 1;
        self.order.lock().unwrap().push(context.id().to_string());
        Ok(Done)
    }

    fn worker(&self, policy: Policy) -> Worker {
        let service = self.clone();
        let handler = move |_: Value, context: Context| {
            let service = service.clone();
            async move { service.ask(&context).await }
        };
        Worker::new("shop").on::<Value>(NAME, handler.with(policy))
    }

    fn refused(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, up, _)| !up).count()
    }
}

/// A worker on a twin, with its liveness.
struct Running {
    broker: Broker,
    liveness: Liveness,
    dead: Arc<AtomicUsize>,
    trigger: ponos::shutdown::Trigger,
    worker: JoinHandle<Result<Report, WorkerError>>,
}

impl Running {
    async fn start(worker: Worker, messages: usize) -> Self {
        Self::start_on(Broker::new(), worker, messages).await
    }

    async fn start_on(broker: Broker, worker: Worker, messages: usize) -> Self {
        let dead = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&dead);
        let ready = worker
            .observe(move |observed| {
                if let Observed::Ended { ended: Ended::Dead(_) | Ended::Retried { .. }, .. } = observed {
                    counted.fetch_add(1, SeqCst);
                }
            })
            .ready()
            .unwrap();
        broker.declare(ready.topology()).unwrap();
        let publisher = broker.publisher(ready.topology().clone());
        let publishings = (0..messages as u64).map(|token| ponos::broker::Publishing {
            token,
            lane: 0,
            exchange: "events".into(),
            message: Event::new(format!("{token:03}").parse().unwrap(), "/t", NAME.parse().unwrap(), *b"{}")
                .into_message(),
        });
        publisher.link().wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
        publisher.submit(publishings.collect()).await.unwrap();
        let (trigger, shutdown) = shutdown();
        let (liveness, transport) = (ready.liveness(), Transport::memory(broker.clone()));
        let worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
        Self { broker, liveness, dead, trigger, worker }
    }

    /// All that is in its queue, in its hands or on the ladder.
    fn all(&self) -> usize {
        let queues = self.broker.queues();
        let mine = queues.iter().filter(|(name, _)| *name == QUEUE || name.starts_with("retry."));
        mine.map(|(_, status)| status.ready + status.unacked).sum()
    }

    async fn stop(self) -> Report {
        self.trigger.advance();
        self.worker.await.unwrap().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_defaults_five_minutes_without_the_service_lose_and_kill_nothing() {
    for version in [Version::V3, Version::V4_3] {
        outage_of_five_minutes(version).await;
    }
}

/// Whatever the broker counts.
async fn outage_of_five_minutes(version: Version) {
    let service = Service::down();
    let running = Running::start_on(Broker::like(version), service.worker(Policy::default()), 100).await;
    sleep(secs(300)).await;
    assert_eq!((running.all(), running.dead.load(SeqCst)), (100, 0));
    assert!((10..=10 + 16).contains(&service.refused()), "it is asked seldom: {}", service.refused());
    let paused = running.liveness.paused().remove(0);
    assert_eq!((&*paused.queue, paused.name.as_str()), (QUEUE, "billing-api"));
    assert!(paused.to_string().contains("billing-api is unavailable: connection refused"), "{paused}");
    assert_eq!(running.liveness.check(), Ok(()), "to start it again would help nobody");
    service.down.store(false, SeqCst);
    sleep(secs(240)).await;
    assert_eq!(running.liveness.paused(), []);
    let done = service.done.lock().unwrap().clone();
    assert_eq!((done.len(), done.values().copied().max(), running.all()), (100, Some(1), 0));
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (100, 0, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn one_is_tried_and_when_it_is_answered_the_width_doubles() {
    let service = Service::down();
    let policy = Policy::default().concurrency(8);
    let running = Running::start(service.worker(policy), 200).await;
    sleep(secs(40)).await;
    // what is in hand went back: one waits here to be tried
    assert!(running.broker.queue_status(QUEUE).unwrap().unacked <= 2);
    let refused = service.asked.lock().unwrap().clone();
    assert!(refused.iter().skip(16).all(|(_, _, beside)| *beside == 1), "one probe at a time: {refused:?}");
    service.down.store(false, SeqCst);
    sleep(secs(120)).await;
    let asked = service.asked.lock().unwrap().clone();
    let widths: Vec<usize> = asked.iter().filter(|(_, up, _)| *up).map(|(_, _, beside)| *beside).collect();
    assert_eq!(widths[..2], [1, 1], "the probe, and one: {widths:?}");
    assert!(widths[2..4].iter().all(|width| *width <= 2), "{widths:?}");
    assert_eq!(widths.iter().max(), Some(&8), "all slots at last: {widths:?}");
    assert_eq!(running.stop().await.handled, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_stays_there_for_half_a_minute() {
    let service = Service::down();
    let running = Running::start_on(Broker::like(Version::V3), service.worker(Policy::default()), 100).await;
    sleep(secs(29)).await;
    let unacked = || running.broker.queue_status(QUEUE).unwrap().unacked;
    assert_eq!(unacked(), 40, "each return would count");
    assert_eq!(running.liveness.paused().len(), 1);
    sleep(secs(3)).await;
    assert!(unacked() <= 2, "{}", unacked());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_ends_while_the_queue_is_paused() {
    let done = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&done);
    let handler = move |payload: Value, _: Context| {
        let ended = Arc::clone(&ended);
        async move {
            if payload == json!("slow") {
                sleep(secs(20)).await;
                ended.fetch_add(1, SeqCst);
                return Ok(Done);
            }
            Err(Failure::unavailable("billing-api", "connection refused"))
        }
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler)).await;
    let slow = kit.publish(NAME, &json!("slow")).await;
    for _ in 0..5 {
        kit.publish(NAME, &json!("quick")).await;
    }
    sleep(secs(21)).await;
    assert_eq!((kit.ended(&slow), done.load(SeqCst)), (Some(Ended::Done), 1));
    assert!(kit.dead().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plain_error_never_pauses_a_queue() {
    let handler =
        async |_: Value, _: Context| Err(Failure::new("billing-api is unavailable: connection refused"));
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    for _ in 0..50 {
        kit.publish(NAME, &json!({})).await;
    }
    kit.settled().await;
    assert_eq!(kit.dead().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_bug_that_panics_always_never_pauses_a_queue() {
    let handler = async |_: Value, _: Context| -> HandlerResult { panic!("a bug") };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    for _ in 0..50 {
        kit.publish(NAME, &json!({})).await;
    }
    kit.settled().await;
    assert_eq!(kit.dead().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_in_another_way_has_reached_the_service() {
    let service = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&service);
    let handler = move |_: Value, _: Context| {
        let number = asked.fetch_add(1, SeqCst);
        async move {
            match number {
                0 => Err(Failure::unavailable("billing-api", "connection refused")),
                1 => Err(Failure::new("500")),
                _ => Ok(Done),
            }
        }
    };
    let policy = Policy::default().breaker(Breaker::default().in_a_row(1));
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler.with(policy))).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(
        kit.ended(&id),
        Some(Ended::Released("billing-api is unavailable: connection refused".into()))
    );
    kit.advance(secs(6)).await;
    assert!(matches!(kit.ended(&id), Some(Ended::Retried { attempt: 2, reason, .. }) if reason == "500"));
    kit.advance(secs(10)).await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_of_the_service_does_not_hold_the_probe_up() {
    let service = Service::down();
    let mut kit = Kit::start(service.worker(Policy::default().concurrency(1))).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let mut event = kit.event(NAME, &json!({}));
        event.expiry_time = Some(kit.now().plus(5_000));
        ids.push(kit.publish_event(event).await);
    }
    ids.push(kit.publish(NAME, &json!({})).await);
    sleep(secs(8)).await;
    service.down.store(false, SeqCst);
    // the next probe is due by then; those that expired are passed over, and the one that is left is asked
    sleep(secs(12)).await;
    let ends: Vec<Option<Ended>> = ids.iter().map(|id| kit.ended(id)).collect();
    assert!(ends[..10].iter().all(|ended| matches!(ended, Some(Ended::Skipped(_)))), "{ends:?}");
    assert_eq!(ends[10], Some(Ended::Done));
}

#[tokio::test(start_paused = true)]
async fn a_single_active_consumer_keeps_its_order() {
    let service = Service::down();
    let running = Running::start(service.worker(Policy::default().exclusive()), 20).await;
    sleep(secs(300)).await;
    assert_eq!((running.all(), running.dead.load(SeqCst)), (20, 0));
    assert!(service.refused() <= 16, "{}", service.refused());
    service.down.store(false, SeqCst);
    sleep(secs(120)).await;
    let order = service.order.lock().unwrap().clone();
    let expected: Vec<String> = (0..20).map(|number| format!("{number:03}")).collect();
    assert_eq!(order, expected);
    assert_eq!(running.stop().await.handled, 20);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_while_it_is_paused_leaves_all_in_the_queue() {
    for policy in [Policy::default(), Policy::default().exclusive()] {
        let service = Service::down();
        let running = Running::start(service.worker(policy), 30).await;
        sleep(secs(45)).await;
        let (broker, stopping) = (running.broker.clone(), Instant::now());
        let report = running.stop().await;
        assert!(stopping.elapsed() < secs(5), "nothing is at work, and it took {:?}", stopping.elapsed());
        assert_eq!((report.handled, report.dead, report.retried), (0, 0, 0), "{report}");
        sleep(secs(5)).await;
        let queues = broker.queues();
        let of_the_shop = queues.iter().filter(|(name, _)| name.as_str() != "ponos.control");
        let left: usize = of_the_shop.map(|(_, status)| status.ready + status.unacked).sum();
        assert_eq!(left, 30);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_connections_while_it_is_paused_lose_nothing() {
    let service = Service::down();
    let running = Running::start(service.worker(Policy::default()), 50).await;
    for _ in 0..10 {
        sleep(secs(17)).await;
        running.broker.disconnect_all();
    }
    assert_eq!((running.all(), running.dead.load(SeqCst)), (50, 0));
    service.down.store(false, SeqCst);
    sleep(secs(240)).await;
    assert_eq!(service.done.lock().unwrap().len(), 50);
    assert_eq!(running.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_what_is_unavailable_holds_no_password() {
    let handler =
        async |_: Value, _: Context| Err(Failure::unavailable("http://me:hunter2@billing/", "refused"));
    let policy = Policy::default().breaker(Breaker::default().in_a_row(1));
    let running = Running::start(Worker::new("shop").on::<Value>(NAME, handler.with(policy)), 1).await;
    while running.liveness.paused().is_empty() {
        sleep(secs(1)).await;
    }
    let paused = running.liveness.paused();
    assert_eq!(paused[0].name, "http://me:***@billing/");
    assert!(!format!("{paused:?} {:?}", running.liveness.notes()).contains("hunter2"), "{paused:?}");
    running.stop().await;
}
