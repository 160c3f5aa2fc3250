//! Attempts: the ladder, the last one, panics, timeouts, blocking work, and brokers that take nothing.

use super::{NAME, QUEUE, secs};
use ponos::{
    event::{HeaderValue, Message, Timestamp},
    prelude::*,
    testing::Kit,
    worker::{Backoff, Observed},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};
use tokio::time::sleep;

fn steady(attempts: u32, wait: Duration) -> Policy {
    let backoff = Backoff { first: wait, factor: 1.0, longest: wait, jitter: 0.0 };
    Policy::retry(attempts).backoff(backoff)
}

fn depth(kit: &Kit, queue: &str) -> usize {
    kit.broker().queue_depth(queue).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_waits_on_the_longest_rungs_that_fit_and_comes_back_in_time() {
    let began = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&began);
    let handler = move |_: Value, context: Context| {
        times.lock().unwrap().push((context.now(), context.attempt(), context.first_seen()));
        async { Err(Failure::new("no route")) }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(steady(3, secs(37))));
    let mut kit = Kit::start(worker).await;
    let start = kit.now();
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let Some(Ended::Retried { attempt: 2, due, reason }) = kit.ended(&id) else {
        panic!("{:?}", kit.ended(&id))
    };
    assert!((37_000..37_100).contains(&due.since(start)), "{due}");
    assert_eq!(reason, "no route");
    assert_eq!(depth(&kit, "retry.30s"), 1, "the longest that is not too long");
    kit.advance(secs(31)).await;
    assert_eq!(depth(&kit, "retry.5s"), 1, "and for the rest a shorter one");
    assert!(matches!(kit.ended(&id), Some(Ended::Early { .. })), "{:?}", kit.ended(&id));
    kit.advance(secs(100)).await;
    let began = began.lock().unwrap().clone();
    assert_eq!(began.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    for pair in began.windows(2) {
        let wait = pair[1].0.since(pair[0].0);
        assert!((36_000..38_000).contains(&wait), "{wait} ms");
        assert_eq!(pair[0].2, pair[1].2, "first seen stays");
    }
    let letter = kit.dead().remove(0);
    assert_eq!((letter.kind.as_str(), letter.reason.as_str()), ("attempts", "no route"));
    assert_eq!(letter.message.headers.int("dead-attempt"), Some(3));
    let report = kit.stop().await;
    assert_eq!((report.retried, report.dead), (2, 1), "early returns count nothing");
}

/// Without the headers of ours that begin so, and the broker's own.
fn without(mut message: Message, ours: &str) -> Message {
    message.headers.retain(|name| !name.starts_with(ours) && !name.starts_with("x-"));
    message
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_what_came_in_every_header_and_byte() {
    for prefix in ["cloudEvents_", "cloudEvents:", "ce-"] {
        let handler = async |_: Value, _: Context| Err(Failure::new("no route"));
        let worker = Worker::new("shop").on::<Value>(NAME, handler.with(steady(2, secs(37))));
        let mut kit = Kit::start(worker).await;
        let mut sent = kit.event(NAME, &json!({ "a": [1, 2.50, null] })).into_message();
        let headers = std::mem::take(&mut sent.headers).into_iter();
        sent.headers = headers.map(|(name, value)| (name.replace("cloudEvents_", prefix), value)).collect();
        let table = [("deep", HeaderValue::List(vec!["x".into(), HeaderValue::Null]))].into_iter().collect();
        for (name, value) in [
            ("ce-time", "2026-12-01T10:00:00.123456+01:00".into()),
            ("cloudEvents:sequence", "0001".into()),
            ("cloudEvents_sequence", "1".into()),
            ("traceparent", HeaderValue::Int(1)),
            ("baggage", "a=b".into()),
            ("table", HeaderValue::Table(table)),
            ("bytes", HeaderValue::Bytes(vec![0xff, 0])),
            ("float", HeaderValue::Float(-0.25)),
            ("when", HeaderValue::Time(Timestamp::from_millis(5_000))),
        ] {
            sent.headers.set(name, value);
        }
        kit.publish_message("events", sent.clone()).await;
        kit.settled().await;
        let waiting = kit.broker().get("retry.30s").unwrap().message;
        let to_the_queue = Message { routing_key: QUEUE.into(), ..sent.clone() };
        assert_eq!(without(waiting, "retry-"), to_the_queue);
        kit.publish_message("events", sent).await;
        kit.advance(secs(200)).await;
        assert_eq!(without(kit.dead().remove(0).message, "dead-"), to_the_queue);
        kit.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_say_when_and_that_uses_up_an_attempt() {
    let handler = async |_: Value, _: Context| Ok(Outcome::retry_after(secs(6)));
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(steady(2, secs(3_000))));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(matches!(kit.ended(&id), Some(Ended::Retried { attempt: 2, .. })));
    kit.advance(secs(7)).await;
    assert_eq!(kit.dead()[0].kind, "attempts");
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_the_final_handler_runs_and_what_it_publishes_is_sent() {
    let handler = async |_: Value, context: Context| {
        context.publish("shop.bill.sent", &json!("never"))?;
        Err(Failure::new("no route"))
    };
    let last = async |payload: Value, context: Context| {
        context.publish("shop.bill.sent", &json!([payload, context.failure(), context.attempt()]))?;
        Ok(Done)
    };
    let worker = Worker::new("shop")
        .publishes::<Value>("shop.bill.sent")
        .on::<Value>(NAME, handler.with(Policy::retry(1)).finally(last));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({ "a": 1 })).await;
    kit.settled().await;
    assert_eq!(kit.published("shop.bill.sent"), [json!([{ "a": 1 }, "no route", 1])]);
    assert_eq!((kit.dead()[0].kind.as_str(), kit.dead()[0].reason.as_str()), ("attempts", "no route"));
}

#[tokio::test(start_paused = true)]
async fn a_final_handler_that_fails_is_named_in_the_reason() {
    let handler = async |_: Value, _: Context| Err(Failure::new("no route"));
    let last = async |_: Value, _: Context| -> HandlerResult { panic!("no paper") };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)).finally(last));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.dead()[0].reason, "no route; its final handler failed too: panicked: no paper");
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_that_attempt_alone() {
    // one that panics before it has a future, and one within it
    for early in [true, false] {
        let handler = move |payload: Value, _: Context| {
            assert!(!early || payload != json!("bad"), "oh no");
            async move {
                assert!(payload != json!("bad"), "oh no");
                Ok(Done)
            }
        };
        let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
        let mut kit = Kit::start(worker).await;
        kit.publish(NAME, &json!("bad")).await;
        let good = kit.publish(NAME, &json!("good")).await;
        kit.settled().await;
        assert_eq!(kit.ended(&good), Some(Ended::Done));
        assert_eq!(
            (kit.dead()[0].kind.as_str(), kit.dead()[0].reason.as_str()),
            ("attempts", "panicked: oh no")
        );
    }
}

/// An error that can't be dropped in peace.
#[derive(Debug)]
struct Explosive;

impl std::fmt::Display for Explosive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no route")
    }
}

impl std::error::Error for Explosive {}

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("oh no");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_the_end_of_a_task_that_failed_outside_of_its_handler() {
    let runs = AtomicUsize::new(0);
    let handler = move |_: Value, _: Context| {
        let is_first = runs.fetch_add(1, SeqCst) == 0;
        async move { if is_first { Err(Explosive.into()) } else { Ok(Done) } }
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler)).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let ends: Vec<_> = kit
        .observed()
        .into_iter()
        .filter_map(|observed| match observed {
            Observed::Ended { id, ended, .. } => Some((id, ended)),
            _ => None,
        })
        .collect();
    let released = Ended::Released("its task failed outside of its handler: oh no".into());
    assert_eq!(ends, [(Some(id.clone()), released), (Some(id), Ended::Done)]);
}

#[tokio::test(start_paused = true)]
async fn no_reason_holds_a_password_wherever_it_came_from() {
    let handler = async |payload: Value, context: Context| match payload.as_str().unwrap_or_default() {
        "panic" => panic!("no way to amqp://me:hunter2@host"),
        "blocking" => context.blocking(|_| panic!("no way to amqp:/me:hunter2@host")).await,
        "error" => Err(Failure::new("no answer from http://host/?token=hunter2")),
        "dead" => Ok(Outcome::dead("no such host: me:hunter2@host")),
        "retry" => Ok(Outcome::retry_after(secs(6)).because("host=host password=hunter2")),
        _ => Ok(Outcome::snooze(secs(6)).because("amqp:me:hunter2@host")),
    };
    let last = async |_: Value, _: Context| Err(Failure::new("postgres://me:hunter2@host/db is away"));
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2)).finally_or_dead(last));
    let mut kit = Kit::start(worker).await;
    for case in ["panic", "blocking", "error", "dead", "retry", "snooze"] {
        kit.publish(NAME, &json!(case)).await;
    }
    kit.settled().await;
    let waiting = kit.broker().peek("retry.5s").into_iter().chain(kit.broker().peek("retry.1s"));
    let reasons: Vec<String> =
        waiting.filter_map(|it| it.message.headers.text("retry-reason").map(str::to_owned)).collect();
    assert!(reasons.len() >= 2 && reasons.iter().all(|reason| reason.contains("***")), "{reasons:?}");
    kit.advance(secs(30)).await;
    assert_eq!(kit.dead().len(), 5);
    for letter in kit.dead() {
        assert!(letter.reason.matches("***").count() == 2, "{}", letter.reason);
    }
    let all = format!("{:?} {:?} {reasons:?}", kit.dead(), kit.observed());
    assert!(all.contains("Ended {") && !all.contains("hunter2"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_for_too_long_is_cancelled() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    let handler = move |_: Value, _: Context| {
        let held = Dropped(Arc::clone(&counter));
        async move {
            let _held = held;
            std::future::pending::<HandlerResult>().await
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1).timeout(secs(10))));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(secs(9)).await;
    assert_eq!(kit.dead()[0].reason, "timed out: it ran for longer than 10 s");
    assert_eq!(dropped.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn blocking_work_keeps_its_slot_and_its_retry_waits_for_it() {
    let (go, gate) = mpsc::channel::<()>();
    let (begun, mut told) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(Mutex::new(gate));
    let handler = move |_: Value, context: Context| {
        let (gate, begun) = (Arc::clone(&gate), begun.clone());
        async move {
            context
                .blocking(move |context| {
                    let _ = begun.send(context.attempt());
                    gate.lock().unwrap().recv().ok();
                    assert!(context.is_cancelled());
                    panic!("too late for anybody to hear");
                })
                .await
        }
    };
    let policy = steady(2, secs(1)).timeout(secs(10)).concurrency(1);
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!(1)).await;
    assert_eq!(told.recv().await, Some(1));
    kit.publish(NAME, &json!(2)).await;
    // time does not move by itself while a thread is blocked
    tokio::time::advance(secs(60)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(kit.observed().is_empty(), "it is not put off before it has ended: {:?}", kit.observed());
    assert!(told.try_recv().is_err(), "its slot is taken");
    drop(go);
    assert_eq!(told.recv().await, Some(1), "the other one has the slot");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_blocking_work_is_a_failure() {
    let handler =
        async |_: Value, context: Context| context.blocking(|_| -> HandlerResult { panic!("no disk") }).await;
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.dead()[0].reason, "panicked: no disk");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_published_the_delivery_is_held_and_nothing_spins() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let handler = move |_: Value, _: Context| {
        count.fetch_add(1, SeqCst);
        async {
            sleep(secs(1)).await;
            Ok(Outcome::dead("no"))
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.broker().block("no memory");
    sleep(secs(120)).await;
    assert_eq!(kit.ended(&id), None);
    assert_eq!(kit.broker().queue_status(QUEUE).unwrap().unacked, 1, "it is held");
    kit.broker().unblock();
    kit.advance(secs(60)).await;
    assert_eq!((kit.dead().len(), runs.load(SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_takes_is_a_failure_of_its_sender() {
    let handler = async |_: Value, context: Context| {
        context.task("shop.bill.send", &json!({}))?;
        Ok(Done)
    };
    let worker = Worker::new("shop")
        .sends_task::<Value>("shop.bill.send")
        .on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let letter = kit.dead().remove(0);
    assert!(letter.kind == "attempts" && letter.reason.contains("no queue is bound"), "{}", letter.reason);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_while_the_broker_takes_nothing_is_sent_later_without_running_the_handler_again() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let handler = move |_: Value, context: Context| {
        count.fetch_add(1, SeqCst);
        async move {
            sleep(secs(1)).await;
            context.publish("shop.bill.sent", &json!(1))?;
            Ok(Done)
        }
    };
    let worker = Worker::new("shop")
        .publishes::<Value>("shop.bill.sent")
        .on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.broker().block("no memory");
    sleep(secs(120)).await;
    assert_eq!(kit.ended(&id), None, "it is held");
    kit.broker().unblock();
    kit.advance(secs(60)).await;
    assert_eq!((kit.ended(&id), runs.load(SeqCst)), (Some(Ended::Done), 1));
    assert_eq!(kit.published("shop.bill.sent"), [json!(1)]);
}
