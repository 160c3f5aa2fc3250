//! The inbox in Postgres under the suite of all inboxes; what commits together; what Postgres may do to it.
#![cfg(feature = "postgres")]

use super::inbox_conformance::{self, LIMIT, Place, handle, is_handled, key, run};
use ponos::{
    event::Message,
    inbox::{
        Begun, Entry, Held, Inbox, InboxErrorClass as Class,
        postgres::{PostgresOptions, ddl},
    },
};
use std::time::Duration;
use testkit::Postgres;

/// A database of the server that all tests of this binary share, with a table for handlers to write to.
struct Database {
    name: &'static str,
    url: String,
}

impl Database {
    fn new(name: &'static str) -> Self {
        let url = Postgres::shared().database(name);
        Postgres::shared().sql(name, "create table effects (n int)");
        Self { name, url }
    }

    fn sql(&self, statements: &str) -> String {
        Postgres::shared().sql(self.name, statements)
    }

    /// Effects, inbox rows, outbox rows.
    fn counts(&self) -> (String, String, String) {
        let count = |table: &str| self.sql(&format!("select count(*) from {table}"));
        (count("effects"), count("ponos.ponos_inbox"), count("ponos.ponos_outbox"))
    }
}

impl Place for Database {
    const DURABLE: bool = true;

    async fn open(&mut self) -> Inbox {
        Inbox::postgres(&self.url, options()).await.unwrap()
    }
}

fn options() -> PostgresOptions {
    PostgresOptions { connect_timeout: Duration::from_secs(30), ..PostgresOptions::new("docker") }
}

conformance!(tokio::test(flavor = "multi_thread", worker_threads = 2), Database::new);

fn held(id: &str) -> Held {
    let message = Message { routing_key: "a.b".into(), body: id.into(), ..Message::default() };
    Held { id: id.parse().unwrap(), exchange: "events".into(), message, due: None }
}

async fn effect(entry: &Entry, number: i32) {
    let transaction = entry.transaction().unwrap();
    let mut connection = transaction.lock().await.unwrap();
    sqlx::query("insert into effects values ($1)").bind(number).execute(&mut *connection).await.unwrap();
}

fn counts(effects: u32, inbox: u32, outbox: u32) -> (String, String, String) {
    (effects.to_string(), inbox.to_string(), outbox.to_string())
}

#[tokio::test]
async fn what_the_handler_wrote_the_row_and_the_publishes_commit_together() {
    let mut place = Database::new("together");
    let inbox = place.open().await;
    assert!(inbox.is_shared() && inbox.takes_publishes());
    let entry = run(&inbox, &key("1")).await;
    effect(&entry, 1).await;
    assert_eq!(place.counts(), counts(0, 0, 0));
    entry.done(vec![held("2"), held("3")]).await.unwrap();
    assert_eq!(place.counts(), counts(1, 1, 2));
    assert_eq!(place.sql("select string_agg(id, ',' order by seq) from ponos.ponos_outbox"), "2,3");
    let status = inbox.outbox().await.unwrap().unwrap();
    assert_eq!((status.waiting, status.failing), (2, 0));
    assert!(status.oldest.unwrap() < LIMIT);

    let entry = run(&inbox, &key("4")).await;
    effect(&entry, 2).await;
    entry.abandon().await;
    let entry = run(&inbox, &key("5")).await;
    effect(&entry, 3).await;
    drop(entry);
    handle(&inbox, &key("5")).await; // waits for the rollback
    assert_eq!(place.counts(), counts(1, 2, 2));
}

#[tokio::test]
async fn a_server_killed_before_the_end_leaves_nothing_and_after_it_everything() {
    let postgres = Postgres::start(true);
    let url = postgres.database("killed");
    postgres.sql("killed", "create table effects (n int)");
    let short = PostgresOptions { connect_timeout: Duration::from_secs(10), ..options() };
    let inbox = Inbox::postgres(&url, short).await.unwrap();

    let entry = run(&inbox, &key("before")).await;
    effect(&entry, 1).await;
    postgres.kill9();
    let error = entry.done(vec![held("2")]).await.unwrap_err();
    assert_eq!(error.class, Class::Unavailable, "{error}");
    // While it is gone: an error in time, and words without the password.
    let began = tokio::time::Instant::now();
    let error = inbox.begin(&key("gone")).await.unwrap_err();
    assert_eq!(error.class, Class::Unavailable, "{error}");
    assert!(began.elapsed() < LIMIT);
    assert!(!format!("{error} {error:?}").contains("testkit-secret"), "{error}");
    let error = Inbox::postgres(&url, options()).await.unwrap_err();
    assert_eq!(error.class, Class::Unavailable, "{error}");

    postgres.restart();
    assert_eq!(postgres.sql("killed", "select count(*) from effects"), "0");
    let again = testkit::wait_until("the inbox to work again", LIMIT, async || {
        match inbox.begin(&key("before")).await {
            Ok(Begun::Run(entry)) => Some(entry),
            Ok(Begun::Handled) => panic!("nothing was committed"),
            Err(error) => {
                assert_eq!(error.class, Class::Unavailable, "{error}");
                None
            }
        }
    });
    let entry = again.await;
    effect(&entry, 1).await;
    entry.done(vec![held("2")]).await.unwrap();
    postgres.restart();
    testkit::wait_until("the inbox to work again", LIMIT, async || {
        inbox.begin(&key("before")).await.ok().map(|begun| assert!(matches!(begun, Begun::Handled)))
    })
    .await;
    let all = "select (select count(*) from effects), (select count(*) from ponos.ponos_outbox)";
    assert_eq!(postgres.sql("killed", all), "1|1");
}

#[tokio::test]
async fn a_server_that_stands_still_is_unavailable_in_time_and_used_again_when_it_goes_on() {
    let postgres = Postgres::start(false);
    let url = postgres.database("still");
    let second = Duration::from_secs(1);
    let short =
        PostgresOptions { connect_timeout: second, call_timeout: second, connections: 2, ..options() };
    // a busy machine takes longer than that now and then
    let open = async || Inbox::postgres(&url, short.clone()).await.ok();
    let inbox = testkit::wait_until("the inbox to open", LIMIT, open).await.with_patience(second);
    testkit::wait_until("something to be handled", LIMIT, async || {
        match inbox.begin(&key("before")).await.ok()? {
            Begun::Run(entry) => entry.done(vec![]).await.ok(),
            Begun::Handled => Some(()),
        }
    })
    .await;
    postgres.pause();
    for id in 0..4 {
        let error = inbox.begin(&key(&id.to_string())).await.unwrap_err();
        assert_eq!(error.class, Class::Unavailable, "{error}");
    }
    postgres.unpause();
    testkit::wait_until("all connections to be usable again", LIMIT, async || {
        let (one, other) = (inbox.begin(&key("a")).await.ok()?, inbox.begin(&key("b")).await.ok()?);
        assert!(matches!((one, other), (Begun::Run(_), Begun::Run(_))));
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_went_on_after_a_failed_statement_commits_nothing() {
    let mut place = Database::new("failed_statement");
    let inbox = place.open().await;
    let entry = run(&inbox, &key("1")).await;
    effect(&entry, 1).await;
    {
        let transaction = entry.transaction().unwrap();
        let mut connection = transaction.lock().await.unwrap();
        assert!(sqlx::query("select 1 / 0").execute(&mut *connection).await.is_err());
    }
    let error = entry.done(vec![]).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.to_string().contains("a statement of the handler failed"), "{error}");
    assert_eq!(place.counts(), counts(0, 0, 0));
    assert!(!is_handled(&inbox, &key("1")).await);
}

async fn by_the_handler(entry: &Entry, statements: &str) {
    let transaction = entry.transaction().unwrap();
    let mut connection = transaction.lock().await.unwrap();
    // a statement that fails is one that the handler went on after
    let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut *connection).await;
}

#[tokio::test]
async fn a_handler_that_commits_or_rolls_back_itself_is_found_out_and_runs_again() {
    let mut place = Database::new("own_commit");
    let inbox = place.open().await;
    for statements in ["commit", "rollback", "commit; begin", "commit; begin; select 1 / 0"] {
        let entry = run(&inbox, &key(statements)).await;
        by_the_handler(&entry, statements).await;
        let error = entry.done(vec![held("2")]).await.unwrap_err();
        assert_eq!(error.class, Class::Refused, "{error}");
        if !statements.contains('/') {
            assert!(error.to_string().contains("ended its transaction itself"), "{error}");
        }
        assert!(!is_handled(&inbox, &key(statements)).await, "after {statements} it counts as handled");
    }
    assert_eq!(place.counts(), counts(0, 0, 0));
}

#[tokio::test]
async fn a_handler_that_commits_itself_and_fails_runs_again() {
    let mut place = Database::new("own_commit_fails");
    let inbox = place.open().await;
    let entry = run(&inbox, &key("1")).await;
    by_the_handler(&entry, "commit").await;
    entry.abandon().await;
    handle(&inbox, &key("1")).await;
    // what another run recorded meanwhile stays
    let entry = run(&inbox, &key("2")).await;
    by_the_handler(&entry, "rollback").await;
    handle(&inbox, &key("2")).await;
    entry.abandon().await;
    assert!(is_handled(&inbox, &key("2")).await);
}

#[tokio::test]
async fn a_savepoint_of_the_handlers_undoes_its_part_alone() {
    use sqlx::Connection;
    let mut place = Database::new("savepoint");
    let inbox = place.open().await;
    let entry = run(&inbox, &key("1")).await;
    effect(&entry, 1).await;
    {
        let transaction = entry.transaction().unwrap();
        let mut connection = transaction.lock().await.unwrap();
        let mut savepoint = connection.begin().await.unwrap();
        assert!(sqlx::query("select 1 / 0").execute(&mut *savepoint).await.is_err());
        savepoint.rollback().await.unwrap();
    }
    effect(&entry, 2).await;
    entry.done(vec![]).await.unwrap();
    assert_eq!(place.counts(), counts(2, 1, 0));
}

#[tokio::test]
async fn what_a_handler_leaves_behind_finds_its_transaction_ended() {
    let mut place = Database::new("leaked");
    let inbox = place.open().await;
    let entry = run(&inbox, &key("1")).await;
    let leaked = entry.transaction().unwrap();
    entry.done(vec![]).await.unwrap();
    let error = leaked.lock().await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");

    // In use at the end: nothing is recorded, and it is rolled back when it is let go.
    let entry = run(&inbox, &key("2")).await;
    effect(&entry, 1).await;
    let leaked = entry.transaction().unwrap();
    let guard = leaked.lock().await.unwrap();
    let error = entry.done(vec![]).await.unwrap_err();
    assert!(error.to_string().contains("still uses its transaction"), "{error}");
    drop(guard);
    drop(leaked);
    handle(&inbox, &key("2")).await;
    assert_eq!(place.counts(), counts(0, 2, 0));
}

#[tokio::test]
async fn a_handler_cut_off_in_a_statement_does_not_keep_its_key() {
    let mut place = Database::new("cut_off");
    let inbox = place.open().await.with_patience(LIMIT);
    let entry = run(&inbox, &key("1")).await;
    let transaction = entry.transaction().unwrap();
    let handler = tokio::spawn(async move {
        let mut connection = transaction.lock().await.unwrap();
        sqlx::query("select pg_sleep(3600)").execute(&mut *connection).await
    });
    let sleeping =
        "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
    testkit::wait_until("the statement to run", LIMIT, async || (place.sql(sleeping) == "1").then_some(()))
        .await;
    handler.abort();
    assert!(handler.await.unwrap_err().is_cancelled());
    entry.abandon().await;
    handle(&inbox, &key("1")).await;
}

#[tokio::test]
async fn replicas_that_start_together_make_the_tables_once() {
    let place = Database::new("races");
    let opening = (0..8).map(|_| Inbox::postgres(&place.url, options()));
    for opened in futures_util::future::join_all(opening).await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_is_told_and_uses_what_is_there() {
    let place = Database::new("roles");
    place.sql("create role worker login password 'secret-of-worker'");
    let url = Postgres::shared().url("worker", "secret-of-worker", "roles");
    let error = Inbox::postgres(&url, options()).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.to_string().contains("ddl"), "{error}");
    place.sql(&ddl("ponos").unwrap());
    place.sql("grant usage on schema ponos to worker; grant select, insert, update, delete on all tables in schema ponos to worker");
    let inbox = Inbox::postgres(&url, options()).await.unwrap();
    run(&inbox, &key("1")).await.done(vec![held("2")]).await.unwrap();
    assert!(is_handled(&inbox, &key("1")).await);
}

#[tokio::test]
async fn wrong_urls_passwords_databases_and_schemas_are_refused_without_the_secret() {
    let place = Database::new("wrong");
    let server = Postgres::shared();
    for (url, schema, told) in [
        ("postgres://user:hunter2@127.0.0.1:no/x".to_owned(), "ponos", "URL"),
        (server.url("postgres", "hunter2", "wrong"), "ponos", "password"),
        (server.url("postgres", "testkit-secret", "missing"), "ponos", "create the database"),
        (place.url.clone(), "Robert'); drop", "lower-case letters"),
    ] {
        let options = PostgresOptions { schema: schema.into(), ..options() };
        let error = Inbox::postgres(&url, options).await.unwrap_err();
        assert_eq!(error.class, Class::Refused, "{error}");
        let words = format!("{error} {error:?}");
        assert!(words.contains(told), "{words}");
        assert!(!words.contains("hunter2") && !words.contains("testkit-secret"), "{words}");
    }
}

#[tokio::test]
async fn a_worker_with_more_slots_than_its_inbox_has_connections_is_refused() {
    use ponos::worker::{Context, Handler, Outcome, Policy, Worker};
    let inbox = Database::new("slots").open().await;
    let worker = |concurrency| {
        let handler = async |_: serde_json::Value, _: Context| Ok(Outcome::Done);
        let policy = Policy { concurrency, ..Policy::default() };
        Worker::new("shop")
            .on::<serde_json::Value>("order.parcel.shipped", handler.with(policy))
            .inbox(inbox.clone())
    };
    worker(20).ready().unwrap();
    let refused = worker(21).ready().unwrap_err().to_string();
    assert!(refused.contains("21 tasks") && refused.contains("20 connections"), "{refused}");
}
