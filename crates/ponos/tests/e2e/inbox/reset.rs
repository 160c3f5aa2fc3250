//! What a handler leaves on its connection to Postgres hits no other task.
#![cfg(feature = "postgres")]

use ponos::{
    event::EventId,
    inbox::{Begun, Entry, Inbox, InboxKey, postgres::PostgresOptions},
};
use std::time::Duration;
use testkit::Postgres;

const LIMIT: Duration = Duration::from_secs(60);

/// With one connection, so that the next task has the one of the last.
async fn inbox(database: &str) -> Inbox {
    let url = Postgres::shared().database(database);
    let options = PostgresOptions { connections: 1, connect_timeout: LIMIT, ..PostgresOptions::new("shop") };
    Inbox::postgres(&url, options).await.unwrap()
}

async fn run(inbox: &Inbox, id: &str) -> Entry {
    let id: EventId = id.parse().unwrap();
    let key = InboxKey { queue: "q".into(), handler: "h".into(), source: "/s".into(), id };
    match inbox.begin(&key).await.unwrap() {
        Begun::Run(entry) => entry,
        Begun::Handled => panic!("it was handled before"),
    }
}

async fn execute(entry: &Entry, statements: &'static str) {
    let transaction = entry.transaction().unwrap();
    let mut connection = transaction.lock().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut *connection).await.unwrap();
}

async fn text(entry: &Entry, select: &'static str) -> String {
    let transaction = entry.transaction().unwrap();
    let mut connection = transaction.lock().await.unwrap();
    sqlx::query_scalar(select).fetch_one(&mut *connection).await.unwrap()
}

const BACKEND: &str = "select pg_backend_pid()::text";
/// What a session can hold, as one text. (A setting of one's own that was reset is empty, no longer null.)
const STATE: &str = "select concat_ws(',', current_user, session_user, current_setting('statement_timeout'),
        nullif(current_setting('app.tenant', true), ''), current_setting('search_path'), current_setting('TimeZone'),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        (select count(*) from pg_class where relpersistence = 't'),
        (select count(*) from pg_cursors where is_holdable),
        (select count(*) from pg_listening_channels()),
        (select count(*) from pg_prepared_statements where from_sql))";
const CACHED: &str = "select count(*)::text from pg_prepared_statements where not from_sql
        and statement like '%ponos_inbox%'";
const KEEPALIVE: &str = "select current_setting('tcp_keepalives_idle')";

#[tokio::test]
async fn nothing_of_a_handlers_session_stays_for_the_next_one() {
    let inbox = inbox("reset").await;
    Postgres::shared().sql("reset", "create role reader; create sequence numbers");
    let first = run(&inbox, "first").await;
    let (backend, clean) = (text(&first, BACKEND).await, text(&first, STATE).await);
    first.done(vec![]).await.unwrap();
    for (number, left) in [
        "set statement_timeout = '7s'",
        "set app.tenant = 'one'",
        "set search_path = pg_temp",
        "set time zone 'Asia/Tokyo'",
        "set role reader",
        "set session authorization reader",
        "select pg_advisory_lock(7)",
        "create temporary table left_over as select 1 as n",
        "declare held cursor with hold for select 1",
        "listen told",
        "prepare own as select 1",
        "select nextval('numbers')",
    ]
    .into_iter()
    .enumerate()
    {
        // whether it succeeds or fails
        for succeeds in [true, false] {
            let entry = run(&inbox, &format!("{number}-{succeeds}")).await;
            execute(&entry, left).await;
            if succeeds {
                entry.done(vec![]).await.unwrap()
            } else {
                entry.abandon().await
            }
            let next = run(&inbox, &format!("{number}-{succeeds}-next")).await;
            assert_eq!(text(&next, STATE).await, clean, "after {left}; succeeds: {succeeds}");
            assert_eq!(text(&next, BACKEND).await, backend, "it is another connection");
            next.abandon().await;
        }
    }
    let last = run(&inbox, "last").await;
    let lastval = "do $$ begin perform lastval(); raise 'there is a last value';
        exception when object_not_in_prerequisite_state then null; end $$";
    execute(&last, lastval).await;
    assert_ne!(text(&last, CACHED).await, "0", "the statement cache was given up");
    assert_eq!(text(&last, KEEPALIVE).await, "30", "our own settings are gone");
}

#[tokio::test]
async fn a_handlers_transaction_may_idle_longer_than_the_server_allows_others() {
    let name = "idles";
    Postgres::shared().database(name);
    let set = format!("alter database {name} set idle_in_transaction_session_timeout = '50ms'");
    Postgres::shared().sql(name, &set);
    let url = Postgres::shared().url("postgres", "testkit-secret", name);
    let options = PostgresOptions { connections: 1, connect_timeout: LIMIT, ..PostgresOptions::new("shop") };
    let inbox = Inbox::postgres(&url, options).await.unwrap();
    const IDLE: &str = "select current_setting('idle_in_transaction_session_timeout')";
    // the second has what was reset after the first
    for id in ["first", "second"] {
        let entry = run(&inbox, id).await;
        assert_eq!(text(&entry, IDLE).await, "0", "{id}");
        entry.done(vec![]).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_reset_is_given_up() {
    use sqlx::Connection;
    let (server, name) = (Postgres::shared(), "reset_fails");
    let inbox = inbox(name).await;
    // which is what the reset waits for, too
    server.sql(name, &format!("alter database {name} set lock_timeout = '200ms'"));
    let entry = run(&inbox, "first").await;
    let backend = text(&entry, BACKEND).await;
    execute(&entry, "create temporary table left_over as select 1 as n; commit; begin").await;
    let schema = text(&entry, "select pg_my_temp_schema()::regnamespace::text").await;
    let url = server.url("postgres", "testkit-secret", name);
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut holds = other.begin().await.unwrap();
    let lock = sqlx::AssertSqlSafe(format!("lock table {schema}.left_over in access share mode"));
    sqlx::raw_sql(lock).execute(&mut *holds).await.unwrap();
    entry.done(vec![]).await.unwrap_err();
    let next = run(&inbox, "next").await;
    assert_ne!(text(&next, BACKEND).await, backend, "it is used again with what was left on it");
}
