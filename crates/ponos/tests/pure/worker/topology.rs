//! What is deleted from the broker under a running worker is seen and declared again, and nothing is blamed for it.

use super::{NAME, QUEUE, secs};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Publishing, Transport, memory::Broker},
    event::Event,
    prelude::*,
    shutdown::Trigger,
    testing::Kit,
    topology::{Binding, Topology},
    worker::{Backoff, Liveness, Observed, Report, WorkerError},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{task::JoinHandle, time::sleep};

struct Running {
    broker: Broker,
    topology: Topology,
    liveness: Liveness,
    ended: Arc<Mutex<Vec<Ended>>>,
    /// Of somebody else's, who declares nothing.
    publisher: Publisher,
    trigger: Trigger,
    worker: JoinHandle<Result<Report, WorkerError>>,
}

impl Running {
    async fn start(worker: Worker) -> Self {
        let (broker, ended) = (Broker::new(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&ended);
        let ready = worker
            .observe(move |observed| {
                if let Observed::Ended { ended, .. } = observed {
                    seen.lock().unwrap().push(ended.clone());
                }
            })
            .ready()
            .unwrap();
        let topology = Topology { passive: false, ..ready.topology().clone() };
        broker.declare(&topology).unwrap();
        let publisher = broker.publisher(Topology::default());
        publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        let (trigger, shutdown) = shutdown();
        let (liveness, transport) = (ready.liveness(), Transport::memory(broker.clone()));
        let worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
        sleep(secs(1)).await;
        Self { broker, topology, liveness, ended, publisher, trigger, worker }
    }

    async fn publish(&mut self, id: u64) -> PublishOutcome {
        let event = Event::new(id.to_string().parse().unwrap(), "/t", NAME.parse().unwrap(), *b"{}");
        let message = event.into_message();
        let publishing = Publishing { token: id, lane: 0, exchange: "events".into(), message };
        self.publisher.submit(vec![publishing]).await.unwrap();
        self.publisher.settlements().await.unwrap().remove(0).outcome
    }

    fn ended(&self) -> Vec<Ended> {
        self.ended.lock().unwrap().clone()
    }

    async fn stop(self) -> Report {
        self.trigger.advance();
        self.worker.await.unwrap().unwrap()
    }
}

fn shop() -> Worker {
    Worker::new("shop").on::<Value>(NAME, async |_: Value, _: Context| Ok(Done))
}

const ROUTED: PublishOutcome = PublishOutcome::Confirmed { returned: false };

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_deleted_is_declared_again_and_it_is_noted() {
    let mut running = Running::start(shop()).await;
    assert!(running.broker.delete_exchange("events"));
    assert!(matches!(running.publish(1).await, PublishOutcome::Missing(_)));
    sleep(secs(61)).await;
    assert_eq!(running.publish(2).await, ROUTED);
    sleep(secs(1)).await;
    assert_eq!(running.ended(), [Ended::Done]);
    assert_eq!(running.liveness.check(), Ok(()));
    let notes = running.liveness.notes();
    assert!(notes.len() == 1 && notes[0].contains("exchange 'events'"), "{notes:?}");
    sleep(secs(600)).await;
    assert_eq!(running.liveness.notes(), Vec::<String>::new());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_taken_away_is_there_again_within_a_minute() {
    let mut running = Running::start(shop()).await;
    assert!(running.broker.unbind(&Binding::queue("events", QUEUE, NAME)));
    assert_eq!(running.publish(1).await, PublishOutcome::Confirmed { returned: true });
    sleep(secs(61)).await;
    assert_eq!(running.publish(2).await, ROUTED);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn retries_that_wait_go_on_when_the_way_back_is_mended() {
    let backoff = Backoff { first: secs(5), factor: 1.0, longest: secs(5), jitter: 0.0 };
    let handler = async |_: Value, ctx: Context| {
        if ctx.attempt() == 1 { Err(Failure::new("not yet")) } else { Ok(Done) }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2).backoff(backoff)));
    let mut kit = Kit::start(worker).await;
    for gone in ["retry.return", "retry.5s"] {
        let id = kit.publish(NAME, &json!({})).await;
        kit.settled().await;
        assert!(kit.broker().delete_exchange(gone));
        kit.advance(secs(240)).await;
        assert_eq!(kit.ended(&id), Some(Ended::Done), "{gone}");
        assert_eq!(kit.broker().queue_depth("parking"), Some(0), "{gone}");
    }
    let report = kit.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (2, 2, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_sent_for_want_of_an_exchange_is_no_failure_of_its_sender() {
    let gone = Arc::new(Mutex::new(None::<Broker>));
    let broker = Arc::clone(&gone);
    let handler = move |_: Value, ctx: Context| {
        // away after the delivery came, and before what it publishes goes out
        let deleted = broker.lock().unwrap().as_ref().unwrap().delete_exchange("events");
        async move {
            assert!(deleted && ctx.attempt() == 1);
            ctx.publish("shop.bill.sent", &json!(1))?;
            Ok(Done)
        }
    };
    let worker = Worker::new("shop")
        .publishes::<Value>("shop.bill.sent")
        .on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut running = Running::start(worker).await;
    *gone.lock().unwrap() = Some(running.broker.clone());
    assert_eq!(running.publish(1).await, ROUTED);
    sleep(secs(30)).await;
    assert_eq!(running.ended(), [Ended::Done], "its handler ran once, and nothing is dead");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_declares_nothing_says_what_is_missing_until_somebody_declares_it() {
    let mut running = Running::start(shop().passive()).await;
    assert!(running.broker.delete_exchange("events"));
    sleep(secs(61)).await;
    let trouble = running.liveness.check().unwrap_err();
    assert!(trouble.contains("no exchange 'events'") && trouble.contains("declares nothing"), "{trouble}");
    sleep(secs(600)).await;
    assert!(matches!(running.publish(1).await, PublishOutcome::Missing(_)), "it only looks");
    running.broker.declare(&running.topology).unwrap();
    sleep(secs(61)).await;
    assert_eq!(running.liveness.check(), Ok(()));
    assert_eq!(running.publish(2).await, ROUTED);
    sleep(secs(1)).await;
    assert_eq!(running.ended(), [Ended::Done]);
    running.stop().await;
}
