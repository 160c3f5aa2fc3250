//! A broker in want of memory takes nothing from those who publish: what is to be sent waits, what publishes nothing goes on.

use super::{
    CONFIRM, QUEUE,
    stage::{COUNTED, Stage, declare_counted, job, nothing_is_left},
};
use crate::real::{
    Running, Sender, event, holds, letters,
    support::{LIMIT, config},
    verdict,
};
use ponos::{
    broker::Transport,
    prelude::*,
    topology::{Binding, Queue, Topology},
};
use testkit::{Node, wait_until};
use tokio::time::Instant;

/// Where something lies that the test itself sends.
const PROBE: &str = "order.parcel.probed";

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_takes_nothing_what_must_be_sent_waits_and_the_rest_goes_on() {
    // what is not confirmed is given back after 5 s: once more if the machine stood still for that long
    for _ in 0..5 {
        if blocked_for_a_moment().await {
            return;
        }
    }
    panic!("what was sent was given back while the broker took nothing, each time");
}

async fn declare_probe(url: &str) {
    let (queues, bindings) = (vec![Queue::quorum(PROBE)], vec![Binding::queue("events", PROBE, PROBE)]);
    let topology = Topology { queues, bindings, ..Topology::default() };
    Transport::amqp(config(url)).check(&topology).await.unwrap();
}

/// Whether nothing was given back. Nothing may be, unless the machine was so slow that the broker took nothing for too long.
async fn blocked_for_a_moment() -> bool {
    let (node, stage) = (Node::start(), Stage::new());
    declare_counted(&node.url()).await;
    declare_probe(&node.url()).await;
    let policy = Policy::retry(2).concurrency(4).prefetch(4);
    let running = Running::start(&node.url(), stage.worker(policy)).await;
    let jobs = [
        job("publishes", "publish", "blocked"),
        job("fails", "fail", "blocked"),
        job("refuses", "refuse", "blocked"),
        job("done", "", "blocked"),
        // comes when the one before it is acked
        job("after", "", ""),
    ];
    Sender::new(&node.url()).await.send(jobs.into()).await;
    stage.entered(&["publishes", "fails", "refuses", "done"]).await;
    assert_eq!(stage.ran("after"), 0);
    node.raise_memory_alarm();
    let begun = Instant::now();
    stage.open("blocked");
    wait_until("the publishing connection to be blocked", LIMIT, async || {
        (node.blocked_connections() == 1).then_some(())
    })
    .await;
    running.ends.done(2).await;
    let is_back = |(_, ended): &(String, Ended)| matches!(ended, Ended::Released(_));
    let ends = running.ends.all();
    assert_eq!(ends.iter().filter(|end| !is_back(end)).count(), 2, "{ends:?}");
    holds(&node, "/", COUNTED, 0).await;

    node.clear_memory_alarm();
    // once this is confirmed, what was sent before it could have been
    Sender::new(&node.url()).await.send(vec![event("probe", PROBE, &())]).await;
    let took = begun.elapsed();
    running.ends.done(4).await;
    running.ends.until(1, "one to be dead", |ended| matches!(ended, Ended::Dead(_))).await;
    let ends = running.ends.all();
    if ends.iter().any(is_back) {
        assert!(took > CONFIRM, "it was given back, though the broker took it after {took:?}: {ends:?}");
        running.stop().await;
        return false;
    }
    let ran = ["publishes", "fails", "refuses"].map(|id| stage.ran(id));
    assert_eq!(ran, [1, 2, 1], "nothing that was done runs again");
    assert_eq!(verdict(&letters(&node.url(), QUEUE, 1).await[0]), ("refused", "not ours"));
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead, report.released), (4, 1, 1, 0), "{report}");
    nothing_is_left(&node, "/").await;
    holds(&node, "/", COUNTED, 1).await;
    true
}
