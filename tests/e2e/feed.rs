//! The clock with its built-in broker: the feed, and the verbs that ask it, against the running clock and against what it
//! left behind; and how much memory it takes.

use crate::harness::{Clock, Feed, LIMIT, id_of, let_pass, random, scale, text};
use ponos::event::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, process::Command};
use testkit::{Node, block_until_or_tell};

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
catch_up = { policy = "all" }
[[schedule]]
name = "second"
every = "1 second"
catch_up = { policy = "all" }
"#;

fn due(event: &Value) -> Timestamp {
    event["time"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_feed_resumed_after_a_kill_has_no_hole_and_the_same_content_for_the_same_id() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    let mut random = random();
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut last: Option<String> = None;
    for round in 0..5 * scale() {
        let mut feed = Feed::open(&clock, "/feed?match=test.%23", last.as_deref());
        for _ in 0..random.usize(3..20) {
            let (name, mut event) = feed.next().expect("the feed goes on");
            assert_eq!((&*name, &event["type"]), ("test.often.passed", &Value::from("test.often.passed")));
            assert_eq!(event["id"], id_of("often", due(&event)));
            // Measured, so different each time.
            let lateness = event.as_object_mut().unwrap().remove("khronoslatenessms").unwrap();
            let sent = event.as_object_mut().unwrap().remove("recordedtime").unwrap();
            assert!(
                lateness.as_i64().unwrap() >= 0 && sent.as_str().unwrap() >= event["time"].as_str().unwrap()
            );
            let first = seen.entry(event["time"].as_str().unwrap().to_owned()).or_insert(event.clone());
            assert_eq!(*first, event);
        }
        last = feed.last.clone();
        if round % 2 == 0 {
            let_pass(random.u64(0..50));
            clock.kill();
        } else {
            clock.stop();
            assert_eq!(feed_end(feed), None, "a feed ends when the clock stops");
        }
        let_pass(random.u64(0..500));
        clock.start();
        clock.until_ready();
    }
    let due: Vec<Timestamp> = seen.values().map(due).collect();
    let holes: Vec<_> = due.windows(2).filter(|pair| pair[1].since(pair[0]) != 100).collect();
    assert!(holes.is_empty(), "{holes:?}");
    clock.until_calm();
    clock.stop();
    clock.done(&["audit"]);
}

#[test]
fn delayed_events_are_in_a_feed_that_is_resumed_after_a_kill_and_each_once() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    let mut last: Option<String> = None;
    let mut seen: Vec<u64> = Vec::new();
    let mut put = 0;
    for _ in 0..3 * scale() {
        let mut feed = Feed::open(&clock, "/v1/feed", last.as_deref());
        for _ in 0..5 {
            put += 1;
            let (name, data) = (format!("later-{put}"), put.to_string());
            clock.done(&["at", "--in", "300ms", "order.reminder.due", &data, "--name", &name]);
        }
        // Among the events of schedules; the clock is killed before the last ones were read.
        let until = seen.len() + 3;
        while seen.len() < until {
            let (name, event) = feed.next().expect("the feed goes on");
            if name == "order.reminder.due" {
                assert_eq!(event["subject"], format!("later-{}", event["data"]));
                seen.push(event["data"].as_u64().unwrap());
            }
        }
        last = feed.last.clone();
        clock.kill();
        clock.start();
        clock.until_ready();
    }
    let mut feed = Feed::open(&clock, "/v1/feed", last.as_deref());
    while seen.len() < put {
        let (name, event) = feed.next().expect("the feed goes on");
        if name == "order.reminder.due" {
            seen.push(event["data"].as_u64().unwrap());
        }
    }
    // What was due at one time may come in either order; nothing is left out, nor twice.
    seen.sort_unstable();
    assert_eq!(seen, (1..=put as u64).collect::<Vec<_>>());
    clock.stop();
    assert!(clock.done(&["audit"]).contains("which agrees"));
    assert_eq!(clock.json(&["delayed", "history", "--limit", "1000"]).len(), put);
}

/// Reads to the end.
fn feed_end(mut feed: Feed) -> Option<Value> {
    while feed.next().is_some() {}
    None
}

#[test]
fn list_history_audit_and_tail_ask_the_running_clock_and_the_store_of_a_stopped_one() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    clock.until("some events", |_, body| body["confirmed"].as_u64() > Some(10));

    let events = clock.json(&["tail", "--count", "5", "--after", "0", "--match", "test.#"]);
    assert_eq!(events.len(), 5);
    assert!(events.windows(2).all(|pair| due(&pair[1]).since(due(&pair[0])) == 100), "{events:?}");
    let line = clock.done(&["tail", "--count", "1", "--match", "time.*.passed"]);
    assert!(line.contains("time.one-second.passed  second"), "{line}");

    let listed = clock.json(&["list"]);
    assert_eq!(listed.len(), 2);
    assert!(listed[0]["confirmed"].as_u64() > Some(5), "{listed:?}");
    let running = clock.json(&["history", "often", "--after", "0", "--limit", "5"]);
    assert_eq!(running[0]["id"], events[0]["id"]);
    assert!(
        running.iter().all(|row| row["outcome"] == "confirmed" && row["returned"] == false),
        "{running:?}"
    );
    assert!(clock.done(&["audit"]).contains("record and arithmetic agree"));
    assert!(clock.done(&["audit", "--url", &format!("http://127.0.0.1:{}", clock.port)]).contains("agree"));
    clock.stop();

    let stored = clock.json(&["history", "often", "--after", "0", "--limit", "5"]);
    assert_eq!(stored, running);
    let listed = clock.json(&["list"]);
    assert!(listed[0]["name"] == "often" && listed[0]["confirmed"].as_u64() > Some(5), "{listed:?}");
    let audit = clock.json(&["audit"]);
    let totals = &audit.last().unwrap()["totals"];
    assert_eq!((&totals["holes"], &totals["surplus"]), (&0.into(), &0.into()), "{totals}");
    assert!(totals["confirmed"].as_u64() > Some(10), "{totals}");
    let tail = clock.verb(&["tail", "--count", "1"]);
    assert_eq!(tail.status.code(), Some(69), "{}", text(&tail));
    let release = clock.verb(&["parked", "release", "1"]);
    assert_eq!(release.status.code(), Some(69), "{}", text(&release));
}

#[test]
fn tail_reads_a_real_broker_too() {
    let url = Node::shared().vhost("tail");
    let mut clock = Clock::new(&url, SCHEDULES).started();
    let events = clock.json(&["tail", "--broker", &url, "--count", "3", "--match", "test.#"]);
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["id"] == id_of("often", due(event))), "{events:?}");
    let other = Command::new(env!("CARGO_BIN_EXE_khronos"))
        .args(["tail", "--count", "1", "--broker", &url.replace("guest:guest", "guest:s3cret")])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(77), "{}", text(&other));
    assert!(!text(&other).contains("s3cret"), "{}", text(&other));
    clock.stop();
}

/// Memory of its own in KiB: how much of the program's file is mapped beside it depends on what the kernel has at hand.
fn resident(clock: &Clock) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", clock.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn with_the_standard_schedules_the_clock_takes_less_than_20_mb() {
    let url = Node::shared().vhost("memory");
    // And one that is due soon, so that it has really sent something.
    let often = "[[schedule]]\nname = \"often\"\nevent = \"test.often.passed\"\nevery = \"100ms\"\n";
    let schedules = format!("{}\n{often}", include_str!("../../schedules/standard.toml"));
    for broker in ["memory:", &*url] {
        let mut clock = Clock::new(broker, &schedules).started();
        assert_eq!(clock.json(&["list"]).len(), 13);
        clock.until("a hundred events", |_, body| body["confirmed"].as_u64() >= Some(100));
        clock.done(&["audit"]);
        println!("{} KiB resident", resident(&clock));
        // What the audit took is given back soon.
        let look = || (resident(&clock) < 20_000_000 / 1024).then_some(());
        block_until_or_tell("20 MB to suffice", LIMIT, look, || {
            format!("{} KiB with {broker}", resident(&clock))
        });
        clock.stop();
    }
}

#[test]
fn under_a_low_limit_of_open_files_the_store_does_not_want_for_one_whatever_is_asked() {
    let mut clock = Clock::new("memory:", SCHEDULES).files(36).started();
    assert!(clock.log().contains("at most 36 files may be open"), "{}", clock.log());
    let feeds: Vec<_> = (0..60).map(|_| clock.request("/feed?after=0", "")).collect();
    for _ in 0..3 {
        let confirmed = |body: &Value| body["confirmed"].as_u64().unwrap();
        let so_far = confirmed(&clock.until("health beside the feeds", |status, _| status == 200));
        clock.until("events beside the feeds", |status, body| status == 200 && confirmed(body) > so_far + 20);
        // New schedules are read, and written, beside them.
        let listed = format!("second-{so_far}");
        clock.write_schedules(&SCHEDULES.replace("name = \"second\"", &format!("name = \"{listed}\"")));
        let look = || clock.json(&["list"]).iter().any(|schedule| schedule["name"] == *listed).then_some(());
        block_until_or_tell("the new schedule to be in effect", LIMIT, look, || clock.log());
    }
    drop(feeds);
    let log = clock.log();
    assert!(!log.contains("the store can't be written") && !log.contains("Too many open files"), "{log}");
    clock.until_calm();
    clock.stop();
    clock.done(&["audit"]);
}
