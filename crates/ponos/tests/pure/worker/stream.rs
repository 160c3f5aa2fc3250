//! How many at a time, how fast, beside whom; and how a worker ends.

use super::{NAME, QUEUE, secs};
use ponos::{
    broker::{Transport, memory::Broker},
    event::Event,
    prelude::*,
    shutdown::Trigger,
    testing::Kit,
    worker::{Limits, Observed, Report},
};
use serde_json::{Value, json};
use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How many are at work now, and were at most.
#[derive(Clone, Default)]
struct AtWork(Arc<(AtomicUsize, AtomicUsize)>);

impl AtWork {
    async fn work(&self, time: Duration) {
        let now = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(now, SeqCst);
        sleep(time).await;
        self.0.0.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

fn working(policy: Policy, time: Duration) -> (Worker, AtWork) {
    let at_work = AtWork::default();
    let busy = at_work.clone();
    let handler = move |_: Value, _: Context| {
        let busy = busy.clone();
        async move {
            busy.work(time).await;
            Ok(Done)
        }
    };
    (Worker::new("shop").on::<Value>(NAME, handler.with(policy)), at_work)
}

#[tokio::test(start_paused = true)]
async fn as_many_are_at_work_as_there_are_slots() {
    for (policy, expected) in [
        (Policy::default().concurrency(3), 3),
        (Policy::default().concurrency(10).prefetch(10), 10),
        (Policy::default().exclusive(), 1),
    ] {
        let (worker, at_work) = working(policy, secs(1));
        let mut kit = Kit::start(worker).await;
        for _ in 0..30 {
            kit.publish(NAME, &json!({})).await;
        }
        kit.settled().await;
        assert_eq!(at_work.most(), expected);
        assert_eq!(kit.stop().await.handled, 30);
    }
}

/// How many are out with a worker of that policy, whose tasks took so long until they take for ever.
async fn held_after(policy: Policy, tasks: usize, took: Duration, more: usize) -> usize {
    let handler = move |payload: Value, _: Context| async move {
        if payload.is_null() {
            pending::<()>().await;
        }
        sleep(took).await;
        Ok(Done)
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler.with(policy))).await;
    for payload in [vec![json!({}); tasks], vec![Value::Null; more]].concat() {
        kit.publish(NAME, &payload).await;
    }
    let done = || kit.broker().queue_status(QUEUE).is_some_and(|queue| queue.ready + queue.unacked == more);
    while !done() {
        sleep(secs(1)).await;
    }
    sleep(secs(1)).await;
    kit.broker().queue_status(QUEUE).unwrap().unacked
}

#[tokio::test(start_paused = true)]
async fn more_of_quick_tasks_are_held_than_of_slow_ones_unless_it_was_said_how_many() {
    let quick = Duration::from_millis(1);
    let policy = || Policy::default().timeout(secs(60));
    // half of the broker's 30 minutes for 10 at a time, each of which may take a minute
    assert_eq!(held_after(policy(), 1_100, quick, 400).await, 150);
    assert_eq!(held_after(policy(), 1_100, Duration::from_millis(100), 400).await, 100);
    assert_eq!(held_after(policy(), 900, quick, 400).await, 40, "not enough to go by");
    assert_eq!(held_after(policy(), 60, secs(2), 400).await, 40);
    for stays in [policy().prefetch(40), policy().timeout(secs(300)), policy().rate(40_000, secs(1))] {
        assert_eq!(held_after(stays, 1_100, quick, 400).await, 40);
    }
    assert_eq!(held_after(policy().exclusive(), 1_100, quick, 400).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_few_quick_tasks_do_not_decide_how_many_are_held() {
    let handler = |payload: Option<u32>, _: Context| async move {
        if payload.is_none() {
            pending::<()>().await;
        }
        Ok(Done)
    };
    let policy = Policy::default().timeout(secs(60));
    let mut kit = Kit::start(Worker::new("shop").on::<Option<u32>>(NAME, handler.with(policy))).await;
    // nothing for long, and one; that is not what the next take
    for _ in 0..3 {
        sleep(secs(30)).await;
        kit.publish(NAME, &json!(1)).await;
        kit.settled().await;
    }
    // no handler runs: nobody knows what they would have taken
    for _ in 0..1_100 {
        kit.publish(NAME, &json!("against the schema")).await;
    }
    for _ in 0..400 {
        kit.publish(NAME, &Value::Null).await;
    }
    sleep(secs(2)).await;
    assert_eq!(kit.broker().queue_status(QUEUE).unwrap().unacked, 40);
}

#[tokio::test(start_paused = true)]
async fn fewer_large_bodies_are_held_from_the_first_on() {
    let handler = |_: Value, _: Context| pending::<HandlerResult>();
    // of so many seconds that it never holds more than it begins with
    for policy in [Policy::default(), Policy::default().timeout(secs(300))] {
        let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler.with(policy))).await;
        for _ in 0..30 {
            kit.publish(NAME, &json!("large".repeat(800_000))).await;
        }
        sleep(secs(2)).await;
        assert_eq!(kit.broker().queue_status(QUEUE).unwrap().unacked, 16 + 1, "64 MiB of 4 MB");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_begun_in_a_while_than_the_rate_allows() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&begun);
    let handler = move |_: Value, _: Context| {
        times.lock().unwrap().push(Instant::now());
        async { Ok(Done) }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().rate(5, secs(10))));
    let mut kit = Kit::start(worker).await;
    for _ in 0..20 {
        kit.publish(NAME, &json!({})).await;
    }
    kit.settled().await;
    let begun = begun.lock().unwrap().clone();
    assert_eq!(begun.len(), 20);
    for (at, first) in begun.iter().enumerate().take(15) {
        assert!(begun[at + 5] - *first >= secs(10), "{at}");
    }
    assert!(begun[19] - begun[0] < secs(31));
}

fn suspicious(id: &str, count: i64, data: &Value) -> ponos::event::Message {
    let event =
        Event::new(id.parse().unwrap(), "/testing", NAME.parse().unwrap(), data.to_string().into_bytes());
    let mut message = event.into_message();
    message.headers.set("x-delivery-count", count);
    message
}

#[tokio::test(start_paused = true)]
async fn what_came_back_three_times_is_handled_alone() {
    let at_work = AtWork::default();
    let beside = Arc::new(AtomicUsize::new(usize::MAX));
    let (busy, seen) = (at_work.clone(), Arc::clone(&beside));
    let handler = move |payload: Value, _: Context| {
        let (busy, seen) = (busy.clone(), Arc::clone(&seen));
        async move {
            if payload == json!("suspicious") {
                seen.store(busy.0.0.load(SeqCst), SeqCst);
                busy.work(secs(5)).await;
                seen.fetch_max(busy.0.0.load(SeqCst), SeqCst);
            } else {
                busy.work(secs(5)).await;
            }
            Ok(Done)
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().concurrency(4)));
    let mut kit = Kit::start(worker).await;
    for round in 0..3 {
        for _ in 0..5 {
            kit.publish(NAME, &json!("usual")).await;
        }
        kit.publish_message("events", suspicious(&format!("s{round}"), 3, &json!("suspicious"))).await;
    }
    kit.settled().await;
    assert_eq!(beside.load(SeqCst), 0, "nothing else was at work beside it");
    assert_eq!(at_work.most(), 4, "the usual ones ran together");
    assert_eq!(kit.stop().await.handled, 18);
}

#[tokio::test(start_paused = true)]
async fn what_came_back_five_times_is_poison() {
    let (worker, at_work) = working(Policy::default(), secs(1));
    let mut kit = Kit::start(worker).await;
    kit.publish_message("events", suspicious("p", 5, &json!({}))).await;
    kit.settled().await;
    let letter = kit.dead().remove(0);
    assert_eq!((letter.kind.as_str(), at_work.most()), ("poison", 0));
    assert!(letter.reason.contains("came back 5 times"), "{}", letter.reason);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_finishes_and_meets_the_inbox_when_it_comes_again() {
    let (worker, at_work) = working(Policy::default().concurrency(4), secs(20));
    let mut kit = Kit::start(worker.inbox(ponos::inbox::Inbox::memory(100).with_patience(secs(60)))).await;
    let id = kit.publish(NAME, &json!({})).await;
    sleep(secs(1)).await;
    kit.broker().disconnect_all();
    kit.settled().await;
    assert_eq!(at_work.most(), 1, "it ran once");
    assert_eq!(kit.ended(&id), Some(Ended::HandledAlready));
    assert!(kit.dead().is_empty());
}

/// A worker on a broker of its own whose stop is not waited for.
struct Stopping {
    broker: Broker,
    trigger: Trigger,
    worker: JoinHandle<Result<Report, ponos::worker::WorkerError>>,
    ended: Arc<Mutex<Vec<Ended>>>,
}

async fn started(worker: Worker, messages: usize) -> Stopping {
    let broker = Broker::new();
    let ended = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&ended);
    let worker = worker.observe(move |observed| {
        if let Observed::Ended { ended, .. } = observed {
            told.lock().unwrap().push(ended.clone());
        }
    });
    let topology = worker.topology().unwrap();
    broker.declare(&topology).unwrap();
    let publisher = broker.publisher(topology);
    let publishings = (0..messages).map(|token| ponos::broker::Publishing {
        token: token as u64,
        lane: 0,
        exchange: "events".into(),
        message: Event::new(
            token.to_string().parse().unwrap(),
            "/testing",
            NAME.parse().unwrap(),
            b"{}".to_vec(),
        )
        .into_message(),
    });
    let (trigger, shutdown) = shutdown();
    let mut link = publisher.link();
    link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
    publisher.submit(publishings.collect()).await.unwrap();
    let transport = Transport::memory(broker.clone());
    let worker = tokio::spawn(async move { Box::pin(worker.run_on(transport, shutdown)).await });
    sleep(secs(1)).await;
    Stopping { broker, trigger, worker, ended }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_finishes_what_is_begun_and_gives_back_what_waits() {
    let (worker, _) = working(Policy::default().concurrency(2), secs(10));
    let Stopping { broker, trigger, worker, ended } = started(worker, 20).await;
    trigger.advance();
    let report = worker.await.unwrap().unwrap();
    assert_eq!((report.handled, report.left.len()), (2, 0));
    assert_eq!(ended.lock().unwrap().len(), 2);
    assert_eq!(broker.queue_depth(QUEUE), Some(18), "nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_within_the_grace_is_cancelled_and_released() {
    let (worker, _) = working(Policy::default().concurrency(2).prefetch(2).timeout(secs(600)), secs(500));
    let limits = Limits { grace: secs(30), ..Limits::default() };
    let Stopping { broker, trigger, worker, .. } = started(worker.limits(limits), 5).await;
    let asked = Instant::now();
    trigger.advance();
    let report = worker.await.unwrap().unwrap();
    assert!((secs(30)..secs(31)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    assert_eq!((report.handled, report.left.len()), (0, 2));
    assert!(
        report.left[0].starts_with("shop.order.parcel.shipped: order.parcel.shipped "),
        "{:?}",
        report.left
    );
    assert_eq!(broker.queue_depth(QUEUE), Some(5));
    assert_eq!(broker.queue_depth(&format!("{QUEUE}.dlq")), Some(0), "cancelled is not failed");
}

#[tokio::test(start_paused = true)]
async fn the_second_request_stops_at_once() {
    let handler = async |_: Value, _: Context| pending::<HandlerResult>().await;
    let worker = Worker::new("shop").on::<Value>(NAME, handler);
    let Stopping { broker, trigger, worker, .. } = started(worker, 5).await;
    let asked = Instant::now();
    trigger.advance();
    trigger.advance();
    let report = worker.await.unwrap().unwrap();
    assert!(asked.elapsed() < secs(1));
    assert_eq!((report.left.len(), broker.queue_depth(QUEUE)), (5, Some(5)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_to_which_nothing_comes_though_messages_are_ready_is_not_alive() {
    let (worker, _) = working(Policy::default(), secs(1));
    let ready = worker.ready().unwrap();
    let (liveness, broker) = (ready.liveness(), Broker::new());
    let (_trigger, shutdown) = shutdown();
    let transport = Transport::memory(broker.clone());
    let _worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
    sleep(secs(300)).await;
    assert_eq!(liveness.check(), Ok(()), "an empty queue is no fault");
    broker.stop();
    sleep(secs(40)).await;
    assert_eq!(liveness.check(), Ok(()), "a short outage is none");
    sleep(secs(60)).await;
    let trouble = liveness.check().unwrap_err();
    assert!(trouble.contains(QUEUE) && trouble.contains("no connection for"), "{trouble}");
    broker.start();
    sleep(secs(60)).await;
    assert_eq!(liveness.check(), Ok(()), "it is up again");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_inbox_stops_at_once_too() {
    let handler = async |_: Value, _: Context| pending::<HandlerResult>().await;
    let worker = Worker::new("shop")
        .on::<Value>(NAME, handler)
        .inbox(ponos::inbox::Inbox::memory(10).with_patience(secs(600)));
    let Stopping { broker, trigger, worker, .. } = started(worker, 1).await;
    let publisher = broker.publisher(ponos::topology::Topology::default());
    publisher.link().wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
    let again = Event::new("0".parse().unwrap(), "/testing", NAME.parse().unwrap(), b"{}".to_vec());
    let (token, lane, exchange, message) = (0, 0, "events".into(), again.into_message());
    publisher.submit(vec![ponos::broker::Publishing { token, lane, exchange, message }]).await.unwrap();
    sleep(secs(1)).await;
    let asked = Instant::now();
    trigger.advance();
    trigger.advance();
    let report = worker.await.unwrap().unwrap();
    assert!(asked.elapsed() < secs(1), "{:?}", asked.elapsed());
    assert_eq!((report.left.len(), broker.queue_depth(QUEUE)), (2, Some(2)));
}
