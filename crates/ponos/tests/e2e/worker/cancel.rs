//! Messages that are cancelled on a real RabbitMQ: said while a worker is not connected, while they are at work, twice, and of the last
//! member of a group.

use super::{NAME, parcel, shop, stage::nothing_is_left};
use crate::real::{Running, Sender, support};
use ponos::{Client, broker::Transport, client::Cancel, prelude::*};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use support::LIMIT;
use testkit::{Node, wait_until};

async fn client(url: &str) -> Client {
    Client::connect_on(Transport::amqp(support::config(url)), "ops").await.unwrap()
}

async fn cancel(client: &Client, id: &str) {
    let which = Cancel::of("shop").why("sent twice");
    client.cancel(&[id.parse().unwrap()], which).await.unwrap();
}

fn cancelled() -> Ended {
    Ended::Cancelled("cancelled by ops: sent twice".into())
}

/// Never ends by itself; how many have begun.
fn endless(begun: &Arc<AtomicUsize>) -> Worker {
    let begun = Arc::clone(begun);
    let handler = move |_: Value, ctx: Context| {
        begun.fetch_add(1, SeqCst);
        async move {
            ctx.cancelled().await;
            std::future::pending::<HandlerResult>().await
        }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().timeout(LIMIT * 2)))
}

async fn begun(begun: &AtomicUsize, count: usize) {
    wait_until("tasks to be begun", LIMIT, async || (begun.load(SeqCst) >= count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_twice_before_it_comes_is_dropped_once() {
    let (node, vhost) = (Node::shared(), "cancel-twice");
    let url = node.vhost(vhost);
    let first = Running::start(&url, shop()).await;
    let client = client(&url).await;
    cancel(&client, "gone").await;
    cancel(&client, "gone").await;
    // nobody is there meanwhile: what is said lasts
    first.stop().await;
    Sender::new(&url).await.send(vec![parcel("gone"), parcel("kept")]).await;
    let second = Running::start(&url, shop()).await;
    second.ends.until(2, "both to end", |_| true).await;
    let mut ends = second.ends.all();
    ends.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(ends, [("gone".to_owned(), cancelled()), ("kept".to_owned(), Ended::Done)]);
    let report = second.stop().await;
    assert_eq!((report.handled, report.cancelled, report.dead), (1, 1, 0), "{report}");
    nothing_is_left(node, vhost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_work_is_told_and_dropped() {
    let (node, vhost) = (Node::shared(), "cancel-at-work");
    let (url, count) = (node.vhost(vhost), Arc::default());
    let running = Running::start(&url, endless(&count)).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    begun(&count, 1).await;
    cancel(&client(&url).await, "one").await;
    running.ends.satisfy("it to be cancelled", |ends| *ends == [("one".to_owned(), cancelled())]).await;
    let report = running.stop().await;
    assert_eq!((report.cancelled, report.retried, report.dead), (1, 0, 0), "{report}");
    nothing_is_left(node, vhost).await;
    assert_eq!(count.load(SeqCst), 1, "it is not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_a_worker_is_not_connected_is_obeyed_once_it_is_back() {
    let (node, count) = (Node::start(), Arc::default());
    let url = node.url();
    let running = Running::start(&url, endless(&count)).await;
    Sender::new(&url).await.send(vec![parcel("one")]).await;
    begun(&count, 1).await;
    node.write_down();
    node.kill9();
    node.restart();
    cancel(&client(&url).await, "one").await;
    // the task that was at work, and what comes again for it
    let all_are_cancelled =
        |ends: &[(String, Ended)]| ends.len() >= 2 && ends.iter().all(|(_, ended)| *ended == cancelled());
    running.ends.satisfy("all to be cancelled", all_are_cancelled).await;
    assert!(all_are_cancelled(&running.ends.all()), "{:?}", running.ends.all());
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (0, 0, 0), "{report}");
    nothing_is_left(&node, "/").await;
}

#[cfg(feature = "postgres")]
mod with_postgres {
    use super::{cancel, cancelled, client};
    use crate::real::{Running, Sender, event, support::LIMIT};
    use ponos::{
        inbox::{Inbox, postgres::PostgresOptions},
        prelude::*,
        worker::GroupEnded,
    };
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use testkit::{Node, Postgres, wait_until};

    const WANTED: &str = "order.import.wanted";
    const ROW: &str = "shop.row.import";
    const FINISH: &str = "shop.import.finish";

    async fn wanted(_: Value, ctx: Context) -> HandlerResult {
        let group = ctx.group("import")?;
        for row in ["done", "endless"] {
            ctx.task_in_group(&group, ROW, &row)?;
        }
        group.then(FINISH, &json!({}))?;
        Ok(Done)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn with_the_last_member_its_group_ends_and_nothing_of_that_one_is_written() {
        let (database, url) = ("cancel_group", Node::shared().vhost("cancel-group"));
        let inbox = Postgres::shared().database(database);
        let sql = |statement: &str| Postgres::shared().sql(database, statement);
        sql("create table effects (what text)");
        let inbox = Inbox::postgres(&inbox, PostgresOptions::new("shop")).await.unwrap();
        // the id of the member that never ends by itself, and what became of the group
        let endless = Arc::<Mutex<Option<String>>>::default();
        let told = Arc::<Mutex<Vec<GroupEnded>>>::default();
        let (member, note) = (Arc::clone(&endless), Arc::clone(&told));
        let row = move |row: String, ctx: Context| {
            let member = Arc::clone(&member);
            async move {
                let transaction = ctx.transaction().ok_or("there is no transaction")?;
                let mut connection = transaction.lock().await?;
                sqlx::query("insert into effects values ($1)")
                    .bind(row.clone())
                    .execute(&mut *connection)
                    .await?;
                drop(connection);
                if row == "endless" {
                    *member.lock().unwrap() = Some(ctx.id().to_string());
                    std::future::pending::<()>().await;
                }
                Ok::<_, Failure>(Done)
            }
        };
        let finish = move |_: Value, ctx: Context| {
            note.lock().unwrap().extend(ctx.group_ended());
            async { Ok(Done) }
        };
        let worker = Worker::new("shop")
            .on::<Value>(WANTED, wanted.with(Policy::default().concurrency(2)))
            .task::<String>(ROW, row.with(Policy::default().concurrency(2).timeout(LIMIT * 2)))
            .task::<Value>(FINISH, finish.with(Policy::default().concurrency(2)))
            .inbox(inbox);
        let running = Running::start(&url, worker).await;
        Sender::new(&url).await.send(vec![event("1", WANTED, &json!({}))]).await;
        let id =
            wait_until("the member to be at work", LIMIT, async || endless.lock().unwrap().clone()).await;
        let done = "select count(*) from effects";
        wait_until("the other to be done", LIMIT, async || (sql(done) == "1").then_some(())).await;
        cancel(&client(&url).await, &id).await;
        let sent = async || told.lock().unwrap().first().cloned();
        let ended = wait_until("what the group sends", LIMIT, sent).await;
        let wanted = GroupEnded { name: "import".into(), done: 1, dead: 0, cancelled: 1, open: 0 };
        assert_eq!((ended, sql("select string_agg(what, ',') from effects").as_str()), (wanted, "done"));
        running.ends.satisfy("it to be cancelled", |ends| ends.contains(&(id.clone(), cancelled()))).await;
        let report = running.stop().await;
        assert_eq!((report.cancelled, report.dead, report.retried), (1, 0, 0), "{report}");
    }
}
