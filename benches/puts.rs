//! Schedules that are put while the clock runs: how many a second are durable and answered, by HTTP and by message, from 1 and 16
//! clients, singly and many at once; and how late events of 100 ms are meanwhile. Beside it, in the same run, what the machine gives
//! without a clock: writes of a page made durable one by one (`fdatasync`), and the same transport with nobody behind it who does
//! anything. `SECONDS` (10) is how long each part takes. Figures and what they mean: docs/performance.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    asking::{Http, Messages, echo},
    at_once::{AsyncAsk, CONFIG, Shown, at_once, by_http, for_seconds, head},
    program::Program,
    ticks::Ticks,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::Node;

/// Definitions in one batch; commands under way at a time of the client that does not wait for each.
const MANY: usize = 1_000;

/// Numbers of schedules: each put is of another one.
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn definition() -> Value {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let zone = ["Europe/Paris", "America/New_York", "Asia/Kolkata"][number % 3];
    let cron = format!("{} {} {} * *", number % 60, number / 60 % 24, number % 28 + 1);
    json!({ "name": format!("put-{number:07}"), "event": "bench.item.due", "cron": cron, "time_zone": zone })
}

fn main() {
    for_seconds(measured);
}

async fn measured(time: Duration) {
    let node = Node::start();
    let url = node.vhost("puts");
    let ticks = Ticks::start(&url).await;
    let folder = tempfile::tempdir().unwrap();
    let mut clock = Program::start(folder.path(), &url, CONFIG);
    clock.until_ready().await;
    ticks.until_some().await;

    let disk = head(folder.path(), time);
    for clients in [1, 16] {
        let nothing = by_http(&clock, clients, time, Kind::Nothing).await;
        let puts = by_http(&clock, clients, time, Kind::One).await;
        puts.show(&format!("HTTP, {clients} at once, one by one"), disk, Some(&nothing));
    }
    let batches = by_http(&clock, 1, time, Kind::Batch).await;
    batches.show(&format!("HTTP, 1, in batches of {MANY}"), disk, None);
    for (clients, window) in [(1, 1), (16, 1), (1, MANY)] {
        let nothing = echoed(&url, clients, window, time).await;
        let puts = by_message(&url, clients, window, time).await;
        puts.show(&format!("messages, {clients} at once, {window} under way of each"), disk, Some(&nothing));
    }
    println!("events of 100 ms meanwhile: {}", ticks.stop());
    println!("{} schedules were put; {}", NEXT.load(Ordering::Relaxed), clock.memory());
}

/// What is asked over HTTP.
#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    One,
    Batch,
}

impl AsyncAsk<Http> for Kind {
    async fn ask(&self, client: &mut Http) -> usize {
        match self {
            Self::Nothing => {
                assert_eq!(client.ask("GET", "/healthz", String::new()).await.0, 200);
                1
            }
            Self::One => {
                let one = definition();
                let path = format!("/v1/schedules/{}", one["name"].as_str().unwrap());
                let (status, body) = client.ask("PUT", &path, one.to_string()).await;
                assert_eq!(status, 201, "{body}");
                1
            }
            Self::Batch => {
                let all = Value::from((0..MANY).map(|_| definition()).collect::<Vec<_>>());
                let (status, body) = client.ask("POST", "/v1/schedules:batch", all.to_string()).await;
                let done = serde_json::from_str::<Value>(&body).unwrap()["done"].as_u64();
                assert_eq!((status, done), (200, Some(MANY as u64)), "{body}");
                MANY
            }
        }
    }
}

/// A window of commands, all answered before the next window.
#[derive(Clone)]
struct Window {
    count: usize,
    exchange: &'static str,
}

impl AsyncAsk<Messages> for Window {
    async fn ask(&self, client: &mut Messages) -> usize {
        let bodies = (0..self.count).map(|_| json!({ "definition": definition() }).to_string());
        for answer in client.ask_all(self.exchange, "schedule.put", bodies.collect()).await {
            assert!(self.exchange == "echo" || answer.starts_with(b"{\"status\":201"), "{answer:?}");
        }
        self.count
    }
}

async fn by_message(url: &str, clients: usize, count: usize, time: Duration) -> Shown {
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(Messages::connect(url).await);
    }
    at_once(all, time, Window { count, exchange: "khronos.commands" }).await
}

/// The same by way of a quorum queue and a consumer that answers at once.
async fn echoed(url: &str, clients: usize, count: usize, time: Duration) -> Shown {
    let served = Arc::new(echo(url, "echo").await);
    let before = NEXT.load(Ordering::Relaxed);
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(Messages::connect(url).await);
    }
    let shown = at_once(all, time, Window { count, exchange: "echo" }).await;
    NEXT.store(before, Ordering::Relaxed);
    served.abort();
    shown
}
