//! A subscriber in Rust, on the broker half of the crate `ponos`: prints each event of the clock, one a line.
//!
//! `cargo run --release --example subscriber -- [URL] [--event NAME] [--count N]`; the URL may stand in `AMQP_URL`.
//!
//! The queue is durable and of its own name: what is sent while nobody listens waits in it. A message is acked once its
//! work is done. Whatever is sent again carries the same id: the id is what tells one sending from two. The adapter
//! reconnects by itself and declares everything again.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use anyhow::{Context, Result, bail};
use ponos::{
    broker::{Consume, Consumer, Link, Settle, Transport, amqp},
    event::{Event, EventId},
    topology::{Binding, Exchange, Queue, Topology},
};
use std::collections::VecDeque;

/// Unacked deliveries at a time: what is lost by a crash is at most done again for these.
const PREFETCH: u16 = 10;
/// Ids remembered. A real service keeps them where it keeps its results, in the same transaction.
const REMEMBERED: usize = 1000;

struct Args {
    url: String,
    event: String,
    count: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Args { url, event, count } = args()?;
    let queue = format!("example.{event}");
    let topology = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::quorum(&queue)],
        bindings: vec![Binding::queue("events", &queue, &event)],
        ..Topology::default()
    };
    let mut config = amqp::AmqpConfig::parse(&url)?;
    "example subscriber (rust)".clone_into(&mut config.connection_name);
    let mut consumer = Transport::amqp(config).consumer(topology, Consume::new(&queue).prefetch(PREFETCH));
    let mut link = consumer.link();
    let mut seen: VecDeque<EventId> = VecDeque::with_capacity(REMEMBERED);
    let mut left = count;
    while left != Some(0) {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery.context("the consumer has ended")?,
            Ok(()) = link.changed() => {
                tell(&link.borrow_and_update())?;
                continue;
            }
        };
        let how = match Event::from_message(&delivery.message) {
            // Done before: only the ack was lost.
            Ok(event) if seen.contains(&event.id) => Settle::Ack,
            Ok(event) => {
                let due = event.time.map(|due| due.to_string()).unwrap_or_default();
                println!("{due}  {}  {}", event.name, event.id);
                if seen.len() == REMEMBERED {
                    seen.pop_front();
                }
                seen.push_back(event.id);
                left = left.map(|left| left - 1);
                Settle::Ack
            }
            // It would fail again each time: to the dead letters, if the queue has any.
            Err(error) => {
                eprintln!("no event: {error}");
                Settle::Dead
            }
        };
        consumer.settle(delivery.tag, how).await?;
    }
    close(consumer).await;
    Ok(())
}

/// Says when the broker goes and comes back; what only a person can mend ends the program.
fn tell(link: &Link) -> Result<()> {
    match link {
        Link::Up { broker, .. } => eprintln!("connected to {broker}"),
        Link::Down { error: Some(error), .. } if error.class.needs_a_person() => bail!("{error}"),
        Link::Down { error: Some(error), .. } => eprintln!("{error}"),
        Link::Down { error: None, .. } | Link::Blocked { .. } | Link::Closed => {}
    }
    Ok(())
}

/// Returns once the last acks are out.
async fn close(consumer: Consumer) {
    let mut link = consumer.link();
    drop(consumer);
    while link.changed().await.is_ok() {}
}

fn args() -> Result<Args> {
    let mut args = Args {
        url: std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672".into()),
        event: "time.one-minute.passed".into(),
        count: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--event" => args.event = value()?,
            "--count" => args.count = Some(value()?.parse().context("--count is a number")?),
            url if url.starts_with("amqp") => args.url = arg,
            other => bail!("unknown argument '{other}'; usage: subscriber [URL] [--event NAME] [--count N]"),
        }
    }
    Ok(args)
}
