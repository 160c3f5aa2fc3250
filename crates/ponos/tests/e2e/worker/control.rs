//! Queues that are paused and limited by hand on a real RabbitMQ, by whoever may write to the stream.

use super::{NAME, QUEUE, parcels};
use crate::real::{Running, Sender, event, holds, support};
use ponos::{
    Client, broker::Transport, client::Until, clock::Clock, control::Limit, event::Timestamp, inbox::Inbox,
    prelude::*, topology::worker::dead_letters,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use support::LIMIT;
use testkit::{Node, wait_until};
use tokio::sync::Semaphore;

/// Beside the queue that is steered: what it does shows that the worker is there.
const SIGN: &str = "order.sign.given";
/// How many run at a time.
const SLOTS: usize = 8;

/// A worker whose tasks stand at a gate.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    /// When each was begun, by the worker's clock.
    begun: Arc<Mutex<Vec<Timestamp>>>,
    done: Arc<Mutex<BTreeMap<String, usize>>>,
    at_work: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gate {
    fn shut() -> Self {
        Self {
            open: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            done: Arc::default(),
            at_work: Arc::default(),
            most: Arc::default(),
        }
    }

    fn worker(&self) -> Worker {
        let gate = self.clone();
        let handler = move |_: Value, ctx: Context| gate.clone().pass(ctx);
        Worker::new("shop")
            .on::<Value>(NAME, handler.with(Policy::default().concurrency(SLOTS).timeout(LIMIT)))
            .on::<Value>(SIGN, async |_: Value, _: Context| Ok(Done))
    }

    async fn pass(self, ctx: Context) -> HandlerResult {
        self.begun.lock().unwrap().push(Clock::system().now());
        self.most.fetch_max(self.at_work.fetch_add(1, SeqCst) + 1, SeqCst);
        let passed = self.open.acquire().await.map(tokio::sync::SemaphorePermit::forget);
        self.at_work.fetch_sub(1, SeqCst);
        passed?;
        *self.done.lock().unwrap().entry(ctx.id().to_string()).or_default() += 1;
        Ok(Done)
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    fn done(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    async fn until_done(&self, count: usize) {
        wait_until(&format!("{count} to be done"), LIMIT, async || (self.done() >= count).then_some(()))
            .await;
    }

    async fn until_at_work(&self, count: usize) {
        let at_work = async || (self.at_work.load(SeqCst) == count).then_some(());
        wait_until(&format!("{count} to be at work"), LIMIT, at_work).await;
    }
}

async fn client(url: &str) -> Client {
    Client::connect_on(Transport::amqp(support::config(url)), "ops").await.unwrap()
}

fn hour() -> Until {
    Until::after(Duration::from_secs(3_600)).why("the shelf is being moved")
}

async fn paused(running: &Running) {
    let paused = async || (!running.liveness.paused_by_hand().is_empty()).then_some(());
    wait_until("the worker to be paused", LIMIT, paused).await;
}

/// The worker is connected, and works on what is not paused.
async fn gives_a_sign(running: &Running, url: &str, number: usize) {
    let id = format!("sign-{number}");
    Sender::new(url).await.send(vec![event(&id, SIGN, &json!({}))]).await;
    let given = format!("the sign {number}");
    running.ends.satisfy(&given, |ends| ends.contains(&(id.clone(), Ended::Done))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_pauses_with_deliveries_in_hand_and_a_killed_broker_lose_nothing() {
    const COUNT: usize = 1_200;
    let (node, gate) = (Node::start(), Gate::shut());
    let url = node.url();
    let running = Running::start(&url, gate.worker().inbox(Inbox::memory(10_000))).await;
    let client = client(&url).await;
    Sender::new(&url).await.send(parcels("p", COUNT)).await;
    for round in 0..10 {
        gate.open.add_permits(60);
        gate.until_done((round + 1) * 60).await;
        // as many as may run stand at the gate, and more are in hand
        gate.until_at_work(SLOTS).await;
        client.pause(QUEUE, hour()).await.unwrap();
        paused(&running).await;
        gate.open.add_permits(SLOTS);
        gate.until_at_work(0).await;
        let begun = gate.done();
        holds(&node, "/", QUEUE, (COUNT - begun) as u64).await;
        if round == 5 {
            node.write_down();
            node.kill9();
            node.restart();
        } else if round == 7 {
            node.close_connections();
        }
        gives_a_sign(&running, &url, round).await;
        assert_eq!(running.liveness.paused_by_hand().len(), 1);
        assert_eq!((gate.done(), node.queue("/", QUEUE)), (begun, Some(((COUNT - begun) as u64, 0))));
        client.resume(QUEUE).await.unwrap();
    }
    gate.open.add_permits(COUNT);
    gate.until_done(COUNT).await;
    assert!(gate.done.lock().unwrap().values().all(|times| *times == 1), "{:?}", gate.done);
    let report = running.stop().await;
    assert_eq!((report.dead, report.retried), (0, 0), "{report}");
    assert_eq!(node.queue("/", &dead_letters(QUEUE)), Some((0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_during_a_pause_is_paused_from_its_first_moment() {
    let (node, gate) = (Node::shared(), Gate::shut());
    let url = node.vhost("control-starts");
    gate.open.add_permits(1_000);
    let first = Running::start(&url, gate.worker()).await;
    gives_a_sign(&first, &url, 0).await;
    let client = client(&url).await;
    client.pause(QUEUE, hour()).await.unwrap();
    first.stop().await;
    Sender::new(&url).await.send(parcels("p", 5)).await;
    let second = Running::start(&url, gate.worker()).await;
    gives_a_sign(&second, &url, 1).await;
    assert_eq!(gate.begun(), 0);
    assert_eq!((second.liveness.check(), second.liveness.paused_by_hand().len()), (Ok(()), 1));
    assert!(client.resume(QUEUE).await.unwrap());
    gate.until_done(5).await;
    assert_eq!(second.stop().await.paused, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_and_not_before_its_end() {
    let (node, gate) = (Node::shared(), Gate::shut());
    let url = node.vhost("control-ends");
    gate.open.add_permits(1_000);
    let running = Running::start(&url, gate.worker()).await;
    gives_a_sign(&running, &url, 0).await;
    let client = client(&url).await;
    client.pause(QUEUE, hour()).await.unwrap();
    paused(&running).await;
    Sender::new(&url).await.send(parcels("p", 5)).await;
    // said again, so that however late it is read the queue was paused until then
    let end = client.pause(QUEUE, Until::after(Duration::from_secs(3))).await.unwrap();
    gate.until_done(5).await;
    let begun = gate.begun.lock().unwrap().clone();
    assert!(begun.iter().all(|begun| *begun >= end), "{begun:?} {end}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_by_a_running_worker_until_it_is_taken_back() {
    let (node, gate) = (Node::shared(), Gate::shut());
    let url = node.vhost("control-limits");
    let running = Running::start(&url, gate.worker()).await;
    let client = client(&url).await;
    Sender::new(&url).await.send(parcels("p", 60)).await;
    gate.until_at_work(SLOTS).await;
    let limit = Limit { concurrency: Some(2), rate: None };
    client.control().limit(QUEUE, limit, hour()).await.unwrap();
    let limited = async || {
        let note = format!("{QUEUE} is limited by hand: concurrency 2");
        running.liveness.notes().contains(&note).then_some(())
    };
    wait_until("the worker to be limited", LIMIT, limited).await;
    // those end that are begun, and then two are at work
    gate.open.add_permits(SLOTS);
    gate.until_at_work(2).await;
    gate.most.store(0, SeqCst);
    gate.open.add_permits(20);
    gate.until_done(28).await;
    gate.until_at_work(2).await;
    assert_eq!(gate.most.load(SeqCst), 2);
    assert!(client.control().unlimit(QUEUE).await.unwrap());
    gate.until_at_work(SLOTS).await;
    gate.open.add_permits(100);
    gate.until_done(60).await;
    let report = running.stop().await;
    assert_eq!((report.dead, report.retried), (0, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_neither_declare_nor_read_the_stream_works_as_ever() {
    let (node, vhost) = (Node::shared(), "control-refused");
    node.vhost(vhost);
    node.add_user("unsteered", "sesame");
    let all_else = "^(?!ponos[.]control$).*";
    node.permit("unsteered", vhost, all_else, all_else, all_else);
    let (url, gate) = (node.url_for("unsteered", "sesame", vhost), Gate::shut());
    gate.open.add_permits(1_000);
    let running = Running::start(&url, gate.worker()).await;
    gives_a_sign(&running, &url, 0).await;
    // nor does a stream that is there help who may not read it
    client(&node.url_for("guest", "guest", vhost)).await.pause(QUEUE, hour()).await.unwrap();
    running.stop().await;
    let running = Running::start(&url, gate.worker()).await;
    Sender::new(&url).await.send(parcels("p", 5)).await;
    gate.until_done(5).await;
    assert_eq!(running.liveness.check(), Ok(()));
    running.stop().await;
}
