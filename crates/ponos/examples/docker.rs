//! The first worker of the guide (docs/workers.md): a day has passed, so the service does a task of its own.
//!
//! `cargo run -p ponos --example docker -- amqp://user:password@host`
#![allow(clippy::print_stdout)] // what it did, at its end

use ponos::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Cleanup {
    older_than_days: u32,
}

pub(crate) fn worker() -> Worker {
    Worker::new("docker")
        .on::<TimePassed>("time.one-day.passed", |event, ctx| async move {
            if event.coalesced > 0 {
                tracing::info!("{} days were missed", event.coalesced);
            }
            ctx.task("docker.images.cleanup", &Cleanup { older_than_days: 7 })?;
            Ok(Done)
        })
        .task("docker.images.cleanup", cleanup.with(Policy::retry(5).timeout(Duration::from_secs(30))))
}

async fn cleanup(task: Cleanup, _: Context) -> HandlerResult {
    if task.older_than_days == 0 {
        return Ok(Outcome::dead("that would remove everything"));
    }
    Ok(Done)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // what RUST_LOG says, else what matters; nothing of the AMQP client, whose finest lines hold passwords
    let lines = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,ponos=info,docker=info".into());
    tracing_subscriber::fmt().with_env_filter(format!("{lines},lapin=off,amq_protocol=off")).init();
    let url = std::env::args().nth(1).unwrap_or_else(|| "amqp://localhost".into());
    let report = worker().run(&url, ponos::shutdown::on_signals()).await?;
    println!("{report}");
    Ok(())
}
