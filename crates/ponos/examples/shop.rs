//! The second worker of the guide (docs/workers.md): more of the builder.
//!
//! `cargo run -p ponos --example shop -- amqp://user:password@host`
#![allow(clippy::print_stdout)] // what it did, at its end

use ponos::{
    inbox::Inbox,
    prelude::*,
    worker::{Backoff, Limits},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Order {
    number: u64,
}

async fn minute(_: TimePassed, _: Context) -> HandlerResult {
    Ok(Done)
}

async fn shipped(_: Order, _: Context) -> HandlerResult {
    Ok(Done)
}

async fn returned(order: Order, ctx: Context) -> HandlerResult {
    ctx.blocking(move |_| {
        tracing::info!("order {} came back", order.number);
        Ok(Done)
    })
    .await
}

async fn print(_: Order, _: Context) -> HandlerResult {
    Ok(Done)
}

async fn tell(order: Order, ctx: Context) -> HandlerResult {
    ctx.publish("order.label.failed", &order)?;
    Ok(Done)
}

pub(crate) fn worker() -> Worker {
    let slowly = Backoff { first: Duration::from_secs(30), ..Backoff::default() };
    Worker::new("shop")
        .on("time.one-minute.passed", minute.with(Policy::retry(3).latest_only()))
        .fan_in("orders", Policy::default().concurrency(1), |queue| {
            queue
                .on("order.item.shipped", shipped)
                .on("order.item.returned", returned.with(Policy::retry(10).backoff(slowly)))
        })
        .task(
            "order.label.print",
            print.with(Policy::default().rate(10, Duration::from_secs(1))).finally(tell),
        )
        .publishes::<Order>("order.label.failed")
        .sends_task::<Order>("order.letter.send")
        .inbox(Inbox::memory(100_000))
        .limits(Limits { grace: Duration::from_secs(60), ..Limits::default() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "amqp://localhost".into());
    let report = worker().run(&url, ponos::shutdown::on_signals()).await?;
    println!("{report}");
    Ok(())
}
