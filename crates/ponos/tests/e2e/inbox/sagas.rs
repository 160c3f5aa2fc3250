//! Sagas: a state for each key that commits with its handlers, and timeouts that are its own.
#![cfg(feature = "postgres")]

use super::{opened, sql};
use ponos::{
    Event, Task,
    inbox::{
        Inbox,
        postgres::{PostgresOptions, WaitingFilter, WaitingKind},
    },
    prelude::*,
    schemars,
    testing::Kit,
    worker::SagaTimeout,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{fmt::Display, time::Duration};
use testkit::wait_until;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const PLACED: Event<Change> = Event::new("order.cart.placed");
const PAID: Event<Change> = Event::new("order.bill.paid");
const UNPAID: Task<SagaTimeout> = Task::new("shop.order.remind");
const PACK: &str = "shop.order.pack";

#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Change {
    order: String,
    #[serde(default)]
    what: String,
}

#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Order {
    placed: u32,
    #[serde(default)]
    paid: bool,
    #[serde(default)]
    reminded: u32,
    #[serde(default)]
    text: String,
}

async fn placed(change: Change, ctx: Context) -> HandlerResult {
    let order = ctx.saga::<Order>()?;
    assert_eq!(order.key(), change.order);
    assert_eq!(order.is_new(), order.with(|order| order.placed == 0));
    order.with(|order| order.placed += 1);
    order.timeout(UNPAID, HOUR)?;
    ends(&change, &ctx)
}

async fn paid(change: Change, ctx: Context) -> HandlerResult {
    let order = ctx.saga::<Order>()?;
    order.with(|order| order.paid = true);
    ctx.task(PACK, &change.order)?;
    ends(&change, &ctx)
}

/// As the event says.
fn ends(change: &Change, ctx: &Context) -> HandlerResult {
    let order = ctx.saga::<Order>()?;
    match change.what.as_str() {
        "end" => order.end(),
        "cancel" => order.cancel(UNPAID),
        "large" => order.with(|order| order.text = "x".repeat(300 << 10)),
        "fail" => Err("after all")?,
        "panic" => panic!("after all"),
        "skip" => return Ok(Skip),
        _ => {}
    }
    Ok(Done)
}

async fn unpaid(timeout: SagaTimeout, ctx: Context) -> HandlerResult {
    let order = ctx.saga::<Order>()?;
    assert_eq!(timeout.key, order.key());
    if order.with(|order| order.text == "fails") {
        Err("not now")?;
    }
    order.with(|order| order.reminded += 1);
    Ok(Done)
}

fn shop() -> Worker {
    async fn last(_: Change, ctx: Context) -> HandlerResult {
        ctx.saga::<Order>()?.with(|order| order.text = ctx.failure().unwrap_or_default().to_owned());
        Ok(Done)
    }
    let policy = Policy::retry(1).concurrency(16);
    Worker::new("shop")
        .saga::<Order>("order", policy.clone(), |saga| {
            saga.starts(PLACED, |placed| placed.order.clone(), placed)
                .on(PAID, |paid| paid.order.clone(), paid.with(policy).finally(last))
                .timeout(UNPAID, unpaid.with(Policy::retry(1)))
        })
        .task(PACK, async |_: String, _: Context| Ok(Done))
}

/// With a connection for each handler.
async fn connected(url: &str) -> Inbox {
    let options = PostgresOptions { connections: 40, ..PostgresOptions::new("shop") };
    Inbox::postgres(url, options).await.unwrap()
}

async fn started(database: &str) -> (Inbox, Kit) {
    let (url, _) = opened(database).await;
    let inbox = connected(&url).await.with_patience(LIMIT);
    let kit = Kit::start_in_real_time(shop().inbox(inbox.clone())).await;
    (inbox, kit)
}

/// Sends it, and says how it ended.
async fn handled(kit: &mut Kit, event: Event<Change>, what: &str) -> Ended {
    let id = kit.publish(event.name(), &json!({ "order": "7", "what": what })).await;
    kit.settled().await;
    kit.ended(&id).unwrap()
}

/// What is told of the saga's row; empty if there is none.
fn told(database: &str, what: impl Display) -> String {
    sql(
        database,
        &format!(
            "select {what} from ponos.ponos_saga where service = 'shop' and saga = 'order' and key = '7'"
        ),
    )
}

fn placed_of(database: &str) -> String {
    told(database, "state->>'placed'")
}

fn timeouts(database: &str) -> String {
    sql(database, "select count(*) from ponos.ponos_outbox where kind = 'timeout' and key = 'timeout:' || id")
}

/// A copy of the timeout that waits, as if a relay had sent it already when it was taken back.
fn copy_the_timeout(database: &str) -> String {
    let copy = "insert into ponos.ponos_outbox (service, id, exchange, head, body, kind, key, name, queue, next_try, due)
        select service, id, exchange, head, body, kind, 'copy', name, queue, next_try, due from ponos.ponos_outbox
        where kind = 'timeout' returning id";
    let id = sql(database, copy);
    id.lines().next().unwrap_or_default().to_owned()
}

/// All that waits is due.
fn is_due(database: &str, which: &str) {
    sql(database, &format!("update ponos.ponos_outbox set due = now(), next_try = now() where {which}"));
}

async fn ended(kit: &Kit, id: &str) -> Ended {
    let id = id.parse().unwrap();
    wait_until("the timeout", LIMIT, async || kit.ended(&id)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_key_share_a_state_from_the_start_to_the_end() {
    let db = "saga_life";
    let (inbox, mut kit) = started(db).await;
    assert!(matches!(handled(&mut kit, PAID, "").await, Ended::Skipped(_)), "it was not started");
    assert_eq!((told(db, "key").as_str(), kit.published(PACK).len()), ("", 0));
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
    assert_eq!(handled(&mut kit, PAID, "").await, Ended::Done);
    assert_eq!(told(db, "(state->>'placed') || (state->>'paid')"), "2true");
    assert_eq!((timeouts(db).as_str(), kit.published(PACK).len()), ("1", 1));
    let waits = inbox.waiting(WaitingFilter { kind: Some(WaitingKind::Timeout), ..WaitingFilter::default() });
    let one = waits.unwrap().list(None, 10).await.unwrap().messages.remove(0);
    assert_eq!((one.name.as_deref(), one.kind), (Some(UNPAID.name()), WaitingKind::Timeout));
    assert_eq!(told(db, format!("timeouts->>'{}'", UNPAID.name())), one.id);
    assert_eq!(handled(&mut kit, PAID, "end").await, Ended::Done);
    assert_eq!((told(db, "key").as_str(), timeouts(db).as_str()), ("", "0"));
    assert!(matches!(handled(&mut kit, PAID, "").await, Ended::Skipped(_)), "it has ended");
    assert_eq!(kit.published(PACK).len(), 2);
    // one that ends at once leaves nothing; and the next begins anew
    assert_eq!(handled(&mut kit, PLACED, "end").await, Ended::Done);
    assert_eq!((told(db, "key").as_str(), timeouts(db).as_str()), ("", "0"));
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
    assert_eq!(placed_of(db), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_start_at_once_start_one_and_lose_nothing() {
    let (_, mut kit) = started("saga_at_once").await;
    let mut ids = Vec::new();
    for number in 0..200 {
        let order = (number / 8).to_string();
        ids.push(kit.publish(PLACED.name(), &json!({ "order": order })).await);
    }
    kit.settled().await;
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)), "{:?}", kit.dead());
    let each = "select count(*) || ' ' || min((state->>'placed')::int) || ' ' || max((state->>'placed')::int)
        from ponos.ponos_saga";
    assert_eq!(sql("saga_at_once", each), "25 8 8");
    assert_eq!(timeouts("saga_at_once"), "25");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_end_and_start_at_once_leave_whole_sagas() {
    let (_, mut kit) = started("saga_ends").await;
    let mut ids = Vec::new();
    for number in 0..200 {
        let what = if number % 3 == 0 { "end" } else { "" };
        ids.push(kit.publish(PLACED.name(), &json!({ "order": "7", "what": what })).await);
    }
    kit.settled().await;
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)), "{:?}", kit.dead());
    // one or none, and its timeout with it
    let sagas = sql("saga_ends", "select count(*) from ponos.ponos_saga");
    assert_eq!(timeouts("saga_ends"), sagas);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_leaves_it_as_it_was() {
    let db = "saga_rolled_back";
    let (_, mut kit) = started(db).await;
    for what in ["fail", "panic", "skip", "large"] {
        assert_ne!(handled(&mut kit, PLACED, what).await, Ended::Done);
        assert_eq!((told(db, "key").as_str(), timeouts(db).as_str()), ("", "0"), "{what}: it did not begin");
    }
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
    let before = told(db, "state || timeouts");
    for what in ["fail", "panic", "skip", "large"] {
        assert_ne!(handled(&mut kit, PLACED, what).await, Ended::Done);
        assert_eq!((told(db, "state || timeouts"), timeouts(db).as_str()), (before.clone(), "1"), "{what}");
    }
    let reasons: Vec<String> = kit.dead().into_iter().map(|letter| letter.reason).collect();
    let large = "bytes, and at most 262144 are allowed: keep what is large in tables of your own";
    assert_eq!(reasons.iter().filter(|reason| reason.contains(large)).count(), 2, "{reasons:?}");
    // the final handler has it, in a transaction of its own
    assert!(matches!(handled(&mut kit, PAID, "fail").await, Ended::Dead(_)));
    assert_eq!(told(db, "(state->>'text') || (state->>'paid')"), "after allfalse");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_comes_once_and_the_last_one_counts() {
    let db = "saga_timeouts";
    let (_, mut kit) = started(db).await;
    handled(&mut kit, PLACED, "").await;
    let first = copy_the_timeout(db);
    // set anew, while the first is sent already
    handled(&mut kit, PLACED, "").await;
    let in_an_hour = "select count(*) from ponos.ponos_outbox
        where kind = 'timeout' and due > now() + interval '59 minutes' and key <> 'copy'";
    assert_eq!((timeouts(db).as_str(), sql(db, in_an_hour).as_str()), ("1", "1"));
    is_due(db, "key = 'copy'");
    assert!(matches!(ended(&kit, &first).await, Ended::Skipped(_)));
    assert_eq!(told(db, "state->>'reminded'"), "0");
    let second = told(db, format!("timeouts->>'{}'", UNPAID.name()));
    assert_ne!(first, second);
    is_due(db, "kind = 'timeout'");
    assert_eq!(ended(&kit, &second).await, Ended::Done);
    assert_eq!(told(db, "(state->>'reminded') || timeouts::text"), "1{}");
    // cancelled, while it is sent already
    handled(&mut kit, PLACED, "").await;
    let third = copy_the_timeout(db);
    handled(&mut kit, PAID, "cancel").await;
    assert_eq!((timeouts(db).as_str(), told(db, "timeouts").as_str()), ("0", "{}"));
    is_due(db, "key = 'copy'");
    assert!(matches!(ended(&kit, &third).await, Ended::Skipped(_)));
    // after the end
    handled(&mut kit, PLACED, "").await;
    let fourth = copy_the_timeout(db);
    handled(&mut kit, PAID, "end").await;
    assert_eq!(timeouts(db), "0");
    is_due(db, "key = 'copy'");
    assert!(matches!(ended(&kit, &fourth).await, Ended::Skipped(_)));
    assert_eq!(told(db, "key"), "");
    // set and cancelled by one handler
    assert_eq!(handled(&mut kit, PLACED, "cancel").await, Ended::Done);
    assert_eq!((timeouts(db).as_str(), placed_of(db).as_str()), ("0", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_whose_handler_fails_is_still_set() {
    let db = "saga_timeout_fails";
    let (_, mut kit) = started(db).await;
    handled(&mut kit, PLACED, "").await;
    sql(db, r#"update ponos.ponos_saga set state = state || '{"text":"fails"}'"#);
    let id = told(db, format!("timeouts->>'{}'", UNPAID.name()));
    is_due(db, "kind = 'timeout'");
    assert!(matches!(ended(&kit, &id).await, Ended::Dead(_)));
    assert_eq!(told(db, format!("timeouts->>'{}'", UNPAID.name())), id);
    assert_eq!(told(db, "state->>'reminded'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_an_earlier_version_is_read_by_serde_and_one_that_can_not_be_is_told() {
    let db = "saga_versions";
    let (_, mut kit) = started(db).await;
    handled(&mut kit, PLACED, "").await;
    sql(db, r#"update ponos.ponos_saga set state = '{"placed":4,"gone":1}'"#);
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
    assert_eq!(placed_of(db), "5");
    sql(db, r#"update ponos.ponos_saga set state = '{"placed":"five"}'"#);
    assert!(matches!(handled(&mut kit, PLACED, "").await, Ended::Dead(_)));
    let reason = kit.dead().pop().unwrap().reason;
    assert!(reason.contains("the state of the saga 'order' of the key '7' can't be read"), "{reason}");
    assert_eq!(placed_of(db), "five");
    // a key that can be none
    for key in [String::new(), "k".repeat(513)] {
        let id = kit.publish(PLACED.name(), &json!({ "order": key })).await;
        kit.settled().await;
        let reason = kit.dead().pop().unwrap().reason;
        assert!(matches!(kit.ended(&id), Some(Ended::Dead(_))), "{reason}");
        assert!(reason.contains("bytes, and 1 to 512 are allowed"), "{reason}");
    }
}

#[tokio::test]
async fn what_can_not_be_is_refused_at_the_start() {
    let refused = shop().ready().unwrap_err().to_string();
    assert!(
        refused.contains("the saga 'order': its state is a row, which takes an inbox on Postgres"),
        "{refused}"
    );
    let never = Worker::new("shop")
        .saga::<Order>("order", Policy::default(), |saga| saga.on(PAID, |paid| paid.order.clone(), paid));
    let refused = never.ready().unwrap_err().to_string();
    assert!(refused.contains("the saga 'order': no event begins it: add one with starts"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_added_to_those_of_an_earlier_version() {
    let (url, before) = opened("saga_migrated").await;
    drop(before);
    sql("saga_migrated", "drop table ponos.ponos_saga");
    let mut kit = Kit::start_in_real_time(shop().inbox(connected(&url).await)).await;
    assert_eq!(handled(&mut kit, PLACED, "").await, Ended::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_handler_has_no_saga_and_is_told_so() {
    async fn pays(_: Change, ctx: Context) -> HandlerResult {
        ctx.saga::<Order>()?.end();
        Ok(Done)
    }
    let (_, inbox) = opened("saga_other").await;
    let worker = Worker::new("shop").on(PAID, pays.with(Policy::retry(1))).inbox(inbox);
    let mut kit = Kit::start_in_real_time(worker).await;
    assert!(matches!(handled(&mut kit, PAID, "").await, Ended::Dead(_)));
    assert!(kit.dead()[0].reason.contains("register it in Worker::saga"), "{:?}", kit.dead());
}
