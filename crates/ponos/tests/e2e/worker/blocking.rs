//! A handler that blocks its thread for longer than the heartbeat: the connection lives, and so do the other slots.

use super::{NAME, QUEUE, parcels};
use crate::real::{Running, Sender, event, support::LIMIT};
use ponos::prelude::*;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testkit::{Node, wait_until};

/// RabbitMQ gives a connection up after two to three heartbeats. Not sooner than a busy machine may stand still.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How many handlers block their threads, and how many ever did at a time.
#[derive(Default)]
struct Blocked {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// What is named `blocks-…` keeps the thread on which it runs.
fn worker(blocked: &Arc<Blocked>) -> Worker {
    let blocked = Arc::clone(blocked);
    let handler = move |_: Value, ctx: Context| {
        let blocked = Arc::clone(&blocked);
        async move {
            if ctx.id().as_str().starts_with("blocks") {
                let now = blocked.now.fetch_add(1, SeqCst) + 1;
                blocked.most.fetch_max(now, SeqCst);
                // what no handler should do
                std::thread::sleep(HEARTBEAT * 4);
                blocked.now.fetch_sub(1, SeqCst);
            }
            Ok(Done)
        }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().concurrency(3)))
}

/// So many handlers block at a time; what is done meanwhile.
async fn blocked(vhost: &str, count: usize, meanwhile: usize) {
    let node = Node::shared();
    let url = format!("{}?heartbeat={}", node.vhost(vhost), HEARTBEAT.as_secs());
    let blocking = Arc::new(Blocked::default());
    let running = Running::start(&url, worker(&blocking)).await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("before", 10)).await;
    running.ends.done(10).await;
    let channel = node.consuming_channels(vhost, QUEUE);
    let blocks = (0..count).map(|number| event(&format!("blocks-{number}"), NAME, &json!({})));
    sender.send(blocks.collect()).await;
    if meanwhile > 0 {
        wait_until("the handlers to block", LIMIT, async || {
            (blocking.now.load(SeqCst) == count).then_some(())
        })
        .await;
        sender.send(parcels("meanwhile", meanwhile)).await;
        running.ends.done(10 + meanwhile).await;
        assert_eq!(blocking.now.load(SeqCst), count, "the others did not wait for it");
    }
    running.ends.done(10 + meanwhile + count).await;
    assert_eq!(blocking.most.load(SeqCst), count);
    assert_eq!(node.consuming_channels(vhost, QUEUE), channel, "the connection lives");
    let report = running.stop().await;
    let all = (10 + meanwhile + count) as u64;
    assert_eq!((report.handled, report.unsettled, report.released), (all, 0, 0), "{report}");
    wait_until("the queue to be empty: nothing comes again", LIMIT, async || {
        (node.queue(vhost, QUEUE) == Some((0, 0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_holds_up_neither_its_neighbours_nor_the_connection() {
    blocked("one-blocks", 1, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_all_threads_of_the_runtime_do_not_cost_the_connection() {
    blocked("all-block", 2, 0).await;
}
