//! Layers around handlers: their order, what they may, and that what they publish shares the handler's fate.

use super::{NAME, secs};
use ponos::{
    prelude::*,
    testing::Kit,
    worker::{Around, Next},
};
use serde_json::{Value, json};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

const AUDITED: &str = "shop.run.audited";
const SENT: &str = "shop.bill.sent";

/// What ran, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// A layer that logs before and after what it is around.
    fn layer(&self, name: &'static str) -> impl Around + use<> {
        let log = self.clone();
        move |ctx: Context, next: Next| {
            let log = log.clone();
            async move {
                log.add(format!("{name} {}", ctx.attempt()));
                let result = next.run().await;
                let how = match &result {
                    Ok(outcome) => format!("{outcome:?}"),
                    Err(failure) => failure.to_string(),
                };
                log.add(format!("{name}: {how}"));
                result
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn layers_run_in_the_order_added_those_of_the_worker_first_around_each_attempt_and_the_final_handler() {
    let log = Log::default();
    let runs = log.clone();
    let handler = move |_: Value, ctx: Context| {
        runs.add("handler");
        async move { Err(format!("no {}", ctx.attempt()))? }
    };
    let runs = log.clone();
    let last = move |_: Value, ctx: Context| {
        runs.add(format!("last: {}", ctx.failure().unwrap()));
        async { Ok(Done) }
    };
    let handler =
        handler.with(Policy::retry(2)).around(log.layer("third")).around(log.layer("fourth")).finally(last);
    let worker = Worker::new("shop")
        .around(log.layer("first"))
        .on::<Value>(NAME, handler)
        .task::<Value>("shop.bill.send", async |_: Value, _: Context| Ok(Skip))
        .around(log.layer("second"));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let around = |attempt: u32, inner: &[&str], how: &str| {
        let names = ["first", "second", "third", "fourth"];
        let mut lines: Vec<String> = names.iter().map(|name| format!("{name} {attempt}")).collect();
        lines.extend(inner.iter().map(ToString::to_string));
        lines.extend(names.iter().rev().map(|name| format!("{name}: {how}")));
        lines
    };
    assert_eq!(log.taken(), around(1, &["handler"], "no 1"));
    kit.advance(secs(5)).await;
    let mut second = around(2, &["handler"], "no 2");
    second.extend(around(2, &["last: no 2"], "Done"));
    assert_eq!(log.taken(), second);
    kit.task("shop.bill.send", &json!({})).await;
    kit.settled().await;
    assert_eq!(log.taken(), ["first 1", "second 1", "second: Skip", "first: Skip"]);
}

/// Publishes before and after what it is around.
struct Audit;

impl Around for Audit {
    fn around(&self, ctx: Context, next: Next) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + '_>> {
        Box::pin(async move {
            ctx.publish(AUDITED, &json!("before"))?;
            let result = next.run().await;
            ctx.publish(AUDITED, &json!("after"))?;
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_publishes_goes_out_with_the_handlers_own_and_not_if_that_fails() {
    let handler = async |payload: Value, ctx: Context| {
        ctx.publish(SENT, &payload)?;
        match payload.as_str() {
            Some("fail") => Err("no".into()),
            Some("panic") => panic!("oh no"),
            Some("skip") => Ok(Skip),
            _ => Ok(Done),
        }
    };
    let worker = Worker::new("shop")
        .around(Audit)
        .on::<Value>(NAME, handler.with(Policy::retry(1)))
        .publishes::<Value>(AUDITED)
        .publishes::<Value>(SENT);
    let mut kit = Kit::start(worker).await;
    for bad in ["fail", "panic", "skip"] {
        kit.publish(NAME, &json!(bad)).await;
        kit.settled().await;
        assert!(kit.published(AUDITED).is_empty() && kit.published(SENT).is_empty(), "{bad}");
    }
    kit.publish(NAME, &json!("done")).await;
    kit.settled().await;
    assert_eq!(kit.published(AUDITED), [json!("before"), json!("after")]);
    assert_eq!(kit.published(SENT), [json!("done")]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_layer_is_as_one_of_its_handler_and_its_time_is_the_handlers() {
    let layer = async |ctx: Context, next: Next| {
        match ctx.event().subject.as_deref() {
            Some("panic") => panic!("no layer"),
            Some("slow") => tokio::time::sleep(secs(3_600)).await,
            _ => {}
        }
        next.run().await
    };
    let handler = async |_: Value, _: Context| Ok(Done);
    let policy = Policy::retry(1).timeout(secs(5));
    let worker = Worker::new("shop").around(layer).on::<Value>(NAME, handler.with(policy));
    let mut kit = Kit::start(worker).await;
    for (subject, reason) in
        [("panic", "panicked: no layer"), ("slow", "timed out: it ran for longer than 5 s")]
    {
        let mut event = kit.event(NAME, &json!({}));
        event.subject = Some(subject.into());
        kit.publish_event(event).await;
        kit.advance(secs(6)).await;
        let last = kit.dead().pop().unwrap();
        assert_eq!((last.kind.as_str(), last.reason.as_str()), ("attempts", reason));
    }
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done), "the worker goes on");
}

#[tokio::test(start_paused = true)]
async fn a_layer_may_leave_out_the_handler_change_what_comes_of_it_and_leave_values_for_it() {
    struct Tenant(String);
    let layer = async |ctx: Context, next: Next| {
        let Some(tenant) = ctx.event().extensions.text("tenant").map(str::to_owned) else {
            return Ok(Outcome::dead("it says no tenant"));
        };
        assert!(ctx.get::<Tenant>().is_none(), "of another attempt");
        ctx.put(Tenant("nobody".into()));
        ctx.put(Tenant(tenant));
        match next.run().await {
            Err(failure) if failure.to_string() == "closed" => {
                Ok(Outcome::snooze(secs(60)).because("closed"))
            }
            result => result,
        }
    };
    let handler = async |_: Value, ctx: Context| {
        let tenant = ctx.get::<Tenant>().ok_or("no tenant")?;
        assert!(ctx.get::<String>().is_none());
        ctx.publish(SENT, &json!(tenant.0))?;
        if tenant.0 == "south" && ctx.attempt() == 1 && ctx.now() < ponos::testing::BEGINNING.plus(30_000) {
            Err("closed")?
        }
        Ok(Done)
    };
    let worker = Worker::new("shop").around(layer).on::<Value>(NAME, handler).publishes::<Value>(SENT);
    let mut kit = Kit::start(worker).await;
    let unknown = kit.publish(NAME, &json!({})).await;
    let mut ids = Vec::new();
    for tenant in ["north", "south"] {
        let mut event = kit.event(NAME, &json!({}));
        event.extensions.set("tenant", tenant);
        ids.push(kit.publish_event(event).await);
    }
    kit.settled().await;
    assert!(matches!(kit.ended(&unknown), Some(Ended::Dead(death)) if death.reason == "it says no tenant"));
    assert_eq!(kit.published(SENT), [json!("north")]);
    assert!(matches!(kit.ended(&ids[1]), Some(Ended::Snoozed { .. })), "{:?}", kit.ended(&ids[1]));
    kit.advance(secs(70)).await;
    assert_eq!(kit.published(SENT), [json!("north"), json!("south")]);
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Small {
    #[allow(dead_code, reason = "read alone")]
    count: u8,
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_the_handlers_type_cant_read_is_dead_by_its_schema_unless_a_layer_says_otherwise() {
    let contract = || ponos::schema::Contract::of::<Value>().unwrap();
    let handler = || (async |_: Small, _: Context| Ok(Done)).contract(contract());
    let seen = Log::default();
    let log = seen.layer("layer");
    let worker = Worker::new("shop").on(NAME, handler().around(log)).task(
        "shop.bill.send",
        handler().around(async |_: Context, next: Next| Ok(next.run().await.unwrap_or(Skip))),
    );
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({ "count": 1_000 })).await;
    let skipped = kit.task("shop.bill.send", &json!({ "count": 1_000 })).await;
    kit.settled().await;
    let dead = kit.dead();
    assert_eq!((dead.len(), dead[0].kind.as_str()), (1, "schema"), "{dead:?}");
    assert!(dead[0].reason.contains("can't be read as the handler's type"), "{}", dead[0].reason);
    assert!(seen.taken()[1].contains("can't be read as the handler's type"));
    assert!(matches!(kit.ended(&skipped), Some(Ended::Skipped(_))));
}

#[tokio::test(start_paused = true)]
async fn a_handler_does_not_begin_before_its_layers_let_it() {
    let log = Log::default();
    let runs = log.clone();
    let handler = move |_: Value, _: Context| {
        // in no future yet
        runs.add("handler");
        async { Ok(Done) }
    };
    let layer = async |_: Context, next: Next| {
        drop(next);
        Ok(Done)
    };
    let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler.around(layer))).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!((kit.ended(&id), log.taken()), (Some(Ended::Done), vec![]));
}

#[test]
fn layers_of_a_final_handler_of_its_own_are_refused() {
    let handler = async |_: Value, _: Context| Ok(Done);
    let last = handler.around(Log::default().layer("never"));
    let refused =
        Worker::new("shop").on::<Value>(NAME, handler.finally(last)).ready().unwrap_err().to_string();
    assert!(refused.contains("layers of its own"), "{refused}");
}
