//! The connection, or the broker, goes in the middle of a task.

use super::{NAME, parcel, parcels};
use crate::real::{Running, Sender};
use ponos::{inbox::Inbox, prelude::*};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use testkit::{Node, wait_until};
use tokio::sync::Semaphore;

/// A handler that stands in the middle until it is let go.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    ran: Arc<Mutex<HashMap<String, usize>>>,
}

fn gated(inbox: Inbox) -> (Worker, Gate) {
    let gate = Gate { open: Arc::new(Semaphore::new(0)), ran: Arc::default() };
    let of_handler = gate.clone();
    let handler = move |_: Value, ctx: Context| {
        let gate = of_handler.clone();
        async move {
            let id = ctx.id().to_string();
            if id.starts_with("gated") {
                *gate.ran.lock().unwrap().entry(id).or_default() += 1;
                gate.open.acquire().await?.forget();
            }
            Ok(Done)
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().concurrency(5)));
    (worker.inbox(inbox), gate)
}

impl Gate {
    async fn entered(&self, count: usize) {
        wait_until("tasks to be in the middle", crate::real::support::LIMIT, async || {
            (self.ran.lock().unwrap().values().sum::<usize>() >= count).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_while_the_broker_is_gone_is_delivered_again_and_known_to_the_inbox() {
    let node = Node::start();
    let (worker, gate) = gated(Inbox::memory(10_000));
    let running = Running::start(&node.url(), worker).await;
    let mut sender = Sender::new(&node.url()).await;
    // RabbitMQ itself loses a quorum queue when it is killed right after declaring it
    sender.send(parcels("before", 300)).await;
    running.ends.done(300).await;

    sender.send((0..5).map(|number| parcel(&format!("gated-{number}"))).collect()).await;
    gate.entered(5).await;
    node.write_down();
    node.kill9();
    gate.open.add_permits(5);
    // their settlements go nowhere
    running.ends.done(305).await;
    node.restart();
    running.ends.until(5, "the inbox to know all of them", |ended| *ended == Ended::HandledAlready).await;
    assert!(gate.ran.lock().unwrap().values().all(|ran| *ran == 1), "{:?}", gate.ran);

    // and it goes on
    let mut sender = Sender::new(&node.url()).await;
    sender.send(parcels("after", 50)).await;
    running.ends.done(355).await;
    let report = running.stop().await;
    assert_eq!((report.dead, report.left.len()), (0, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_inbox_what_was_done_while_the_connection_was_gone_runs_again() {
    let node = Node::start();
    let (worker, gate) = gated(Inbox::none());
    let running = Running::start(&node.url(), worker).await;
    let mut sender = Sender::new(&node.url()).await;
    sender.send((0..5).map(|number| parcel(&format!("gated-{number}"))).collect()).await;
    gate.entered(5).await;
    node.close_connections();
    gate.open.add_permits(10);
    gate.entered(10).await;
    running.ends.done(10).await;
    assert!(gate.ran.lock().unwrap().values().all(|ran| *ran == 2), "{:?}", gate.ran);
    running.stop().await;
}
