//! Handlers of batches on a real RabbitMQ, with each kind of inbox: one bad item for ever, and a consumer that ends in every way while
//! a batch is open or at work.

use super::{NAME, QUEUE};
use crate::real::{Running, Sender, event, letters, support::LIMIT, verdict};
use ponos::{event::Message, inbox::Inbox, prelude::*, testing::Kit, worker::Backoff};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Node, Sandbox, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// The test that is the process to be killed, and the variable that says where.
const CHILD: &str = "worker::batch::is_the_process";
const URL: &str = "TEST_BATCH_URL";

/// The ids of the items of each run.
type Runs = Arc<Mutex<Vec<Vec<String>>>>;

/// A retry goes by way of the first rung.
fn policy(size: usize, window: Duration) -> Policy {
    let backoff =
        Backoff { first: Duration::from_millis(1_200), factor: 1.0, jitter: 0.0, ..Backoff::default() };
    Policy { attempts: 3, ..Policy::batch(size, window).backoff(backoff).timeout(LIMIT) }
}

/// Writes each item in its transaction, if it has one; fails as a whole if one of them is bad.
fn shop(policy: Policy, inbox: Inbox, runs: &Runs) -> Worker {
    let runs = Arc::clone(runs);
    let handler = move |items: Batch<Value>, ctx: Context| {
        let ids = (0..items.len()).map(|index| items.context(index).id().to_string()).collect();
        runs.lock().unwrap().push(ids);
        store(items, ctx)
    };
    Worker::new("shop").batch(NAME, handler.with(policy)).inbox(inbox)
}

async fn store(items: Batch<Value>, ctx: Context) -> HandlerResult {
    #[cfg(feature = "postgres")]
    if let Some(transaction) = ctx.transaction() {
        let numbers: Vec<i64> = items.iter().filter_map(|item| item["number"].as_i64()).collect();
        let mut connection = transaction.lock().await?;
        sqlx::query("insert into effects select * from unnest($1::bigint[])")
            .bind(numbers)
            .execute(&mut *connection)
            .await?;
    }
    for (index, item) in items.iter().enumerate() {
        match item["does"].as_str() {
            Some("err") => return Err(Failure::new(format!("no luck with {}", ctx.attempt()))),
            Some("dead") => items.dead(index, "not ours"),
            _ => {}
        }
    }
    Ok(Done)
}

fn parcels(count: usize) -> Vec<Message> {
    (0..count).map(|number| event(&format!("p-{number}"), NAME, &json!({ "number": number }))).collect()
}

fn bad(id: &str, does: &str) -> Message {
    event(id, NAME, &json!({ "number": -1, "does": does }))
}

/// How often each id was in a run.
fn of_each(runs: &Runs) -> BTreeMap<String, usize> {
    let mut each = BTreeMap::new();
    runs.lock().unwrap().iter().flatten().for_each(|id| *each.entry(id.clone()).or_default() += 1);
    each
}

/// Until the broker has given all of them out. It counts an earlier subscription, too, while what that brought is not settled.
async fn all_held(node: &Node, vhost: &str) {
    wait_until("all of them to be held", LIMIT, async || {
        node.queue(vhost, QUEUE).filter(|(ready, consumers)| *ready == 0 && *consumers > 0)
    })
    .await;
}

/// A bad one for ever among a thousand, one that is dead at once, and one that comes twice. Without an inbox the last runs twice.
async fn thousand(vhost: &str, inbox: Inbox) -> (Running, Runs) {
    let node = Node::shared();
    let (url, runs) = (node.vhost(vhost), Runs::default());
    let knows = !inbox.is_none();
    let mut all = parcels(1_000);
    all.insert(300, bad("bad", "err"));
    all.insert(700, bad("dead", "dead"));
    all.push(event("p-999", NAME, &json!({ "number": 999 })));
    let policy = policy(200, Duration::from_millis(500)).concurrency(2);
    let running = Running::start(&url, shop(policy, inbox, &runs)).await;
    Sender::new(&url).await.send(all).await;
    running
        .ends
        .until(1_001, "all to be done, or known", |ended| {
            matches!(ended, Ended::Done | Ended::HandledAlready)
        })
        .await;
    running.ends.until(2, "two to be dead", |ended| matches!(ended, Ended::Dead(_))).await;
    let known = running.ends.all().iter().filter(|(_, ended)| *ended == Ended::HandledAlready).count();
    assert_eq!(known, usize::from(knows));
    let mut dead = letters(&url, QUEUE, 2).await;
    dead.sort_by_key(|letter| letter.properties.message_id.clone());
    assert_eq!(verdict(&dead[0]), ("attempts", "no luck with 3"));
    assert_eq!(verdict(&dead[1]), ("refused", "not ours"));
    let each = of_each(&runs);
    assert_eq!(each["bad"], 3);
    for (id, ran) in &each {
        let most = if id == "p-999" && !knows { 4 } else { 2 };
        assert!(id == "bad" || *ran <= most, "{id} ran {ran} times");
    }
    let largest = runs.lock().unwrap().iter().map(Vec::len).max();
    assert!(largest > Some(1), "they came in batches: {largest:?}");
    (running, runs)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_item_of_a_thousand_costs_its_neighbours_one_more_attempt() {
    let (running, _) = thousand("batch-none", Inbox::none()).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead, report.left.len()), (1_001, 2, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_inbox_in_memory_what_comes_twice_runs_once() {
    let (running, _) = thousand("batch-memory", Inbox::memory(10_000)).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead), (1_001, 2), "{report}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn with_an_inbox_in_postgres_each_effect_is_there_once() {
    let postgres = testkit::Postgres::shared();
    let url = postgres.database("batches");
    postgres.sql("batches", "create table effects (number bigint not null)");
    let options = ponos::inbox::postgres::PostgresOptions::new("shop");
    let inbox = Inbox::postgres(&url, options).await.unwrap();
    let (running, _) = thousand("batch-postgres", inbox).await;
    running.stop().await;
    let sql = |text: &str| postgres.sql("batches", text);
    // the dead one is written by the run of its neighbours, unless it was in a run with the bad one and died alone
    assert_eq!(sql("select count(*), count(distinct number) from effects where number >= 0"), "1000|1000");
    // besides those of retries that were put
    let handled = format!("from ponos.ponos_inbox where handler = '{NAME}'");
    assert_eq!(sql(&format!("select count(*) {handled}")), "1000");
    assert_eq!(sql(&format!("select count(*) {handled} and id in ('bad', 'dead')")), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_when_the_connection_was_lost_is_done_all_the_same() {
    let node = Node::start();
    let (url, runs) = (node.url(), Runs::default());
    let policy = policy(500, Duration::from_secs(600));
    let running = Running::start(&url, shop(policy, Inbox::memory(1_000), &runs)).await;
    Sender::new(&url).await.send(parcels(20)).await;
    all_held(&node, "/").await;
    node.close_connections();
    running.ends.done(20).await;
    assert!(of_each(&runs).values().all(|ran| *ran == 1), "{runs:?}");
    assert_eq!(running.stop().await.handled, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_ends_what_was_open() {
    let node = Node::shared();
    let (url, runs) = (node.vhost("batch-stop"), Runs::default());
    let policy = policy(500, Duration::from_secs(600));
    let running = Running::start(&url, shop(policy, Inbox::none(), &runs)).await;
    Sender::new(&url).await.send(parcels(20)).await;
    wait_until("all of them to be taken in", LIMIT, async || {
        (running.liveness.deliveries().taken == 20).then_some(())
    })
    .await;
    assert_eq!(running.stop().await.handled, 20);
    assert_eq!(runs.lock().unwrap().len(), 1);
    wait_until("the consumer to be gone", LIMIT, async || {
        (node.queue("batch-stop", QUEUE) == Some((0, 0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_work_at_the_stop_ends_and_what_waits_goes_back() {
    let node = Node::shared();
    let url = node.vhost("batch-drain");
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Runs::default());
    let (open, noted) = (Arc::clone(&gate), Arc::clone(&runs));
    let handler = move |items: Batch<Value>, _: Context| {
        let open = Arc::clone(&open);
        noted.lock().unwrap().push(vec![String::new(); items.len()]);
        async move {
            drop(open.acquire().await?);
            Ok(Done)
        }
    };
    let worker = Worker::new("shop").batch(NAME, handler.with(policy(10, Duration::from_secs(600))));
    let running = Running::start(&url, worker).await;
    Sender::new(&url).await.send(parcels(35)).await;
    wait_until("a batch to begin", LIMIT, async || (!runs.lock().unwrap().is_empty()).then_some(())).await;
    running.ask_to_stop();
    let first = runs.lock().unwrap()[0].len() as u64;
    wait_until("the rest to be back", LIMIT, async || {
        node.queue("batch-drain", QUEUE).filter(|(ready, _)| *ready == 35 - first)
    })
    .await;
    gate.add_permits(1_000);
    let report = running.ended().await;
    assert_eq!((report.handled, report.left.len()), (first, 0), "{report}");
}

#[test]
fn is_the_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let worker = shop(policy(500, Duration::from_secs(600)), Inbox::none(), &Runs::default());
        worker.run(&url, ponos::shutdown::on_signals()).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_in_a_process_that_was_killed_is_done_by_the_next_one() {
    let node = Node::shared();
    let (url, runs, sandbox) = (node.vhost("batch-killed"), Runs::default(), Sandbox::new());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, "--exact", "--nocapture", "--test-threads=1"]).env(URL, &url).stdin(Stdio::null());
    let child = sandbox.start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("the process to listen", LIMIT, async || {
        node.queue("batch-killed", QUEUE).filter(|(_, consumers)| *consumers == 1)
    })
    .await;
    Sender::new(&url).await.send(parcels(20)).await;
    all_held(node, "batch-killed").await;
    drop(child); // SIGKILL
    let worker = shop(policy(500, Duration::from_millis(200)), Inbox::none(), &runs);
    let running = Running::start(&url, worker).await;
    running.ends.done(20).await;
    assert!(of_each(&runs).len() == 20 && of_each(&runs).values().all(|ran| *ran == 1), "{runs:?}");
    assert_eq!(running.stop().await.handled, 20);
}

/// A collector that takes everything.
async fn collect(mut stream: TcpStream, bodies: Arc<Mutex<Vec<u8>>>) -> std::io::Result<()> {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await?));
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect(&head);
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await?;
        bodies.lock().unwrap().extend(body);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

/// How often a span is linked to one of this trace: `links` is field 13 of a span, and begins with the id of the trace.
fn links(wire: &[u8], trace: u128) -> usize {
    let begins =
        |at: &[u8]| at[0] == 13 << 3 | 2 && at[2..4] == [1 << 3 | 2, 16] && at[4..] == trace.to_be_bytes();
    wire.windows(20).filter(|at| begins(at)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_batch_is_a_span_that_is_linked_to_those_of_its_items() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let bodies: Arc<Mutex<Vec<u8>>> = Arc::default();
    let taken = Arc::clone(&bodies);
    let collecting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(collect(stream, Arc::clone(&taken)));
        }
    });
    let worker = shop(policy(3, Duration::from_secs(600)), Inbox::none(), &Runs::default());
    let worker = worker.traces(ponos::traces::Collector::at(&url).unwrap());
    let mut kit = Kit::start_in_real_time(worker).await;
    let sent = [(1, "01"), (2, "01"), (3, "00")].map(|(trace, flags)| {
        let mut event = kit.event(NAME, &json!({}));
        event.traceparent = Some(format!("00-{trace:032x}-00f067aa0ba902b7-{flags}"));
        event.into_message()
    });
    kit.publish_messages("events", sent.to_vec()).await;
    kit.settled().await;
    kit.stop().await;
    collecting.abort();
    let wire = bodies.lock().unwrap();
    assert_eq!([1, 2, 3].map(|trace| links(&wire, trace)), [1, 1, 0], "the third is not recorded");
    let count = b"messaging.batch.message_count";
    assert_eq!(wire.windows(count.len()).filter(|found| found == count).count(), 1);
}
