//! Delayed events through the whole clock: how many a second are durable and answered, by HTTP and by message, singly and many at
//! once; how late events of 100 ms are while 5,000 a second come in; and a burst of them due at one instant, from that instant until
//! the last is settled. Beside it, in the same run: writes of a page made durable one by one (`fdatasync`), and the same number of
//! messages of the same size by lapin alone. `SECONDS` (10) is how long each part takes, `BURST` (100,000) how many are due at once.
//! With `PENDING` that many are put instead, for the next year: memory, the disk that each takes, and how soon the clock fires again
//! after kill -9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    asking::{Http, Messages},
    at_once::{AsyncAsk, CONFIG, Shown, at_once, by_http, for_seconds, head},
    bare::Bare,
    clock::sample,
    measure::wall,
    program::Program,
    setting,
    ticks::Ticks,
    topology,
};
use ponos::broker::amqp::{self, AmqpConfig};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use testkit::Node;

/// Items in one request; messages carry fewer.
const MANY: usize = 1_000;
const IN_A_MESSAGE: usize = 500;
const A_REQUEST: usize = 10_000;
/// Events that come in every second while the lateness of others is measured.
const PACE: usize = 5_000;
/// Bytes of data.
const DATA: usize = 200;

/// Numbers of events: each put is of another one.
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn item(at: &str) -> Value {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // No two of a run are due together, and names come in no order.
    let name = format!("{:016x}-later", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    json!({ "name": name, "event": "bench.item.due", "at": at, "data": "x".repeat(DATA) })
}

/// An instant within the next year, at random.
fn someday() -> String {
    let number = NEXT.load(Ordering::Relaxed) as i64;
    let millis = 3_600_000 + number.wrapping_mul(7_919_317) % 31_000_000_000;
    khronos::clock::now().plus(millis).to_string()
}

fn main() {
    for_seconds(measured);
}

async fn measured(time: Duration) {
    let node = Node::start();
    if let Some(count) = Some(setting("PENDING", 0)).filter(|count| *count > 0) {
        return pending(&node, count).await;
    }
    let url = node.vhost("later");
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
    for clients in [1, 4] {
        let batches = by_http(&clock, clients, time, Kind::Batch).await;
        batches.show(&format!("HTTP, {clients} at once, in batches of {MANY}"), disk, None);
    }
    for clients in [1, 4] {
        let puts = by_message(&url, clients, time).await;
        puts.show(&format!("messages, {clients} at once, of {IN_A_MESSAGE}"), disk, None);
    }
    println!("events of 100 ms meanwhile: {}", ticks.stop());
    let ticks = Ticks::start(&url).await;
    ticks.until_some().await;
    paced(&clock, time).await;
    println!("events of 100 ms while {PACE} a second come in: {}", ticks.stop());
    println!("{} events wait; {}", NEXT.load(Ordering::Relaxed), clock.memory());
    drop(clock);
    burst(&node, setting("BURST", 100_000)).await;
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
                let one = item(&someday());
                let path = format!("/v1/events/{}", one["name"].as_str().unwrap());
                let (status, body) = client.ask("PUT", &path, one.to_string()).await;
                assert_eq!(status, 201, "{body}");
                1
            }
            Self::Batch => {
                put_all(client, MANY, someday).await;
                MANY
            }
        }
    }
}

async fn put_all(client: &mut Http, count: usize, at: impl Fn() -> String) {
    let all = Value::from((0..count).map(|_| item(&at())).collect::<Vec<_>>());
    let (status, body) = client.ask("POST", "/v1/events:batch", all.to_string()).await;
    let done = serde_json::from_str::<Value>(&body).unwrap()["done"].as_u64();
    assert_eq!((status, done), (200, Some(count as u64)), "{body}");
}

/// Many in one command.
#[derive(Clone)]
struct Commands;

impl AsyncAsk<Messages> for Commands {
    async fn ask(&self, client: &mut Messages) -> usize {
        let items: Vec<Value> = (0..IN_A_MESSAGE).map(|_| item(&someday())).collect();
        let bodies = vec![json!({ "items": items }).to_string()];
        for answer in client.ask_all("khronos.commands", "events.put", bodies).await {
            assert!(answer.starts_with(b"{\"status\":200"), "{}", String::from_utf8_lossy(&answer));
        }
        IN_A_MESSAGE
    }
}

async fn by_message(url: &str, clients: usize, time: Duration) -> Shown {
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(Messages::connect(url).await);
    }
    at_once(all, time, Commands).await
}

/// So many a second, ten times a second.
async fn paced(clock: &Program, time: Duration) {
    let mut client = Http::connect(clock.port).await;
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    let end = wall() + time.as_nanos() as i64;
    while wall() < end {
        beat.tick().await;
        put_all(&mut client, PACE / 10, someday).await;
    }
}

/// Many due at one instant.
async fn burst(node: &Node, count: usize) {
    // A vhost is made anew each time it is asked for.
    let [url, bare_url] = ["later-burst", "later-bare"].map(|name| node.vhost(name));
    for url in [&url, &bare_url] {
        amqp::check(&AmqpConfig::parse(url).unwrap(), &topology(false)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut clock = Program::start(folder.path(), &url, CONFIG);
    clock.until_ready().await;
    let mut client = Http::connect(clock.port).await;
    let due = khronos::clock::now().plus(5_000 + i64::try_from(count / 4).unwrap());
    let at = due.to_string();
    for _ in 0..count / MANY {
        put_all(&mut client, MANY, || at.clone()).await;
    }
    let due = due.millis() * 1_000_000;
    assert!(wall() < due, "they were put too slowly");
    println!("{count} due at one instant; {}", clock.memory());
    let before = clock.threads();
    while figure(&mut client, "khronos_delayed_events_total{state=\"settled\"}").await < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = (wall() - due) as f64 / 1e9;
    let threads = clock.threads();
    let there = Bare::connect(&url).await;
    assert!(there.waiting().await >= count, "they are settled, but not in the queue");
    there.close().await;
    let message = sample().await;
    let bare = Bare::connect(&bare_url).await;
    let begin = wall();
    bare.burst(&message, count).await;
    let by_lapin = (wall() - begin) as f64 / 1e9;
    bare.close().await;
    let ratio = by_lapin / seconds;
    println!(
        "until the last is settled: {seconds:.2} s, {:.0} a second; by lapin alone {by_lapin:.2} s: {ratio:.2} of it; {}",
        count as f64 / seconds,
        clock.memory()
    );
    for (name, took) in threads {
        let took = took - before.get(&name).unwrap_or(&0);
        println!("processor time of {name}: {:.1} us an event", took as f64 * 1e3 / count as f64);
    }
}

/// One of the clock's metrics.
async fn figure(client: &mut Http, name: &str) -> usize {
    let (_, text) = client.ask("GET", "/metrics", String::new()).await;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize
}

/// Many for the next year.
async fn pending(node: &Node, count: usize) {
    let url = node.vhost("later");
    let ticks = Ticks::start(&url).await;
    let folder = tempfile::tempdir().unwrap();
    let mut clock = Program::start(folder.path(), &url, CONFIG);
    clock.until_ready().await;
    let mut client = Http::connect(clock.port).await;
    let begin = wall();
    for part in 1..=count / A_REQUEST {
        // No connection lives longer than ten minutes.
        client = Http::connect(clock.port).await;
        put_all(&mut client, A_REQUEST, someday).await;
        if part % (count / A_REQUEST / 10).max(1) == 0 {
            println!("{} wait; {}", part * A_REQUEST, clock.memory());
        }
    }
    let put = NEXT.load(Ordering::Relaxed) as f64;
    let bytes = bytes_in(&folder.path().join("store"));
    println!(
        "{:.0} a second; {:.0} bytes each on the disk, of which {DATA} are data",
        put / ((wall() - begin) as f64 / 1e9),
        bytes as f64 / put
    );
    for _ in 0..3 {
        let at = khronos::clock::now().plus(1_000).to_string();
        put_all(&mut client, 100, || at.clone()).await;
        let begin = wall();
        clock.restart();
        ticks.forget();
        ticks.until(1).await;
        let ticked = wall();
        clock.until_ready().await;
        client = Http::connect(clock.port).await;
        while figure(&mut client, "khronos_delayed_pending").await > put as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let [ticked, sent] = [ticked, wall()].map(|at| (at - begin) as f64 / 1e9);
        println!(
            "after kill -9: schedules fire after {ticked:.2} s, what was due meanwhile is settled after {sent:.2} s; {}",
            clock.memory()
        );
    }
    println!("events of 100 ms since: {}", ticks.stop());
}

fn bytes_in(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let size = |entry: std::fs::DirEntry| {
        let about = entry.metadata().unwrap();
        if about.is_dir() { bytes_in(&entry.path()) } else { about.blocks() * 512 }
    };
    std::fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}
