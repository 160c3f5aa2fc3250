//! Everything is paused and goes on, on a real RabbitMQ, with a clock that is killed meanwhile.

use crate::harness::{Arrival, Arrivals, Clock, LIMIT, text};
use khronos::clock;
use ponos::{event::Timestamp, topology::Queue};
use serde_json::Value;
use std::collections::BTreeSet;
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
catch_up = { policy = "latest", grace = "500ms" }

[[schedule]]
name = "thrice"
event = "test.thrice.passed"
every = "100ms"
limit = 3
"#;

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// How many ticks were due after the first instant, up to the second.
fn ticks(after: Timestamp, through: Timestamp) -> i64 {
    through.millis().div_euclid(200) - after.millis().div_euclid(200)
}

fn due(arrivals: &[Arrival], schedule: &str) -> Vec<Timestamp> {
    let of = arrivals.iter().filter(|arrival| arrival.event.subject.as_deref() == Some(schedule));
    of.filter_map(|arrival| arrival.event.time).collect()
}

/// What the record has as skipped because of a pause: due times from the first to the last, and how many.
fn skipped(clock: &Clock, schedule: &str) -> Vec<(Timestamp, Timestamp, i64)> {
    let rows = clock.json(&["history", schedule, "--outcome", "skipped", "--limit", "100"]);
    let rows = rows.iter().filter(|row| row["reason"] == "paused");
    rows.map(|row| (instant(&row["first_due_at"]), instant(&row["due_at"]), row["count"].as_i64().unwrap()))
        .collect()
}

/// Everything is paused, the clock is killed and started again, and more than a grace later it goes on. Since when it was
/// paused, and when it was asked to go on.
fn paused_and_killed(clock: &mut Clock, how: &str) -> (Timestamp, Timestamp) {
    let said = clock.done(&["pause", "--all", "--note", "new disks", "--by", "ann"]);
    assert!(said.contains("paused since") && said.contains("by ann: new disks"), "{said}");
    clock.kill();
    clock.start();
    let is_paused = |status: u16, body: &Value| status == 200 && body["paused"]["note"] == "new disks";
    let body = clock.until("the clock to be ready and paused", is_paused);
    assert!(body["warnings"][0].as_str().unwrap().contains("paused since"), "{body}");
    let since = instant(&body["paused"]["since"]);
    let long = |_: u16, body: &Value| instant(&body["now"]).since(since) > 4_000;
    let body = clock.until("the pause to be long", long);
    assert_eq!(body["confirmed"], 0, "nothing goes out: {body}");
    let list = text(&clock.verb(&["list"]));
    assert!(list.contains("the clock is paused since") && list.contains("paused with all"), "{list}");
    assert!(list.contains("finished: its limit of 3 is reached"), "{list}");
    clock.done_in_time(&["health", "--ready"], |said| said.contains("ready, and paused since"));
    let again = clock.done(&["pause", "--all", "--note", "more disks", "--by", "bob"]);
    assert!(again.contains(&format!("paused since {since} by bob: more disks")), "{again}");
    let asked = clock::now();
    let said = clock.done(&["resume", "--all", how]);
    assert!(said.starts_with(&format!("resumed; what fell due since {since}")), "{said}");
    (since, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_kill_and_ends_by_catching_up_or_by_skipping() {
    let url = Node::shared().vhost("paused");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    let finished = |_: u16, body: &Value| body["finished"]["reason"] == "its limit of 3 is reached";
    clock.until_at("/schedules/thrice", "one to be finished", finished);
    let said = "thrice is finished (its limit of 3 is reached)";
    block_until("that to be said", LIMIT, || clock.log().contains(said).then_some(()));
    assert_eq!(clock.done(&["resume", "--all", "--skip"]), "the clock was not paused; nothing changed\n");

    let mut pauses = Vec::new();
    for how in ["--catch-up", "--skip"] {
        arrivals.more(5);
        let (since, asked) = paused_and_killed(&mut clock, how);
        arrivals.first("what is due after the pause", |one| one.event.time.is_some_and(|due| due > asked));
        clock.until_calm();
        assert!(clock.get("/readyz").unwrap().1.get("paused").is_none());
        clock.done(&["audit"]);
        pauses.push((since, asked));
    }
    clock.stop_calm();
    let audit = clock.json(&["audit"]);
    let arrived = arrivals.so_far();
    for (since, asked) in &pauses {
        let sent = arrived.iter().filter_map(|one| one.event.recorded_time);
        let meanwhile: Vec<_> = sent.filter(|sent| since < sent && sent < asked).collect();
        assert_eq!(meanwhile, [], "sent while all was paused from {since} to {asked}");
    }
    let [(since, asked), (later, asked_later)] = pauses[..] else { panic!("{pauses:?}") };
    let came = due(&arrived, "tick");
    let within = |since: Timestamp, asked: Timestamp| {
        let mut came: Vec<_> = came.iter().filter(|due| since < **due && **due <= asked).collect();
        came.sort();
        came.dedup();
        came.len() as i64
    };
    assert_eq!(within(since, asked), ticks(since, asked), "all that fell due is caught up with");
    assert_eq!(within(later, asked_later), 0, "what is skipped is not sent");
    // What was due within a second of its beginning may have been handed over before it, and comes singly; and so does what is
    // hardly late when it ends. Of what lies between them one stands for all.
    let middle = since.plus(asked.since(since) / 2);
    let stands_for_it = |one: &&Arrival| {
        let body: Value = serde_json::from_slice(&one.message.body).unwrap();
        let (from, to) = (instant(&body["window"]["from"]), instant(&body["window"]["to"]));
        from < middle && middle <= to && body["coalesced"].as_u64() > Some(4)
    };
    let tocks = arrived.iter().filter(|one| one.event.subject.as_deref() == Some("tock"));
    let standing: BTreeSet<&str> = tocks.filter(stands_for_it).map(|one| one.event.id.as_str()).collect();
    assert_eq!(standing.len(), 1, "one stands for all, of the first pause: {standing:?}");

    let rows = skipped(&clock, "tick");
    let count: i64 = rows.iter().map(|(.., count)| count).sum();
    assert!(count >= ticks(later, asked_later), "{rows:?}");
    assert!(rows.iter().all(|(first, ..)| later < *first), "{rows:?}");
    let skipped: u64 =
        ["tick", "tock"].iter().flat_map(|name| skipped(&clock, name)).map(|(.., count)| count as u64).sum();
    let totals = &audit.last().unwrap()["totals"];
    assert_eq!(totals["skipped"]["paused"].as_u64(), Some(skipped), "{audit:?}");
    let log = clock.log();
    assert!(log.contains("nothing is sent before it ends") && log.contains("is skipped"), "{log}");
    assert!(log.contains("is caught up with, as each schedule's catch_up says"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_ends_by_itself_at_its_instant_though_the_clock_was_down_then() {
    let url = Node::shared().vhost("paused-until");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    arrivals.more(5);
    // Long enough for the clock to be down before it ends, however slow the machine is.
    let pause = &["pause", "--all", "--note", "x", "--for", "15s", "--skip"];
    let said = clock.json(pause).remove(0);
    let paused = &said["paused"];
    let (since, until) = (instant(&paused["since"]), instant(&paused["until"]));
    assert!((0..15_500).contains(&until.since(since)) && paused["on_resume"] == "skip", "{said}");
    clock.kill();
    let stopped = text(&clock.verb(&["list"]));
    assert!(stopped.contains("the clock is paused since"), "{stopped}");
    block_until("the end of the pause", LIMIT, || (clock::now().since(until) > 2_000).then_some(()));
    let started = clock::now();
    clock.start();
    clock.until("the pause to be over", |status, body| status == 200 && body.get("paused").is_none());
    arrivals.first("what is due now", |one| one.event.time.is_some_and(|due| due > started));
    clock.until_calm();
    clock.stop_calm();
    clock.done(&["audit"]);
    let rows = skipped(&clock, "tick");
    let count: i64 = rows.iter().map(|(.., count)| count).sum();
    assert_eq!(count, ticks(since, until), "{rows:?}");
    assert!(rows.iter().all(|(first, last, _)| since < *first && *last <= until), "{rows:?}");
    // What fell due after it, while the clock was down, was missed: that is another matter.
    let came: BTreeSet<Timestamp> = due(&arrivals.so_far(), "tick").into_iter().collect();
    let missed = came.iter().filter(|due| until < **due && **due <= started).count() as i64;
    assert_eq!(missed, ticks(until, started));
}
