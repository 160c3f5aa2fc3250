//! The examples of the crate, which are the workers of its guide (docs/workers.md), on the testing kit and on RabbitMQ.

use crate::real::{Running, Sender, event, letters, verdict};
use ponos::{event::Message, prelude::*, testing::Kit};
use serde_json::{Value, json};
use testkit::Node;

#[allow(dead_code)] // their mains
#[path = "../../../examples/docker.rs"]
mod docker;
#[allow(dead_code)]
#[path = "../../../examples/shop.rs"]
mod shop;
#[cfg(feature = "postgres")]
#[allow(dead_code)]
#[path = "../../../examples/stock.rs"]
mod stock;

/// Name and data; a task's is one of the service.
type Sent = (&'static str, Value);

fn day() -> Value {
    json!({
        "schedule": "one-day", "due_at": "2026-12-01T00:00:00Z", "local_time": "2026-12-01T00:00:00.000",
        "time_zone": "UTC", "utc_offset": "+00:00", "fold": 0, "cause": "scheduled", "coalesced": 0,
        "previous_due_at": null, "next_due_at": "2026-12-02T00:00:00Z", "window": null, "data": null,
    })
}

const SHOP_EVENTS: [&str; 2] = ["order.item.shipped", "order.item.returned"];
const PRINT: &str = "order.label.print";

fn task(service: &str, id: &str, (name, data): Sent) -> Message {
    let mut message = event(id, name, &data);
    message.routing_key = format!("{service}.{name}");
    message
}

#[test]
fn the_guide_shows_what_is_tested_here() {
    let guide = include_str!("../../../../../docs/workers.md");
    let shows = |code: &str| assert!(guide.contains(code), "docs/workers.md has not got this:\n{code}");
    let docker = include_str!("../../../examples/docker.rs");
    let parts = |example: &'static str| {
        let (_, code) = example.split_once("use ponos::").unwrap();
        let (code, main) = code.split_once("#[tokio::main]").unwrap();
        (
            format!("use ponos::{}", code.trim_end().replace("pub(crate) ", "")),
            format!("#[tokio::main]{main}"),
        )
    };
    for example in
        [docker, include_str!("../../../examples/shop.rs"), include_str!("../../../examples/stock.rs")]
    {
        shows(&parts(example).0);
    }
    shows(&parts(docker).1);
    let (_, test) = include_str!("guide.rs").rsplit_once("// as the guide has it\n").unwrap();
    let (test, _) = test.split_once("    // and the rest\n").unwrap();
    shows(&test.replace("\n    ", "\n").trim_start().replace("stock::worker", "worker"));
    let ours = include_str!("../../../../../Cargo.toml");
    let sqlx = ours.lines().find(|line| line.starts_with("sqlx = ")).unwrap();
    let (name, _) = sqlx.split_once(".0\"").unwrap();
    shows(name);
}

#[tokio::test(start_paused = true)]
async fn on_the_kit_the_first_does_its_task_and_refuses_what_would_remove_everything() {
    let mut kit = Kit::start(docker::worker()).await;
    let day = kit.publish("time.one-day.passed", &day()).await;
    let all = kit.task("docker.images.cleanup", &json!({ "older_than_days": 0 })).await;
    kit.settled().await;
    assert_eq!(kit.ended(&day), Some(Ended::Done));
    assert!(kit.published("docker.images.cleanup").contains(&json!({ "older_than_days": 7 })));
    assert!(matches!(kit.ended(&all), Some(Ended::Dead(_))));
    assert_eq!((kit.dead().len(), kit.dead()[0].kind.as_str()), (1, "refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_the_first_does_its_task_and_refuses_what_would_remove_everything() {
    let url = Node::shared().vhost("guide-docker");
    let running = Running::start(&url, docker::worker()).await;
    let mut sender = Sender::new(&url).await;
    sender.send(vec![event("day", "time.one-day.passed", &day())]).await;
    // the event and the task that follows from it
    running.ends.done(2).await;
    let wrong = |id: &str, days: Value| {
        task("docker", id, ("docker.images.cleanup", json!({ "older_than_days": days })))
    };
    sender.send_to("tasks", vec![wrong("all", json!(0)), wrong("words", json!("seven"))]).await;
    let letters = letters(&url, "docker.docker.images.cleanup", 2).await;
    let mut verdicts: Vec<_> = letters.iter().map(verdict).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts[0], ("refused", "that would remove everything"));
    assert!(verdicts[1].0 == "schema" && verdicts[1].1.contains("/older_than_days"), "{verdicts:?}");
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (2, 2, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn on_the_kit_the_second_handles_all_that_it_listens_to() {
    let mut kit = Kit::start(shop::worker()).await;
    let order = json!({ "number": 7 });
    let mut ids = vec![kit.publish("time.one-minute.passed", &day()).await, kit.task(PRINT, &order).await];
    for name in SHOP_EVENTS {
        ids.push(kit.publish(name, &order).await);
    }
    kit.settled().await;
    for id in ids {
        assert_eq!(kit.ended(&id), Some(Ended::Done), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_the_second_handles_all_that_it_listens_to() {
    let url = Node::shared().vhost("guide-shop");
    let running = Running::start(&url, shop::worker()).await;
    let mut sender = Sender::new(&url).await;
    let order = json!({ "number": 7 });
    let mut events = vec![event("minute", "time.one-minute.passed", &day())];
    events.extend(SHOP_EVENTS.map(|name| event(name, name, &order)));
    sender.send(events).await;
    sender.send_to("tasks", vec![task("shop", "label", (PRINT, order))]).await;
    running.ends.done(4).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (4, 0, 0), "{report}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn on_the_kit_the_third_writes_and_publishes_together() {
    let postgres = testkit::Postgres::shared();
    let database = postgres.database("guide_stock");
    postgres.sql("guide_stock", "create table shelf (item text primary key, count bigint)");
    postgres.sql("guide_stock", "insert into shelf values ('cup', 2)");
    // as the guide has it
    let mut kit = Kit::start_in_real_time(stock::worker(&database).await.unwrap()).await;
    let id = kit.publish("order.item.shipped", &json!({ "item": "cup", "count": 2 })).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    assert_eq!(kit.published("stock.item.emptied"), [json!({ "item": "cup" })]);
    // and the rest
    assert_eq!(postgres.sql("guide_stock", "select count from shelf"), "0");
    let lost = kit.publish("order.item.shipped", &json!({ "item": "plate", "count": 1 })).await;
    kit.settled().await;
    assert!(matches!(kit.ended(&lost), Some(Ended::Dead(_))));
}
