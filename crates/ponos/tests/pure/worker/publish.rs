//! By which ways a handler publishes, under which ids, and what it can't.

use super::NAME;
use ponos::{prelude::*, testing::Kit, worker::Limits};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const SENT: &str = "shop.bill.sent";
const TASK: &str = "shop.bill.print";

fn worker<F, R>(handler: F) -> Worker
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    let handler = move |_: Value, context: Context| handler(context);
    Worker::new("shop")
        .publishes::<Value>(SENT)
        .on::<Value>(NAME, handler.with(Policy::retry(2)))
        .task(TASK, async |_: Value, _: Context| Ok(Done))
}

fn ids(kit: &Kit, name: &str) -> Vec<String> {
    kit.published_events(name).iter().map(|event| event.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn ids_follow_the_rule() {
    let worker = worker(async |context: Context| {
        context.publish(SENT, &json!(1))?;
        context.publish_keyed(SENT, "seven", &json!(2))?;
        Ok(Done)
    });
    let mut kit = Kit::start(worker).await;
    let mut event = kit.event(NAME, &json!({}));
    event.id = "parent-7".parse().unwrap();
    kit.publish_event(event).await;
    kit.settled().await;
    // uuid5(uuid5(NAMESPACE_URL, "urn:ponos:published"),
    //       "parent-7\nshop.order.parcel.shipped\norder.parcel.shipped\nshop.bill.sent\n#1"), and with "=seven"
    assert_eq!(
        ids(&kit, SENT),
        ["72d500fb-ac03-5e00-bc4b-ec72070bc48c", "3b3ae07e-1319-55a7-b254-b3722d744d66"]
    );
}

#[tokio::test(start_paused = true)]
async fn ids_are_the_same_at_each_attempt_and_by_key_in_any_order() {
    let worker = worker(async |context: Context| {
        let keys = if context.attempt() == 1 { ["a", "b"] } else { ["b", "a"] };
        for key in keys {
            context.publish_keyed(SENT, key, &json!(key))?;
            context.task_keyed(TASK, key, &json!(key))?;
        }
        context.send_now(SENT, &json!("now")).await?;
        context.send_task_now(TASK, &json!("now")).await?;
        if context.attempt() == 1 { Err(Failure::new("again")) } else { Ok(Done) }
    });
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!((kit.published(SENT), kit.published(TASK)), (vec![json!("now")], vec![json!("now")]));
    kit.advance(std::time::Duration::from_secs(5)).await;
    for name in [SENT, TASK] {
        assert_eq!(kit.published(name), [json!("now"), json!("now"), json!("b"), json!("a")]);
        let ids = ids(&kit, name);
        assert!(ids[0] == ids[1] && ids[2] != ids[3] && ids[2] != ids[0], "{ids:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_handler_has_ended_a_context_sends_nothing() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let worker = worker(move |context: Context| {
        *keep.lock().unwrap() = Some(context);
        async { Ok(Done) }
    });
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let context: Context = kept.lock().unwrap().take().unwrap();
    for refused in [
        context.send_now(SENT, &json!(1)).await,
        context.send_task_now(TASK, &json!(1)).await,
        context.publish(SENT, &json!(1)),
        context.task(TASK, &json!(1)),
    ] {
        assert!(refused.unwrap_err().to_string().contains("the handler of this context has ended"));
    }
    assert!(kit.published(SENT).is_empty() && kit.published(TASK).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_may_not_is_refused_and_nothing_is_sent() {
    let worker = worker(async |context: Context| {
        let mut said = vec![context.state::<String>().unwrap_err().to_string()];
        context.publish(SENT, &json!("a".repeat(60)))?;
        said.push(context.publish(SENT, &json!("b".repeat(60))).unwrap_err().to_string());
        said.push(context.publish("shop.bill.lost", &json!(1)).unwrap_err().to_string());
        said.push(context.send_now("no name", &json!(1)).await.unwrap_err().to_string());
        Ok(Outcome::dead(said.join(" | ")))
    });
    let mut kit = Kit::start(worker.limits(Limits { held_bytes: 100, ..Limits::default() })).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let said = kit.dead()[0].reason.clone();
    for words in [
        "no state of type alloc::string::String",
        "holds 2 messages of 124 bytes; the limits are 10000 messages and 100 bytes",
        "shop.bill.lost",
        "'no name' is not a valid name",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(kit.published(SENT).is_empty());
}
