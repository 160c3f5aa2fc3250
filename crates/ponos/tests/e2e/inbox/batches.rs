//! What is tied to the items of a batch: places in groups, the groups that they begin, and keys of `Once::until_done`.
#![cfg(feature = "postgres")]

use super::{opened, sql};
use ponos::{
    Once,
    inbox::Inbox,
    prelude::*,
    testing::Kit,
    worker::{Backoff, GroupEnded},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::wait_until;

const LIMIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "tied_batches";
const NAME: &str = "order.import.wanted";
const ROW: &str = "shop.row.import";
const FINISH: &str = "shop.import.finish";
const TASK: &str = "shop.index.rebuild";

#[derive(Debug, Clone, Default)]
struct Seen {
    finished: Arc<Mutex<Vec<GroupEnded>>>,
    /// How many rows each run had.
    rows: Arc<Mutex<Vec<usize>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

/// Each item begins a group, unless it is lost.
async fn wanted(items: Batch<Vec<Value>>, ctx: Context, seen: Seen) -> HandlerResult {
    for (index, rows) in items.iter().enumerate() {
        let own = items.context(index);
        let group = own.group("import")?;
        for row in rows {
            own.task_in_group(&group, ROW, row)?;
        }
        group.then(FINISH, &json!({}))?;
        if rows.contains(&json!("lost")) {
            items.dead(index, "it is lost");
        }
    }
    if items.len() > 1 {
        let refused = items.context(0).once(Once::until_done().key("one")).task(TASK, &json!({})).await;
        seen.refused.lock().unwrap().push(refused.unwrap_err().to_string());
    }
    ctx.once(Once::until_done().key("all")).task(TASK, &json!({})).await?;
    Ok(Done)
}

async fn rows(items: Batch<Value>, _: Context, seen: Seen) -> HandlerResult {
    seen.rows.lock().unwrap().push(items.len());
    for (index, row) in items.iter().enumerate() {
        match row.as_str() {
            Some("dead") => items.dead(index, "no"),
            Some("fails") if items.context(index).attempt() == 1 => items.fail(index, "not yet"),
            _ => {}
        }
    }
    Ok(Done)
}

fn shop(inbox: Inbox, seen: &Seen) -> Worker {
    let backoff = Backoff { first: Duration::from_millis(1_200), jitter: 0.0, ..Backoff::default() };
    let policy = |size| Policy::batch(size, Duration::from_millis(500)).backoff(backoff.clone());
    let (of_wanted, of_rows, of_ended) = (seen.clone(), seen.clone(), seen.clone());
    let wanted = move |items: Batch<Vec<Value>>, ctx: Context| wanted(items, ctx, of_wanted.clone());
    let rows = move |items: Batch<Value>, ctx: Context| rows(items, ctx, of_rows.clone());
    let finish = move |_: Value, ctx: Context| {
        of_ended.finished.lock().unwrap().extend(ctx.group_ended());
        async { Ok(Done) }
    };
    Worker::new("shop")
        .batch(NAME, wanted.with(policy(3)))
        .batch_task(ROW, rows.with(policy(10)))
        .batch_task(TASK, (async |_: Batch<Value>, _: Context| Ok(Done)).with(policy(10)))
        .task::<Value>(FINISH, finish)
        .inbox(inbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_keys_and_groups_of_a_batch_end_and_begin_with_each_item_that_does_not_fail() {
    let (_, inbox) = opened(DATABASE).await;
    let seen = Seen::default();
    let mut kit = Kit::start_in_real_time(shop(inbox, &seen)).await;
    kit.publish_all(NAME, &[json!([1, "fails"]), json!(["dead", 3]), json!(["lost"])]).await;
    wait_until("both groups to end", LIMIT, async || {
        (seen.finished.lock().unwrap().len() == 2).then_some(())
    })
    .await;
    let sql = |text: &str| sql(DATABASE, text);
    wait_until("the key to be free", LIMIT, async || {
        (sql("select count(*) from ponos.ponos_unique") == "0").then_some(())
    })
    .await;
    let mut ended: Vec<_> =
        seen.finished.lock().unwrap().iter().map(|it| (it.done, it.dead, it.open)).collect();
    ended.sort_unstable();
    assert_eq!(ended, [(1, 1, 0), (2, 0, 0)]);
    assert_eq!(sql("select count(*) from ponos.ponos_group"), "2", "none of what is lost");
    assert!(seen.rows.lock().unwrap().iter().any(|rows| *rows > 1), "they came in batches");
    let refused = seen.refused.lock().unwrap().clone();
    assert!(refused.len() == 1 && refused[0].contains("of one item of a batch"), "{refused:?}");
    let published = kit.published_events(TASK);
    assert_eq!(published.len(), 1, "{published:?}");
    kit.stop().await;
}
