//! What tasks need is not there: the queue is paused, and all is done once when it is there again.

use super::{NAME, QUEUE, parcels, stage::nothing_is_left};
use crate::real::{Running, Sender, support::LIMIT};
use ponos::{prelude::*, topology::worker::dead_letters, worker::Breaker};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testkit::{Node, wait_until};

/// A service that is down until it is told otherwise.
#[derive(Clone, Default)]
struct Service {
    up: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    answered: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn worker(&self, policy: Policy) -> Worker {
        let service = self.clone();
        let handler = move |_: Value, ctx: Context| {
            let service = service.clone();
            async move {
                assert_eq!(ctx.attempt(), 1, "no attempt is spent");
                if !service.up.load(SeqCst) {
                    service.refused.fetch_add(1, SeqCst);
                    return Err(Failure::unavailable("billing-api", "connection refused"));
                }
                service.answered.lock().unwrap().push(ctx.id().to_string());
                Ok(Done)
            }
        };
        Worker::new("shop").on::<Value>(NAME, handler.with(policy))
    }

    async fn refused(&self, count: usize) {
        wait_until("it to be asked", LIMIT, async || (self.refused.load(SeqCst) >= count).then_some(()))
            .await;
    }
}

async fn outage(vhost: &str, policy: Policy, slots: usize) -> Vec<String> {
    const COUNT: usize = 60;
    let node = Node::shared();
    let url = node.vhost(vhost);
    let service = Service::default();
    let breaker = Breaker::default().pauses(Duration::from_secs(1), Duration::from_secs(4));
    let policy = Policy { attempts: 1, ..policy }.breaker(breaker);
    let running = Running::start(&url, service.worker(policy)).await;
    Sender::new(&url).await.send(parcels("p", COUNT)).await;
    // those that opened it with those at work beside them, or the one, and some probes
    service.refused(if slots == 1 { 4 } else { slots * 2 + 2 }).await;
    wait_until("it to be paused", LIMIT, async || {
        let paused = running.liveness.paused();
        paused.iter().any(|paused| &*paused.queue == QUEUE && paused.name == "billing-api").then_some(())
    })
    .await;
    // after half a minute most of it waits there for whoever can do it
    wait_until("most to be ready", LIMIT, async || {
        node.queue(vhost, QUEUE).filter(|(ready, _)| *ready as usize >= COUNT - 8)
    })
    .await;
    service.up.store(true, SeqCst);
    running.ends.done(COUNT).await;
    assert_eq!(running.liveness.paused(), []);
    assert!(service.refused.load(SeqCst) <= slots * 2 + 30, "it was asked seldom: {:?}", service.refused);
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (COUNT as u64, 0, 0), "{report}");
    assert_eq!(node.queue(vhost, &dead_letters(QUEUE)), Some((0, 0)));
    nothing_is_left(node, vhost).await;
    let answered = service.answered.lock().unwrap().clone();
    assert_eq!(answered.len(), COUNT, "each once");
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_service_is_not_there_nothing_is_spent_and_then_all_is_done_once() {
    outage("unavailable", Policy::default().concurrency(4), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_active_consumer_goes_on_in_order() {
    let answered = outage("unavailable-order", Policy::default().exclusive(), 1).await;
    let expected: Vec<String> = (0..answered.len()).map(|number| format!("p-{number}")).collect();
    assert_eq!(answered, expected);
}
