use super::{Failure, Parts, Service};
use crate::{
    engine::{ClockRules, Resends, Rules},
    schedule::{Definition, Packed},
    store::{self, Limits, Memory, Store, Tuning},
};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Settlement},
    shutdown::shutdown,
};
use std::{sync::Arc, time::Duration};

/// A clock on memory, with one schedule that is often due.
async fn parts(memory: &Memory, publisher: Publisher) -> Parts {
    let memory = memory.clone();
    let opener =
        move || memory.open("khronos", Limits::default()).map(|store| Box::new(store) as Box<dyn Store>);
    let (store, snapshot, store_events) = store::open(Box::new(opener), Tuning::default()).await.unwrap();
    let definition = Definition {
        name: "often".into(),
        event: Some("test.often.passed".into()),
        every: Some("100ms".into()),
        ..Definition::default()
    };
    Parts {
        clock: "khronos".into(),
        rules: Rules {
            clock: ClockRules {
                settle: 0,
                max_forward: 60_000,
                max_backward: 60_000,
                resume_backward: false,
            },
            resends: Resends { count: 5, over: 600_000 },
            in_flight: 100,
            piece: 100,
            parked: 1_000,
            record_first: false,
        },
        store,
        snapshot,
        store_events,
        publisher,
        exchange: "events".into(),
        schedules: Some(Ok(vec![Packed::build(&definition).unwrap()])),
        late: None,
        loader: Arc::new(|| Err("there are no files".into())),
        reload: tokio::sync::mpsc::channel(1).1,
        rival: tokio::sync::watch::channel(None).1,
        show_events: false,
        grace: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn when_the_brokers_task_is_gone_the_progress_is_written_before_the_end() {
    let memory = Memory::default();
    let (publisher, mut task) = Publisher::channel(4);
    let (service, _handle) = Service::new(parts(&memory, publisher).await);
    let running = tokio::spawn(service.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let outcome = PublishOutcome::Confirmed { returned: false };
    let mut last = None;
    for _ in 0..3 {
        let batch = task.submitted.recv().await.unwrap();
        last = batch.last().and_then(|one| one.message.headers.text("cloudEvents_time")?.parse().ok());
        let settle =
            |one: ponos::broker::Publishing| Settlement { token: one.token, outcome: outcome.clone() };
        task.settled.send(batch.into_iter().map(settle).collect()).await.unwrap();
    }
    drop(task);
    assert!(matches!(running.await.unwrap(), Err(Failure::PublisherGone)));
    let snapshot = memory.open("khronos", Limits::default()).unwrap().load().unwrap();
    assert!(
        snapshot.settled >= last && last.is_some(),
        "{:?} is written, {last:?} was confirmed",
        snapshot.settled
    );
    assert_eq!(snapshot.spans, []);
}

#[tokio::test]
async fn a_broker_that_confirms_nothing_is_told_of() {
    let (publisher, mut task) = Publisher::channel(4);
    let (service, mut handle) = Service::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(service.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let _unanswered = task.submitted.recv().await.unwrap();
    let told =
        handle.status.wait_for(|status| status.warnings.iter().any(|said| said.contains("no confirm for")));
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told in time").unwrap();
    running.abort();
}
