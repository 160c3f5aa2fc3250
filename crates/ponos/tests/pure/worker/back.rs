//! What is given back for our own reasons, however often, is never poison.

use super::{NAME, QUEUE, secs};
use ponos::{
    broker::{Link, Publishing, Transport, memory::Broker},
    event::Event,
    prelude::*,
    testing::Kit,
    worker::{Breaker, Limits},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};
use tokio::time::sleep;

/// Takes longer than the grace, until it is told to be quick.
fn slow(quick: &Arc<AtomicBool>, done: &Arc<AtomicU64>) -> Worker {
    let (quick, done) = (Arc::clone(quick), Arc::clone(done));
    let handler = move |_: Value, context: Context| {
        let (quick, done) = (Arc::clone(&quick), Arc::clone(&done));
        async move {
            assert_eq!(context.attempt(), 1, "no attempt is used up");
            if !quick.load(SeqCst) {
                sleep(secs(500)).await;
            }
            done.fetch_add(1, SeqCst);
            Ok(Done)
        }
    };
    let policy = Policy::default().concurrency(2).prefetch(8).timeout(secs(60));
    let limits = Limits { grace: secs(1), ..Limits::default() };
    Worker::new("shop").on::<Value>(NAME, handler.with(policy)).limits(limits)
}

#[tokio::test(start_paused = true)]
async fn a_backlog_over_many_restarts_is_never_poison() {
    let (broker, quick, done) = (Broker::new(), Arc::default(), Arc::default());
    let topology = slow(&quick, &done).topology().unwrap();
    broker.declare(&topology).unwrap();
    let publisher = broker.publisher(topology);
    publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
    let event = |id: u64| Event::new(id.to_string().parse().unwrap(), "/t", NAME.parse().unwrap(), *b"{}");
    let publishing = |token| Publishing {
        token,
        lane: 0,
        exchange: "events".into(),
        message: event(token).into_message(),
    };
    publisher.submit((0..20).map(publishing).collect()).await.unwrap();
    for round in 0..9 {
        quick.store(round == 8, SeqCst);
        let (trigger, shutdown) = shutdown();
        let (worker, transport) = (slow(&quick, &done), Transport::memory(broker.clone()));
        let worker = tokio::spawn(async move { Box::pin(worker.run_on(transport, shutdown)).await });
        sleep(secs(5)).await;
        trigger.advance();
        let report = worker.await.unwrap().unwrap();
        assert_eq!((report.dead, report.retried), (0, 0), "round {round}: {report}");
        assert_eq!(broker.queue_depth(&format!("{QUEUE}.dlq")), Some(0), "round {round}");
        if round < 8 {
            assert_eq!(broker.queue_depth(QUEUE), Some(20), "nothing is lost or doubled in round {round}");
        }
    }
    assert_eq!((done.load(SeqCst), broker.queue_depth(QUEUE)), (20, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_lost_in_the_middle_of_a_task_do_not_make_it_poison() {
    let handler = async |_: Value, _: Context| {
        sleep(secs(7)).await;
        Ok(Done)
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler)).await;
    kit.publish(NAME, &json!({})).await;
    for _ in 0..12 {
        sleep(secs(3)).await;
        kit.broker().disconnect_all();
    }
    kit.advance(secs(60)).await;
    assert_eq!(kit.dead(), []);
    let report = kit.stop().await;
    assert_eq!((report.handled, report.dead), (1, 0), "{report}");
    assert!(report.unsettled > 0, "those whose connection was lost: {report}");
}

#[tokio::test(start_paused = true)]
async fn what_is_being_given_back_when_the_worker_stops_goes_back_all_the_same() {
    let handler = async |_: Value, _: Context| Err(Failure::unavailable("billing-api", "connection refused"));
    let policy = Policy::default().concurrency(1).breaker(Breaker::default().in_a_row(1));
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy));
    let (broker, ready) = (Broker::new(), worker.ready().unwrap());
    broker.declare(ready.topology()).unwrap();
    let publisher = broker.publisher(ready.topology().clone());
    publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
    let publishing = |token: u64| {
        let id = token.to_string().parse().unwrap();
        let mut message = Event::new(id, "/t", NAME.parse().unwrap(), *b"{}").into_message();
        if token > 0 {
            // it is given back by way of the broker's confirm
            message.headers.set("x-delivery-count", 3);
        }
        Publishing { token, lane: 0, exchange: "events".into(), message }
    };
    publisher.submit((0..10).map(publishing).collect()).await.unwrap();
    let (trigger, shutdown) = shutdown();
    let (liveness, transport) = (ready.liveness(), Transport::memory(broker.clone()));
    let worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
    // from its thirtieth second on what waits goes back
    sleep(secs(29)).await;
    assert!(liveness.paused().len() == 1 && liveness.deliveries().unsettled > 0);
    broker.hold_confirms(true);
    sleep(secs(2)).await;
    let before = liveness.deliveries();
    assert!(before.unsettled > 0, "the broker does not confirm: {before:?}");
    trigger.advance();
    worker.await.unwrap().unwrap();
    let after = liveness.deliveries();
    assert_eq!(after.unsettled, 0, "{before:?} {after:?}");
}
