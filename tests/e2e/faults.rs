//! Bad luck while it runs, on a real RabbitMQ: the clock killed, the broker killed, a memory alarm, a queue that refuses.
//! Nothing is lost, nothing is early, equal ids have equal bodies, and the audit agrees.

use crate::harness::{Arrival, Arrivals, Clock, Expected, LIMIT, Pace, id_of, let_pass, random, scale};
use khronos::clock;
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::{Node, block_until};

/// Every 100 ms to 1 s; what is missed is sent singly, or as one.
const SCHEDULES: &str = r#"
[[schedule]]
name = "all-100"
event = "test.all-hundred.passed"
every = "100ms"
catch_up = { policy = "all", grace = "200ms" }
[[schedule]]
name = "all-250"
event = "test.all-quarter.passed"
every = "250ms"
catch_up = { policy = "all" }
data = { some = ["payload", 1, { deep = true }] }
[[schedule]]
name = "all-1000"
event = "test.all-second.passed"
every = "1s"
phase = "137ms"
catch_up = { policy = "all", grace = "50ms" }
[[schedule]]
name = "latest-100"
event = "test.latest-hundred.passed"
every = "100ms"
catch_up = { policy = "latest", grace = "150ms" }
[[schedule]]
name = "latest-400"
event = "test.latest-half.passed"
every = "400ms"
time_zone = "Europe/Paris"
catch_up = { policy = "latest", grace = "100ms" }
[[schedule]]
name = "latest-cron"
event = "test.latest-cron.passed"
cron = "* * * * * *"
catch_up = { policy = "latest", grace = "0s" }
"#;

/// A classic and a quorum queue.
fn queues() -> [Queue; 2] {
    [Queue::classic("classic"), Queue::quorum("quorum")]
}

/// The clock is stopped; what arrived is what its schedules call for, and the audits agree.
fn stop_and_compare(clock: &mut Clock, arrivals: &Arrivals) -> u64 {
    clock.until_calm();
    clock.done(&["audit"]);
    clock.stop_calm();
    clock.done(&["audit"]);
    let (occurrences, arrived, coalesced) = Expected::of(clock).compare(arrivals, 2);
    println!("{occurrences} occurrences, {arrived} arrivals in two queues, {coalesced} stood for by others");
    coalesced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_killed_at_random_moments_loses_nothing_and_sends_the_same_again() {
    let url = Node::shared().vhost("killed");
    let arrivals = Arrivals::of_all_events(&url, &queues()).await;
    let mut clock = Clock::new(&url, SCHEDULES);
    let mut random = random();
    for _ in 0..30 * scale() {
        clock.start();
        if random.u8(0..4) > 0 {
            arrivals.more(random.usize(1..60));
            let_pass(random.u64(0..30));
        } else {
            // While it starts.
            let_pass(random.u64(0..400));
        }
        clock.kill();
        if random.bool() {
            let_pass(random.u64(0..2000));
        }
    }
    clock.start();
    arrivals.more(100);
    let coalesced = stop_and_compare(&mut clock, &arrivals);
    assert!(coalesced > 0, "no outage was long enough for anything to be coalesced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_or_blocked_while_the_clock_runs_costs_nothing() {
    let node = Node::start();
    let arrivals = Arrivals::of_all_events(&node.url(), &queues()).await;
    let mut clock = Clock::new(&node.url(), SCHEDULES).started();
    let mut random = random();
    arrivals.more(100);
    // RabbitMQ itself loses a quorum queue (it finds no leader any more) when it is killed right after declaring it.
    node.write_down();
    for _ in 0..3 * scale() {
        arrivals.more(random.usize(1..100));
        node.kill9();
        let down = clock.until("the loss of the broker to be seen", |status, _| status == 503);
        assert!(down["reasons"][0].as_str().unwrap().starts_with("broker: "), "{down}");
        assert_eq!(clock.get("/healthz").unwrap().0, 200, "the clock itself is well");
        node.restart();
        clock.until_ready();
    }
    arrivals.more(50);

    node.raise_memory_alarm();
    clock.until("the alarm to be seen", |status, body| {
        status == 503
            && body["broker"]["link"] == "blocked"
            && body["reasons"][0].to_string().contains("memory")
    });
    block_until("3 s without an event", LIMIT, || {
        let last = arrivals.so_far().last().map(|arrival| arrival.at).unwrap();
        (clock::now().since(last) > 3_000).then_some(())
    });
    node.clear_memory_alarm();
    clock.until_ready();
    arrivals.more(50);
    let coalesced = stop_and_compare(&mut clock, &arrivals);
    assert!(coalesced > 0, "no outage was long enough for anything to be coalesced");
    let log = clock.log();
    assert!(log.contains("the broker is back"), "{log}");
    assert!(log.contains("the clock keeps running and loses nothing"), "{log}");
}

const REFUSED: &str = r#"
[[schedule]]
name = "refused"
event = "test.refused.passed"
every = "2s"
catch_up = { policy = "all" }
[[schedule]]
name = "refused-too"
event = "test.refused.ended"
every = "2s"
catch_up = { policy = "all" }
[[schedule]]
name = "neighbour"
event = "test.neighbour.passed"
every = "100ms"
catch_up = { policy = "all" }
"#;

fn parked(clock: &Clock) -> Vec<Value> {
    clock.json(&["parked", "list"])
}

/// The queue that holds one message and refuses the next, bound to one schedule's event.
fn full() -> Topology {
    let queue = Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish");
    Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![queue],
        bindings: vec![Binding::queue("events", "full", "test.refused.#")],
        ..Topology::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_queue_refuses_is_resent_then_parked_and_released_under_its_id_while_neighbours_go_on() {
    let url = Node::shared().vhost("refusing");
    // Declared, and left alone: nobody consumes it for now.
    drop(Arrivals::of(&url, vec![full()]).await);
    let everything = Arrivals::of_all_events(&url, &[Queue::classic("everything")]).await;
    let mut clock = Clock::new(&url, REFUSED)
        .with("KHRONOS_PUBLISH_RESENDS", 2)
        .with("KHRONOS_PUBLISH_RESEND_OVER", "3s")
        .started();
    let pace = Pace::begin(&clock);
    // Seen at the first refusal, long before anything is given up on.
    let refused =
        clock.until("the refusal", |_, body| body["warnings"].to_string().contains("refused by the broker"));
    assert!(refused["warnings"].to_string().contains("test.refused."), "{refused}");
    let listed = clock.done(&["list"]);
    let is_refused = |line: &str| line.contains("refused since") && line.contains("nack");
    assert!(listed.lines().any(is_refused), "{listed}");
    assert!(clock.log().contains("the broker refuses test.refused."), "{}", clock.log());
    let seen = clock.until("parked events of both", |_, body| body["parked"].as_u64() >= Some(4));
    assert!(seen["warnings"].to_string().contains("khronos parked list"), "{seen}");
    let listed = block_until("both to be given up", LIMIT, || {
        let all = parked(&clock);
        (all.len() == 2 && all.iter().all(|one| one["next_try_at"].is_null())).then_some(all)
    });
    let of = |name: &str| listed.iter().find(|one| one["schedule"] == name);
    let [first, second] = ["refused", "refused-too"].map(|name| of(name).expect("both are refused"));
    assert!(first["reason"].as_str().unwrap().contains("nack"), "{first}");
    let due = first["first_due_at"].as_str().unwrap().parse().unwrap();
    let id = id_of("refused", due);
    // Each was sent once and twice more: the healthy queue got it three times.
    assert_eq!(first["refused"], 3);
    block_until("the third sending", LIMIT, || {
        let is_it = |arrival: &&Arrival| arrival.event.id.as_str() == id;
        let sendings = everything.so_far().iter().filter(is_it).count();
        assert!(sendings <= 3, "{sendings} sendings");
        (sendings == 3).then_some(())
    });
    // Of both one may be said, and that there is another.
    assert!(clock.log().contains("parked refused"), "{}", clock.log());
    // The neighbour was never held up by it.
    let neighbours: Vec<_> =
        everything.so_far().into_iter().filter(|a| a.event.subject.as_deref() == Some("neighbour")).collect();
    let times = || neighbours.iter().map(|a| a.event.time.unwrap());
    let (from, until) = (times().min().unwrap(), times().max().unwrap());
    let due: BTreeSet<Timestamp> = times().collect();
    assert_eq!(due.len() as i64, until.since(from) / 100 + 1);
    let latest = neighbours.iter().map(|a| a.event.recorded_time.unwrap().since(a.event.time.unwrap())).max();
    let allowed = pace.allows(5_000);
    assert!(latest < Some(allowed), "a neighbour was sent {latest:?} ms late, of {allowed}");

    // There is room again, and it is released; another one is dropped.
    let emptied = Arrivals::of(&url, vec![full()]).await;
    emptied.more(1);
    let second_due = second["first_due_at"].clone();
    let [first, second] = [first["id"].to_string(), second["id"].to_string()];
    assert_eq!(clock.done(&["parked", "drop", &second]), format!("{second} dropped\n"));
    assert_eq!(clock.done(&["parked", "release", &first]), format!("{first} released\n"));
    let released = emptied.first("the released event", |arrival| arrival.event.id.as_str() == id);
    let before = everything.first("what was sent before", |arrival| arrival.event.id.as_str() == id);
    assert_eq!(released.message.body, before.message.body);
    block_until("both to be gone from the list", LIMIT, || {
        let left: Vec<String> = parked(&clock).iter().map(|parked| parked["id"].to_string()).collect();
        (!left.contains(&first) && !left.contains(&second)).then_some(())
    });
    let unknown = clock.verb(&["parked", "release", &second]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let dropped = clock.json(&["history", "refused-too", "--outcome", "dropped"]);
    assert_eq!(dropped[0]["first_due_at"], second_due);
    clock.until_calm();
    clock.until("all to be taken", |_, body| !body["warnings"].to_string().contains("refused by the broker"));
    clock.done(&["audit"]);
    clock.stop_calm();
    clock.done(&["audit"]);
}

/// One event, to which a full queue and a healthy one are bound.
const SHARED: &str = r#"
[[schedule]]
name = "shared"
event = "test.refused.passed"
every = "500ms"
catch_up = { policy = "all" }
resends = { most = 100, within = "5m" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_holds_nothing_back_from_the_others_and_gets_all_of_it_once_there_is_room() {
    let url = Node::shared().vhost("shared");
    drop(Arrivals::of(&url, vec![full()]).await);
    let healthy = Arrivals::of_all_events(&url, &[Queue::classic("healthy")]).await;
    let mut clock = Clock::new(&url, SHARED).started();
    let pace = Pace::begin(&clock);
    let due = |arrival: &Arrival| arrival.event.time.unwrap();
    let came = |arrivals: &Arrivals| -> BTreeSet<Timestamp> { arrivals.so_far().iter().map(due).collect() };
    block_until("twenty events in the healthy queue", LIMIT, || (came(&healthy).len() >= 20).then_some(()));

    // Each came, on time; what was refused was sent again now and then, and never all of it.
    let all = healthy.so_far();
    let ids: BTreeSet<Timestamp> = all.iter().map(due).collect();
    let (first, last) = (*ids.first().unwrap(), *ids.last().unwrap());
    assert_eq!(ids.len() as i64, last.since(first) / 500 + 1, "{ids:?}");
    let allowed = pace.allows(2_000);
    for id in &ids {
        let arrival = all.iter().find(|arrival| due(arrival) == *id).unwrap();
        let late = arrival.event.recorded_time.unwrap().since(*id);
        assert!(late < allowed, "{id} was sent {late} ms late, of {allowed}");
    }
    let again: BTreeSet<_> =
        ids.iter().filter(|id| all.iter().filter(|a| due(a) == **id).count() > 1).collect();
    assert!(again.len() <= 1, "only the first of the run is sent again: {again:?}");
    // What the healthy queue has may still be on its way to be refused by the other.
    let runs = block_until("all but the first to be parked", LIMIT, || {
        Some(parked(&clock)).filter(|runs| runs.first().is_some_and(|run| run["count"].as_u64() >= Some(18)))
    });
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(!runs[0]["next_try_at"].is_null(), "{runs:?}");
    assert!(clock.done(&["parked", "list"]).contains("tried again"));

    // What was refused before the clock was killed stays what it is, and is not sent as something missed.
    clock.kill();
    clock.start();
    clock.until_ready();
    let emptied = Arrivals::of(&url, vec![full()]).await;
    clock.until("the run to be sent", |_, body| body["parked"] == 0);
    let wanted = came(&healthy);
    block_until("all of it in the queue that was full", LIMIT, || {
        came(&emptied).is_superset(&wanted).then_some(())
    });
    for arrivals in [&healthy, &emptied] {
        assert!(arrivals.so_far().iter().all(is_single));
    }
    clock.until_calm();
    clock.done(&["audit"]);
    clock.stop_calm();
    clock.done(&["audit"]);
}

fn is_single(arrival: &Arrival) -> bool {
    let data: Value = serde_json::from_slice(&arrival.message.body).unwrap();
    data["coalesced"] == 0
}
