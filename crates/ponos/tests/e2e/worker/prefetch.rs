//! The default prefetch follows what tasks take: each of many quick ones is handled once while the subscription changes, and
//! then the broker gives more of them out.

use super::{NAME, QUEUE, parcels};
use crate::real::{Running, Sender, support::LIMIT};
use ponos::prelude::*;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use testkit::{Node, wait_until};

/// Twice what it begins with. (On a quick machine it is 300: half of the broker's 30 minutes for ten at a time, each of which
/// may take 30 s.)
const HELD: u64 = 80;

#[tokio::test(flavor = "multi_thread")]
async fn more_of_quick_tasks_are_held_and_each_is_handled_once() {
    let (node, quick, more) = (Node::shared(), 4_000, 1_000);
    let url = node.vhost("prefetch-auto");
    let ran: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let noted = Arc::clone(&ran);
    let handler = move |_: Value, ctx: Context| {
        *noted.lock().unwrap().entry(ctx.id().to_string()).or_default() += 1;
        async move {
            if ctx.id().as_str().starts_with("slow") {
                ctx.cancelled().await;
            }
            Ok(Done)
        }
    };
    let running = Running::start(&url, Worker::new("shop").on::<Value>(NAME, handler)).await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("quick", quick)).await;
    running.ends.done(quick).await;
    assert!(ran.lock().unwrap().values().all(|runs| *runs == 1), "some came twice");
    sender.send(parcels("slow", more)).await;
    let ready = more as u64 - HELD;
    let found = || node.queue("prefetch-auto", QUEUE);
    let held = async || found().filter(|(found, consumers)| *found <= ready && *consumers == 1);
    wait_until(&format!("no more than {ready} to stay in the queue"), LIMIT, held).await;
    running.ask_to_stop();
    running.stop().await;
}
