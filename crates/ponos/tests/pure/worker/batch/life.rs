//! A consumer that ends, is lost or paused while a batch is open or at work: nothing is lost.

use super::{COUNTED, Count, QUEUE, Runs, count, counts, does, held, kit, policy, secs};
use ponos::{prelude::*, testing::Kit, worker::Limits};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// A window that does not pass by itself.
fn patient(size: usize) -> Policy {
    Policy { batch: Policy::batch(size, secs(600)).batch, ..policy(size) }
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_runs_at_the_stop_if_there_is_a_place() {
    let runs = Runs::default();
    let mut kit = kit(patient(500), &runs).await;
    kit.publish_all(COUNTED, &counts(0..3)).await;
    held(&kit, 3).await;
    let report = kit.stop().await;
    assert_eq!((report.handled, report.released), (3, 0));
    assert_eq!(runs.items(), [vec![0, 1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_goes_back_at_the_stop_if_there_is_no_place() {
    let runs = Runs::default();
    let mut kit = kit(patient(2), &runs).await;
    kit.publish_all(COUNTED, &[does(0, "sleep"), count(1), count(2)]).await;
    held(&kit, 3).await;
    let broker = kit.broker().clone();
    let report = kit.stop().await;
    assert_eq!((report.handled, report.released), (2, 1));
    assert_eq!((runs.items(), broker.queue_depth(QUEUE)), (vec![vec![0, 1]], Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_does_not_end_within_the_grace_is_named_and_goes_back() {
    let runs = Runs::default();
    let limits = Limits { grace: secs(1), ..Limits::default() };
    let mut kit = Kit::start(super::stock(policy(2), &runs).limits(limits)).await;
    kit.publish_all(COUNTED, &[does(0, "sleep"), count(1)]).await;
    held(&kit, 2).await;
    let broker = kit.broker().clone();
    let report = kit.stop().await;
    assert_eq!((report.handled, report.retried, report.left.len()), (0, 0, 2), "{report}");
    assert_eq!(broker.queue_depth(QUEUE), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_open_when_the_connection_was_lost_comes_again_and_runs_once() {
    let runs = Runs::default();
    let mut kit = kit(patient(500), &runs).await;
    kit.publish_all(COUNTED, &counts(0..5)).await;
    held(&kit, 5).await;
    kit.broker().disconnect_all();
    kit.settled().await;
    assert!(runs.of_each().into_values().eq([1; 5]), "{:?}", runs.items());
    assert_eq!(kit.stop().await.handled, 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_at_work_when_the_connection_was_lost_is_not_acked_and_comes_again() {
    let runs = Runs::default();
    let mut kit = kit(policy(2), &runs).await;
    kit.publish_all(COUNTED, &[does(0, "sleep"), count(1)]).await;
    held(&kit, 2).await;
    kit.broker().disconnect_all();
    kit.settled().await;
    assert!(runs.of_each().into_values().eq([2; 2]), "{:?}", runs.items());
    let report = kit.stop().await;
    assert_eq!((report.unsettled, report.handled), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_needs_and_is_not_there_pauses_the_queue_and_spends_no_attempt() {
    let (runs, down) = (Runs::default(), Arc::new(AtomicBool::new(true)));
    let (noted, is_down) = (runs.clone(), Arc::clone(&down));
    let handler = move |items: Batch<Count>, context: Context| {
        noted.note(&items, &context);
        let is_down = is_down.load(SeqCst);
        async move {
            assert_eq!(context.attempt(), 1);
            if is_down { Err(Failure::unavailable("warehouse", "refused")) } else { Ok(Done) }
        }
    };
    let mut kit = Kit::start(Worker::new("stock").batch(COUNTED, handler.with(policy(5)))).await;
    let ids = kit.publish_all(COUNTED, &counts(0..12)).await;
    tokio::time::sleep(secs(20)).await;
    assert_eq!(runs.sizes()[0], 5);
    assert!(runs.sizes().len() < 10, "one is tried from time to time: {:?}", runs.sizes());
    assert!(ids.iter().all(|id| kit.ended(id) != Some(Ended::Done)));
    down.store(false, SeqCst);
    kit.advance(secs(90)).await;
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)));
    let report = kit.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (12, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_came_back_often_is_in_no_batch() {
    let runs = Runs::default();
    let mut kit = kit(patient(500), &runs).await;
    let mut suspect = kit.event(COUNTED, &count(9)).into_message();
    suspect.headers.set("x-delivery-count", 3);
    let first = kit.event(COUNTED, &count(1)).into_message();
    kit.publish_messages("events", vec![first, suspect]).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![1], vec![9]], "the open batch begins before it");
}
