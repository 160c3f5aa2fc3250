//! A rate of all replicas together, counted where the work arrives: by one replica, by three, and by one again.

use super::{NAME, parcels};
use crate::real::{Running, Sender, support::LIMIT};
use ponos::{prelude::*, worker::Limits};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Node, wait_until};
use tokio::time::Instant;

/// Tasks in a second, by all.
const RATE: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// Who began a task, and when.
type Begun = Arc<Mutex<Vec<(usize, Instant)>>>;

fn replica(number: usize, begun: &Begun) -> Worker {
    let begun = Arc::clone(begun);
    let handler = move |_: Value, _: Context| {
        begun.lock().unwrap().push((number, Instant::now()));
        async { Ok(Done) }
    };
    Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::default().rate(RATE, SECOND).fleet()))
        .limits(Limits { replicas: Duration::from_millis(300), ..Limits::default() })
}

async fn know(replicas: &[&Running], count: u32) {
    wait_until(&format!("all to know of {count} replicas"), LIMIT, async || {
        let known = |running: &&Running| running.liveness.replicas().iter().any(|(_, known)| *known == count);
        replicas.iter().all(known).then_some(())
    })
    .await;
}

/// Waits for so many more tasks, and returns how long they took; of `by` alone, if that is said.
async fn time_for(count: usize, begun: &Begun, by: Option<usize>) -> Duration {
    let counted = || begun.lock().unwrap().iter().filter(|(who, _)| by.is_none_or(|by| by == *who)).count();
    let (from, before) = (Instant::now(), counted());
    wait_until("tasks to be begun", LIMIT, async || (counted() >= before + count).then_some(())).await;
    from.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_of_the_fleet_is_that_of_all_replicas_together_however_many_there_are() {
    let node = Node::shared();
    let url = node.vhost("fleet");
    let begun = Begun::default();
    let first = Running::start(&url, replica(0, &begun)).await;
    let mut sender = Sender::new(&url).await;
    sender.send(parcels("p", 2_000)).await;
    know(&[&first], 1).await;
    // a stretch may begin with all of its tasks, and the next one too: at least the time of the others
    let least = |count: u32, replicas: u32| SECOND * (count - 2 * (RATE + replicas)) / RATE;
    let took = time_for(80, &begun, None).await;
    assert!(took >= least(80, 1), "one replica: {took:?}");
    let others =
        [Running::start(&url, replica(1, &begun)).await, Running::start(&url, replica(2, &begun)).await];
    know(&[&first, &others[0], &others[1]], 3).await;
    let took = time_for(120, &begun, None).await;
    assert!(took >= least(120, 3), "three replicas: {took:?}");
    for number in 1..3 {
        time_for(1, &begun, Some(number)).await;
    }
    for other in others {
        other.stop().await;
    }
    know(&[&first], 1).await;
    let (alone, before) = (Instant::now(), begun.lock().unwrap().len());
    let took = time_for(60, &begun, None).await;
    assert!(took >= least(60, 1), "one replica again: {took:?}");
    // of a third of the rate they are 7
    let whole = |window: &[(usize, Instant)]| window[14].1 - window[0].1 <= SECOND;
    wait_until("the whole rate again", LIMIT, async || {
        begun.lock().unwrap()[before..].windows(15).any(whole).then_some(())
    })
    .await;
    assert!(begun.lock().unwrap()[before..].iter().all(|(who, at)| *who == 0 && *at >= alone));
    assert_eq!(first.stop().await.dead, 0);
}
