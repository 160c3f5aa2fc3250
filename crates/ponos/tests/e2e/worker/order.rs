//! Order and exclusiveness, which only a broker can give.

use super::NAME;
use crate::real::{Running, Sender, event};
use ponos::prelude::*;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use testkit::Node;

/// What was handled, by whom; and how many were at work at once, at most.
#[derive(Clone, Default)]
struct Log {
    handled: Arc<Mutex<Vec<(&'static str, u64)>>>,
    at_work: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

fn logging(who: &'static str, log: &Log) -> Worker {
    let log = log.clone();
    let handler = move |payload: Value, _: Context| {
        let log = log.clone();
        async move {
            log.most.fetch_max(log.at_work.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            log.handled.lock().unwrap().push((who, payload["number"].as_u64().unwrap()));
            log.at_work.fetch_sub(1, SeqCst);
            Ok(Done)
        }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().exclusive()))
}

fn numbered(from: u64, to: u64) -> Vec<ponos::event::Message> {
    (from..to).map(|number| event(&format!("n-{number}"), NAME, &json!({ "number": number }))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_exclusive_workers_one_works_in_order_and_the_other_takes_over() {
    let url = Node::shared().vhost("exclusive");
    let log = Log::default();
    let first = Running::start(&url, logging("first", &log)).await;
    let mut sender = Sender::new(&url).await;
    sender.send(numbered(0, 1)).await;
    first.ends.done(1).await;
    let second = Running::start(&url, logging("second", &log)).await;
    sender.send(numbered(1, 300)).await;
    first.ends.done(300).await;
    assert!(log.handled.lock().unwrap().iter().all(|(who, _)| *who == "first"));
    first.stop().await;
    sender.send(numbered(300, 600)).await;
    second.ends.done(300).await;
    second.stop().await;
    let handled = log.handled.lock().unwrap();
    let numbers: Vec<u64> = handled.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, (0..600).collect::<Vec<_>>());
    assert_eq!(log.most.load(SeqCst), 1, "two were at work at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_in_handles_several_names_from_one_queue_in_the_order_published() {
    let url = Node::shared().vhost("fan-in");
    let log = Arc::new(Mutex::new(Vec::new()));
    let noting = |what: &'static str| {
        let log = Arc::clone(&log);
        move |payload: Value, _: Context| {
            log.lock().unwrap().push((what, payload["number"].as_u64().unwrap()));
            async { Ok(Done) }
        }
    };
    let worker =
        Worker::new("shop").fan_in("orders", Policy::default().concurrency(1).prefetch(20), |handlers| {
            handlers
                .on::<Value>("order.parcel.shipped", noting("shipped"))
                .on::<Value>("order.*.lost", noting("lost"))
        });
    let running = Running::start(&url, worker).await;
    let mut sender = Sender::new(&url).await;
    let names =
        [("order.parcel.shipped", "shipped"), ("order.parcel.lost", "lost"), ("order.letter.lost", "lost")];
    let sent: Vec<(&str, u64)> = (0..300_u64).map(|number| (names[number as usize % 3].1, number)).collect();
    let messages = (0..300_u64).map(|number| {
        event(&format!("n-{number}"), names[number as usize % 3].0, &json!({ "number": number }))
    });
    sender.send(messages.collect()).await;
    running.ends.done(300).await;
    assert_eq!(*log.lock().unwrap(), sent);
    assert_eq!(Node::shared().queue("fan-in", "shop.orders"), Some((0, 1)));
    running.stop().await;
}
