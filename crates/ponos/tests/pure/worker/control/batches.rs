//! Batches: what is gathered goes back at a pause, and a limit holds for what is in them.

use super::{
    super::{NAME, QUEUE, secs},
    shop::{Shop, hour},
};
use ponos::{broker::memory::Version, control::Limit, prelude::*, worker::Rate};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

type Runs = Arc<Mutex<Vec<(Instant, usize)>>>;

fn worker(shop: &Shop, policy: Policy, runs: &Runs) -> Worker {
    let (runs, seen) = (Arc::clone(runs), Arc::clone(&shop.seen));
    let handler = move |items: Batch<Value>, _: Context| {
        runs.lock().unwrap().push((Instant::now(), items.len()));
        let ids = (0..items.len()).map(|index| items.context(index).id().to_string());
        seen.done.lock().unwrap().extend(ids);
        async { Ok(Done) }
    };
    Worker::new("shop").clock(shop.clock).batch(NAME, handler.with(policy))
}

/// What began in the minute after each run.
fn most_in_a_minute(runs: &Runs) -> usize {
    let runs = runs.lock().unwrap();
    let within = |first: Instant| {
        let all = runs.iter().filter(|(at, _)| (first..first + secs(60)).contains(at));
        all.map(|(_, items)| items).sum()
    };
    runs.iter().map(|(first, _)| within(*first)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn what_is_gathered_goes_back_at_a_pause_and_a_rate_makes_batches_as_small_as_it_allows() {
    for version in [Version::V3, Version::V4_3] {
        let (shop, runs) = (Shop::open(version, Duration::ZERO).await, Runs::default());
        let replica = shop.run(worker(&shop, Policy::batch(10, secs(600)), &runs));
        sleep(secs(1)).await;
        shop.orders(5).await;
        sleep(secs(1)).await;
        assert_eq!(shop.broker.queue_status(QUEUE).unwrap().unacked, 5, "they are gathered");
        shop.client.pause(QUEUE, hour()).await.unwrap();
        replica.until_paused().await;
        sleep(secs(1_000)).await;
        let status = shop.broker.queue_status(QUEUE).unwrap();
        assert_eq!((status.unacked, status.consumers, shop.done()), (0, 0, 0), "all went back");
        let rate = Some(Rate { tasks: 4, per: secs(60) });
        shop.client.control().limit(QUEUE, Limit { concurrency: None, rate }, hour()).await.unwrap();
        shop.client.resume(QUEUE).await.unwrap();
        shop.orders(20).await;
        shop.until_done(25).await;
        assert!(most_in_a_minute(&runs) <= 4, "{runs:?}");
        assert!(runs.lock().unwrap().iter().any(|(_, items)| *items == 4), "{runs:?}");
        assert_eq!(replica.stop().await.handled, 25);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_use_up_the_prefetch_are_no_sign_that_nothing_comes() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let (keys, handler) = (AtomicUsize::new(0), async |_: Batch<Value>, _: Context| Ok(Done));
    // each is a batch of its own, and waits for the window
    let by_itself = handler.by(move |_: &Value| keys.fetch_add(1, SeqCst));
    let policy = Policy::batch(10, secs(600)).prefetch(10);
    let replica = shop.run(Worker::new("shop").clock(shop.clock).batch(NAME, by_itself.with(policy)));
    sleep(secs(1)).await;
    shop.orders(20).await;
    sleep(secs(300)).await;
    let status = shop.broker.queue_status(QUEUE).unwrap();
    assert!(status.unacked >= 10 && status.ready > 0, "{status:?}");
    assert_eq!(replica.liveness.check(), Ok(()));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn replicas_share_a_rate_of_items() {
    let (shop, runs) = (Shop::open(Version::V3, Duration::ZERO).await, Runs::default());
    let policy = || Policy::batch(10, secs(1)).rate(10, secs(60)).fleet();
    let replicas = [policy(), policy()].map(|policy| shop.run(worker(&shop, policy, &runs)));
    sleep(secs(30)).await;
    shop.orders(60).await;
    shop.until_done(60).await;
    // one more for the other replica
    assert!(most_in_a_minute(&runs) <= 11, "{runs:?}");
    assert!(runs.lock().unwrap().iter().any(|(_, items)| *items == 5), "half of them: {runs:?}");
    for replica in replicas {
        replica.stop().await;
    }
}
