//! Many outages, one after the other, and queues that share a breaker.

use super::{NAME, Running, Service, secs};
use ponos::{
    broker::memory::{Broker, Version},
    prelude::*,
    testing::Kit,
    worker::Breaker,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

const OTHER: &str = "order.parcel.returned";

async fn until(service: &Service, done: usize) {
    let enough = async {
        while service.done.lock().unwrap().len() < done {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(secs(3_600), enough).await;
    assert!(waited.is_ok(), "{} of {done}", service.done.lock().unwrap().len());
}

#[tokio::test(start_paused = true)]
async fn ten_outages_with_deliveries_in_hand_and_a_lost_connection_lose_nothing() {
    for version in [Version::V3, Version::V4_3] {
        let service = Service::default();
        let policy = Policy::default().concurrency(10);
        let running = Running::start_on(Broker::like(version), service.worker(policy), 1_200).await;
        for round in 0..10 {
            until(&service, round * 100 + 50).await;
            service.down.store(true, SeqCst);
            sleep(secs(2)).await;
            assert_eq!(running.liveness.paused().len(), 1, "round {round}");
            // short ones, and long ones, in which what is in hand goes back
            sleep(secs(if round % 2 == 0 { 10 } else { 70 })).await;
            if round == 5 {
                running.broker.disconnect_all();
            }
            service.down.store(false, SeqCst);
        }
        until(&service, 1_200).await;
        sleep(secs(60)).await;
        let done = service.done.lock().unwrap().clone();
        assert_eq!((done.len(), done.values().max(), running.all()), (1_200, Some(&1), 0));
        assert_eq!(running.dead.load(SeqCst), 0);
        assert_eq!(running.stop().await.handled, 1_200);
    }
}

/// Counts its runs; says that it is unavailable while it is down.
fn counting(down: &Arc<AtomicBool>) -> (impl Handler<Value> + use<>, Arc<AtomicUsize>) {
    let (ran, down) = (Arc::new(AtomicUsize::new(0)), Arc::clone(down));
    let counted = Arc::clone(&ran);
    let handler = move |_: Value, _: Context| {
        counted.fetch_add(1, SeqCst);
        let is_down = down.load(SeqCst);
        async move {
            match is_down {
                true => Err(Failure::unavailable("billing-api", "connection refused")),
                false => Ok(Done),
            }
        }
    };
    (handler, ran)
}

#[tokio::test(start_paused = true)]
async fn queues_that_share_a_breaker_by_name_pause_together_and_send_one_probe() {
    for shared in [true, false] {
        let down = Arc::new(AtomicBool::new(true));
        let ((one, of_one), (other, of_other)) = (counting(&down), counting(&down));
        let policy = || {
            let breaker = Breaker::default();
            Policy::default().breaker(if shared { breaker.shared("billing-api") } else { breaker })
        };
        let worker = Worker::new("shop")
            .on::<Value>(NAME, one.with(policy()))
            .on::<Value>(OTHER, other.with(policy()));
        let mut kit = Kit::start(worker).await;
        for _ in 0..5 {
            kit.publish(NAME, &json!({})).await;
        }
        kit.settled().await;
        assert_eq!(of_one.load(SeqCst), 5);
        kit.publish(OTHER, &json!({})).await;
        sleep(Duration::from_millis(900)).await;
        assert_eq!(of_other.load(SeqCst), usize::from(!shared), "shared: {shared}");
        // the probe after 5 s
        sleep(secs(6)).await;
        if shared {
            assert_eq!(of_one.load(SeqCst) + of_other.load(SeqCst), 6, "one for both");
        }
        down.store(false, SeqCst);
        kit.advance(secs(60)).await;
        let report = kit.stop().await;
        assert_eq!((report.handled, report.dead), (6, 0), "{report}");
    }
}

#[test]
fn queues_that_share_a_breaker_must_agree_on_it() {
    let handler = async |_: Value, _: Context| Ok(Done);
    let breaker = || Breaker::default().shared("billing-api");
    let worker = |other: Breaker| {
        Worker::new("shop")
            .on::<Value>(NAME, handler.with(Policy::default().breaker(breaker())))
            .on::<Value>(OTHER, handler.with(Policy::default().breaker(other)))
            .ready()
            .map(drop)
    };
    worker(breaker()).unwrap();
    worker(Breaker::default().in_a_row(3)).unwrap();
    let fault = worker(breaker().in_a_row(3)).unwrap_err().to_string();
    assert!(fault.contains("it shares the breaker 'billing-api' with shop.order.parcel.shipped"), "{fault}");
    let fault = worker(Breaker::default().in_a_row(0)).unwrap_err().to_string();
    assert!(fault.contains("breaker.in_a_row is 0; from 1 to 1000"), "{fault}");
}
