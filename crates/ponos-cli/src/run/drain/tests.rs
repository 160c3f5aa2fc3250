//! Drains of workers on the twin, on paused time.

use super::*;
use ponos::{
    broker::{Publishing, memory::Broker},
    event::Event,
    prelude::*,
    shutdown::shutdown,
    worker::Ready,
};
use serde_json::Value;
use tokio::sync::Semaphore;

const NAME: &str = "stock.shelf.cleaned";
/// A rate of one start in this time.
const RATE: Duration = Duration::from_secs(60);

/// In seconds.
const HEARTBEAT: u16 = 60;

async fn publish(transport: &Transport, worker: &Ready, messages: u64) {
    let mut publisher = transport.publisher(worker.topology().clone());
    for token in 1..=messages {
        let id = token.to_string().parse().unwrap();
        let event = Event::new(id, "/test", NAME.parse().unwrap(), b"{}".to_vec());
        let publishing =
            Publishing { token, lane: 0, exchange: "events".into(), message: event.into_message() };
        publisher.submit(vec![publishing]).await.unwrap();
        assert_eq!(publisher.settlements().await.map(|all| all.len()), Some(1));
    }
}

/// A worker on the twin whose one delivery is in hand, and not at work, until something is given to `gate`; its drain.
async fn draining(gate: Arc<Semaphore>) -> (tokio::task::JoinHandle<Drained>, Liveness, Trigger, Shutdown) {
    draining_of(&Broker::new(), 1, gate).await
}

/// The same with so many messages, of which the first is in hand and the others are in the queue.
async fn draining_of(
    broker: &Broker,
    messages: u64,
    gate: Arc<Semaphore>,
) -> (tokio::task::JoinHandle<Drained>, Liveness, Trigger, Shutdown) {
    draining_with(broker, messages, gate, Policy::default()).await
}

async fn draining_with(
    broker: &Broker,
    messages: u64,
    gate: Arc<Semaphore>,
    policy: Policy,
) -> (tokio::task::JoinHandle<Drained>, Liveness, Trigger, Shutdown) {
    let activity = Activity::default();
    let counting = activity.clone();
    let handler = move |_: Value, _: Context| {
        let (gate, activity) = (Arc::clone(&gate), counting.clone());
        async move {
            // as what waits for its inbox, or to be read
            gate.acquire().await?.forget();
            drop(activity.begin());
            Ok(Done)
        }
    };
    let policy = policy.timeout(Duration::from_secs(300)).concurrency(1).prefetch(1);
    let ready = Worker::new("shop").on::<Value>(NAME, handler.with(policy)).ready().unwrap();
    let transport = Transport::memory(broker.clone());
    transport.check(ready.topology()).await.unwrap();
    publish(&transport, &ready, messages).await;
    let (liveness, (trigger, asked)) = (ready.liveness(), shutdown());
    tokio::spawn(ready.run_on(transport.clone(), asked.clone()));
    let queues = vec![Arc::from("shop.stock.shelf.cleaned")];
    let (alive, waits) = (liveness.clone(), DrainWaits::new(RATE, HEARTBEAT));
    let watching = watch(transport, queues, activity, waits, alive, trigger.clone(), asked.clone());
    (tokio::spawn(watching), liveness, trigger, asked)
}

#[test]
fn the_wait_after_a_loss_outlasts_three_heartbeats() {
    for (heartbeat, longest) in [(0, 180), (1, 3), (15, 45), (60, 180), (u16::MAX, 3 * 65_535)] {
        let waits = DrainWaits::new(RATE, heartbeat);
        assert!(waits.after_loss > Duration::from_secs(longest), "{heartbeat}: {waits:?}");
    }
}

fn is_asked(shutdown: &Shutdown) -> bool {
    shutdown.stage() != Stage::Running
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_and_not_at_work_yet_is_waited_for() {
    let gate = Arc::new(Semaphore::new(0));
    let (drained, liveness, _, asked) = draining(Arc::clone(&gate)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(liveness.deliveries(), Deliveries { taken: 1, unsettled: 1, losses: 0 });
    assert!(!drained.is_finished() && !is_asked(&asked), "the queue was taken for empty");
    gate.add_permits(1);
    let began = Instant::now();
    assert_eq!(drained.await.unwrap(), Drained::Emptied);
    assert!(began.elapsed() < Duration::from_secs(5), "no start was waited for: {:?}", began.elapsed());
    assert_eq!(liveness.deliveries(), Deliveries { taken: 1, unsettled: 0, losses: 0 });
}

#[tokio::test(start_paused = true)]
async fn once_a_connection_was_lost_the_broker_has_longer_to_put_back_what_was_out() {
    let (broker, gate) = (Broker::new(), Arc::new(Semaphore::new(0)));
    let (drained, liveness, ..) = draining_of(&broker, 1, Arc::clone(&gate)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    broker.stop();
    broker.start();
    gate.add_permits(2);
    let began = Instant::now();
    assert_eq!(drained.await.unwrap(), Drained::Emptied);
    assert!(began.elapsed() >= Duration::from_secs(3 * 60), "{:?}", began.elapsed());
    assert_eq!(liveness.deliveries(), Deliveries { taken: 2, unsettled: 0, losses: 1 });
}

#[tokio::test(start_paused = true)]
async fn what_stands_still_in_hand_is_not_waited_for_for_ever() {
    let began = Instant::now();
    let (drained, _, _, asked) = draining(Arc::new(Semaphore::new(0))).await;
    assert!(drained.await.unwrap() == Drained::Left(vec![]) && is_asked(&asked));
    assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nor_for_what_stands_still_in_front_of_more_than_the_prefetch_lets_come() {
    let (broker, began) = (Broker::new(), Instant::now());
    let (drained, liveness, _, asked) = draining_of(&broker, 3, Arc::new(Semaphore::new(0))).await;
    let ended = tokio::time::timeout(Duration::from_secs(600), drained).await;
    let ended = ended.expect("the drain never ends").unwrap();
    assert!(ended == Drained::Left(vec![]) && is_asked(&asked));
    assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(liveness.deliveries().taken < 3, "nothing was left in the queue");
}

/// A start, three heartbeats and a margin.
const NOTHING: std::ops::Range<u64> = 245..260;

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_gone_is_not_waited_for_for_ever() {
    let (broker, began) = (Broker::new(), Instant::now());
    let (drained, _, _, asked) = draining_of(&broker, 0, Arc::new(Semaphore::new(9))).await;
    broker.stop();
    let ended = tokio::time::timeout(Duration::from_secs(3600), drained).await;
    let Drained::Left(left) = ended.expect("the drain never ends").unwrap() else { panic!("not left") };
    assert!(NOTHING.contains(&began.elapsed().as_secs()) && is_asked(&asked), "{:?}", began.elapsed());
    assert!(
        left.len() == 1 && left[0].starts_with("shop.stock.shelf.cleaned: what it holds is not known"),
        "{left:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nor_is_another_consumer_that_has_the_turn() {
    let broker = Broker::new();
    let exclusive = Policy::default().exclusive();
    let (other, holding, ..) =
        draining_with(&broker, 2, Arc::new(Semaphore::new(0)), exclusive.clone()).await;
    other.abort();
    while holding.deliveries().taken == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    let (drained, liveness, _, asked) =
        draining_with(&broker, 1, Arc::new(Semaphore::new(9)), exclusive).await;
    let ended = tokio::time::timeout(Duration::from_secs(3600), drained).await;
    let Drained::Left(left) = ended.expect("the drain never ends").unwrap() else { panic!("not left") };
    assert!(NOTHING.contains(&began.elapsed().as_secs()) && is_asked(&asked), "{:?}", began.elapsed());
    assert_eq!(liveness.deliveries().taken, 0);
    let ready = format!("cleaned: {} ready", 3 - holding.deliveries().taken);
    assert!(left[0].contains(&ready) && left[0].contains("2 consumers"), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_somebody_asked_for_is_not_hastened() {
    let gate = Arc::new(Semaphore::new(0));
    let (drained, _, trigger, asked) = draining(gate).await;
    trigger.advance();
    assert_eq!(drained.await.unwrap(), Drained::Stopped);
    assert_eq!(asked.stage(), Stage::Draining);
}

#[test]
fn another_consumer_has_the_turn_only_where_there_are_several() {
    let said = |consumers| held_back("jobs", QueueState { ready: 4, consumers }, 7);
    assert_eq!(said(0), "jobs: 4 ready, of which none came for 7 s; it has no consumer");
    assert_eq!(said(1), "jobs: 4 ready, of which none came for 7 s; it has 1 consumer");
    let several = said(2);
    assert!(several.ends_with("it has 2 consumers, and another one may have the turn"), "{several}");
}
