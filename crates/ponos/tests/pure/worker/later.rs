//! What a handler publishes for later, where the clock keeps it.

use super::NAME;
use crate::fake_clock::{Came, FakeClock};
use ponos::{event::Timestamp, inbox::Inbox, prelude::*, testing::Kit};
use serde_json::{Value, json};
use std::time::Duration;

const TASK: &str = "shop.bill.print";
const SENT: &str = "shop.bill.sent";

fn worker<F, R>(handler: F) -> Worker
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    let handler = move |_: Value, context: Context| handler(context);
    Worker::new("shop")
        .publishes::<Value>(SENT)
        .on::<Value>(NAME, handler.with(Policy::retry(2)))
        .task(TASK, async |_: u64, _: Context| Ok(Done))
        .inbox(Inbox::memory(100))
}

/// The bodies of the commands that came, by their ids: each once, however often it came.
fn once(came: Vec<Came>) -> Vec<Value> {
    let mut seen = std::collections::BTreeMap::new();
    for (kind, id, body) in came {
        assert_eq!(kind, "event.put");
        let before = seen.insert(id, body.clone());
        assert!(before.is_none_or(|before| before == body), "another command under the same id");
    }
    seen.into_values().collect()
}

async fn later(context: Context) -> HandlerResult {
    context.task_in(Duration::from_secs(600), TASK, &7)?;
    context.publish_at("2026-12-24T17:00:00Z".parse()?, SENT, &json!({ "order": 7 }))?;
    context.publish(SENT, &json!("at once"))?;
    Ok(Done)
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_given_what_is_for_later_and_the_rest_is_sent_at_once() {
    let mut kit = Kit::start(worker(later)).await;
    let clock = FakeClock::willing(kit.broker()).await;
    let mut event = kit.event(NAME, &json!({}));
    event.correlation_id = Some("request-1".into());
    event.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let id = kit.publish_event(event).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    let mut items = once(clock.came());
    items.sort_by_key(|body| body["item"].get("to").is_none());
    let task = json!({
        "event": TASK, "in": "600000 ms", "data": 7, "correlation_id": "request-1", "to": { "task": "shop.shop.bill.print" }
    });
    let event = json!({
        "event": SENT, "at": "2026-12-24T17:00:00.000Z", "data": { "order": 7 }, "correlation_id": "request-1"
    });
    assert_eq!(items, [json!({ "item": task }), json!({ "item": event })]);
    assert_eq!((kit.published(SENT), kit.published(TASK).len()), (vec![json!("at once")], 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_again_asks_under_the_same_id_and_what_was_put_before_is_put() {
    let worker = worker(async |context: Context| {
        // another number at each attempt, and a task that nobody takes, so that there is another
        context.task_in(Duration::from_secs(600), TASK, &u64::from(context.attempt()))?;
        context.task("shop.letter.send", &json!({}))?;
        Ok(Done)
    });
    let mut kit = Kit::start(worker.sends_task::<Value>("shop.letter.send")).await;
    let clock = FakeClock::start(
        kit.broker(),
        Box::new(|number, _| {
            Some(match number {
                1 => (503, json!({ "status": 503, "code": "unavailable", "detail": "a moment" })),
                2 => (201, json!({ "name": "made-up", "outcome": "created" })),
                _ => (422, json!({ "status": 422, "code": "message-id-used", "detail": "something else" })),
            })
        }),
    )
    .await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(Duration::from_secs(600)).await;
    let came = clock.came();
    assert!(came.len() == 3 && came.iter().all(|(_, id, _)| *id == came[0].1), "{came:?}");
    assert_eq!([&came[1].2["item"]["data"], &came[2].2["item"]["data"]], [&json!(1), &json!(2)]);
    let reason = &kit.dead()[0].reason;
    assert!(reason.contains("no queue is bound"), "it ended for another reason: {reason}");
}

#[tokio::test(start_paused = true)]
async fn under_keys_a_handler_that_runs_again_in_another_order_puts_each_once() {
    let worker = worker(async |context: Context| {
        let later = Duration::from_secs(600);
        let when: Timestamp = "2026-12-24T17:00:00Z".parse()?;
        let orders: &[u64] = if context.attempt() == 1 { &[7, 8, 9] } else { &[9, 7] };
        for order in orders {
            let key = format!("order-{order}");
            context.keyed(&key).task_in(later, TASK, order)?;
            context.keyed(&key).task_at(when, "shop.bill.remind", &json!(order))?;
            context.keyed(&key).publish_at(when, SENT, &json!(order))?;
            context.keyed(&key).publish_in(later, "shop.bill.due", &json!(order))?;
        }
        // nobody takes it, so that there is another attempt
        context.task("shop.letter.send", &json!({}))?;
        Ok(Done)
    });
    let worker = worker
        .sends_task::<Value>("shop.letter.send")
        .sends_task::<Value>("shop.bill.remind")
        .publishes::<Value>("shop.bill.due");
    let mut kit = Kit::start(worker).await;
    let clock = FakeClock::willing(kit.broker()).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(Duration::from_secs(600)).await;
    assert_eq!(kit.dead().len(), 1, "it did not run again");
    let came = clock.came();
    assert_eq!((came.len(), once(came).len()), (20, 12));
}

#[tokio::test(start_paused = true)]
async fn what_the_clock_refuses_is_a_failed_attempt_with_the_reason_and_nothing_is_sent() {
    let mut kit = Kit::start(worker(later)).await;
    let clock = FakeClock::start(
        kit.broker(),
        Box::new(|_, _| {
            Some((403, json!({ "status": 403, "code": "forbidden", "detail": "no rule allows it" })))
        }),
    )
    .await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(Duration::from_secs(600)).await;
    let dead = kit.dead();
    assert_eq!(dead[0].kind, "attempts");
    assert!(dead[0].reason.contains("403 forbidden: no rule allows it"), "{}", dead[0].reason);
    assert_eq!((kit.published(SENT).len(), once(clock.came()).len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_away_is_waited_for_while_the_handler_does_not_run_again() {
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    let mut kit = Kit::start(worker(move |context: Context| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        later(context)
    }))
    .await;
    let _clock = FakeClock::start(
        kit.broker(),
        Box::new(|number, _| (number > 8).then(|| (201, json!({ "name": "made-up", "outcome": "created" })))),
    )
    .await;
    let id = kit.publish(NAME, &json!({})).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    kit.settled().await;
    assert_eq!((kit.ended(&id), runs.load(std::sync::atomic::Ordering::SeqCst)), (Some(Ended::Done), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_for_later_keeps_its_contract_and_the_end_of_time() {
    let worker = worker(async |context: Context| {
        let second = Duration::from_secs(1);
        let wrong = context.task_in(second, TASK, &"seven").unwrap_err().to_string();
        assert!(wrong.contains("does not fit its schema"), "{wrong}");
        let unknown = context.publish_in(second, "shop.bill.lost", &7).unwrap_err().to_string();
        assert!(unknown.contains("does not declare"), "{unknown}");
        let late = context.task_in(Duration::MAX, TASK, &7).unwrap_err().to_string();
        assert!(late.contains("after 2099"), "{late}");
        Ok(Done)
    });
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
}

#[tokio::test(start_paused = true)]
async fn baggage_goes_with_what_is_for_later_and_never_hinders_it() {
    for (baggage, goes) in [
        ("tenant=7".to_owned(), true),
        ("b".repeat(4096), true),
        ("b".repeat(4097), false),
        // in JSON it would be twice as long, and more than the clock takes
        ("\"".repeat(4096), false),
    ] {
        let worker = worker(async |context: Context| {
            context.task_in(Duration::from_secs(600), TASK, &7)?;
            Ok(Done)
        });
        let mut kit = Kit::start(worker).await;
        let clock = FakeClock::willing(kit.broker()).await;
        let mut event = kit.event(NAME, &json!({}));
        event.extensions.set("baggage", baggage.as_str());
        let id = kit.publish_event(event).await;
        kit.settled().await;
        assert_eq!(kit.ended(&id), Some(Ended::Done));
        let items = once(clock.came());
        let headers = &items[0]["item"]["headers"];
        assert_eq!(headers.get("baggage").and_then(Value::as_str), goes.then_some(baggage.as_str()));
        assert!(headers.to_string().len() <= 8192);
        kit.stop().await;
    }
}
