//! The testing kit with an inbox on Postgres: the outbox is waited for, and final handlers have a transaction too.
#![cfg(feature = "postgres")]

use ponos::{
    inbox::{Inbox, postgres::PostgresOptions},
    prelude::*,
    testing::Kit,
};
use serde_json::{Value, json};
use testkit::Postgres;

const NAME: &str = "order.item.shipped";
const TASK: &str = "order.label.print";

/// An inbox in a database of that name, with a table for handlers to write to.
async fn inbox(database: &str) -> Inbox {
    let url = Postgres::shared().database(database);
    sql(database, "create table effects (what text)");
    Inbox::postgres(&url, PostgresOptions::new("shop")).await.unwrap()
}

fn sql(database: &str, statements: &str) -> String {
    Postgres::shared().sql(database, statements)
}

async fn write(ctx: &Context, what: &str) -> Result<(), Failure> {
    let transaction = ctx.transaction().ok_or("there is no transaction")?;
    let mut connection = transaction.lock().await?;
    sqlx::query("insert into effects values ($1)").bind(what.to_owned()).execute(&mut *connection).await?;
    Ok(())
}

async fn prints(_: Value, ctx: Context) -> HandlerResult {
    write(&ctx, "printed").await?;
    Ok(Done)
}

async fn ships(_: Value, ctx: Context) -> HandlerResult {
    write(&ctx, "shipped").await?;
    ctx.task(TASK, &json!({ "order": 7 }))?;
    ctx.publish("order.label.ordered", &json!({ "order": 7 }))?;
    Ok(Done)
}

fn shop(inbox: &Inbox) -> Worker {
    Worker::new("shop")
        .on(NAME, ships)
        .task(TASK, prints)
        .publishes::<Value>("order.label.ordered")
        .inbox(inbox.clone())
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "an inbox on Postgres needs a running clock")]
async fn on_a_paused_clock_it_is_refused_at_once() {
    // nothing of a database may be waited for on a paused clock
    let opened = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(inbox("kit_paused")));
    Kit::start(shop(&opened.join().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_waits_for_the_outbox_and_for_what_follows_from_it() {
    let inbox = inbox("kit_outbox").await;
    // twice: the second run meets the rows of the first, and is not taken for it
    for run in 1..=2 {
        let mut kit = Kit::start_in_real_time(shop(&inbox)).await;
        let id = kit.publish(NAME, &json!({})).await;
        kit.settled().await;
        assert_eq!(kit.ended(&id), Some(Ended::Done));
        assert_eq!(kit.published("order.label.ordered"), [json!({ "order": 7 })]);
        assert_eq!(kit.published(TASK).len(), 1);
        assert_eq!(inbox.outbox().await.unwrap().unwrap().waiting, 0);
        let printed = sql("kit_outbox", "select count(*) from effects where what = 'printed'");
        assert_eq!(printed, run.to_string(), "the task from the outbox was not waited for");
        assert_eq!(kit.stop().await.handled, 2);
    }
}

/// What fails or says dead after it has written, as its payload says.
async fn dies(payload: Value, ctx: Context) -> HandlerResult {
    write(&ctx, "of the handler").await?;
    if payload == "dead" { Ok(Outcome::dead("never")) } else { Err("no")? }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_final_handler_writes_and_publishes_commits_together() {
    let inbox = inbox("kit_finally").await;
    async fn last(_: Value, ctx: Context) -> HandlerResult {
        write(&ctx, ctx.failure().unwrap_or_default()).await?;
        ctx.publish("order.item.lost", &json!({}))?;
        Ok(Done)
    }
    let handler = dies.with(Policy::retry(1)).finally_or_dead(last);
    let worker = Worker::new("shop").on(NAME, handler).publishes::<Value>("order.item.lost").inbox(inbox);
    let mut kit = Kit::start_in_real_time(worker).await;
    let ids = [kit.publish(NAME, &json!("fail")).await, kit.publish(NAME, &json!("dead")).await];
    kit.settled().await;
    assert_eq!(sql("kit_finally", "select string_agg(what, ',' order by what) from effects"), "never,no");
    assert_eq!((kit.published("order.item.lost").len(), kit.dead().len()), (2, 2));
    // as after a crash between the commit and the dead letter: it is not told of twice …
    let letter = kit.dead().swap_remove(0).message;
    let mut again = letter.clone();
    again.routing_key = NAME.into();
    kit.publish_message("events", again.clone()).await;
    kit.settled().await;
    assert_eq!((kit.dead().len(), sql("kit_finally", "select count(*) from effects").as_str()), (3, "2"));
    // … but once more when it was put back
    again.headers.set("requeued-count", 1);
    kit.publish_message("events", again).await;
    kit.settled().await;
    assert_eq!((kit.dead().len(), sql("kit_finally", "select count(*) from effects").as_str()), (4, "3"));
    assert!(ids.iter().all(|id| matches!(kit.ended(id), Some(Ended::Dead(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_handler_that_fails_writes_nothing_and_says_so() {
    let inbox = inbox("kit_finally_fails").await;
    async fn last(_: Value, ctx: Context) -> HandlerResult {
        write(&ctx, "of the final handler").await?;
        Err("the printer is on fire")?
    }
    let worker = Worker::new("shop").on(NAME, dies.with(Policy::retry(1)).finally(last)).inbox(inbox);
    let mut kit = Kit::start_in_real_time(worker).await;
    kit.publish(NAME, &json!("fail")).await;
    kit.settled().await;
    assert_eq!(sql("kit_finally_fails", "select count(*) from effects"), "0");
    assert_eq!(kit.dead()[0].reason, "no; its final handler failed too: the printer is on fire");
}
