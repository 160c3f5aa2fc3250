//! What is done to schedules at run time, on a real RabbitMQ, with a clock that is killed meanwhile: one is paused by its name,
//! an event is triggered, the past is sent once more.

use crate::harness::{Arrival, Arrivals, Clock, LIMIT, text};
use khronos::clock;
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::Value;
use testkit::{Node, block_until};

const SCHEDULES: &str = r#"
[[schedule]]
name = "tick"
event = "test.tick.passed"
every = "200ms"
catch_up = { policy = "all" }

[[schedule]]
name = "tock"
event = "test.tock.passed"
every = "300ms"

[[schedule]]
name = "minute"
event = "other.minute.passed"
every = "1m"
"#;

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

fn of(arrivals: &[Arrival], schedule: &str, cause: &str) -> Vec<(String, Timestamp, Timestamp)> {
    let of = arrivals.iter().filter(|arrival| arrival.event.subject.as_deref() == Some(schedule));
    let body = |one: &Arrival| serde_json::from_slice::<Value>(&one.message.body).unwrap();
    let of = of.filter(|one| body(one)["cause"] == cause);
    let all =
        of.filter_map(|one| Some((one.event.id.to_string(), one.event.time?, one.event.recorded_time?)));
    all.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_paused_by_its_name_rests_through_a_kill_and_can_be_triggered() {
    let url = Node::shared().vhost("paused-by-name");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    arrivals.more(5);
    let said = clock.done(&["pause", "tick", "--note", "its queue moves", "--by", "ann"]);
    assert_eq!(said, "paused: 1 schedule (tick)\n");
    let (_, body) = clock.get("/v1/schedules/tick").unwrap();
    let since = instant(&body["pause"]["since"]);
    clock.kill();
    let stopped = text(&clock.verb(&["list"]));
    assert!(stopped.contains("by ann: its queue moves"), "{stopped}");
    clock.start();
    let warned = |status: u16, body: &Value| {
        let warnings = body["warnings"].as_array();
        let said = warnings
            .into_iter()
            .flatten()
            .any(|one| one.as_str().is_some_and(|one| one.starts_with("tick: paused since")));
        status == 200 && said
    };
    clock.until("the clock to be ready and to warn", warned);
    let rests = |_: u16, body: &Value| body["state"] == "paused" && body["pause"]["by"] == "ann";
    clock.until_at("/v1/schedules/tick", "it to rest", rests);
    let restarted = clock::now();
    arrivals.first("what is not paused", |one| {
        one.event.subject.as_deref() == Some("tock") && one.event.time.is_some_and(|due| due > restarted)
    });
    let asked: Vec<Value> =
        (0..3).map(|_| clock.json(&["trigger", "tick", "--key", "now"]).remove(0)).collect();
    assert!(asked.iter().all(|one| *one == asked[0]), "{asked:?}");
    let id = asked[0]["event_id"].as_str().unwrap().to_owned();
    arrivals.first("what was triggered", |one| one.event.id.as_str() == id);
    let before = clock::now();
    assert_eq!(clock.done(&["resume", "tick", "--skip"]), "resumed: 1 schedule (tick)\n");
    let resumed = clock::now();
    arrivals.first("what is due after the pause", |one| {
        one.event.subject.as_deref() == Some("tick") && one.event.time.is_some_and(|due| due > resumed)
    });
    clock.until_calm();
    clock.stop_calm();
    clock.done(&["audit"]);
    let arrived = arrivals.so_far();
    let scheduled = of(&arrived, "tick", "scheduled");
    let meanwhile: Vec<_> = scheduled.iter().filter(|(_, _, sent)| since < *sent && *sent < before).collect();
    assert!(meanwhile.is_empty(), "sent while it was paused from {since} to {before}: {meanwhile:?}");
    assert!(scheduled.iter().all(|(_, due, _)| *due <= since.plus(1_500) || *due > before), "{scheduled:?}");
    assert_eq!(of(&arrived, "tick", "triggered").len(), 1);
    let rows = clock.json(&["history", "tick", "--kind", "trigger"]);
    assert_eq!((rows.len(), &rows[0]["command"], &rows[0]["id"]), (1, &"now".into(), &id.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_sent_once_more_watched_and_cancelled() {
    let url = Node::shared().vhost("backfilled");
    let bound = |queue: &str, patterns: &[&str]| Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic(queue)],
        bindings: patterns.iter().map(|pattern| Binding::queue("events", queue, *pattern)).collect(),
        ..Topology::default()
    };
    let arrivals = Arrivals::of(&url, vec![bound("all", &["#"]), bound("side", &[])]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    arrivals.more(5);
    let now = clock::now();
    let [from, to] = [now.plus(-30 * 60_000), now.plus(-60_000)].map(|at| at.to_string());
    let span = ["backfill", "minute", "--from", &from, "--to", &to];
    let dry = clock.done(&[&span[..], &["--dry-run"]].concat());
    assert!(
        dry.starts_with("29 events would be sent") || dry.starts_with("30 events would be sent"),
        "{dry}"
    );
    let begun = clock.json(&[&span[..], &["--rate", "1000", "--queue", "side", "--key", "b-1"]].concat());
    let count = begun[0]["count"].as_u64().unwrap();
    let done = |_: u16, body: &Value| body["state"] == "done" && body["sent"] == count;
    clock.until_at("/v1/operations/b-1", "all to be sent", done);
    // Rows are written some tenths of a second after what they tell of.
    let rows = block_until("all to be in the record", LIMIT, || {
        let rows = clock.json(&["history", "minute", "--kind", "backfill", "--limit", "100"]);
        (rows.len() as u64 == count).then_some(rows)
    });
    assert!(rows.iter().all(|row| row["command"] == "b-1"), "{rows:?}");
    block_until("all to arrive", LIMIT, || {
        let (side, others): (Vec<Arrival>, Vec<Arrival>) =
            arrivals.so_far().into_iter().partition(|one| one.queue == 1);
        assert_eq!(of(&others, "minute", "backfilled"), [], "only to the one queue");
        (of(&side, "minute", "backfilled").len() as u64 == count).then_some(())
    });
    let missing = [&span[..], &["--only-missing", "--dry-run"]].concat();
    let none = clock.done(&[&missing[..], &["--queue", "side"]].concat());
    let there = format!("left out: {count} that were sent, or are still to be sent\n");
    assert_eq!(none, format!("nothing would be sent\n{there}"));
    let all = clock.done(&missing);
    assert!(all.starts_with(&format!("{count} events would be sent")), "the others were sent nothing: {all}");
    // To a queue that is not there.
    let lately = now.plus(-150_000).to_string();
    clock.json(&["backfill", "minute", "--from", &lately, "--to", &to, "--queue", "nowhere", "--key", "b-2"]);
    let parked = block_until("that to be parked", LIMIT, || {
        let parked = clock.json(&["parked", "list"]);
        (!parked.is_empty()).then_some(parked)
    });
    assert_eq!((&parked[0]["kind"], &parked[0]["command"]), (&"backfill".into(), &"b-2".into()));
    clock.done(&["operations", "b-2", "--cancel"]);
    clock.until_at("/v1/operations/b-2", "it to have ended", |_, body| body["outstanding"] == 0);
    // One that takes ten minutes: it is not done before it is cancelled, however slow the machine is.
    let long_ago = now.plus(-600 * 60_000).to_string();
    let span = ["backfill", "minute", "--from", &long_ago, "--to", &to];
    clock.json(&[&span[..], &["--rate", "1", "--key", "b-3"]].concat());
    clock.until_at("/v1/operations/b-3", "some to be sent", |_, body| body["sent"].as_u64() > Some(1));
    clock.kill();
    clock.start();
    let sent = |_: u16, body: &Value| body["sent"].as_u64() > Some(3) && body["state"] == "running";
    clock.until_at("/v1/operations/b-3", "more to be sent", sent);
    let ended = clock.json(&["operations", "b-3", "--cancel"]).remove(0);
    assert_eq!((&ended["state"], &ended["left"]), (&"cancelled".into(), &0.into()));
    clock.until_at("/v1/operations/b-3", "it to have ended", |_, body| body["outstanding"] == 0);
    let (_, body) = clock.get("/v1/operations/b-3").unwrap();
    let sent = body["sent"].as_u64().unwrap();
    arrivals.more(10);
    clock.until_calm();
    clock.stop_calm();
    clock.done(&["audit"]);
    let arrived = arrivals.so_far();
    let mut all = of(&arrived, "minute", "backfilled");
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(all.len() as u64, count + sent, "none of them twice, and none after the cancel");
}
