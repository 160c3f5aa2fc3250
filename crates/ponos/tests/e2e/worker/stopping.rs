//! An orderly stop: what is begun ends and is acked, what is not begun goes back, and nothing is done twice.

use super::{NAME, QUEUE, parcels};
use crate::real::{Running, Sender};
use ponos::{prelude::*, worker::Limits};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Node, wait_until};
use tokio::sync::Semaphore;

type Ran = Arc<Mutex<HashMap<String, usize>>>;

fn waiting(gate: &Arc<Semaphore>, ran: &Ran) -> Worker {
    let (gate, ran) = (Arc::clone(gate), Arc::clone(ran));
    let handler = move |_: Value, ctx: Context| {
        let (gate, ran) = (Arc::clone(&gate), Arc::clone(&ran));
        async move {
            *ran.lock().unwrap().entry(ctx.id().to_string()).or_default() += 1;
            drop(gate.acquire().await?);
            Ok(Done)
        }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().concurrency(5)))
}

async fn begun(ran: &Ran, count: usize) {
    wait_until("tasks to be begun", crate::real::support::LIMIT, async || {
        (ran.lock().unwrap().len() >= count).then_some(())
    })
    .await;
}

/// So many are in the queue once the broker has seen the consumer go, when whatever was not acked is back.
async fn left(count: u64) {
    let what = format!("{count} to be left, and the consumer to be gone");
    wait_until(&what, crate::real::support::LIMIT, async || {
        (Node::shared().queue("stopping", QUEUE) == Some((count, 0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn begun_tasks_end_and_the_rest_is_done_by_the_next_one() {
    let url = Node::shared().vhost("stopping");
    let (gate, ran) = (Arc::new(Semaphore::new(0)), Ran::default());
    let running = Running::start(&url, waiting(&gate, &ran)).await;
    Sender::new(&url).await.send(parcels("p", 100)).await;
    begun(&ran, 5).await;
    running.ask_to_stop();
    // what was delivered and not begun is back, while five are at work
    wait_until("the rest to be back", crate::real::support::LIMIT, async || {
        // the broker counts the consumer until the five are settled
        matches!(Node::shared().queue("stopping", QUEUE), Some((95, _))).then_some(())
    })
    .await;
    gate.add_permits(5);
    let report = running.ended().await;
    assert_eq!((report.handled, report.dead, report.left.len()), (5, 0, 0), "{report}");
    // acked, and not delivered again
    left(95).await;

    let next = Running::start(&url, waiting(&gate, &ran)).await;
    next.ends.done(95).await;
    assert_eq!(next.stop().await.handled, 95);
    left(0).await;
    let ran = ran.lock().unwrap();
    assert!(ran.len() == 100 && ran.values().all(|count| *count == 1), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_within_the_grace_is_named_and_goes_back() {
    let url = Node::shared().vhost("grace");
    let (gate, ran) = (Arc::new(Semaphore::new(0)), Ran::default());
    let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
    let running = Running::start(&url, waiting(&gate, &ran).limits(limits)).await;
    Sender::new(&url).await.send(parcels("p", 3)).await;
    begun(&ran, 3).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.left.len()), (0, 3), "{report}");
    assert!(report.left.iter().all(|left| left.starts_with(QUEUE) && left.contains("attempt 1")), "{report}");
    // cancelled is not failed: they are back, and no attempt was used
    gate.add_permits(3);
    let next = Running::start(&url, waiting(&gate, &ran)).await;
    next.ends.done(3).await;
    assert_eq!((next.stop().await.retried, ran.lock().unwrap().values().sum::<usize>()), (0, 6));
}
