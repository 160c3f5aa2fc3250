//! What its handler gives back waits on the ladder, whatever the broker counts.

use super::{NAME, QUEUE, parcels, stage::nothing_is_left};
use crate::real::{Running, Sender};
use ponos::{prelude::*, topology::worker::dead_letters};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::Node;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_again_and_again_is_done_at_last_at_its_first_attempt() {
    const RELEASES: usize = 7;
    let node = Node::shared();
    let url = node.vhost("released");
    let ran: Arc<Mutex<HashMap<String, Vec<Instant>>>> = Arc::default();
    let noted = Arc::clone(&ran);
    let handler = move |_: Value, ctx: Context| {
        let mut ran = noted.lock().unwrap();
        let runs = ran.entry(ctx.id().to_string()).or_default();
        runs.push(Instant::now());
        let (count, attempt) = (runs.len(), ctx.attempt());
        async move {
            assert_eq!(attempt, 1);
            if count <= RELEASES { Ok(Release) } else { Ok(Done) }
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let running = Running::start(&url, worker).await;
    Sender::new(&url).await.send(parcels("p", 5)).await;
    running.ends.done(5).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.released, report.dead), (5, 5 * RELEASES as u64, 0), "{report}");
    for (id, runs) in ran.lock().unwrap().iter() {
        assert_eq!(runs.len(), RELEASES + 1, "{id}");
        // a second by two clocks, each rounded to milliseconds
        let close = runs.windows(2).find(|pair| pair[1] - pair[0] < Duration::from_millis(900));
        assert_eq!(close, None, "{id} did not wait");
    }
    assert_eq!(node.queue("released", &dead_letters(QUEUE)), Some((0, 0)));
    nothing_is_left(node, "released").await;
}
