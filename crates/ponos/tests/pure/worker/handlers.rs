//! What is set of handlers: by themselves, by the queue they share, and what runs last.

use ponos::{prelude::*, testing::Kit, worker::Backoff};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

const SHIPPED: &str = "order.item.shipped";
const RETURNED: &str = "order.item.returned";
const HOUR: Duration = Duration::from_secs(3600);

async fn fails(_: Value, ctx: Context) -> HandlerResult {
    Err(format!("attempt {} of {}", ctx.attempt(), ctx.attempts()))?
}

async fn sleeps(_: Value, _: Context) -> HandlerResult {
    tokio::time::sleep(HOUR).await;
    Ok(Done)
}

fn reason(kit: &Kit, queue: &str) -> String {
    kit.dead().into_iter().find(|letter| letter.queue == queue).expect("a dead letter").reason
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_a_fan_in_is_the_default_of_its_handlers() {
    let backoff = Backoff { first: HOUR, longest: HOUR, jitter: 0.0, ..Backoff::default() };
    let policy = Policy::retry(2).timeout(Duration::from_secs(5)).max_age(48 * HOUR).backoff(backoff);
    let worker = Worker::new("shop").fan_in("orders", policy, |orders| {
        orders.on::<Value>(SHIPPED, sleeps).on::<Value>(RETURNED, fails.with(Policy::retry(1)))
    });
    let mut kit = Kit::start(worker).await;
    let mut old = kit.event(SHIPPED, &json!({}));
    old.time = Some(kit.now().plus(-72 * 3_600_000));
    let old = kit.publish_event(old).await;
    let shipped = kit.publish(SHIPPED, &json!({})).await;
    kit.advance(Duration::from_secs(6)).await;
    assert!(matches!(kit.ended(&old), Some(Ended::Skipped(_))), "max_age: {:?}", kit.ended(&old));
    let Some(Ended::Retried { due, reason: why, .. }) = kit.ended(&shipped) else {
        panic!("{:?}", kit.ended(&shipped))
    };
    assert!(why.contains("longer than 5 s"), "timeout: {why}");
    assert!(due.since(kit.now()) > 3_500_000, "backoff: {due}");
    kit.advance(HOUR + Duration::from_secs(10)).await;
    assert!(matches!(kit.ended(&shipped), Some(Ended::Dead(_))), "attempts: {:?}", kit.ended(&shipped));
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_a_fan_in_with_a_policy_of_its_own_has_that_one() {
    let worker = Worker::new("shop").fan_in("orders", Policy::retry(3).concurrency(1), |orders| {
        orders.on::<Value>(SHIPPED, fails.with(Policy::retry(1).concurrency(1)))
    });
    let mut kit = Kit::start(worker).await;
    kit.publish(SHIPPED, &json!({})).await;
    kit.settled().await;
    assert_eq!(reason(&kit, "shop.orders"), "attempt 1 of 1");
}

#[tokio::test(start_paused = true)]
async fn events_and_tasks_take_the_same_handlers_in_the_same_forms() {
    let once = || Policy::retry(1);
    let worker = Worker::new("shop")
        .on::<Value>("order.item.a", |_, ctx| async move { fails(Value::Null, ctx).await })
        .task::<Value>("order.item.b", |_, ctx| async move { fails(Value::Null, ctx).await })
        .on::<Value>("order.item.c", fails.with(once()))
        .task::<Value>("order.item.d", fails.with(once()))
        .on("order.item.e", (async |_: Value, ctx: Context| fails(Value::Null, ctx).await).with(once()))
        .task("order.item.f", (async |_: Value, ctx: Context| fails(Value::Null, ctx).await).with(once()))
        .on("order.item.g", fails)
        .task("order.item.h", fails);
    let mut kit = Kit::start(worker).await;
    for name in ["order.item.a", "order.item.c", "order.item.e", "order.item.g"] {
        kit.publish(name, &json!({})).await;
    }
    for name in ["order.item.b", "order.item.d", "order.item.f", "order.item.h"] {
        kit.task(name, &json!({})).await;
    }
    kit.settled().await;
    let mut dead: Vec<String> = kit.dead().into_iter().map(|letter| letter.queue).collect();
    dead.sort_unstable();
    assert_eq!(dead, ["c", "d", "e", "f"].map(|one| format!("shop.order.item.{one}")));
    kit.advance(24 * HOUR).await;
    assert_eq!(kit.dead().len(), 8);
}

struct Shelf(AtomicU32);

#[tokio::test(start_paused = true)]
async fn a_state_is_a_handlers_third_argument() {
    async fn shipped(_: Value, _: Context, shelf: State<Shelf>) -> HandlerResult {
        shelf.0.fetch_add(1, SeqCst);
        Err("not yet")?
    }
    async fn gone(_: Value, ctx: Context, shelf: State<Shelf>) -> HandlerResult {
        shelf.0.fetch_add(10, SeqCst);
        ctx.publish("order.item.lost", &json!(ctx.failure()))?;
        Ok(Done)
    }
    let handler = shipped.with_state().with(Policy::retry(1)).finally(gone.with_state());
    let worker = Worker::new("shop")
        .state(Shelf(AtomicU32::new(0)))
        .on::<Value>(SHIPPED, handler)
        .publishes::<Value>("order.item.lost");
    let mut kit = Kit::start(worker).await;
    kit.publish(SHIPPED, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.published("order.item.lost"), [json!("not yet")]);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_a_body_asks_for_in_vain_says_how_it_is_found_at_the_start() {
    let handler = async |_: Value, ctx: Context| {
        ctx.state::<Shelf>()?;
        Ok(Done)
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(SHIPPED, handler.with(Policy::retry(1)))).await;
    kit.publish(SHIPPED, &json!({})).await;
    kit.settled().await;
    let reason = kit.dead().remove(0).reason;
    for words in ["no state of type", "Shelf", "Worker::state", "State<", "(with_state)", "at the start"] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

/// A worker whose handler says dead, or fails for good, as the payload says; and how often its final handler ran.
fn dying(finally: bool) -> (Worker, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let last = move |_: Value, ctx: Context| {
        count.fetch_add(1, SeqCst);
        async move {
            assert!(ctx.failure().is_some());
            Ok(Done)
        }
    };
    let handler = async |payload: Value, _: Context| match payload.as_str() {
        Some("dead") => Ok(Outcome::dead("never")),
        _ => Err("no".into()),
    };
    let once = handler.with(Policy::retry(1));
    let handler = if finally { once.finally(last) } else { once.finally_or_dead(last) };
    (Worker::new("shop").on::<Value>(SHIPPED, handler), runs)
}

#[tokio::test(start_paused = true)]
async fn the_final_handler_runs_for_what_its_handler_wants_dead_only_if_asked() {
    for (payload, finally, expected) in
        [("fail", true, 1), ("fail", false, 1), ("dead", true, 0), ("dead", false, 1)]
    {
        let (worker, runs) = dying(finally);
        let mut kit = Kit::start(worker).await;
        kit.publish(SHIPPED, &json!(payload)).await;
        kit.settled().await;
        assert_eq!(runs.load(SeqCst), expected, "{payload}, finally: {finally}");
        let (kind, why) = if payload == "dead" { ("refused", "never") } else { ("attempts", "no") };
        assert_eq!((kit.dead()[0].kind.as_str(), kit.dead()[0].reason.as_str()), (kind, why));
    }
}
