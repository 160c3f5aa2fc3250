//! A service in Rust that publishes later: its handlers by `ctx.task_in`, its programs by the client, both by the real clock.

use crate::harness::{Clock, LIMIT};
use ponos::{
    Client,
    client::DelayedEvent,
    event::{Event, Timestamp},
    prelude::*,
    schemars::{self, JsonSchema},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use testkit::Node;
use tokio::sync::mpsc;

const CONFIG: &str = r#"
[http]
open_reads = true
[commands]
enabled = true
[[commands.users]]
user = "guest"
owner = "shop"
role = "write"
domains = ["order.*", "shop.*"]
tasks = ["shop.*"]
"#;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    number: u32,
}

type Seen = mpsc::UnboundedSender<(Event, Order, Timestamp)>;

fn saw(ctx: &Context, order: &Order) {
    let seen = ctx.state::<Seen>().unwrap();
    seen.send((ctx.event().clone(), order.clone(), khronos::clock::now())).unwrap();
}

fn shop(seen: Seen) -> Worker {
    Worker::new("shop")
        .state(seen)
        .on::<Order>("order.basket.placed", |order, ctx| async move {
            saw(&ctx, &order);
            ctx.task_in(Duration::from_secs(1), "shop.order.remind", &order)?;
            Ok(Done)
        })
        .on::<Order>("order.reminder.due", |order, ctx| async move {
            saw(&ctx, &order);
            Ok(Done)
        })
        .task("shop.order.remind", |order: Order, ctx: Context| async move {
            saw(&ctx, &order);
            Ok(Done)
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_handlers_and_clients_give_the_clock_comes_at_its_time() {
    let url = Node::shared().vhost("later-by-client");
    let (seen, mut handled) = mpsc::unbounded_channel();
    let (trigger, shutdown) = shutdown();
    let worker = tokio::spawn({
        let url = url.clone();
        async move { shop(seen).run(&url, shutdown).await }
    });
    let mut clock = tokio::task::block_in_place(|| {
        let clock = Clock::new(&url, "").with("KHRONOS_SCHEDULES_FOLDER", "none");
        let file = clock.sandbox.path("config.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let clock = clock.with("KHRONOS_CONFIG", file.display()).started();
        clock.until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
        clock
    });
    let connect = Client::connect(&url, "till").publishes::<Order>("order.basket.placed");
    let client = connect.publishes::<Order>("order.reminder.due").await.expect("it connects");
    // The worker may not be bound yet, and then it is nobody's.
    let begun = khronos::clock::now();
    let placed = loop {
        client.publish("order.basket.placed", &Order { number: 7 }).await.expect("it is taken");
        if let Ok(came) = tokio::time::timeout(Duration::from_secs(1), handled.recv()).await {
            break came.unwrap().0;
        }
        assert!(khronos::clock::now().since(begun) < LIMIT.as_millis() as i64, "it never came");
    };
    let mut next = async |what: &str| {
        let came = tokio::time::timeout(LIMIT, handled.recv()).await;
        came.unwrap_or_else(|_| panic!("{what} never came:\n{}", clock.log())).unwrap()
    };
    let (mut reminder, mut order, mut at) = next("the task of later").await;
    while reminder.name == placed.name {
        (reminder, order, at) = next("the task of later").await;
    }
    assert_eq!((order.number, reminder.name.as_str()), (7, "shop.order.remind"));
    let due = reminder.time.unwrap();
    assert!(at >= due && reminder.source == "/khronos/khronos", "{reminder:?} at {at}");
    assert!(reminder.correlation_id.is_some(), "{reminder:?} of {placed:?}");

    let by_clock = client.clock();
    let item = |number: u32, delay: u64| {
        let event = DelayedEvent::event("order.reminder.due", &Order { number });
        event.named(format!("order-{number}")).after(Duration::from_secs(delay))
    };
    let far = by_clock.put_event(item(8, 3_600)).await.expect("it is taken");
    assert_eq!(far.outcome, "created");
    by_clock.put_event(item(9, 3_600)).await.expect("it is taken");
    by_clock.cancel_event("order-9").await.expect("it is taken back");
    let state = by_clock.event("order-8").await.expect("it is known");
    assert_eq!((&*state.name, &*state.state), ("order-8", "pending"));
    by_clock.send_event_now("order-8").await.expect("it is sent");
    let (mut event, mut order, _) = next("what is sent now").await;
    while event.name.as_str() != "order.reminder.due" {
        (event, order, _) = next("what is sent now").await;
    }
    assert_eq!((order.number, event.subject.as_deref()), (8, Some("order-8")));
    client.close().await.unwrap();
    trigger.advance();
    tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap().unwrap();
    tokio::task::block_in_place(|| clock.stop());
}
