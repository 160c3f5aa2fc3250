//! What somebody says of queues and messages by hand: pauses, limits, and what is cancelled, obeyed by each replica until their end,
//! with nothing lost.

mod batches;
mod cancel;
mod cancelled_records;
mod records;
mod shop;

use super::{NAME, QUEUE, secs};
use ponos::{broker::memory::Version, client::Until, control::Limit, event::Event, prelude::*, worker::Rate};
use serde_json::json;
use shop::{Shop, at_most, hour};
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn ten_pauses_with_deliveries_in_hand_and_a_lost_connection_lose_nothing() {
    for version in [Version::V3, Version::V4_3] {
        let shop = Shop::open(version, Duration::from_millis(10)).await;
        let policy = Policy::default().concurrency(4);
        let replicas = [shop.start(policy.clone()), shop.start(policy)];
        shop.orders(1_200).await;
        for round in 0..10 {
            shop.until_done(round * 100 + 50).await;
            if round == 5 {
                shop.broker.disconnect_all();
            }
            shop.client.pause(QUEUE, hour()).await.unwrap();
            // what is begun ends
            sleep(secs(1)).await;
            assert_eq!(shop.seen.at_work.load(SeqCst), 0);
            let begun = shop.begun();
            sleep(secs(60)).await;
            assert_eq!(shop.begun(), begun, "round {round}");
            let status = shop.broker.queue_status(QUEUE).unwrap();
            assert_eq!((status.unacked, status.consumers), (0, 0), "all went back");
            assert!(replicas.iter().all(|replica| replica.liveness.paused_by_hand().len() == 1));
            assert!(shop.client.resume(QUEUE).await.unwrap());
        }
        shop.until_done(1_200).await;
        sleep(secs(60)).await;
        let times = shop.times();
        assert_eq!((times.len(), shop.seen.dead.load(SeqCst)), (1_200, 0));
        // those that were at work when the connection was lost
        assert!(times.values().filter(|times| **times > 1).count() <= 8, "{times:?}");
        for replica in replicas {
            assert_eq!(replica.stop().await.paused, Vec::<String>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_starts_during_a_pause_is_paused_until_its_end() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let end = shop.client.pause(QUEUE, hour()).await.unwrap();
    shop.orders(20).await;
    let first = shop.start(Policy::default());
    sleep(secs(1_200)).await;
    assert_eq!((shop.begun(), first.liveness.check()), (0, Ok(())), "nothing is wrong with it");
    let note = format!("{QUEUE} is paused by ops until {end}: the shelf is being moved");
    assert_eq!(first.liveness.notes(), [note.as_str()]);
    assert_eq!(first.liveness.paused(), [], "nothing is unavailable");
    // it is started again in between, and the broker too
    let report = first.stop().await;
    assert_eq!((report.handled, report.paused), (0, vec![note]));
    let second = shop.start(Policy::default());
    sleep(secs(60)).await;
    shop.broker.stop();
    sleep(secs(60)).await;
    shop.broker.start();
    sleep(secs(2_200)).await;
    assert_eq!(shop.begun(), 0, "{} s are left", end.since(shop.clock.now()) / 1_000);
    assert_eq!(second.liveness.check(), Ok(()));
    sleep(secs(100)).await;
    assert_eq!((shop.done(), second.liveness.notes().len()), (20, 0));
    assert_eq!(second.stop().await.handled, 20);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_ends_with_nobody_there_is_over() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    shop.client.pause(QUEUE, hour()).await.unwrap();
    shop.orders(5).await;
    sleep(secs(3_600)).await;
    assert_eq!(shop.client.control().list().await.unwrap(), []);
    let replica = shop.start(Policy::default());
    sleep(secs(1)).await;
    assert_eq!(shop.done(), 5);
    // what is said later is obeyed all the same
    shop.client.pause(QUEUE, hour()).await.unwrap();
    replica.until_paused().await;
    shop.orders(5).await;
    sleep(secs(3_000)).await;
    assert_eq!(shop.done(), 5);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_single_active_consumer_keeps_its_order_through_pauses() {
    let shop = Shop::open(Version::V3, Duration::from_millis(10)).await;
    shop.broker.delete_queue(QUEUE);
    let policy = Policy::default().exclusive();
    shop.broker.declare(&shop.worker(policy.clone()).topology().unwrap()).unwrap();
    let replicas = [shop.start(policy.clone()), shop.start(policy)];
    sleep(secs(1)).await;
    shop.orders(60).await;
    for round in 0..2 {
        shop.until_done(round * 20 + 10).await;
        shop.client.pause(QUEUE, hour()).await.unwrap();
        sleep(secs(10)).await;
        let begun = shop.begun();
        sleep(secs(100)).await;
        assert_eq!(shop.begun(), begun);
        shop.client.resume(QUEUE).await.unwrap();
    }
    shop.until_done(60).await;
    let expected: Vec<String> = (0..60).map(|number| format!("{number:04}")).collect();
    assert_eq!(*shop.seen.done.lock().unwrap(), expected);
    assert_eq!(shop.seen.most.load(SeqCst), 1);
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_until_it_is_taken_back_and_never_allows_more_than_the_policy() {
    let shop = Shop::open(Version::V3, secs(1)).await;
    let control = shop.client.control();
    control.limit(QUEUE, at_most(2), hour()).await.unwrap();
    let replica = shop.start(Policy::default().concurrency(8));
    shop.orders(300).await;
    sleep(Duration::from_millis(10_500)).await;
    let most = || shop.seen.most.swap(0, SeqCst);
    assert_eq!(most(), 2);
    assert!((18..=22).contains(&shop.begun()), "{}", shop.begun());
    // another one, while it runs
    control.limit(QUEUE, at_most(5), hour()).await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(most(), 5);
    assert!(control.unlimit(QUEUE).await.unwrap());
    sleep(secs(5)).await;
    assert_eq!(most(), 8);
    control.limit(QUEUE, at_most(100), hour()).await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(most(), 8, "as the policy has it");
    // and by itself
    control.limit(QUEUE, at_most(1), Until::after(secs(4))).await.unwrap();
    sleep(secs(3)).await;
    most();
    sleep(Duration::from_millis(900)).await;
    assert_eq!(most(), 1);
    sleep(secs(5)).await;
    assert_eq!(most(), 8);
    shop.until_done(300).await;
    let times = shop.times();
    assert_eq!((times.len(), shop.seen.dead.load(SeqCst)), (300, 0));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_promised_is_not_missed_while_its_queue_is_paused() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.start(Policy::default().expect_by_next(secs(30)));
    let promising = |id: &str| {
        let data = json!({ "next_due_at": shop.clock.now().plus(600_000) });
        Event::new(id.parse().unwrap(), "/t", NAME.parse().unwrap(), serde_json::to_vec(&data).unwrap())
    };
    shop.send("events", vec![promising("1")]).await;
    shop.until_done(1).await;
    shop.client.pause(QUEUE, hour()).await.unwrap();
    sleep(secs(1_800)).await;
    shop.send("events", vec![promising("2")]).await;
    shop.client.resume(QUEUE).await.unwrap();
    shop.until_done(2).await;
    sleep(secs(600)).await;
    assert_eq!(shop.seen.missed.load(SeqCst), 0);
    // and then nothing comes any more
    sleep(secs(60)).await;
    assert_eq!(shop.seen.missed.load(SeqCst), 1);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_as_much_as_a_limit_lets_it_is_healthy() {
    let shop = Shop::open(Version::V3, secs(300)).await;
    shop.client.control().limit(QUEUE, at_most(1), hour()).await.unwrap();
    // it holds one, for two would take longer than the broker lets them be held
    let replica = shop.start(Policy::default().concurrency(8).prefetch(8).timeout(secs(1_000)));
    shop.orders(3).await;
    sleep(secs(200)).await;
    assert_eq!((shop.begun(), shop.broker.queue_status(QUEUE).unwrap().unacked), (1, 1));
    assert_eq!(replica.liveness.check(), Ok(()), "messages are ready, and slots are free");
    shop.until_done(3).await;
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_beside_that_of_the_policy() {
    let shop = Shop::open(Version::V3, Duration::from_millis(1)).await;
    let rate = Some(Rate { tasks: 5, per: secs(1) });
    shop.client.control().limit(QUEUE, Limit { concurrency: None, rate }, hour()).await.unwrap();
    let replica = shop.start(Policy::default().rate(12, secs(3)));
    shop.orders(60).await;
    shop.until_done(60).await;
    let begun = shop.seen.begun.lock().unwrap().clone();
    for first in &begun {
        let within = |span| begun.iter().filter(|later| *later >= first && **later < *first + span).count();
        assert!(within(secs(1)) <= 5 && within(secs(3)) <= 12, "{} {}", within(secs(1)), within(secs(3)));
    }
    let took = *begun.last().unwrap() - begun[0];
    assert!(took <= secs(15), "and no slower: {took:?}");
    replica.stop().await;
}
