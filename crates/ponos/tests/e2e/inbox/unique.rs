//! Not again until it is done: rows of `ponos_unique`, which senders write and the ends of tasks remove.
#![cfg(feature = "postgres")]

use super::{opened, sql};
use ponos::{
    Client, Once, Sent,
    broker::{Transport, memory},
    client::Connect,
    event::EventId,
    inbox::{
        Inbox,
        postgres::{PostgresOptions, WaitingFilter},
    },
    prelude::*,
    testing::Kit,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Sandbox, wait_until};
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "order.item.changed";
const TASK: &str = "shop.index.rebuild";
/// The test that is a sender's process, and the variables it is told by.
const CHILD: &str = "inbox::unique::is_the_sender_process";
const DATABASE: &str = "TEST_UNIQUE_DATABASE";
const MARK: &str = "TEST_UNIQUE_MARK";

async fn inbox(url: &str) -> Inbox {
    Inbox::postgres(url, PostgresOptions::new("shop")).await.unwrap()
}

fn keys(database: &str) -> String {
    sql(database, "select coalesce(string_agg(key, ',' order by key), '') from ponos.ponos_unique")
}

async fn connect(broker: &memory::Broker, inbox: &Inbox) -> Client {
    let connect: Connect = Client::connect_on(Transport::memory(broker.clone()), "shop");
    connect.sends_task::<Value>(TASK).outbox(inbox).await.unwrap()
}

fn until_done() -> Once {
    Once::until_done().key("index")
}

/// In a transaction of its own, which commits.
async fn send(client: &Client, url: &str, data: Value, once: Once) -> Sent {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let sent = client.task_in(&mut transaction, TASK, &data).once(once).send().await.unwrap();
    transaction.commit().await.unwrap();
    sent
}

/// So many of the database's sessions wait for the transaction of another.
pub(super) async fn waiting(database: &str, count: usize) {
    let select = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'transactionid'";
    wait_until("a sender to wait", LIMIT, async || {
        (sql(database, select) == count.to_string()).then_some(())
    })
    .await;
}

/// A worker that stands at a gate in each task, and ends as that is told to.
struct Gate(watch::Sender<Vec<&'static str>>);

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(Vec::new())))
    }

    fn worker(self: &Arc<Self>, inbox: &Inbox) -> Worker {
        let gate = self.clone();
        let handler = move |data: Value, _: Context| {
            let mut gate = gate.0.subscribe();
            async move {
                let ends = data["ends"].as_str().unwrap_or("done").to_owned();
                let name = data["gate"].as_str().unwrap_or_default().to_owned();
                gate.wait_for(|open| name.is_empty() || open.iter().any(|gate| *gate == name)).await?;
                match ends.as_str() {
                    "skip" => Ok(Skip),
                    "dead" => Ok(Outcome::dead("never")),
                    "fail" => Err("not yet")?,
                    _ => Ok(Done),
                }
            }
        };
        Worker::new("shop")
            .task::<Value>(TASK, handler.with(Policy::retry(2).timeout(LIMIT)))
            .inbox(inbox.clone())
    }

    fn open(&self, gate: &'static str) {
        self.0.send_modify(|open| open.push(gate));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_not_done_no_other_is_sent_and_after_it_one_is() {
    let (url, inbox) = opened("unique_life").await;
    let gate = Gate::new();
    let kit = Kit::start_in_real_time(gate.worker(&inbox)).await;
    let client = connect(kit.broker(), &inbox).await;
    let first = send(&client, &url, json!({ "gate": "one" }), until_done()).await;
    assert!(first.is_new());
    assert_eq!(send(&client, &url, json!({}), until_done()).await, Sent::Existing(first.id().clone()));
    let other = send(&client, &url, json!({}), Once::until_done().key("another")).await;
    assert!(other.is_new(), "of another key");
    // it is at work: still not done
    wait_until("the other to be done", LIMIT, async || kit.ended(other.id())).await;
    assert_eq!(keys("unique_life"), "index");
    assert!(!send(&client, &url, json!({}), until_done()).await.is_new());
    gate.open("one");
    wait_until("its end", LIMIT, async || kit.ended(first.id())).await;
    assert_eq!(keys("unique_life"), "");
    let next = send(&client, &url, json!({}), until_done()).await;
    assert!(next.is_new() && next.id() != first.id());
    kit.settled().await;
    assert_eq!(kit.published(TASK).len(), 3);
    assert_eq!(keys("unique_life"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_while_it_waits_leaves_the_way_free() {
    let (url, inbox) = opened("unique_dropped").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    let first = send(&client, &url, json!({}), until_done()).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let another = client.task_in(&mut transaction, TASK, &1).after(Duration::from_secs(30 * 86_400));
    another.once(Once::until_done().key("another")).await.unwrap();
    transaction.commit().await.unwrap();
    let kept = "select key from ponos.ponos_unique where expires > now() + interval '36 days'";
    assert_eq!(sql("unique_dropped", kept), "another", "its 7 days begin when it is due");
    let filter = WaitingFilter { ids: vec![first.id().to_string()], ..WaitingFilter::default() };
    assert_eq!(inbox.waiting(filter).unwrap().drop().await.unwrap().changed, 1);
    assert_eq!(keys("unique_dropped"), "another");
    assert!(send(&client, &url, json!({}), until_done()).await.is_new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_skips_after_all_keeps_no_key() {
    let (_, inbox) = opened("unique_skips").await;
    let changed = |_: Value, ctx: Context| async move {
        let sent = ctx.once(until_done()).task(TASK, &json!({})).await?;
        if sent.is_new() { Ok(Skip) } else { Ok(Done) }
    };
    let mut kit = Kit::start_in_real_time(Gate::new().worker(&inbox).on::<Value>(NAME, changed)).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(matches!(kit.ended(&id), Some(Ended::Skipped(_))), "{:?}", kit.ended(&id));
    assert_eq!((keys("unique_skips").as_str(), kit.published(TASK).len()), ("", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_ends_the_way_is_free_and_while_it_is_tried_again_it_is_not() {
    let (url, inbox) = opened("unique_ends").await;
    let gate = Gate::new();
    let kit = Kit::start_in_real_time(gate.worker(&inbox)).await;
    let client = connect(kit.broker(), &inbox).await;
    for ends in ["done", "skip", "dead"] {
        let sent = send(&client, &url, json!({ "ends": ends }), until_done()).await;
        assert!(sent.is_new(), "before {ends}");
        wait_until(ends, LIMIT, async || kit.ended(sent.id())).await;
        assert_eq!(keys("unique_ends"), "", "after {ends}");
    }
    // too old: it ends without a run
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let old = client.task_in(&mut transaction, TASK, &json!({})).once(until_done());
    let old = old.expires(kit.now().plus(-1)).await.unwrap();
    transaction.commit().await.unwrap();
    wait_until("the old one", LIMIT, async || kit.ended(&old)).await;
    assert!(matches!(kit.ended(&old), Some(Ended::Skipped(_))));
    assert_eq!(keys("unique_ends"), "");
    // handled already: under an id of the caller's, which the inbox knows
    for expected in [Ended::Done, Ended::HandledAlready] {
        let mut transaction = connection.begin().await.unwrap();
        let same = client.task_in(&mut transaction, TASK, &json!({})).id("same").once(until_done());
        let same = same.send().await.unwrap();
        assert!(same.is_new(), "before {expected:?}");
        transaction.commit().await.unwrap();
        wait_until("the same id", LIMIT, async || kit.ended(same.id()).filter(|ended| *ended == expected))
            .await;
        assert_eq!(keys("unique_ends"), "", "after {expected:?}");
    }
    // it fails, waits, and fails for good
    let sent = send(&client, &url, json!({ "ends": "fail" }), until_done()).await;
    wait_until("its first attempt", LIMIT, async || {
        kit.ended(sent.id()).filter(|ended| matches!(ended, Ended::Retried { .. }))
    })
    .await;
    assert_eq!(send(&client, &url, json!({}), until_done()).await, Sent::Existing(sent.id().clone()));
    wait_until("its last attempt", LIMIT, async || {
        kit.ended(sent.id()).filter(|ended| matches!(ended, Ended::Dead(_)))
    })
    .await;
    assert_eq!(keys("unique_ends"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_the_same_waits_for_the_first_and_sends_if_that_is_rolled_back() {
    let (url, inbox) = opened("unique_waits").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    for (commits, key) in [(false, "undone"), (true, "kept")] {
        let once = || Once::until_done().key(key);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let first = client.task_in(&mut transaction, TASK, &1).once(once()).send().await.unwrap();
        let (other, address) = (client.clone(), url.clone());
        let second =
            tokio::spawn(async move { send(&other, &address, json!(2), Once::until_done().key(key)).await });
        waiting("unique_waits", 1).await;
        if commits {
            transaction.commit().await.unwrap();
            assert_eq!(second.await.unwrap(), Sent::Existing(first.id().clone()));
        } else {
            transaction.rollback().await.unwrap();
            let second = second.await.unwrap();
            assert!(
                second.is_new() && second.id() != first.id(),
                "the first one's is lost: so is the second's"
            );
        }
    }
    let bodies = "select string_agg(convert_from(body, 'UTF8'), ',' order by seq) from ponos.ponos_outbox";
    assert_eq!(sql("unique_waits", bodies), "2,1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_sent() {
    let (url, inbox) = opened("unique_many").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    for round in 0..20 {
        let once = Once::until_done().key(round);
        let all = (0..8).map(|number| send(&client, &url, json!(number), once.clone()));
        let all = futures_util::future::join_all(all).await;
        let new: Vec<&EventId> = all.iter().filter(|sent| sent.is_new()).map(Sent::id).collect();
        assert_eq!(new.len(), 1, "{all:?}");
        assert!(all.iter().all(|sent| sent.id() == new[0]), "{all:?}");
    }
    assert_eq!(sql("unique_many", "select count(*) from ponos.ponos_outbox"), "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_waits_too_long_is_told_and_its_settings_are_as_before() {
    let (url, inbox) = opened("unique_patience").await;
    let inbox = inbox.with_patience(Duration::from_millis(100));
    let client = connect(&memory::Broker::new(), &inbox).await;
    let mut first = PgConnection::connect(&url).await.unwrap();
    let mut first = first.begin().await.unwrap();
    client.task_in(&mut first, TASK, &1).once(until_done()).await.unwrap();
    let mut second = PgConnection::connect(&url).await.unwrap();
    let mut second = second.begin().await.unwrap();
    sqlx::query("set local lock_timeout = '7s'").execute(&mut *second).await.unwrap();
    let other =
        client.task_in(&mut second, TASK, &1).once(Once::until_done().key("free")).send().await.unwrap();
    assert!(other.is_new());
    let again =
        client.task_in(&mut second, TASK, &1).once(Once::until_done().key("free")).send().await.unwrap();
    assert_eq!(again, Sent::Existing(other.id().clone()));
    let setting: String = sqlx::query_scalar("show lock_timeout").fetch_one(&mut *second).await.unwrap();
    assert_eq!(setting, "7s");
    let late = client.task_in(&mut second, TASK, &1).once(until_done()).await.unwrap_err().to_string();
    assert!(late.contains("55P03"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_claims_in_its_transaction_and_what_fails_claims_nothing() {
    let (_, inbox) = opened("unique_handler").await;
    let answers: Arc<Mutex<Vec<bool>>> = Arc::default();
    let gate = Gate::new();
    let told = answers.clone();
    let changed = move |fails: bool, ctx: Context| {
        let told = told.clone();
        async move {
            for _ in 0..2 {
                let sent = ctx.once(until_done()).task(TASK, &json!({ "gate": "shut" })).await?;
                told.lock().unwrap().push(sent.is_new());
            }
            if fails { Ok(Outcome::dead("after all")) } else { Ok(Done) }
        }
    };
    let worker = gate.worker(&inbox).on::<bool>(NAME, changed);
    let mut kit = Kit::start_in_real_time(worker).await;
    for fails in [true, false, false] {
        let id = kit.publish(NAME, &fails).await;
        wait_until("the change", LIMIT, async || kit.ended(&id)).await;
    }
    assert_eq!(*answers.lock().unwrap(), [true, false, true, false, false, false]);
    assert_eq!(keys("unique_handler"), "index");
    gate.open("shut");
    kit.settled().await;
    assert_eq!((kit.published(TASK).len(), keys("unique_handler").as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_time_is_over_keeps_nobody_and_goes() {
    let (url, inbox) = opened("unique_expired").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    let lost = send(&client, &url, json!(1), until_done().at_most(Duration::from_secs(3600))).await;
    let left = "select expires > now() + interval '59 minutes' and expires <= now() + interval '1 hour' from ponos.ponos_unique";
    assert_eq!(sql("unique_expired", left), "t");
    sql("unique_expired", "update ponos.ponos_unique set expires = now()");
    let next = send(&client, &url, json!({ "gate": "next" }), until_done()).await;
    assert!(next.is_new() && next.id() != lost.id());
    let gate = Gate::new();
    let kit = Kit::start_in_real_time(gate.worker(&inbox)).await;
    wait_until("the first one's end", LIMIT, async || kit.ended(lost.id())).await;
    assert_eq!(keys("unique_expired"), "index", "its end took away what is the other's");
    gate.open("next");
    kit.settled().await;
    assert_eq!(keys("unique_expired"), "");
    kit.stop().await;
    send(&client, &url, json!(3), until_done()).await;
    assert_eq!(inbox.prune(LIMIT).await.unwrap(), 0);
    assert_eq!(keys("unique_expired"), "index");
    sql("unique_expired", "update ponos.ponos_unique set expires = now()");
    inbox.prune(LIMIT).await.unwrap();
    assert_eq!(keys("unique_expired"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_a_transaction_it_is_refused() {
    let (url, inbox) = opened("unique_bare").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let refused = client.task_in(&mut connection, TASK, &1).once(until_done()).await.unwrap_err().to_string();
    assert!(refused.contains("outside of a transaction; begin one"), "{refused}");
    assert_eq!(keys("unique_bare"), "");
    assert_eq!(sql("unique_bare", "select count(*) from ponos.ponos_outbox"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_added_to_those_of_an_earlier_version() {
    let (url, before) = opened("unique_migrated").await;
    drop(before);
    sql("unique_migrated", "drop table ponos.ponos_unique");
    let inbox = inbox(&url).await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    assert!(send(&client, &url, json!(1), until_done()).await.is_new());
}

/// Claims, says so by a file, and stands still.
#[tokio::test]
async fn is_the_sender_process() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let inbox = inbox(&url).await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let sent = client.task_in(&mut transaction, TASK, &1).once(until_done()).send().await.unwrap();
    assert!(sent.is_new());
    std::fs::write(std::env::var(MARK).unwrap(), "claimed").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_killed_with_the_row_in_hand_leaves_nothing() {
    let (url, inbox) = opened("unique_killed").await;
    let client = connect(&memory::Broker::new(), &inbox).await;
    let sandbox = Sandbox::new();
    let mark = sandbox.path("mark");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(DATABASE, &url)
        .env(MARK, &mark)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let program = sandbox.start(&mut command);
    wait_until("the other process to claim", LIMIT, async || mark.exists().then_some(())).await;
    let address = url.clone();
    let second = tokio::spawn(async move { send(&client, &address, json!(2), until_done()).await });
    waiting("unique_killed", 1).await;
    drop(program);
    assert!(second.await.unwrap().is_new());
    assert_eq!(sql("unique_killed", "select convert_from(body, 'UTF8') from ponos.ponos_outbox"), "2");
}
