//! The inbox's database goes in the middle of a task, or has no room: tasks wait, and nothing is lost, done twice, or dead.
#![cfg(feature = "postgres")]

use super::{NAME, QUEUE, stage::nothing_is_left};
use crate::real::{Running, Sender, event, holds, support::LIMIT};
use ponos::{
    inbox::{Inbox, postgres::PostgresOptions},
    prelude::*,
    worker::Backoff,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use testkit::{Node, Postgres, wait_until};
use tokio::sync::Semaphore;

const EFFECTS: &str = "create table effects (id text not null)";

/// Writes one row for each message, in the inbox's transaction; `gated` ones then wait until they are let go.
async fn worker(url: &str, gate: &Arc<Semaphore>) -> Worker {
    let gate = Arc::clone(gate);
    let handler = move |_: Value, ctx: Context| {
        let gate = Arc::clone(&gate);
        async move {
            let id = ctx.id().to_string();
            let Some(transaction) = ctx.transaction() else { return Err(Failure::new("no transaction")) };
            sqlx::query("insert into effects values ($1)")
                .bind(&id)
                .execute(&mut *transaction.lock().await?)
                .await?;
            if id.starts_with("gated") {
                gate.acquire().await?.forget();
            }
            Ok(Done)
        }
    };
    // longer than a busy machine may stand still
    let short = Duration::from_secs(10);
    let options =
        PostgresOptions { connect_timeout: short, call_timeout: short, ..PostgresOptions::new("shop") };
    let backoff = Backoff { first: Duration::from_millis(300), factor: 1.0, ..Backoff::default() };
    let policy = Policy::retry(20).backoff(backoff).concurrency(4);
    Worker::new("shop")
        .on::<Value>(NAME, handler.with(policy))
        .inbox(Inbox::postgres(url, options).await.unwrap())
}

fn events(prefix: &str, count: usize) -> Vec<ponos::event::Message> {
    (0..count).map(|number| event(&format!("{prefix}-{number}"), NAME, &json!({}))).collect()
}

/// Effects, and how many messages they are of.
fn effects(postgres: &Postgres, database: &str) -> String {
    postgres.sql(database, "select count(*) || ' of ' || count(distinct id) from effects")
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_database_is_gone_tasks_wait_and_each_effect_is_there_once() {
    let (node, postgres) = (Node::shared(), Postgres::start(true));
    let (url, database) = (node.vhost("postgres-gone"), postgres.database("gone"));
    postgres.sql("gone", EFFECTS);
    let gate = Arc::new(Semaphore::new(0));
    let running = Running::start(&url, worker(&database, &gate).await).await;
    let mut sender = Sender::new(&url).await;
    sender.send(events("before", 20)).await;
    running.ends.done(20).await;
    sender.send(events("gated", 2)).await;
    wait_until("two to have written and not committed", LIMIT, async || {
        let open = "select count(*) from pg_stat_activity where state = 'idle in transaction' and query like 'insert into effects%'";
        (postgres.sql("gone", open) == "2").then_some(())
    })
    .await;
    postgres.kill9();
    gate.add_permits(1_000);
    sender.send(events("meanwhile", 6)).await;
    holds(node, "postgres-gone", QUEUE, 0).await;
    assert!(running.ends.all().iter().filter(|(_, ended)| *ended == Ended::Done).count() == 20);
    postgres.restart();
    running.ends.done(28).await;
    assert_eq!(effects(&postgres, "gone"), "28 of 28");
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.left.len()), (28, 0, 0), "{report}");
    // what waits is not tried again and again
    assert!(report.retried + report.released <= 20, "{report}");
    nothing_is_left(node, "postgres-gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_disk_is_full_tasks_wait_and_go_on_when_there_is_room() {
    let (node, postgres) = (Node::shared(), Postgres::shared());
    let (url, database) = (node.vhost("postgres-full"), postgres.database("full"));
    postgres.sql("full", EFFECTS);
    let gate = Arc::new(Semaphore::new(1_000));
    let running = Running::start(&url, worker(&database, &gate).await).await;
    let mut sender = Sender::new(&url).await;
    sender.send(events("before", 20)).await;
    running.ends.done(20).await;
    // as the server says it
    let full = "create function no_room() returns trigger language plpgsql as $$ begin
            perform nextval('refusals');
            raise exception 'could not extend file: No space left on device' using errcode = '53100';
        end $$;
        create sequence refusals;
        create trigger no_room before insert on ponos.ponos_inbox execute function no_room()";
    postgres.sql("full", full);
    sender.send(events("meanwhile", 8)).await;
    wait_until("the database to have refused", LIMIT, async || {
        (postgres.sql("full", "select last_value from refusals").parse::<u64>().unwrap() >= 4).then_some(())
    })
    .await;
    assert_eq!(running.ends.all().len(), 20, "{:?}", running.ends.all());
    postgres.sql("full", "drop trigger no_room on ponos.ponos_inbox");
    running.ends.done(28).await;
    assert_eq!(effects(postgres, "full"), "28 of 28");
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (28, 0, 0), "{report}");
    nothing_is_left(node, "postgres-full").await;
}
