//! The worker beside others on one RabbitMQ: the same messages, a trivial handler, from the first handled to the last. In turns:
//! the worker, bare lapin (prefetch 1,000, one ack per 100; and each acked at a prefetch of 1), amqplib, FastStream and Celery.
//! `MESSAGES` (20,000), `PAIRS` (3), `PEERS` (1; 0 leaves out what is not Rust), `ONLY` (such as `0,1`: these of the list below),
//! `METRICS` (0; 1 has the worker count for Prometheus). The last three of the list are the worker with spans of one trace of a hundred,
//! with spans of all, and with reports: only `ONLY` has them. Who collects the spans is a process of its own.
//! Peers are processes of their own: Node's amqplib from `SCRATCH/node`, Python's from `SCRATCH/peers` (docs/performance.md says
//! how they come there).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod collecting;
mod common;

use collecting::{COLLECTS, Collecting, collect};
use common::{NAME, Parcel, QUEUE, SERVICE, cpu, load, median, message, now, setting};
use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use ponos::{
    broker::{
        Publishing, Transport,
        amqp::{self, AmqpConfig},
    },
    metrics::Metrics,
    prelude::*,
    topology::{Binding, Exchange, Queue, Topology},
    traces::Collector,
};
use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
};
use testkit::Node;
use tokio::sync::Notify;

/// Who consumes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Worker,
    WorkerByDefault,
    Lapin,
    WorkerByOne,
    LapinByOne,
    Amqplib,
    FastStream,
    Celery,
    SomeTraced,
    AllTraced,
    Reporting,
}

const ALL: [Who; 11] = [
    Who::Worker,
    Who::Lapin,
    Who::WorkerByDefault,
    Who::WorkerByOne,
    Who::LapinByOne,
    Who::Amqplib,
    Who::FastStream,
    Who::Celery,
    Who::SomeTraced,
    Who::AllTraced,
    Who::Reporting,
];

impl Who {
    fn words(self) -> &'static str {
        match self {
            Self::Worker => "worker, 64 at once, prefetch 1,000",
            Self::WorkerByDefault => "worker, default policy (10 at once)",
            Self::Lapin => "lapin, prefetch 1,000, ack per 100",
            Self::WorkerByOne => "worker, 1 at once, prefetch 1",
            Self::LapinByOne => "lapin, prefetch 1, each acked",
            Self::Amqplib => "amqplib (Node), prefetch 100, each acked",
            Self::FastStream => "FastStream (Python), prefetch 100",
            Self::Celery => "Celery (Python), prefork 2",
            Self::SomeTraced => "worker, spans of 1 of 100",
            Self::AllTraced => "worker, spans of all",
            Self::Reporting => "worker, with reports",
        }
    }

    /// The slow ones get fewer.
    fn share(self) -> usize {
        match self {
            Self::Worker | Self::Lapin | Self::WorkerByDefault | Self::Amqplib => 1,
            Self::SomeTraced | Self::AllTraced | Self::Reporting => 1,
            Self::WorkerByOne | Self::LapinByOne => 4,
            Self::FastStream | Self::Celery => 10,
        }
    }

    fn is_peer(self) -> bool {
        matches!(self, Self::Amqplib | Self::FastStream | Self::Celery)
    }
}

fn main() {
    if std::env::var_os(COLLECTS).is_some() {
        return collect();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measured());
}

async fn measured() {
    let (count, pairs) = (setting("MESSAGES", 20_000), setting("PAIRS", 3));
    let only = std::env::var("ONLY").unwrap_or_else(|_| "0,1,2,3,4,5,6,7".into());
    let who = only.split(',').map(|number| ALL[number.parse::<usize>().unwrap()]);
    let who: Vec<Who> = who.filter(|who| setting("PEERS", 1) > 0 || !who.is_peer()).collect();
    let node = Node::start();
    println!(
        "{count} messages of {} bytes (fewer for slow ones), {pairs} turns, medians; load {}",
        message(1).body.len(),
        load()
    );
    println!(
        "{:<8} {:<42} {:>12} {:>9} {:>12} {:>8}",
        "queue", "who", "messages/s", "of lapin", "of worker", "CPU µs"
    );
    for quorum in [true, false] {
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); who.len()];
        let mut used: Vec<Vec<f64>> = vec![Vec::new(); who.len()];
        for pair in 0..pairs {
            for turn in 0..who.len() {
                let at = (pair + turn) % who.len();
                let count = (count / who[at].share()).max(200);
                match run(&node, who[at], quorum, count).await {
                    Ok(Run { seconds, cpu }) => {
                        rates[at].push((count - 1) as f64 / seconds);
                        used[at].push(cpu / 1e3 / (count - 1) as f64);
                    }
                    Err(why) => println!("{}: not measured: {why}", who[at].words()),
                }
            }
        }
        let rate = |which: Who| {
            median(who.iter().zip(&rates).find(|(who, _)| **who == which).map_or(&[], |(_, rates)| rates))
        };
        for ((who, rates), used) in who.iter().zip(&rates).zip(&used) {
            let by_one = matches!(who, Who::WorkerByOne | Who::LapinByOne);
            let lapin = rate(if by_one { Who::LapinByOne } else { Who::Lapin });
            let kind = if quorum { "quorum" } else { "classic" };
            let own = median(rates);
            println!(
                "{kind:<8} {:<42} {own:>12.0} {:>9.2} {:>12.3} {:>8.1}",
                who.words(),
                own / lapin,
                own / rate(Who::Worker),
                median(used)
            );
        }
    }
    println!("load {}", load());
}

/// An empty vhost, gone with all that is in it.
struct Place<'a> {
    node: &'a Node,
    name: String,
    url: String,
}

impl<'a> Place<'a> {
    async fn filled(node: &'a Node, quorum: bool, count: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench-{}", NUMBER.fetch_add(1, Relaxed));
        let url = node.vhost(&name);
        let config = AmqpConfig::parse(&url).unwrap();
        amqp::check(&config, &topology(quorum)).await.unwrap();
        let mut publisher = amqp::publisher(config, Topology::default());
        let up = |link: &ponos::broker::Link| matches!(link, ponos::broker::Link::Up { .. });
        publisher.link().wait_for(up).await.unwrap();
        for start in (0..count).step_by(1_000) {
            let batch: Vec<_> = (start..count.min(start + 1_000))
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
        Self { node, name, url }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.node.delete_vhost(&self.name);
    }
}

/// What the worker needs, with a classic queue in place of its quorum queue if wanted.
fn topology(quorum: bool) -> Topology {
    let mut topology = worker(Policy::default(), &Arc::default(), 1).topology().unwrap();
    if !quorum {
        let queue = topology.queues.iter_mut().find(|queue| queue.name == QUEUE).unwrap();
        *queue = Queue::classic(QUEUE);
    }
    topology.join(Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::topic("ponos.reports")],
        bindings: vec![Binding::queue("events", QUEUE, NAME)],
        ..Topology::default()
    });
    topology
}

async fn run(node: &Node, who: Who, quorum: bool, count: usize) -> Result<Run, String> {
    // Celery fills a queue of its own
    let place = Place::filled(node, quorum, if who == Who::Celery { 0 } else { count }).await;
    match who {
        Who::Worker => Ok(worked(&place, Policy::default().concurrency(64).prefetch(1_000), count).await),
        Who::WorkerByDefault => Ok(worked(&place, Policy::default(), count).await),
        Who::WorkerByOne => Ok(worked(&place, Policy::default().concurrency(1).prefetch(1), count).await),
        Who::SomeTraced | Who::AllTraced | Who::Reporting => Ok(seen(&place, who, count).await),
        Who::Lapin => Ok(by_lapin(&place, 1_000, 100, count).await),
        Who::LapinByOne => Ok(by_lapin(&place, 1, 1, count).await),
        Who::Amqplib => peer(
            Command::new("node").env("NODE_PATH", scratch("node/node_modules")),
            "amqplib.js",
            &place,
            count,
        ),
        Who::FastStream => {
            peer(&mut Command::new(scratch("peers/bin/python")), "faststream_worker.py", &place, count)
        }
        Who::Celery => {
            peer(&mut Command::new(scratch("peers/bin/python")), "celery_worker.py", &place, count)
        }
    }
}

/// What a run took.
struct Run {
    seconds: f64,
    /// Nanoseconds of all threads of this process; not known of peers.
    cpu: f64,
}

/// From the first handled to the last.
#[derive(Debug, Default)]
struct Watch {
    handled: AtomicUsize,
    began: AtomicI64,
    ended: AtomicI64,
    /// Nanoseconds of processor time of this process at either.
    cpu: [AtomicI64; 2],
    all: Notify,
}

impl Watch {
    fn one(&self, count: usize) {
        let handled = self.handled.fetch_add(1, Relaxed);
        if handled == 0 {
            self.began.store(now(), Relaxed);
            self.cpu[0].store(cpu(), Relaxed);
        }
        if handled + 1 == count {
            self.ended.store(now(), Relaxed);
            self.cpu[1].store(cpu(), Relaxed);
            self.all.notify_one();
        }
    }

    fn run(&self) -> Run {
        let [before, after] = &self.cpu;
        Run {
            seconds: (self.ended.load(Relaxed) - self.began.load(Relaxed)) as f64 / 1e9,
            cpu: (after.load(Relaxed) - before.load(Relaxed)) as f64,
        }
    }
}

fn worker(policy: Policy, watch: &Arc<Watch>, count: usize) -> Worker {
    let watch = Arc::clone(watch);
    let handler = move |_: Parcel, _: Context| {
        watch.one(count);
        async { Ok(Done) }
    };
    let worker = Worker::new(SERVICE).on::<Parcel>(NAME, handler.with(policy));
    if setting("METRICS", 0) > 0 { worker.registry(&Metrics::new()) } else { worker }
}

async fn worked(place: &Place<'_>, policy: Policy, count: usize) -> Run {
    worked_by(place, policy, count, |worker| worker).await
}

/// The worker with what shows what it does.
async fn seen(place: &Place<'_>, who: Who, count: usize) -> Run {
    let policy = Policy::default().concurrency(64).prefetch(1_000);
    if who == Who::Reporting {
        return worked_by(place, policy, count, Worker::reports).await;
    }
    let collecting = Collecting::start();
    let ratio = if who == Who::AllTraced { 1.0 } else { 0.01 };
    let collector = Collector::at(&collecting.endpoint).unwrap().ratio(ratio).unwrap();
    worked_by(place, policy, count, |worker| worker.traces(collector)).await
}

async fn worked_by(
    place: &Place<'_>,
    policy: Policy,
    count: usize,
    set_up: impl FnOnce(Worker) -> Worker,
) -> Run {
    let watch = Arc::new(Watch::default());
    // passive: one of the queues may be a classic one
    let worker = set_up(worker(policy, &watch, count)).passive();
    let transport = Transport::amqp(AmqpConfig::parse(&place.url).unwrap());
    let (trigger, shutdown) = shutdown();
    let running = tokio::spawn(async move { Box::pin(worker.run_on(transport, shutdown)).await });
    watch.all.notified().await;
    trigger.advance();
    running.await.unwrap().unwrap();
    watch.run()
}

async fn by_lapin(place: &Place<'_>, prefetch: u16, acked_at_once: usize, count: usize) -> Run {
    let connection = Connection::connect(&place.url, ConnectionProperties::default()).await.unwrap();
    let channel: Channel = connection.create_channel().await.unwrap();
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await;
    let (mut consumer, watch) = (consumer.unwrap(), Watch::default());
    for number in 1..=count {
        let delivery = consumer.next().await.unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&delivery.data).unwrap();
        assert!(std::hint::black_box(&value)["number"].is_u64());
        watch.one(count);
        if number % acked_at_once == 0 || number == count {
            let options = BasicAckOptions { multiple: acked_at_once > 1 };
            channel.basic_ack(delivery.delivery_tag, options).await.unwrap();
        }
    }
    // All is acked: how the goodbye ends makes no difference.
    drop(connection.close(200, "done".into()).await);
    watch.run()
}

/// A program that prints the seconds.
fn peer(command: &mut Command, script: &str, place: &Place<'_>, count: usize) -> Result<Run, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let arguments = [&place.url, QUEUE, &count.to_string(), "100"];
    let output =
        command.arg(folder.join(script)).args(arguments).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds = said.trim().parse();
    let seconds = seconds.map_err(|_| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Run { seconds, cpu: f64::NAN })
}

fn scratch(what: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.scratch");
    std::env::var_os("SCRATCH").map_or_else(beside, PathBuf::from).join(what)
}
