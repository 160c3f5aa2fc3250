//! The worker without a broker, on the twin: its own processor time a message beyond decoding and validation, its memory over
//! a million messages, and scenario tests a second. `MESSAGES` (100,000), `ROUNDS` (5), `MEMORY` (1,000,000), `SCENARIOS` (1,000).
//! Figures and what they mean: docs/performance.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{NAME, Parcel, QUEUE, SERVICE, cpu, load, median, message, now, payload, resident, setting};
use ponos::{
    broker::{Consume, Publisher, Publishing, Settle, Transport, memory::Broker},
    event::Event,
    prelude::*,
    schema::Contract,
    testing::Kit,
    topology::Topology,
    worker::Ready,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::Notify;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (count, rounds) = (setting("MESSAGES", 100_000), setting("ROUNDS", 5));
    println!(
        "load {}; {count} messages of {} bytes, medians of {rounds} rounds",
        load(),
        message(1).body.len()
    );
    let mut through: Vec<[f64; 3]> = Vec::new();
    for _ in 0..rounds {
        let twin = runtime.block_on(twin_alone(count));
        let read = decoded(count);
        let whole = runtime.block_on(worked(count));
        through.push([twin, read, whole]);
    }
    let middle = |of: usize| median(&through.iter().map(|round| round[of]).collect::<Vec<_>>());
    let (twin, read, whole) = (middle(0), middle(1), middle(2));
    println!(
        "CPU µs a message: worker on the twin {whole:.2}; the twin alone {twin:.2}; decoding, validation, payload {read:.2}"
    );
    println!("the worker's own: {:.2}", whole - twin - read);

    let count = setting("MEMORY", 1_000_000);
    let [first, last] = runtime.block_on(memory(count));
    println!("resident after a tenth of {count} messages: {first:.1} MiB, after all: {last:.1} MiB");

    let count = setting("SCENARIOS", 1_000);
    let began = now();
    for _ in 0..count {
        scenario();
    }
    let seconds = (now() - began) as f64 / 1e9;
    println!(
        "{count} scenario tests in {seconds:.2} s: {:.0} a second; load {}",
        count as f64 / seconds,
        load()
    );
}

fn worker(done: &Arc<AtomicUsize>, count: usize, all: &Arc<Notify>) -> Ready {
    let (done, all) = (Arc::clone(done), Arc::clone(all));
    let handler = move |_: Parcel, _: Context| {
        if done.fetch_add(1, Relaxed) + 1 == count {
            all.notify_one();
        }
        async { Ok(Done) }
    };
    let policy = Policy::default().concurrency(64).prefetch(1_000);
    Worker::new(SERVICE).on::<Parcel>(NAME, handler.with(policy)).ready().unwrap()
}

async fn fill(publisher: &mut Publisher, from: usize, to: usize) {
    for start in (from..to).step_by(1_000) {
        let batch: Vec<_> = (start..to.min(start + 1_000))
            .map(|number| Publishing {
                token: number as u64,
                lane: 0,
                exchange: "events".into(),
                message: message(number as u64),
            })
            .collect();
        let mut left = batch.len();
        publisher.submit(batch).await.unwrap();
        while left > 0 {
            left -= publisher.settlements().await.unwrap().len();
        }
    }
}

/// The worker, with all messages waiting for it; CPU µs a message.
async fn worked(count: usize) -> f64 {
    let (done, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let ready = worker(&done, count, &all);
    let broker = Broker::new();
    broker.declare(ready.topology()).unwrap();
    fill(&mut broker.publisher(Topology::default()), 0, count).await;
    let (trigger, shutdown) = shutdown();
    let before = cpu();
    let running =
        tokio::spawn(async move { Box::pin(ready.run_on(Transport::memory(broker), shutdown)).await });
    all.notified().await;
    trigger.advance();
    let report = running.await.unwrap().unwrap();
    let used = cpu() - before;
    assert_eq!(report.handled, count as u64, "{report}");
    used as f64 / 1e3 / count as f64
}

/// The same deliveries taken from the twin and acked, with nothing in between.
async fn twin_alone(count: usize) -> f64 {
    let ready = worker(&Arc::default(), count, &Arc::default());
    let broker = Broker::new();
    broker.declare(ready.topology()).unwrap();
    fill(&mut broker.publisher(Topology::default()), 0, count).await;
    let before = cpu();
    let mut consumer = broker.consumer(Topology::default(), Consume::new(QUEUE).prefetch(1_000));
    let (mut batch, mut taken) = (Vec::new(), 0);
    while taken < count {
        taken += consumer.next_many(&mut batch, 64).await;
        for delivery in batch.drain(..) {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
    }
    (cpu() - before) as f64 / 1e3 / count as f64
}

/// Decoding, parsing, validating and reading the payload, as any worker that keeps a contract must.
fn decoded(count: usize) -> f64 {
    let contract = Contract::of::<Parcel>().unwrap();
    let messages: Vec<_> = (0..1_000).map(message).collect();
    let before = cpu();
    for number in 0..count {
        let event = Event::from_message(&messages[number % messages.len()]).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        contract.check(&value).unwrap();
        let parcel: Parcel = serde_json::from_value(value).unwrap();
        assert_eq!(std::hint::black_box(parcel.number), (number % messages.len()) as u64);
    }
    (cpu() - before) as f64 / 1e3 / count as f64
}

/// MiB after a tenth and after all, published as they are worked off.
async fn memory(count: usize) -> [f64; 2] {
    let (done, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let ready = worker(&done, count, &all);
    let broker = Broker::new();
    broker.declare(ready.topology()).unwrap();
    let (trigger, shutdown) = shutdown();
    let mut publisher = broker.publisher(Topology::default());
    let transport = Transport::memory(broker.clone());
    let running = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
    let (mut sent, mut resident_at) = (0, Vec::new());
    while sent < count {
        let next = (sent + 5_000).min(count);
        fill(&mut publisher, sent, next).await;
        sent = next;
        while done.load(Relaxed) < sent {
            tokio::task::yield_now().await;
        }
        if sent == count / 10 || sent == count {
            resident_at.push(resident());
        }
    }
    trigger.advance();
    assert_eq!(running.await.unwrap().unwrap().handled, count as u64);
    [resident_at[0], resident_at[resident_at.len() - 1]]
}

/// What a test of a worker looks like: an event becomes a task, which fails once, is retried, and is done.
fn scenario() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let worker = Worker::new(SERVICE)
            .on::<Parcel>(NAME, async |_: Parcel, ctx: Context| {
                ctx.task("bench.label.printed", &serde_json::json!({}))?;
                Ok(Done)
            })
            .task("bench.label.printed", async |_: serde_json::Value, ctx: Context| {
                if ctx.attempt() == 1 { Ok(Retry { after: None, reason: None }) } else { Ok(Done) }
            });
        let mut kit = Kit::start(worker).await;
        let id = kit.publish(NAME, &payload(1)).await;
        kit.settled().await;
        assert_eq!(kit.ended(&id), Some(Ended::Done));
        kit.advance(std::time::Duration::from_secs(10)).await;
        let report = kit.stop().await;
        assert_eq!((report.handled, report.retried), (2, 1), "{report}");
    });
}
