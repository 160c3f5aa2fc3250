//! What Prometheus scrapes of a real clock, on a real RabbitMQ, against the record.

use crate::harness::{Arrivals, Clock, LIMIT};
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};
use testkit::{Node, block_until_or_tell, promtool};

const TICK: &str = r#"
[[schedule]]
name = "tick"
event = "test.tick.passed"
every = "200ms"
catch_up = { policy = "all" }
"#;

/// Nobody hears of the first, and so the second is parked; the third comes once.
const OTHERS: &str = r#"
[[schedule]]
name = "lonely"
event = "test.lonely.passed"
every = "300ms"
[[schedule]]
name = "needed"
event = "test.needed.passed"
every = "300ms"
unrouted = "park"
[[schedule]]
name = "once"
event = "test.once.passed"
every = "1 second"
limit = 1
[[schedule]]
name = "still"
event = "test.still.passed"
every = "200ms"
paused = true
"#;

const YEARLY: &str = r#"
[[schedule]]
name = "yearly"
event = "test.year.passed"
cron = "0 0 1 1 *"
"#;

const OPEN: &str = "Accept: application/openmetrics-text;version=1.0.0\r\n";

/// The series of a scrape with their values.
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

impl Scrape {
    fn of(clock: &Clock, accept: &str) -> Self {
        let mut answer = String::new();
        let mut stream = clock.request("/metrics", accept).expect("the clock answers");
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{answer}");
        let kind = if accept == OPEN { "application/openmetrics-text" } else { "text/plain; version=0.0.4" };
        assert!(head.to_lowercase().contains(&format!("content-type: {kind}")), "{head}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let one = |line: &str| {
            let line = line.split(" # ").next().unwrap();
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        };
        Self { text: text.to_owned(), series: lines.map(one).collect() }
    }

    fn get(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("{series} is not in\n{}", self.text))
    }

    /// The sum of all series of this metric that name `label`.
    fn sum(&self, metric: &str, label: &str) -> f64 {
        let wanted = |name: &str| name.starts_with(&format!("{metric}{{")) && name.contains(label);
        self.series.iter().filter(|(name, _)| wanted(name)).map(|(_, value)| value).sum()
    }

    /// What only grows while the process lives.
    fn counters(&self) -> impl Iterator<Item = (&String, &f64)> {
        let grows =
            |name: &str| ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
        self.series.iter().filter(move |(name, _)| grows(name.split('{').next().unwrap()))
    }

    /// Nothing fell since an earlier scrape of the same process.
    fn is_later_than(&self, earlier: &Self) {
        for (name, before) in earlier.counters().filter(|(name, _)| !name.contains("schedule=")) {
            let now = self.value(name);
            assert!(now >= *before, "{name} fell from {before} to {now}");
        }
    }
}

/// Waits until a scrape is as wanted.
fn until(clock: &Clock, what: &str, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let tell = || format!("{}\n{}", Scrape::of(clock, "").text, clock.log());
    block_until_or_tell(what, LIMIT, || Some(Scrape::of(clock, "")).filter(&wanted), tell)
}

/// All rows of the record, oldest first.
fn rows(clock: &Clock) -> Vec<Value> {
    let mut rows = clock.json(&["history", "--limit", "1000000"]);
    rows.sort_by_key(|row| row["sequence"].as_u64());
    rows
}

/// Due times by outcome, as the rows say.
fn by_outcome(rows: &[Value]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for row in rows {
        let outcome = row["outcome"].as_str().unwrap().to_owned();
        *all.entry(outcome).or_default() += row["count"].as_u64().unwrap();
    }
    all
}

fn hears_of(event: &str) -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic(event)],
        bindings: vec![Binding::queue("events", event, event)],
        ..Topology::default()
    }
}

/// What `promtool` says against it.
fn check_by_promtool(text: &str) {
    let said = promtool(Path::new("/"), ["check", "metrics"], text);
    let output = [said.stdout, said.stderr].concat();
    assert_eq!((said.status.code(), &*String::from_utf8_lossy(&output)), (Some(0), ""), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_scraped_agrees_with_the_record_and_grows_through_edits_and_outages() {
    let node = Node::shared();
    let url = node.vhost("scraped");
    let arrivals = Arrivals::of(&url, vec![hears_of("test.tick.passed"), hears_of("test.once.passed")]).await;
    let clock =
        Clock::new(&url, &format!("{TICK}{OTHERS}")).with("KHRONOS_METRICS_AUDIT_EVERY", "1s").started();
    arrivals.more(5);
    // What is counted, and what the status says, are not of the same instant.
    let wanted = [
        ("khronos_schedules{state=\"finished\"}", 1.0),
        ("khronos_audit_holes", 0.0),
        ("khronos_ready", 1.0),
        ("khronos_broker_connected", 1.0),
        ("khronos_schedules{state=\"active\"}", 3.0),
        ("khronos_schedules{state=\"paused\"}", 1.0),
        ("khronos_schedule_series", 1.0),
        ("khronos_degraded{reason=\"parked\"}", 1.0),
        ("khronos_degraded{reason=\"broker\"}", 0.0),
        ("khronos_schedule_occurrences_total{schedule=\"once\",outcome=\"confirmed\"}", 1.0),
        ("khronos_audit_surplus", 0.0),
        ("khronos_details_lost_total", 0.0),
    ];
    let first = until(&clock, "something of each kind", |scrape| {
        scrape.value("khronos_occurrences_total{outcome=\"confirmed\",reason=\"\"}") > 10.0
            && scrape.value("khronos_occurrences_total{outcome=\"skipped\",reason=\"paused\"}") > 0.0
            && scrape.value("khronos_occurrences_total{outcome=\"parked\",reason=\"unrouted\"}") > 0.0
            && scrape.value("khronos_unheard_total") > 0.0
            && wanted.iter().all(|(series, value)| scrape.get(series) == Some(*value))
    });
    let late = |scrape: &Scrape| scrape.value("khronos_lateness_seconds_count{cause=\"scheduled\"}");
    assert!(late(&first) > 10.0 && first.value("khronos_store_flush_duration_seconds_count") > 0.0);
    for schedule in ["still", "once"] {
        let next = format!("khronos_schedule_next_due_timestamp_seconds{{schedule=\"{schedule}\"}}");
        assert_eq!(first.get(&next), None, "nothing more of it is sent");
    }
    check_by_promtool(&first.text);

    // An edit, and connections that are lost.
    clock.write_schedules(&format!("{TICK}{OTHERS}").replace("every = \"300ms\"", "every = \"400ms\""));
    node.close_connections_of("scraped");
    let second = until(&clock, "more", |scrape| late(scrape) > late(&first) + 10.0);
    second.is_later_than(&first);
    let of_tick = "khronos_schedule_occurrences_total{schedule=\"tick\",outcome=\"confirmed\"}";
    assert!(second.value(of_tick) > first.value(of_tick));

    // All of them go, and one comes: their series go, and what was counted stays.
    clock.write_schedules(YEARLY);
    let third = until(&clock, "only one to be there", |scrape| {
        scrape.sum("khronos_schedules", "") == 1.0 && !scrape.text.contains("schedule=\"tick\"")
    });
    third.is_later_than(&second);
    assert!(
        third.series.keys().filter(|name| name.contains("schedule=")).all(|name| name.contains("yearly"))
    );
    let due: Timestamp = clock.json(&["list"])[0]["next_due_at"].as_str().unwrap().parse().unwrap();
    let next = "khronos_schedule_next_due_timestamp_seconds{schedule=\"yearly\"}";
    assert_eq!(third.value(next), due.millis() as f64 / 1_000.0);

    // Now that nothing is due any more: each row is counted once.
    let agrees = |scrape: &Scrape| {
        let rows = rows(&clock);
        let outcomes = by_outcome(&rows);
        let counted =
            |outcome: &str| scrape.sum("khronos_occurrences_total", &format!("outcome=\"{outcome}\"")) as u64;
        let confirmed = rows.iter().filter(|row| row["outcome"] == "confirmed");
        let returned = confirmed.clone().filter(|row| row["returned"] == true).count();
        ["confirmed", "skipped", "parked", "dropped", "details-lost"]
            .iter()
            .all(|outcome| counted(outcome) == outcomes.get(*outcome).copied().unwrap_or(0))
            && late(scrape) as usize == confirmed.count()
            && scrape.value("khronos_unheard_total") as usize == returned
    };
    let last = until(&clock, "the counters to agree with the record", agrees);
    last.is_later_than(&third);
    let open = Scrape::of(&clock, OPEN);
    open.is_later_than(&Scrape { text: String::new(), series: BTreeMap::new() });
    assert!(open.text.ends_with("# EOF\n"));
    assert_eq!(late(&open), late(&last));
    // Examples are events of the record.
    let ids: Vec<String> =
        rows(&clock).iter().filter_map(|row| Some(row["id"].as_str()?.replace('-', ""))).collect();
    let traces: Vec<&str> = open.text.split("# {trace_id=\"").skip(1).map(|rest| &rest[..32]).collect();
    assert!(!traces.is_empty() && traces.iter().all(|trace| ids.iter().any(|id| id == trace)), "{traces:?}");

    // The machine's own operator has them too, by the control socket.
    let mut socket = UnixStream::connect(clock.store().join("control.sock")).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("khronos_build_info{version="), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_counters_begin_anew_and_what_was_sent_last_stays() {
    let url = Node::shared().vhost("scraped-anew");
    let arrivals = Arrivals::of(&url, vec![hears_of("test.tick.passed")]).await;
    let mut clock = Clock::new(&url, TICK).started();
    arrivals.more(10);
    let confirmed = "khronos_occurrences_total{outcome=\"confirmed\",reason=\"\"}";
    until(&clock, "some events", |scrape| scrape.value(confirmed) > 5.0);
    clock.kill();
    let recorded = rows(&clock).last().unwrap()["sequence"].as_u64();
    clock.write_schedules(&TICK.replace("200ms", "1h"));
    clock.start();
    clock.until_calm();
    let agrees = |scrape: &Scrape| {
        let all = rows(&clock);
        let sent = all.iter().filter_map(|row| row["sent_at"].as_str()?.parse::<Timestamp>().ok());
        let last = sent.max().unwrap().millis() as f64 / 1_000.0;
        let new: Vec<Value> = all.into_iter().filter(|row| row["sequence"].as_u64() > recorded).collect();
        let lost = new.iter().filter(|row| row["outcome"] == "details-lost").count();
        scrape.value(confirmed) as u64 == by_outcome(&new).get("confirmed").copied().unwrap_or(0)
            && (lost.min(1)..=lost).contains(&(scrape.value("khronos_details_lost_total") as usize))
            && scrape.value("khronos_schedule_last_settled_timestamp_seconds{schedule=\"tick\"}") == last
    };
    until(&clock, "what was recorded since to be counted", agrees);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_queue_refuses_is_counted_while_it_is_refused() {
    let url = Node::shared().vhost("scraped-full");
    let mut full = hears_of("test.tick.passed");
    full.queues =
        vec![Queue::classic("test.tick.passed").with("x-max-length", 1).with("x-overflow", "reject-publish")];
    // Declared, and left alone: it takes one event.
    drop(Arrivals::of(&url, vec![full]).await);
    let clock = Clock::new(&url, TICK).started();
    until(&clock, "refusals", |scrape| {
        scrape.value("khronos_refusals_total") >= 3.0
            && scrape.value("khronos_parked") >= 3.0
            && scrape.value("khronos_refused_schedules") == 1.0
            && scrape.value("khronos_degraded{reason=\"refused\"}") == 1.0
            && scrape.value("khronos_ready") == 1.0
    });
    until(&clock, "the rows to be counted", |scrape| {
        scrape.value("khronos_occurrences_total{outcome=\"parked\",reason=\"refused\"}") >= 3.0
    });
}

#[test]
fn above_the_limit_there_are_no_series_of_single_schedules_and_that_is_said() {
    let clock =
        Clock::new("memory:", &format!("{TICK}{OTHERS}")).with("KHRONOS_METRICS_SCHEDULES", "4").started();
    let are_there = |scrape: &Scrape| {
        let some = scrape.series.keys().any(|name| name.contains("schedule=\""));
        assert_eq!(some, scrape.value("khronos_schedule_series") == 1.0, "{}", scrape.text);
        some
    };
    let confirmed = "khronos_occurrences_total{outcome=\"confirmed\",reason=\"\"}";
    until(&clock, "events to be counted", |scrape| !are_there(scrape) && scrape.value(confirmed) > 5.0);
    let said = "metrics: there are more than 4 schedules (metrics.schedules)";
    assert_eq!(clock.log().matches(said).count(), 1, "{}", clock.log());
    clock.write_schedules(TICK);
    let of_tick = "khronos_schedule_occurrences_total{schedule=\"tick\",outcome=\"confirmed\"}";
    until(&clock, "the series to be there", |scrape| are_there(scrape) && scrape.value(of_tick) > 2.0);
    assert!(clock.log().contains("there are series of single schedules again"), "{}", clock.log());
}

#[test]
fn without_a_broker_the_clock_says_that_it_is_behind() {
    let mut clock = Clock::new("amqp://127.0.0.1:1", TICK);
    clock.start();
    clock.until("the clock to answer", |status, _| status == 503);
    let wanted = [
        ("khronos_ready", 0.0),
        ("khronos_broker_connected", 0.0),
        ("khronos_degraded{reason=\"broker\"}", 1.0),
        ("khronos_degraded{reason=\"store\"}", 0.0),
        ("khronos_in_flight", 0.0),
    ];
    let behind = until(&clock, "two seconds to pass", |scrape| {
        scrape.value("khronos_oldest_outstanding_age_seconds") > 2.0
            && wanted.iter().all(|(series, value)| scrape.get(series) == Some(*value))
    });
    let next = behind.value("khronos_schedule_next_due_timestamp_seconds{schedule=\"tick\"}");
    assert!(khronos::clock::now().millis() as f64 / 1_000.0 - next > 2.0, "{}", behind.text);
}
