//! Retries of a worker whose inbox is on Postgres wait there as rows, and come back as those of the ladder do.
#![cfg(feature = "postgres")]

use super::{NAME, QUEUE, parcel, stage::nothing_is_left};
use crate::real::{Running, Sender, holds, support::LIMIT};
use ponos::{
    event::Timestamp,
    inbox::{
        Inbox,
        postgres::{PostgresOptions, WaitingFilter, WaitingKind},
    },
    prelude::*,
    topology::worker::LADDER,
    worker::Backoff,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Node, Postgres, wait_until};
use tokio::{sync::Semaphore, time::Instant};

/// One run of a handler, as it saw it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    at: Instant,
    attempt: u32,
    first_seen: Timestamp,
    /// But for those that the broker writes.
    headers: BTreeMap<String, String>,
}

/// A handler that fails until its attempt `done`, and what it saw.
#[derive(Clone, Default)]
struct Failing(Arc<Mutex<Vec<Seen>>>);

impl Failing {
    fn worker(&self, done: u32, first: Duration, inbox: Inbox) -> Worker {
        let backoff = Backoff { first, factor: 1.0, jitter: 0.0, ..Backoff::default() };
        let seen = Arc::clone(&self.0);
        let handler = move |_: Value, ctx: Context| {
            let own = |(name, value): (&str, &ponos::event::HeaderValue)| {
                (!name.starts_with("x-")).then(|| (name.to_owned(), format!("{value:?}")))
            };
            seen.lock().unwrap().push(Seen {
                at: Instant::now(),
                attempt: ctx.attempt(),
                first_seen: ctx.first_seen(),
                headers: ctx.event().extensions.iter().filter_map(own).collect(),
            });
            let attempt = ctx.attempt();
            async move { if attempt < done { Err(Failure::new("not yet")) } else { Ok(Done) } }
        };
        Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(5).backoff(backoff))).inbox(inbox)
    }

    fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }
}

async fn inbox(url: &str) -> Inbox {
    Inbox::postgres(url, PostgresOptions::new("shop")).await.unwrap()
}

fn rows(database: &str) -> String {
    Postgres::shared().sql(database, "select count(*) from ponos.ponos_outbox")
}

async fn retried(running: &Running, count: usize) {
    running
        .ends
        .until(count, "attempts to be followed", |ended| matches!(ended, Ended::Retried { .. }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_waits_as_a_row_and_comes_back_as_from_the_ladder() {
    let node = Node::shared();
    let url = node.vhost("kept-ladder");
    let by_ladder = Failing::default();
    let running =
        Running::start(&url, by_ladder.worker(2, Duration::from_millis(1_200), Inbox::memory(10))).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    running.ends.done(1).await;
    running.stop().await;

    let url = node.vhost("kept-row");
    let inbox = inbox(&Postgres::shared().database("kept_row")).await;
    let by_row = Failing::default();
    let hour = Duration::from_secs(3_600);
    let running = Running::start(&url, by_row.worker(2, hour, inbox.clone())).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    retried(&running, 1).await;
    for (rung, _) in LADDER {
        assert_eq!(node.queue("kept-row", rung), Some((0, 0)), "{rung}");
    }
    let waiting = inbox.waiting(WaitingFilter::default()).unwrap();
    let row = waiting.list(None, 10).await.unwrap().messages.remove(0);
    assert_eq!((row.id.as_str(), row.kind, row.attempt), ("one", WaitingKind::Retry, Some(2)));
    assert_eq!((row.name.as_deref(), row.queue.as_deref()), (Some(NAME), Some(QUEUE)));
    assert_eq!(row.reason.as_deref(), Some("not yet"));
    let Some((_, Ended::Retried { due, .. })) = running.ends.all().pop() else {
        panic!("{:?}", running.ends.all())
    };
    let apart = row.due.unwrap().since(due);
    assert!((-1_000..60_000).contains(&apart), "{apart} ms from when its worker says");
    assert_eq!(waiting.run_now().await.unwrap().changed, 1);
    running.ends.done(1).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried, report.dead), (1, 1, 0), "{report}");
    assert_eq!(rows("kept_row"), "0");
    nothing_is_left(node, "kept-row").await;

    let times = ["retry-due", "retry-first-seen"];
    let [ladder, row] = [by_ladder, by_row].map(|failing| {
        let [first, second] = <[Seen; 2]>::try_from(failing.all()).unwrap();
        assert_eq!((first.attempt, second.attempt, second.first_seen), (1, 2, first.first_seen));
        let mut headers = second.headers;
        assert!(times.iter().all(|name| headers.remove(*name).is_some()), "{headers:?}");
        headers
    });
    assert_eq!(row, ladder);
    assert!(row.contains_key("retry-attempt") && row.contains_key("retry-reason"), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_follow_each_other_in_their_time_with_nothing_else_to_be_sent() {
    let (node, wait) = (Node::shared(), Duration::from_millis(1_500));
    let url = node.vhost("kept-times");
    let failing = Failing::default();
    let inbox = inbox(&Postgres::shared().database("kept_times")).await;
    let running = Running::start(&url, failing.worker(4, wait, inbox)).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    running.ends.done(1).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried), (1, 3), "{report}");
    let seen = failing.all();
    assert_eq!(seen.iter().map(|seen| seen.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for pair in seen.windows(2) {
        // by two clocks, each rounded to milliseconds
        let waited = pair[1].at - pair[0].at;
        assert!(waited >= wait - Duration::from_millis(100), "{waited:?}");
    }
    nothing_is_left(node, "kept-times").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_one_message_are_followed_by_one_retry() {
    let node = Node::shared();
    let url = node.vhost("kept-copies");
    let failing = Failing::default();
    let inbox = inbox(&Postgres::shared().database("kept_copies")).await;
    let running = Running::start(&url, failing.worker(2, Duration::from_secs(3_600), inbox.clone())).await;
    Sender::new(&url).await.send(vec![parcel("one"), parcel("one")]).await;
    retried(&running, 2).await;
    assert_eq!(rows("kept_copies"), "1");
    assert_eq!(inbox.waiting(WaitingFilter::default()).unwrap().run_now().await.unwrap().changed, 1);
    running.ends.done(1).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.retried), (1, 2), "{report}");
    assert_eq!(rows("kept_copies"), "0");
    nothing_is_left(node, "kept-copies").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_database_is_gone_retries_wait_on_the_ladder() {
    let (node, postgres) = (Node::shared(), Postgres::start(true));
    let (url, database) = (node.vhost("kept-gone"), postgres.database("gone"));
    let short = Duration::from_secs(3);
    let options =
        PostgresOptions { connect_timeout: short, call_timeout: short, ..PostgresOptions::new("shop") };
    // a busy machine takes longer than that now and then
    let open = async || Inbox::postgres(&database, options.clone()).await.ok();
    let inbox = wait_until("the inbox to open", LIMIT, open).await;
    let (gate, entered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (opened, told) = (Arc::clone(&gate), Arc::clone(&entered));
    let handler = move |_: Value, _: Context| {
        let (gate, entered) = (Arc::clone(&opened), Arc::clone(&told));
        async move {
            entered.add_permits(1);
            gate.acquire().await?.forget();
            Err(Failure::new("not yet"))
        }
    };
    // 11 minutes, of which the first ten are on one rung
    let backoff = Backoff { first: Duration::from_secs(660), jitter: 0.0, ..Backoff::default() };
    let policy = Policy::retry(2).backoff(backoff).timeout(LIMIT * 5);
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy)).inbox(inbox);
    let running = Running::start(&url, worker).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    entered.acquire().await.unwrap().forget();
    postgres.kill9();
    gate.add_permits(1);
    retried(&running, 1).await;
    holds(node, "kept-gone", "retry.10m", 1).await;
    postgres.restart();
    assert_eq!(postgres.sql("gone", "select count(*) from ponos.ponos_outbox"), "0");
    let report = running.stop().await;
    assert_eq!((report.retried, report.released), (1, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_keeps_no_retries_leaves_them_to_the_ladder() {
    let node = Node::shared();
    let url = node.vhost("kept-not");
    let database = Postgres::shared().database("kept_not");
    let options = PostgresOptions { keeps_retries: false, ..PostgresOptions::new("shop") };
    let inbox = Inbox::postgres(&database, options).await.unwrap();
    let running = Running::start(&url, Failing::default().worker(2, Duration::from_secs(660), inbox)).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    retried(&running, 1).await;
    holds(node, "kept-not", "retry.10m", 1).await;
    assert_eq!(rows("kept_not"), "0");
    running.stop().await;
}
