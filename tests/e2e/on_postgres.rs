//! The clock with its state in a Postgres, killed and started again.

use crate::harness::{Arrival, Arrivals, Clock, Expected, LIMIT, let_pass, random, scale};
use khronos::clock::now;
use ponos::topology::{Binding, Exchange, Queue, Topology};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::{Node, Postgres, block_until_or_tell};

const SCHEDULES: &str = r#"
[[schedule]]
name = "tick"
event = "test.tick.passed"
every = "200ms"
catch_up = { policy = "all" }

[[schedule]]
name = "tock"
event = "test.tock.passed"
every = "700ms"
catch_up = { policy = "latest" }
"#;

/// Delayed events that are put before each kill.
const PUT: usize = 40;

/// Asks until it is answered: by their names it is done once.
fn put(clock: &Clock, round: usize) {
    let due = now().plus(300);
    let item = |number| {
        let name = format!("n{round}-{number}");
        json!({ "name": name, "event": "test.later.passed", "at": due.plus(10 * number), "data": { "for": name } })
    };
    let items: Vec<Value> = (0..PUT as i64).map(item).collect();
    let body = Value::from(items).to_string();
    let (status, answer) = block_until_or_tell(
        "the delayed events to be taken",
        LIMIT,
        || clock.post("/v1/events:batch", &body).filter(|(status, _)| *status != 503),
        || clock.log(),
    );
    assert_eq!(status, 200, "{answer}");
    let outcomes = answer["results"].as_array().unwrap();
    let is_there =
        |one: &Value| ["created", "unchanged", "settled"].map(Value::from).contains(&one["outcome"]);
    assert!(outcomes.iter().all(is_there), "{answer}");
}

/// Stops it with nothing outstanding, and reads what it left.
fn expected(clock: &mut Clock, url: &str) -> Expected {
    for _ in 0..10 {
        clock.until_calm();
        clock.stop();
        if let Some(expected) = Expected::in_postgres(url) {
            return expected;
        }
        clock.start();
    }
    panic!("ten times something was outstanding:\n{}", clock.log());
}

/// A queue that is bound to these events.
fn queue(name: &str, events: &[&str]) -> Vec<Topology> {
    let bindings = events.iter().map(|event| Binding::queue("events", name.to_owned(), *event)).collect();
    vec![Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic(name.to_owned())],
        bindings,
        ..Topology::default()
    }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_whose_state_is_in_a_postgres_is_killed_again_and_again_and_loses_nothing() {
    let kills = 5 * scale();
    let (url, store) = (Node::shared().vhost("on-postgres"), Postgres::shared().database("killed-clock"));
    let scheduled = Arrivals::of(&url, queue("scheduled", &["test.tick.passed", "test.tock.passed"])).await;
    let later = Arrivals::of(&url, queue("later", &["test.later.passed"])).await;
    let mut clock = Clock::new(&url, SCHEDULES)
        .with("KHRONOS_STORE_PATH", &store)
        .with("KHRONOS_HTTP_OPEN", "true")
        .started();
    let mut random = random();
    for round in 0..kills {
        put(&clock, round);
        scheduled.more(3);
        let_pass(random.u64(0..700));
        clock.kill();
        clock.start();
        clock.until_ready();
    }
    let put = kills * PUT;
    let all_sent = || clock.text("/metrics").filter(|text| text.contains("khronos_delayed_pending 0\n"));
    block_until_or_tell("all delayed events to be sent", LIMIT, all_sent, || clock.log());
    later.more(put.saturating_sub(later.len()));
    clock.until_calm();
    clock.done_in_time(&["audit"], |_| true);
    let (occurrences, arrived, _) = expected(&mut clock, &store).compare(&scheduled, 1);
    let mut came: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    for Arrival { event, at, .. } in later.so_far() {
        let (name, due) = (event.subject.unwrap(), event.time.unwrap());
        assert!(at >= due, "{name} is due at {due} and came at {at}");
        let this = (event.id.as_str().to_owned(), event.data);
        let before = came.entry(name.clone()).or_insert(this.clone());
        assert_eq!(*before, this, "{name} came as two events");
    }
    assert_eq!(came.len(), put, "each delayed event came");
    println!("{kills} kills: {occurrences} occurrences, {arrived} arrivals, and {put} delayed events");
}
