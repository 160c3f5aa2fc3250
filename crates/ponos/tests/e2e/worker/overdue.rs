//! A task that takes longer than the broker lets a delivery lie: it costs its queue the channel, and nobody an effect.

use super::{
    QUEUE, parcels,
    stage::{Stage, job, nothing_is_left},
};
use crate::real::{Running, Sender, event, support::LIMIT};
use ponos::{inbox::Inbox, prelude::*};
use serde_json::{Value, json};
use testkit::{Node, wait_until};

const OTHER: &str = "stock.shelf.counted";

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_the_broker_waits_too_long_for_is_done_once_and_its_neighbours_go_on() {
    let (node, stage) = (Node::start(), Stage::new());
    // long enough for quick tasks on a busy machine, whose channels must not go
    node.eval("application:set_env(rabbit, consumer_timeout, 6000)");
    node.eval("application:set_env(rabbit, channel_tick_interval, 200)");
    // its limits believe in half an hour: else it would be refused
    let worker = stage
        .worker(Policy::default())
        .on::<Value>(OTHER, async |_: Value, _: Context| Ok(Done))
        .inbox(Inbox::memory(1_000));
    let running = Running::start(&node.url(), worker).await;
    let mut sender = Sender::new(&node.url()).await;
    sender.send(parcels("before", 3)).await;
    sender.send(vec![event("other", OTHER, &json!({}))]).await;
    running.ends.done(4).await;
    // before the slow task comes: these two stay until then
    let other_queue = format!("shop.{OTHER}");
    let other = node.consuming_channels("/", &other_queue);
    let first = node.consuming_channels("/", QUEUE);
    // once is enough: channels from now on have half an hour again
    node.eval("application:set_env(rabbit, consumer_timeout, 1800000)");
    sender.send(vec![job("slow", "", "slow")]).await;
    stage.entered(&["slow"]).await;
    // on a machine where the broker's calls take long, its connection is lost and made anew meanwhile
    wait_until("another channel to consume the queue", LIMIT * 3, async || {
        (node.consuming_channels("/", QUEUE) != first).then_some(())
    })
    .await;
    sender.send((0..3).map(|number| event(&format!("other-{number}"), OTHER, &json!({}))).collect()).await;
    running.ends.done(7).await;
    assert_eq!(node.consuming_channels("/", &other_queue), other, "the other queue's channel lives");

    // behind what came back, which may be poison, they come one at a time
    sender.send(parcels("behind", 3)).await;
    stage.open("slow");
    running.ends.done(11).await;
    running.ends.until(1, "it to come again and be known", |ended| *ended == Ended::HandledAlready).await;
    assert_eq!(stage.ran("slow"), 1, "{:?}", running.ends.all());
    let report = running.stop().await;
    assert_eq!((report.dead, report.retried, report.left.len()), (0, 0, 0), "{report}");
    nothing_is_left(&node, "/").await;
}
