//! A burst: many schedules due at one instant, from that instant to the last confirm, through the whole clock, with its store on
//! a disk and on Postgres; beside it the same number of the same messages by lapin alone, and on a bare socket. `BURST`
//! (100,000) says how many, `PAIRS` (5) how often; for a profile, `ONLY` (`0123`: the clock, lapin, socket, the clock on
//! Postgres) and `QUEUES` (`01`: classic, quorum). Figures and what they mean: docs/performance.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    as_the_program,
    bare::Bare,
    clock::{Clock, Place, sample, schedule},
    measure::{cpu, forget_peak, median, memory, wall},
    raw::Raw,
    setting,
    tap::{Passed, tap},
    topology,
};
use ponos::{
    broker::amqp::{self, AmqpConfig},
    event::Message,
};
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::{Node, Postgres};

/// What one run showed.
#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    /// Of this process, in microseconds an event.
    cpu: f64,
    /// Of memory during it, in MiB.
    growth: f64,
    /// From due to the first batch handed over, in milliseconds.
    first: f64,
}

fn main() {
    as_the_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measured());
}

async fn measured() {
    let (count, pairs) = (setting("BURST", 100_000), setting("PAIRS", 5));
    let (node, postgres) = (Node::start(), Postgres::start(true));
    let message = sample().await;
    println!("{count} events of {} bytes, {pairs} interleaved runs each, medians", message.body.len());
    println!("queue    publisher      s     events/s  of lapin  of socket  CPU µs/event  grew MiB  first ms");
    let wanted =
        |name: &str, which: usize| std::env::var(name).map_or(true, |only| only.contains(&which.to_string()));
    for quorum in [false, true] {
        if !wanted("QUEUES", usize::from(quorum)) {
            continue;
        }
        let (mut clock, mut lapin, mut socket, mut on_postgres) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for pair in 0..pairs {
            // Whoever comes first finds the broker in another state: so they take turns.
            for turn in 0..4 {
                let who = (pair + turn) % 4;
                if !wanted("ONLY", who) {
                    continue;
                }
                match who {
                    0 => clock.push(through_the_clock(&node, None, quorum, count).await),
                    3 => on_postgres.push(through_the_clock(&node, Some(&postgres), quorum, count).await),
                    1 => lapin.push(by_lapin(&node, quorum, &message, count).await),
                    _ => socket.push(by_socket(&node, quorum, &message, count).await),
                }
            }
        }
        let middle = |runs: &[Run], of: fn(&Run) -> f64| median(&runs.iter().map(of).collect::<Vec<_>>());
        let (best, bound) = (middle(&lapin, |r| r.seconds), middle(&socket, |r| r.seconds));
        for (name, runs) in [
            ("the clock", &clock),
            ("on Postgres", &on_postgres),
            ("lapin", &lapin),
            ("bare socket", &socket),
        ] {
            let seconds = middle(runs, |r| r.seconds);
            println!(
                "{:<8} {name:<11} {seconds:>6.2} {:>12.0} {:>9.2} {:>10.2} {:>13.2} {:>9.0} {:>9.1}",
                if quorum { "quorum" } else { "classic" },
                count as f64 / seconds,
                best / seconds,
                bound / seconds,
                middle(runs, |r| r.cpu),
                middle(runs, |r| r.growth),
                middle(runs, |r| r.first),
            );
        }
    }
}

/// An empty vhost of its own for each run, gone after it with all its messages.
struct Vhost<'a> {
    node: &'a Node,
    name: String,
    config: AmqpConfig,
}

impl<'a> Vhost<'a> {
    async fn new(node: &'a Node, quorum: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let config = AmqpConfig::parse(&node.vhost(&name)).unwrap();
        amqp::check(&config, &topology(quorum)).await.unwrap();
        Self { node, name, config }
    }
}

impl Drop for Vhost<'_> {
    fn drop(&mut self) {
        self.node.delete_vhost(&self.name);
    }
}

async fn through_the_clock(node: &Node, postgres: Option<&Postgres>, quorum: bool, count: usize) -> Run {
    let place = Vhost::new(node, quorum).await;
    let folder = tempfile::tempdir().unwrap();
    let store = match postgres {
        Some(postgres) => Place::Postgres(postgres.database(&place.name)),
        None => Place::from(folder.path()),
    };
    let (publisher, mut passed) = tap(amqp::publisher(place.config.clone(), topology(quorum)), false);
    // Long enough to build and store them all; what is due before that would be late, and is seen below.
    let lead = 3_000 + i64::try_from(count / 25).unwrap();
    let due = khronos::clock::now().plus(lead);
    let schedules = (0..count).map(|number| schedule(number, "1h", due)).collect();
    let clock = Clock::start(store, schedules, publisher).await;
    let due = due.millis() * 1_000_000;
    tokio::time::sleep(std::time::Duration::from_nanos(u64::try_from(due - wall()).unwrap_or(0)) / 2).await;
    forget_peak();
    let before = memory("VmRSS");
    let (mut first, mut used, mut confirmed, mut end) = (None, 0, 0, 0);
    while confirmed < count {
        match passed.recv().await.unwrap() {
            Passed::Taken { at, .. } => {
                first.get_or_insert_with(|| {
                    used = cpu();
                    at
                });
            }
            Passed::Settled { at, count, .. } => (confirmed, end) = (confirmed + count, at),
        }
    }
    let used = cpu() - used;
    let growth = memory("VmHWM") - before;
    clock.stop().await;
    Run {
        seconds: seconds(end - due),
        cpu: micros(used, count),
        growth,
        first: seconds(first.unwrap() - due) * 1e3,
    }
}

async fn by_lapin(node: &Node, quorum: bool, message: &Message, count: usize) -> Run {
    let place = Vhost::new(node, quorum).await;
    let bare = Bare::connect(&node.url_for("guest", "guest", &place.name)).await;
    let run = around(count, bare.burst(message, count)).await;
    bare.close().await;
    run
}

async fn by_socket(node: &Node, quorum: bool, message: &Message, count: usize) -> Run {
    let place = Vhost::new(node, quorum).await;
    let mut raw = Raw::connect(node.port(), &place.name);
    around(count, async { raw.burst(message, count) }).await
}

async fn around(count: usize, work: impl Future<Output = ()>) -> Run {
    forget_peak();
    let (before, start, used) = (memory("VmRSS"), wall(), cpu());
    work.await;
    let (end, used) = (wall(), cpu() - used);
    Run {
        seconds: seconds(end - start),
        cpu: micros(used, count),
        growth: memory("VmHWM") - before,
        first: 0.0,
    }
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn micros(nanos: i64, count: usize) -> f64 {
    nanos as f64 / 1e3 / count as f64
}
