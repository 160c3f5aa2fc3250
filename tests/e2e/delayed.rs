//! Delayed events on a real RabbitMQ: put over HTTP and by message by the thousand, due over an hour that the clock is moved
//! through, while it is killed again and again.

use crate::{
    every_door::doors::{Answer, Http, Messages},
    harness::{Arrival, Arrivals, Clock, LIMIT, MovedTime, let_pass, random, scale},
};
use khronos::clock::now;
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use testkit::{Node, block_until_or_tell};

/// Items in one request.
const AT_ONCE: usize = 250;
/// Milliseconds over which they are due.
const OVER: i64 = 3_600_000;

/// Who asks by message may ask for as much as who asks over the control socket.
const CONFIG: &str = r#"
[commands]
enabled = true
[[commands.users]]
user = "guest"
owner = "order"
role = "write"
domains = ["order.*"]
puts_per_second = 1000000
"#;

/// A clock without schedules, and its control socket.
fn clock(broker: &str) -> (Clock, Http) {
    let clock = Clock::new(broker, "").with("KHRONOS_SCHEDULES_FOLDER", "none");
    let socket = Http::Socket(clock.store().join("control.sock"));
    (clock, socket)
}

/// How many are put: ten thousand, or what `TEST_DELAYED_EVENTS` says, times `TEST_SCALE`.
fn total() -> usize {
    let told = std::env::var("TEST_DELAYED_EVENTS").ok();
    told.map_or(10_000, |told| told.parse::<usize>().expect("TEST_DELAYED_EVENTS is a number")) * scale()
}

/// What a client knows.
#[derive(Default)]
struct Told {
    /// When each is due that was put, as it was answered last.
    put: BTreeMap<String, Timestamp>,
    deleted: BTreeSet<String>,
    moved: usize,
}

fn item(name: &str, due: Timestamp) -> Value {
    json!({ "name": name, "event": "order.reminder.due", "at": due, "data": { "for": name } })
}

/// The way by which a client asks, until it is answered.
enum Door {
    Http(Http),
    Messages(Box<Messages>),
}

impl Door {
    async fn put(&mut self, items: Vec<Value>) -> Answer {
        match self {
            // By their names it is done once.
            Self::Http(http) => {
                let batch = Value::from(items).to_string();
                loop {
                    if let Some(answer) = http.ask("POST", "/v1/events:batch", "", &batch).await {
                        return answer;
                    }
                }
            }
            Self::Messages(messages) => {
                messages.ask("events.put", json!({ "items": items })).await.answer().clone()
            }
        }
    }

    async fn delete(&mut self, name: &str) -> Answer {
        match self {
            Self::Http(http) => loop {
                if let Some(answer) = http.ask("DELETE", &format!("/v1/events/{name}"), "", "").await {
                    return answer;
                }
            },
            Self::Messages(messages) => {
                messages.ask("event.delete", json!({ "name": name })).await.answer().clone()
            }
        }
    }
}

/// Puts a batch.
async fn put(door: &mut Door, told: &mut Told, items: &[(String, Timestamp)]) {
    let answer = door.put(items.iter().map(|(name, due)| item(name, *due)).collect()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), items.len());
    for ((name, due), result) in items.iter().zip(results) {
        let outcome = result["outcome"].as_str().unwrap_or_default();
        match outcome {
            "created" | "unchanged" | "settled" => drop(told.put.insert(name.clone(), *due)),
            "changed" => {
                told.moved += 1;
                told.put.insert(name.clone(), *due);
            }
            // It may have been sent as it was.
            _ => assert!(told.put.contains_key(name), "{result}"),
        }
    }
}

/// Takes one back; one that may have been sent stays.
async fn delete(door: &mut Door, told: &mut Told, name: &str) {
    let answer = door.delete(name).await;
    match answer.status {
        200 | 204 => {
            told.put.remove(name);
            told.deleted.insert(name.to_owned());
        }
        409 => {}
        _ => panic!("{name}: {answer:?}"),
    }
}

/// Puts so many, whose names begin with `prefix`, moves some and takes some back.
async fn ask_all(
    mut door: Door,
    (prefix, total): (&str, usize),
    time: &MovedTime,
    asked: &AtomicUsize,
    mut random: fastrand::Rng,
) -> Told {
    let (mut told, begun) = (Told::default(), now());
    for first in (0..total).step_by(AT_ONCE) {
        let since = time.now().since(begun).max(0) + 500;
        let mut due = || begun.plus(since.max(random.i64(0..OVER)));
        let numbers = first..first + AT_ONCE;
        let items: Vec<_> = numbers.map(|number| (format!("{prefix}{number}"), due())).collect();
        put(&mut door, &mut told, &items).await;
        let moved: Vec<_> = (0..20).map(|nth| (items[nth * AT_ONCE / 20].0.clone(), due())).collect();
        put(&mut door, &mut told, &moved).await;
        for _ in 0..5 {
            delete(&mut door, &mut told, &items[random.usize(0..AT_ONCE)].0).await;
        }
        asked.fetch_add(AT_ONCE, Ordering::Relaxed);
    }
    told
}

/// What the clock counts: accepted, settled, cancelled and pending, as they were at one moment.
fn counted(clock: &Clock) -> Option<[usize; 4]> {
    let text = clock.text("/metrics")?;
    let value = |series: &str| {
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let of = |state: &str| value(&format!("khronos_delayed_events_total{{state=\"{state}\"}}"));
    Some([of("accepted")?, of("settled")?, of("cancelled")?, value("khronos_delayed_pending")?])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_delayed_event_arrives_at_its_time_whatever_becomes_of_the_clock() {
    let (total, kills) = (total(), 8);
    let (node, vhost) = (Node::shared(), "delayed");
    let url = node.vhost(vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    let (clock, socket) = clock(&url);
    let time = Arc::new(MovedTime::new(clock.sandbox.path("moved")));
    // What jumps while it runs is held for a moment.
    let file = clock.sandbox.path("config.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let clock = clock.with("KHRONOS_CONFIG", file.display()).with("KHRONOS_CLOCK_SETTLE", "1s");
    let mut clock = clock.moved(&time).started();
    clock.until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients = ["h", "m"].map(|prefix| {
        let (time, asked, random) = (time.clone(), asked.clone(), random().fork());
        let (url, socket) = (url.clone(), socket.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let door = match prefix {
                    "h" => Door::Http(socket),
                    _ => Door::Messages(Box::new(Messages::connect(&url, "delayed".into()).await)),
                };
                ask_all(door, (prefix, total / 2), &time, &asked, random).await
            })
        })
    });
    let mut random = random();
    for kill in 0..kills {
        let after = kill * total / kills;
        let more = || {
            let is_enough = asked.load(Ordering::Relaxed) >= after;
            (is_enough || clients.iter().all(|client| client.is_finished())).then_some(())
        };
        block_until_or_tell("more to be asked", 10 * LIMIT, more, || clock.log());
        // Half of its way the clock is moved while it runs, half while it does not.
        time.moves_on(OVER / kills as i64 / 2);
        let_pass(random.u64(0..3_000));
        let killed = clock.id();
        clock.kill();
        time.forget(killed);
        time.moves_on(OVER / kills as i64 / 2);
        let_pass(random.u64(0..300));
        clock.start();
    }
    let mut told = Told::default();
    for client in clients {
        let mut more = client.join().unwrap();
        told.put.append(&mut more.put);
        told.deleted.append(&mut more.deleted);
        told.moved += more.moved;
    }
    assert!(told.moved > 0 && !told.deleted.is_empty());
    let done = || {
        let counts @ [_, settled, _, pending] = counted(&clock)?;
        (pending == 0 && arrivals.len() >= settled).then_some(counts)
    };
    let [accepted, settled, cancelled, _] =
        block_until_or_tell("all to be settled", 10 * LIMIT, done, || clock.log());
    assert_eq!(accepted, settled + cancelled);
    assert_eq!(settled, told.put.len(), "what was answered is there, and nothing else");
    let mut seen: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    let mut again = 0;
    for arrival in arrivals.so_far() {
        let (event, at) = (arrival.event, time.at(arrival.at));
        let name = event.subject.clone().unwrap();
        let due = event.time.unwrap();
        assert!(at >= due, "{name} is due at {due} and came at {at}");
        assert!(!told.deleted.contains(&name), "{name} was taken back");
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!(data["for"], *name);
        let this = (event.id.as_str().to_owned(), event.data);
        match seen.get(&name) {
            Some(before) => {
                assert_eq!(*before, this, "{name} came as two events");
                again += 1;
            }
            None => drop(seen.insert(name, this)),
        }
    }
    let missing: Vec<_> = told.put.keys().filter(|name| !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{} are missing: {missing:?}\n{}", missing.len(), clock.log());
    println!(
        "{} arrived, {again} of them again; {} were moved, {} taken back",
        seen.len(),
        told.moved,
        told.deleted.len()
    );
    let stopped = clock.id();
    clock.stop();
    time.forget(stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_arrives_byte_for_byte_and_a_task_at_its_queue() {
    let (node, vhost) = (Node::shared(), "delayed-bytes");
    let url = node.vhost(vhost);
    let of = |exchange: &str, queue: &str, key: &str, make: fn(&'static str) -> Exchange| Topology {
        exchanges: vec![make(if exchange == "events" { "events" } else { "tasks" })],
        queues: vec![Queue::quorum(queue)],
        bindings: vec![Binding::queue(exchange.to_owned(), queue, key)],
        ..Topology::default()
    };
    let queues = vec![
        of("events", "all", "#", Exchange::topic),
        of("tasks", "docker.images.cleanup", "docker.images.cleanup", Exchange::direct),
    ];
    let arrivals = Arrivals::of(&url, queues).await;
    let (mut clock, socket) = clock(&url);
    clock.start();
    clock.until_ready();
    let put = async |name: &str, body: &str| {
        let answer = socket.ask("PUT", &format!("/v1/events/{name}"), "", body).await.unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    };
    let text = r#"{"event":"order.reminder.due","in":"3s","data":{ "b": 1.50, "a":"\u00e9" },"correlation_id":"order 7","headers":{"tenant":"a","tries":3}}"#;
    let view = put("text", text).await;
    put("task", r#"{"event":"docker.images.cleanup","in":"1s","to":{"task":"docker.images.cleanup"}}"#).await;
    // One that is not due in this test, however slow the machine is.
    let far = put("far", r#"{"event":"order.reminder.due","in":"1 day"}"#).await;
    let is_pending = async || {
        let got = socket.get("/v1/events/far").await;
        assert_eq!((&got["state"], &got["event_id"]), (&"pending".into(), &far["event_id"]));
    };
    is_pending().await;
    // They are there after a stop.
    clock.stop();
    clock.start();
    is_pending().await;
    let arrival = arrivals.first("the event", |arrival| arrival.event.subject.as_deref() == Some("text"));
    assert_eq!(arrival.event.data, br#"{ "b": 1.50, "a":"\u00e9" }"#);
    assert_eq!(arrival.event.id.as_str(), view["event_id"]);
    assert_eq!(arrival.event.correlation_id.as_deref(), Some("order 7"));
    assert_eq!(arrival.message.headers.text("tenant"), Some("a"));
    let task = arrivals.first("the task", |arrival| arrival.event.subject.as_deref() == Some("task"));
    assert_eq!((task.queue, &*task.exchange), (1, "tasks"));
    // It arrives before the clock knows that it does.
    testkit::wait_until("it to be settled", LIMIT, async || {
        (socket.get("/v1/events/text").await["state"] == "settled").then_some(())
    })
    .await;
    let again = socket.ask("PUT", "/v1/events/text", "", text).await.unwrap();
    assert_eq!((again.status, &again.body["outcome"]), (200, &"settled".into()), "{again:?}");
    let other = text.replace("order 7", "order 8");
    let other = socket.ask("PUT", "/v1/events/text", "", &other).await.unwrap();
    assert_eq!((other.status, &other.body["code"]), (409, &"already-settled".into()), "{other:?}");
    clock.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_queue_is_missing_is_parked_until_it_is_released_and_never_arrives_once_it_is_dropped() {
    const QUEUE: &str = "docker.images.cleanup";
    let (node, vhost) = (Node::shared(), "delayed-parked");
    let url = node.vhost(vhost);
    let (mut clock, socket) = clock(&url);
    clock.start();
    clock.until_ready();
    let put = async |name: &str| {
        let task = json!({ "event": QUEUE, "in": "1s", "to": { "task": QUEUE }, "data": { "for": name } });
        let answer = socket.ask("PUT", &format!("/v1/events/{name}"), "", &task.to_string()).await.unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["event_id"].as_str().unwrap().to_owned()
    };
    let id = put("kept").await;
    put("dropped").await;
    let parked = || {
        let listed = clock.json(&["delayed", "parked"]);
        (listed.len() == 2).then_some(listed)
    };
    block_until_or_tell("both to be parked", LIMIT, parked, || clock.log());
    // They are known after a stop, and said.
    clock.stop();
    clock.start();
    clock.until("the warning", |_, body| body["warnings"].to_string().contains("2 delayed events parked"));
    assert!(clock.text("/metrics").unwrap().contains("\nkhronos_delayed_parked 2\n"));
    let listed = clock.json(&["delayed", "parked"]);
    assert_eq!(socket.get("/v1/parked-events").await["parked"], json!(listed));
    let of = |name: &str| {
        let one = listed.iter().find(|one| one["name"] == *name).unwrap();
        assert!(one["to"]["task"] == *QUEUE && !one["reason"].as_str().unwrap().is_empty(), "{one}");
        one["creation"].as_u64().unwrap()
    };
    let (kept, dropped) = (of("kept"), of("dropped"));
    let queue = Topology {
        exchanges: vec![Exchange::direct("tasks")],
        queues: vec![Queue::quorum(QUEUE)],
        bindings: vec![Binding::queue("tasks", QUEUE, QUEUE)],
        ..Topology::default()
    };
    let arrivals = Arrivals::of(&url, vec![queue]).await;
    let said = clock.done(&["delayed", "drop", &dropped.to_string()]);
    assert_eq!(said, format!("{dropped} dropped\n"));
    let asked = json!({ "creations": [kept, dropped] }).to_string();
    let answer = socket.ask("POST", "/v1/parked-events/release", "", &asked).await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["done"], &answer.body["unknown"]),
        (200, &json!([kept]), &json!([dropped]))
    );
    let is_of = |name: &str, arrival: &Arrival| arrival.event.subject.as_deref() == Some(name);
    let task = arrivals.first("the released one", |arrival| is_of("kept", arrival));
    assert_eq!((task.event.id.as_str(), &*task.exchange), (&*id, "tasks"));
    let none = || clock.json(&["delayed", "parked"]).is_empty().then_some(());
    block_until_or_tell("none to be parked", LIMIT, none, || clock.log());
    // Neither of them is sent once more, nor after a restart.
    clock.stop();
    clock.start();
    clock.until_ready();
    put("later").await;
    arrivals.first("the one behind them", |arrival| is_of("later", arrival));
    let names: Vec<_> = arrivals.so_far().into_iter().filter_map(|arrival| arrival.event.subject).collect();
    assert_eq!(names, ["kept", "later"]);
    clock.stop();
}
