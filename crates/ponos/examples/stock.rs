//! The third worker of the guide (docs/workers.md): what it writes to Postgres, what it publishes, and that the event was
//! handled commit together.
//!
//! `cargo run -p ponos --features postgres --example stock -- amqp://user:password@host postgres://user:password@host/database`
#![allow(clippy::print_stdout)] // what it did, at its end

use ponos::{
    inbox::{Inbox, postgres::PostgresOptions},
    prelude::*,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Shipped {
    item: String,
    count: i64,
}

#[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct SoldOut {
    item: String,
}

async fn shipped(event: Shipped, ctx: Context) -> HandlerResult {
    // the transaction that also records that this event was handled
    let transaction = ctx.transaction().ok_or("the worker's inbox is not on Postgres")?;
    let mut connection = transaction.lock().await?;
    let left: Option<i64> =
        sqlx::query_scalar("update shelf set count = count - $2 where item = $1 returning count")
            .bind(&event.item)
            .bind(event.count)
            .fetch_optional(&mut *connection)
            .await?;
    match left {
        None => Ok(Outcome::dead(format!("there is no item '{}'", event.item))),
        Some(1..) => Ok(Done),
        Some(_) => {
            // into the outbox, in the same transaction
            ctx.publish("stock.item.emptied", &SoldOut { item: event.item })?;
            Ok(Done)
        }
    }
}

pub(crate) async fn worker(database: &str) -> Result<Worker, Failure> {
    let inbox = Inbox::postgres(database, PostgresOptions::new("stock")).await?;
    Ok(Worker::new("stock")
        .on("order.item.shipped", shipped)
        .publishes::<SoldOut>("stock.item.emptied")
        .inbox(inbox))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut urls = std::env::args().skip(1);
    let broker = urls.next().unwrap_or_else(|| "amqp://localhost".into());
    let database = urls.next().unwrap_or_else(|| "postgres://localhost".into());
    let worker = worker(&database).await.map_err(|failure| failure.to_string())?;
    println!("{}", worker.run(&broker, ponos::shutdown::on_signals()).await?);
    Ok(())
}
