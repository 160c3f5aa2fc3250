//! Lateness: from the instant that is due to the clock's handing over, finer than the whole milliseconds that it says
//! itself; ten thousand at one instant; and due → confirm at a steady rate, with the store on a disk and on Postgres, beside lapin's
//! publish → confirm at that rate.
//! `SECONDS` (10) is how long each part takes, `RATE` (10,000) the steady rate, `PAIRS` (5) how often it is measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    as_the_program,
    bare::{Bare, properties},
    clock::{Clock, Place, sample, schedule},
    measure::{median, quantile, wall},
    setting,
    tap::{Passed, confirming, tap},
    topology,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use khronos::clock::Alarm;
use ponos::broker::{
    Publisher,
    amqp::{self, AmqpConfig},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use testkit::{Node, Postgres};

fn main() {
    as_the_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let seconds = setting("SECONDS", 10);
        println!("due -> handed over, one each 10 ms, {seconds} s     p50 ms   p99 ms p99.9 ms");
        print("a bare timer, idle", &bare_timer(seconds).await);
        print("idle", &due_to_handed(10, 1, seconds).await);
        busy("one core busy", 1, seconds).await;
        busy("both busy", 2, seconds).await;
        at_one_instant(10_000).await;
        let node = Node::start();
        steady(&node, setting("RATE", 10_000), seconds, setting("PAIRS", 5)).await;
    });
}

fn print(what: &str, late: &[f64]) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| quantile(late, part));
    let early = late.iter().filter(|late| **late < 0.0).count();
    println!("{what:<46} {p50:>8.3} {p99:>8.3} {p999:>8.3}   ({} events, {early} early)", late.len());
}

async fn busy(what: &str, threads: usize, seconds: usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..threads)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    print(what, &due_to_handed(10, 1, seconds).await);
    stop.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
}

/// What this machine gives at best: the clock's timer on a thread of its own, and one more thread told of it.
async fn bare_timer(seconds: usize) -> Vec<f64> {
    let (told, mut heard) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let alarm = Alarm::new().unwrap();
            let mut due = khronos::clock::now();
            for _ in 0..seconds * 100 {
                due = due.plus(10);
                alarm.wait(due).await.unwrap();
                told.send(due).await.unwrap();
            }
        });
    });
    let mut late = Vec::new();
    while let Some(due) = heard.recv().await {
        late.push((wall() - due.millis() * 1_000_000) as f64 / 1e6);
    }
    late
}

/// Milliseconds from due to handed over: a schedule for each `step` ms of a second, with `each` schedules at once.
async fn due_to_handed(step: usize, each: usize, seconds: usize) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let (publisher, mut passed) = tap(confirming(), true);
    let clock = rolling(folder.path(), step, each, publisher).await;
    let mut late = Vec::new();
    // The first second is for warming up.
    let (from, until) = (wall() + 2_000_000_000, wall() + 2_000_000_000 + seconds as i64 * 1_000_000_000);
    while wall() < until {
        if let Passed::Taken { at, events, .. } = passed.recv().await.unwrap()
            && at > from
        {
            late.extend(events.iter().map(|(_, due)| (at - due) as f64 / 1e6));
        }
    }
    clock.stop().await;
    late
}

/// A clock with schedules of one second, `each` for every `step` milliseconds of it.
async fn rolling(store: impl Into<Place>, step: usize, each: usize, publisher: Publisher) -> Clock {
    let start = khronos::clock::now().plus(1_000);
    let schedules = (0..1000 / step * each)
        .map(|number| schedule(number, "1s", start.plus(i64::try_from(number / each * step).unwrap())))
        .collect();
    Clock::start(store, schedules, publisher).await
}

async fn at_one_instant(count: usize) {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (publisher, mut passed) = tap(confirming(), false);
        let due = khronos::clock::now().plus(2_000);
        let schedules = (0..count).map(|number| schedule(number, "1h", due)).collect();
        let clock = Clock::start(folder.path(), schedules, publisher).await;
        let (mut handed, mut at_first) = (0, None);
        while handed < count {
            if let Passed::Taken { at, count, .. } = passed.recv().await.unwrap() {
                handed += count;
                let late = (at - due.millis() * 1_000_000) as f64 / 1e6;
                at_first.get_or_insert(late);
                if handed == 10_000 {
                    last.push(late);
                }
            }
        }
        first.extend(at_first);
        clock.stop().await;
    }
    println!(
        "{count} due at one instant, handed over: the first after {:.1} ms, the last after {:.1} ms (medians of 5)",
        median(&first),
        median(&last)
    );
}

async fn steady(node: &Node, rate: usize, seconds: usize, pairs: usize) {
    println!(
        "{rate} a second steadily, {pairs} interleaved runs of {seconds} s each, medians   p50 ms   p99 ms"
    );
    let postgres = Postgres::start(true);
    let (mut clock, mut on_postgres, mut lapin) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let name = format!("steady-{pair}");
        let config = AmqpConfig::parse(&node.vhost(&name)).unwrap();
        amqp::check(&config, &topology(false)).await.unwrap();
        for turn in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            match (pair + turn) % 3 {
                0 => clock.push(due_to_confirm(folder.path(), &config, rate, seconds).await),
                1 => {
                    let store = Place::Postgres(postgres.database(&name));
                    on_postgres.push(due_to_confirm(store, &config, rate, seconds).await);
                }
                _ => {
                    let bare = Bare::connect(&node.url_for("guest", "guest", &name)).await;
                    lapin.push(publish_to_confirm(&bare, rate, seconds).await);
                    bare.close().await;
                }
            }
        }
        node.delete_vhost(&name);
    }
    let middle =
        |runs: &[Vec<f64>], part| median(&runs.iter().map(|run| quantile(run, part)).collect::<Vec<_>>());
    for (name, runs) in [
        ("the clock, due -> confirm", &clock),
        ("the clock on Postgres, due -> confirm", &on_postgres),
        ("lapin, publish -> confirm", &lapin),
    ] {
        println!("{name:<68} {:>8.2} {:>8.2}", middle(runs, 0.5), middle(runs, 0.99));
    }
    let goal = 1.2 * middle(&lapin, 0.99) + 0.25;
    println!("goal for the clock's p99: {goal:.2} ms");
}

async fn due_to_confirm(
    store: impl Into<Place>,
    config: &AmqpConfig,
    rate: usize,
    seconds: usize,
) -> Vec<f64> {
    let (publisher, mut passed) = tap(amqp::publisher(config.clone(), topology(false)), true);
    let clock = rolling(store, 1, rate / 1000, publisher).await;
    let (mut due_of, mut late) = (HashMap::new(), Vec::new());
    let (from, until) = (wall() + 3_000_000_000, wall() + 3_000_000_000 + seconds as i64 * 1_000_000_000);
    let mut early = Vec::new();
    while wall() < until {
        match passed.recv().await.unwrap() {
            Passed::Taken { events, .. } => due_of.extend(events),
            Passed::Settled { at, tokens, .. } => early.extend(tokens.into_iter().map(|token| (token, at))),
        }
        // The note that it was handed over may come after the one that it was confirmed.
        early.retain(|(token, at)| {
            let due: Option<i64> = due_of.remove(token);
            if let Some(due) = due.filter(|_| *at > from) {
                late.push((at - due) as f64 / 1e6);
            }
            due.is_none()
        });
    }
    clock.stop().await;
    late
}

async fn publish_to_confirm(bare: &Bare, rate: usize, seconds: usize) -> Vec<f64> {
    let message = sample().await;
    let template = properties(&message);
    let alarm = Alarm::new().unwrap();
    let (mut flying, mut took, mut number) = (FuturesUnordered::new(), Vec::new(), 0);
    let start = khronos::clock::now();
    let mut next = start.plus(1);
    while next.since(start) < 1_000 * (seconds as i64 + 1) {
        tokio::select! {
            biased;
            woken = alarm.wait(next) => {
                woken.unwrap();
                while next <= khronos::clock::now() {
                    for _ in 0..rate / 1000 {
                        flying.push(bare.one(&message, &template, number));
                        number += 1;
                    }
                    next = next.plus(1);
                }
            }
            Some(nanos) = flying.next() => took.push(nanos as f64 / 1e6),
        }
    }
    while let Some(nanos) = flying.next().await {
        took.push(nanos as f64 / 1e6);
    }
    // The first second is for warming up, here as there.
    took.split_off(rate.min(took.len()))
}
