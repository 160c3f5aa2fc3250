//! A clock whose state is moved from a folder to a Postgres.

use crate::harness::{Arrivals, Clock, Expected, LIMIT, text};
use khronos::clock::now;
use ponos::topology::{Binding, Exchange, Queue, Topology};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};
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

/// Delayed events: some are sent before the move, some after it, some not within this test.
const EACH: usize = 20;

fn queue(name: &str, events: &[&str]) -> Vec<Topology> {
    let bindings = events.iter().map(|event| Binding::queue("events", name.to_owned(), *event)).collect();
    vec![Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic(name.to_owned())],
        bindings,
        ..Topology::default()
    }]
}

/// Puts some that are due after so many milliseconds.
fn put(clock: &Clock, what: &str, after: i64) {
    let due = now().plus(after);
    let item = |number: i64| {
        let name = format!("{what}-{number}");
        json!({ "name": name, "event": "test.later.passed", "at": due.plus(number), "data": { "for": name } })
    };
    let body = Value::from((0..EACH as i64).map(item).collect::<Vec<_>>()).to_string();
    let (status, answer) = clock.post("/v1/events:batch", &body).unwrap();
    assert_eq!(status, 200, "{answer}");
}

fn arrived(clock: &Clock, later: &Arrivals, count: usize) {
    let look = || (later.len() >= count).then_some(());
    block_until_or_tell(&format!("{count} delayed events"), LIMIT, look, || clock.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_moved_from_a_folder_to_a_postgres_goes_on_under_the_same_ids() {
    let (url, database) = (Node::shared().vhost("moved"), Postgres::shared().database("moved-clock"));
    let scheduled = Arrivals::of(&url, queue("scheduled", &["test.tick.passed", "test.tock.passed"])).await;
    let later = Arrivals::of(&url, queue("later", &["test.later.passed"])).await;
    let mut clock = Clock::new(&url, SCHEDULES).with("KHRONOS_HTTP_OPEN", "true").started();
    put(&clock, "before", 100);
    arrived(&clock, &later, EACH);
    scheduled.more(5);
    put(&clock, "far", 86_400_000);
    let secret = clock.sandbox.path("store-url");
    fs::write(&secret, format!("{database}\n")).unwrap();
    let (from, to) = (clock.store().display().to_string(), format!("@{}", secret.display()));

    let running = clock.verb(&["store", "copy", &from, &to]);
    assert_eq!(running.status.code(), Some(78), "it runs: {}", text(&running));
    put(&clock, "after", 2_000);
    clock.stop();
    let said = clock.json(&["store", "copy", &from, &to]);
    let counted = |what: &str| {
        let entries = said[0]["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["what"] == what).map_or(0, |entry| entry["count"].as_u64().unwrap())
    };
    assert_eq!(counted("definitions"), 2, "{said:?}");
    // Under way at the end were some, on a machine that is slow.
    assert!(counted("delayed events") >= EACH as u64 && counted("record of delayed events") >= EACH as u64);
    let again = clock.verb(&["store", "copy", &from, &to]);
    assert_eq!(again.status.code(), Some(2), "it is full: {}", text(&again));

    let mut clock = clock.with("KHRONOS_STORE_PATH", &database);
    clock.start();
    clock.until_ready();
    let wanted = "khronos_delayed_pending 20\n";
    let others_sent = || clock.text("/metrics").filter(|text| text.contains(wanted));
    block_until_or_tell("what was due since to be sent", LIMIT, others_sent, || clock.log());
    arrived(&clock, &later, 2 * EACH);
    scheduled.more(5);
    clock.until_calm();
    clock.done(&["audit"]);
    let history = clock.done(&["history", "--json", "--limit", "1"]);
    assert!(!history.is_empty());

    let mut expected = None;
    for _ in 0..10 {
        clock.until_calm();
        clock.stop();
        expected = Expected::in_postgres(&database);
        if expected.is_some() {
            break;
        }
        clock.start();
    }
    // Of what came before the move, too: by the record that came along.
    let (occurrences, arrived, _) = expected.expect("nothing is outstanding").compare(&scheduled, 1);
    let mut came: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    for arrival in later.so_far() {
        let (name, event) =
            (arrival.event.subject.unwrap(), (arrival.event.id.to_string(), arrival.event.data));
        let before = came.entry(name.clone()).or_insert_with(|| event.clone());
        assert_eq!(*before, event, "{name} came as two events");
    }
    assert_eq!(came.len(), 2 * EACH, "{:?}", came.keys());
    println!("moved: {occurrences} occurrences, {arrived} arrivals, {} delayed events", came.len());
}

/// Each id that came, with its body; and how many came in all.
fn bodies(arrivals: &Arrivals) -> (BTreeMap<String, Vec<u8>>, usize) {
    let (mut bodies, so_far) = (BTreeMap::new(), arrivals.so_far());
    let count = so_far.len();
    for arrival in so_far {
        let id = arrival.event.id.to_string();
        let body = bodies.entry(id.clone()).or_insert_with(|| arrival.message.body.to_vec());
        assert_eq!(body[..], arrival.message.body[..], "two bodies of {id}");
    }
    (bodies, count)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let there = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &there),
            false => drop(fs::copy(entry.path(), there).unwrap()),
        }
    }
}

/// Which record its rows are of, as readers see it.
fn record(clock: &Clock) -> String {
    let rows = clock.json(&["history", "--limit", "1"]);
    let position = rows[0]["position"].as_str().unwrap();
    position.split_once('.').unwrap().0.to_owned()
}

/// Starts on a copy, which is held: nothing comes of it.
fn held(clock: &mut Clock) {
    clock.start();
    let is_held = |status, body: &Value| {
        status == 503 && body["reasons"][0].as_str().is_some_and(|why| why.contains("khronos store accept"))
    };
    clock.until("the store to be held", is_held);
    let (status, answer) = clock.get("/v1/schedules").unwrap();
    assert!(status == 503 && answer["detail"].as_str().unwrap().starts_with("held"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_clock_is_held_and_goes_on_as_somebody_decides() {
    let url = Node::shared().vhost("held");
    let scheduled = Arrivals::of(&url, queue("scheduled", &["test.tick.passed", "test.tock.passed"])).await;
    let later = Arrivals::of(&url, queue("later", &["test.later.passed"])).await;
    let mut clock = Clock::new(&url, SCHEDULES).with("KHRONOS_HTTP_OPEN", "true").started();
    put(&clock, "before", 100);
    arrived(&clock, &later, EACH);
    scheduled.more(5);
    // Later than it takes to make the copy, on whichever machine.
    put(&clock, "since", 15_000);
    let (again, skipped) = (clock.sandbox.path("again"), clock.sandbox.path("skipped"));
    let said = clock.json(&["store", "backup", again.to_str().unwrap()]);
    assert!(said[0]["done"] == true && said[0]["entries"].as_u64().unwrap() > EACH as u64, "{said:?}");
    let taken = clock.verb(&["store", "backup", again.to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(2), "it is there: {}", text(&taken));
    let not_held = clock.verb(&["store", "accept", "--skip"]);
    assert_eq!(not_held.status.code(), Some(2), "it goes on: {}", text(&not_held));
    // The original goes on, and sends what the copy does not know to be sent.
    arrived(&clock, &later, 2 * EACH);
    clock.until_calm();
    let mut records = vec![record(&clock)];
    clock.stop();
    copy_folder(&again, &skipped);
    let (sent, count) = bodies(&later);
    assert_eq!(sent.len(), 2 * EACH);

    let mut clock = clock.with("KHRONOS_STORE_PATH", skipped.display());
    let ticks = scheduled.len();
    held(&mut clock);
    // It is still so after a restart.
    clock.stop();
    held(&mut clock);
    assert_eq!((scheduled.len(), later.len()), (ticks, count), "nothing is sent");
    let accepted = clock.json(&["store", "accept", "--skip"]);
    assert_eq!(accepted[0]["skipped_delayed"], EACH, "{accepted:?}");
    clock.until_calm();
    scheduled.more(3);
    clock.done(&["audit"]);
    assert_eq!(later.len(), count, "those that were skipped did not come again");
    records.push(record(&clock));
    clock.stop();

    let mut clock = clock.with("KHRONOS_STORE_PATH", again.display());
    held(&mut clock);
    let accepted = clock.json(&["store", "accept", "--send-again"]);
    assert_eq!(accepted[0]["what"], "send-again");
    arrived(&clock, &later, count + EACH);
    clock.until_calm();
    clock.done(&["audit"]);
    records.push(record(&clock));
    clock.stop();
    // Two clocks on one backup are told apart, and from the original.
    records.sort();
    records.dedup();
    assert_eq!(records.len(), 3, "{records:?}");
    let (all, _) = bodies(&later);
    assert_eq!(all, sent, "they came again under the ids that they had");
    // Of one schedule each comes singly: what the copy sent again is what the original had sent.
    let ticks = scheduled.so_far();
    let ticks = ticks.iter().filter(|arrival| arrival.event.subject.as_deref() == Some("tick"));
    let mut due: Vec<_> = ticks.map(|arrival| (arrival.event.time, arrival.message.body.to_vec())).collect();
    due.sort();
    due.dedup();
    assert!(due.windows(2).all(|two| two[0].0 < two[1].0), "one due time has two bodies");
}
