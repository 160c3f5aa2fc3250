//! Groups: what is sent when all members have ended, once, whatever happens in between.
#![cfg(feature = "postgres")]

use super::sql;
use ponos::{
    inbox::{
        Inbox,
        postgres::{PostgresOptions, WaitingFilter, WaitingKind},
    },
    prelude::*,
    testing::{DeadLetter, Kit},
    worker::GroupEnded,
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Postgres, wait_until};
use tokio::sync::Barrier;

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "order.import.wanted";
const ROW: &str = "shop.row.import";
const FINISH: &str = "shop.import.finish";
const LOST: &str = "shop.row.lost";

async fn inbox(database: &str) -> Inbox {
    let url = Postgres::shared().database(database);
    let options = PostgresOptions { connections: 40, ..PostgresOptions::new("shop") };
    Inbox::postgres(&url, options).await.unwrap()
}

/// What the groups sent, with the data of it.
type Told = Arc<Mutex<Vec<(Value, Option<GroupEnded>)>>>;

/// The members of a group are rows, each of which says how it ends.
fn shop(inbox: &Inbox, told: &Told) -> Worker {
    async fn wanted(rows: Vec<Value>, ctx: Context) -> HandlerResult {
        let group = ctx.group("import")?;
        let (fails, rows): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| *row == "fails");
        for row in &rows {
            ctx.task_in_group(&group, ROW, row)?;
        }
        group.then(FINISH, &json!({ "rows": rows.len() }))?;
        group.on_dead(LOST, &json!("lost"))?;
        if fails.is_empty() { Ok(Done) } else { Err("after all")? }
    }
    async fn row(row: Value, ctx: Context) -> HandlerResult {
        assert_eq!(ctx.group_ended(), None, "a member is not what its group sends");
        match row.as_str().unwrap_or_default() {
            "skip" => Ok(Skip),
            "later" => Ok(Outcome::snooze(Duration::from_secs(3_600))),
            "dead" if ctx.event().extensions.get("requeued-count").is_none() => Ok(Outcome::dead("no")),
            _ => Ok(Done),
        }
    }
    let note = |told: &Told| {
        let told = told.clone();
        move |data: Value, ctx: Context| {
            told.lock().unwrap().push((data, ctx.group_ended()));
            async { Ok(Done) }
        }
    };
    Worker::new("shop")
        .on(NAME, wanted.with(Policy::retry(1)))
        .task(ROW, row)
        .task::<Value>(FINISH, note(told))
        .task::<Value>(LOST, note(told))
        .inbox(inbox.clone())
}

fn ended(done: u64, dead: u64, open: u64) -> Option<GroupEnded> {
    Some(GroupEnded { name: "import".into(), done, dead, cancelled: 0, open })
}

async fn started(database: &str) -> (Inbox, Told, Kit) {
    let (inbox, told) = (inbox(database).await, Told::default());
    let kit = Kit::start_in_real_time(shop(&inbox, &told)).await;
    (inbox, told, kit)
}

fn told_of(told: &Told) -> Vec<(Value, Option<GroupEnded>)> {
    told.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_none_one_or_some_sends_once_when_all_have_ended() {
    let (_, told, mut kit) = started("group_sizes").await;
    for rows in [json!([]), json!([1]), json!([1, "skip", 3])] {
        kit.publish(NAME, &rows).await;
        kit.settled().await;
    }
    let finished = |rows: u64| (json!({ "rows": rows }), ended(rows, 0, 0));
    assert_eq!(told_of(&told), [finished(0), finished(1), finished(3)]);
    let rows =
        "select string_agg(open || ' ' || done || ' ' || dead, ',' order by begun) from ponos.ponos_group";
    assert_eq!(sql("group_sizes", rows), "0 0 0,0 1 0,0 3 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_begins_no_group() {
    let (_, told, mut kit) = started("group_fails").await;
    kit.publish(NAME, &json!([1, "fails"])).await;
    kit.settled().await;
    assert_eq!((kit.dead().len(), told_of(&told).len()), (1, 0));
    assert_eq!(sql("group_fails", "select count(*) from ponos.ponos_group"), "0");
}

/// The letter as the program requeues it.
fn requeued(letter: &DeadLetter) -> ponos::event::Message {
    let mut message = letter.message.clone();
    message.routing_key = letter.queue.clone();
    message.headers.set("requeued-count", 1);
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_one_is_told_of_at_once_and_counted_and_requeued_it_changes_the_counts_alone() {
    let (_, told, mut kit) = started("group_dead").await;
    kit.publish(NAME, &json!(["dead", "dead", 1])).await;
    kit.settled().await;
    let mut all = told_of(&told);
    all.sort_by_key(|(data, _)| data.to_string());
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((&all[0].0, all[0].1.as_ref().unwrap().dead), (&json!("lost"), 1));
    assert_eq!(all[1], (json!({ "rows": 3 }), ended(1, 2, 0)));
    let letters = kit.dead();
    for letter in &letters {
        kit.publish_message("tasks", requeued(letter)).await;
    }
    kit.settled().await;
    // and once more, as after a crash before its ack
    kit.publish_message("tasks", requeued(&letters[0])).await;
    kit.settled().await;
    assert_eq!(told_of(&told).len(), 2, "nothing is sent again");
    assert_eq!(
        sql("group_dead", "select open || ' ' || done || ' ' || dead from ponos.ponos_group"),
        "0 3 0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_dropped_while_it_waits_counts_as_dead() {
    let (inbox, told, mut kit) = started("group_dropped").await;
    kit.publish(NAME, &json!(["later", 1])).await;
    let retries = WaitingFilter { kind: Some(WaitingKind::Retry), ..WaitingFilter::default() };
    let waiting = inbox.waiting(retries).unwrap();
    let dropped = wait_until("its retry to be dropped", LIMIT, async || {
        let change = waiting.drop().await.unwrap();
        (change.changed > 0).then_some(change)
    })
    .await;
    assert_eq!(dropped.changed, 1);
    wait_until("what the group sends", LIMIT, async || (told_of(&told).len() == 2).then_some(())).await;
    let all = told_of(&told);
    assert!(all.contains(&(json!({ "rows": 2 }), ended(1, 1, 0))), "{all:?}");
    assert!(all.iter().any(|(data, _)| *data == json!("lost")), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_while_it_waits_counts_as_such_and_is_no_death() {
    let (inbox, told, mut kit) = started("group_cancelled").await;
    kit.publish(NAME, &json!(["later", 1])).await;
    let retries = WaitingFilter { kind: Some(WaitingKind::Retry), ..WaitingFilter::default() };
    let waiting = inbox.waiting(retries).unwrap();
    wait_until("its retry to be cancelled", LIMIT, async || {
        (waiting.cancel().await.unwrap().changed > 0).then_some(())
    })
    .await;
    wait_until("what the group sends", LIMIT, async || (!told_of(&told).is_empty()).then_some(())).await;
    kit.settled().await;
    let ended = GroupEnded { cancelled: 1, ..ended(1, 0, 0).unwrap() };
    assert_eq!(told_of(&told), [(json!({ "rows": 2 }), Some(ended))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_after_its_commit_is_counted_once() {
    let (_, told, mut kit) = started("group_again").await;
    kit.publish(NAME, &json!([1, 2])).await;
    kit.settled().await;
    let members = kit.published_events(ROW);
    for member in members {
        let mut message = member.into_message();
        message.routing_key = format!("shop.{ROW}");
        kit.publish_message("tasks", message).await;
    }
    kit.settled().await;
    assert_eq!(told_of(&told), [(json!({ "rows": 2 }), ended(2, 0, 0))]);
    assert_eq!(sql("group_again", "select open || ' ' || done from ponos.ponos_group"), "0 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_end_at_the_same_instant_one_is_the_last() {
    const GROUPS: usize = 100;
    let inbox = inbox("group_instant").await;
    let told = Told::default();
    let meeting = Arc::new(Barrier::new(2));
    let note = told.clone();
    async fn wanted(_: Value, ctx: Context) -> HandlerResult {
        let group = ctx.group("pair")?;
        ctx.task_in_group(&group, ROW, &1)?;
        ctx.task_in_group(&group, ROW, &2)?;
        group.then(FINISH, &json!({}))?;
        Ok(Done)
    }
    let row = move |_: u64, _: Context| {
        let meeting = meeting.clone();
        async move {
            meeting.wait().await;
            Ok(Done)
        }
    };
    let worker = Worker::new("shop")
        .on::<Value>(NAME, wanted)
        // two at a time, which meet
        .task::<u64>(ROW, row.with(Policy::default().concurrency(2).timeout(LIMIT)))
        .task::<Value>(FINISH, move |data: Value, ctx: Context| {
            note.lock().unwrap().push((data, ctx.group_ended()));
            async { Ok(Done) }
        })
        .inbox(inbox);
    let mut kit = Kit::start_in_real_time(worker).await;
    for _ in 0..GROUPS {
        kit.publish(NAME, &json!({})).await;
    }
    wait_until("all groups to end", 4 * LIMIT, async || (told.lock().unwrap().len() >= GROUPS).then_some(()))
        .await;
    kit.settled().await;
    let told = told_of(&told);
    assert_eq!(told.len(), GROUPS);
    let pair = Some(GroupEnded { name: "pair".into(), done: 2, dead: 0, cancelled: 0, open: 0 });
    assert!(told.iter().all(|(_, ended)| *ended == pair), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_time_is_over_sends_with_what_is_open_and_goes() {
    let (inbox, told, mut kit) = started("group_expired").await;
    kit.publish(NAME, &json!([1])).await;
    kit.settled().await;
    // as if its member had been purged
    sql(
        "group_expired",
        "update ponos.ponos_group set open = 1, done = 0, then_sent = null; update ponos.ponos_member set state = 'open'",
    );
    inbox.prune(LIMIT).await.unwrap();
    let left =
        "select (expires > now() + interval '6 days') || ' ' || (then_sent is null) from ponos.ponos_group";
    assert_eq!(sql("group_expired", left), "true true");
    // its task has an id by which it is taken once
    sql("group_expired", "delete from ponos.ponos_inbox; update ponos.ponos_group set expires = now()");
    inbox.prune(Duration::from_secs(3600)).await.unwrap();
    kit.settled().await;
    assert_eq!(told_of(&told)[1..], [(json!({ "rows": 1 }), ended(0, 0, 1))]);
    inbox.prune(Duration::from_secs(3600)).await.unwrap();
    let rows = "select (select count(*) from ponos.ponos_group) + (select count(*) from ponos.ponos_member)";
    assert_eq!(sql("group_expired", rows), "0");
}
