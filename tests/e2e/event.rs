//! What is really sent: headers, properties and body of an event; what is said of events that nobody hears; and the
//! exchanges of unmodified Ponos (Node) workers.

use crate::harness::{Arrival, Arrivals, Clock};
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::{Node, Signal};
use uuid::Uuid;

/// The id by its rule (`crates/ponos-event/src/id.rs`), with nothing of ours.
fn id(clock: &str, schedule: &str, due: &str) -> String {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:khronos:occurrence");
    assert_eq!(namespace.to_string(), "d7947026-e364-593e-8c95-ddae90ef68dd");
    Uuid::new_v5(&namespace, format!("{clock}\n{schedule}\n{due}").as_bytes()).to_string()
}

/// The body as JSON, valid by `schemas/time-event.json`.
fn valid(arrival: &Arrival) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../../schemas/time-event.json")).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let data: Value = serde_json::from_slice(&arrival.message.body).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?} in {data}");
    assert!(!validator.is_valid(&json!({ "schedule": "x" })), "the schema refuses nothing");
    data
}

fn plus(instant: &str, millis: i64) -> String {
    instant.parse::<Timestamp>().unwrap().plus(millis).to_string()
}

const PULSE: &str = r#"
[[schedule]]
name = "pulse"
every = "1 second"
time_zone = "Asia/Kolkata"
expires = "10m"
data = { job = "clean", numbers = [1, 2.5], nothing = { at = "all" } }
[[schedule]]
name = "plain"
event = "orders.day.closed"
cron = "* * * * * *"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_a_cloud_event_in_binary_mode_with_a_body_that_the_schema_describes() {
    let url = Node::shared().vhost("event");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    let mut clock = Clock::new(&url, PULSE).with("KHRONOS_CLOCK_NAME", "paris-1").started();
    // Not the first one: its window begins at the creation.
    arrivals.more(6);
    let pulses: Vec<_> =
        arrivals.so_far().into_iter().filter(|a| a.message.routing_key.starts_with("time.")).collect();
    let [first, pulse] = [&pulses[0], &pulses[1]];

    let headers = &pulse.message.headers;
    let header =
        |name: &str| headers.text(name).unwrap_or_else(|| panic!("no text under {name}: {headers:?}"));
    let due = header("cloudEvents_time");
    assert!(due.ends_with(".000Z"), "{due}");
    assert_eq!(header("cloudEvents_specversion"), "1.0");
    assert_eq!(header("cloudEvents_id"), id("paris-1", "pulse", due));
    assert_eq!(header("cloudEvents_source"), "/khronos/paris-1");
    assert_eq!(header("cloudEvents_type"), "time.one-second.passed");
    assert_eq!(header("cloudEvents_subject"), "pulse");
    assert_eq!(header("cloudEvents_expirytime"), plus(due, 600_000));
    let lateness = headers.int("khronos-lateness-ms").unwrap();
    assert_eq!(header("cloudEvents_recordedtime"), plus(due, lateness));
    let trace: Vec<&str> = header("traceparent").split('-').collect();
    assert_eq!(trace.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{trace:?}");
    assert!(trace.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())));
    let names: BTreeSet<&str> = headers.iter().map(|(name, _)| name).collect();
    let attributes = ["expirytime", "id", "recordedtime", "source", "specversion", "subject", "time", "type"];
    let attributes: Vec<String> = attributes.iter().map(|name| format!("cloudEvents_{name}")).collect();
    let others = ["khronos-lateness-ms", "traceparent"];
    assert_eq!(names, attributes.iter().map(String::as_str).chain(others).collect());

    let properties = &pulse.message.properties;
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert!(properties.persistent);
    assert_eq!(properties.message_id.as_deref(), Some(header("cloudEvents_id")));
    assert_eq!(properties.kind.as_deref(), Some("time.one-second.passed"));
    assert_eq!(properties.timestamp.unwrap().to_string(), due);
    assert_eq!(properties.app_id.as_deref(), Some("khronos"));
    assert_eq!(properties.user_id.as_deref(), Some("guest"));
    assert_eq!((&*pulse.exchange, &*pulse.message.routing_key), ("events", "time.one-second.passed"));

    let local = plus(due, 19_800_000);
    let expected = json!({
        "schedule": "pulse",
        "due_at": due,
        "local_time": local.trim_end_matches('Z'),
        "time_zone": "Asia/Kolkata",
        "utc_offset": "+05:30",
        "fold": 0,
        "window": { "from": plus(due, -1000), "to": due },
        "previous_due_at": plus(due, -1000),
        "next_due_at": plus(due, 1000),
        "cause": "scheduled",
        "coalesced": 0,
        "data": { "job": "clean", "numbers": [1, 2.5], "nothing": { "at": "all" } },
    });
    assert_eq!(valid(pulse), expected);
    let first = valid(first);
    let (_, shown) = clock.get("/schedules/pulse").unwrap();
    assert_eq!(first["window"]["from"], shown["effective_from"], "{shown}");
    assert_eq!(first["previous_due_at"], Value::Null);

    let plain = arrivals.first("the plain one", |a| a.message.routing_key == "orders.day.closed");
    assert_eq!(valid(&plain)["data"], Value::Null);
    assert_eq!(plain.message.headers.text("cloudEvents_expirytime"), None);
    clock.stop();
}

const UNHEARD: &str = r#"
[[schedule]]
name = "heard"
event = "test.heard.passed"
every = "200ms"
[[schedule]]
name = "unheard"
event = "test.unheard.passed"
every = "200ms"
[[schedule]]
name = "important"
event = "test.important.passed"
every = "1s"
unrouted = "park"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_is_bound_to_are_counted_and_parked_where_the_schedule_says_so() {
    let url = Node::shared().vhost("unheard");
    let heard = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic("heard")],
        bindings: vec![Binding::queue("events", "heard", "test.heard.*")],
        ..Topology::default()
    };
    let arrivals = Arrivals::of(&url, vec![heard]).await;
    let mut clock = Clock::new(&url, UNHEARD).started();
    arrivals.more(3);
    let unheard = clock.until_at("/schedules/unheard", "returns to be counted", |_, body| {
        body["returned"].as_u64() > Some(2)
    });
    assert_eq!(unheard["returned"], unheard["confirmed"]);
    assert_eq!(clock.get("/schedules/heard").unwrap().1["returned"], 0);
    let status = clock.until("the parked one", |_, body| body["parked"].as_u64() > Some(0));
    assert!(status["returned"].as_u64() > Some(2), "{status}");
    let parked = clock.json(&["parked", "list"]);
    assert!(parked.iter().all(|parked| parked["schedule"] == "important"), "{parked:?}");
    assert!(parked[0]["reason"].as_str().unwrap().contains("no queue is bound"), "{parked:?}");
    assert!(clock.json(&["history", "unheard"]).iter().all(|row| row["returned"] == true));
    assert_eq!(clock.log().matches(" of unheard reached nobody: ").count(), 1, "{}", clock.log());
    assert_eq!(clock.log().matches(" of heard reached nobody: ").count(), 0, "{}", clock.log());
    clock.done(&["audit"]);
    clock.stop();
}

/// What an unmodified Ponos (Node) worker declares: the event's fanout exchange, its own queue, and the binding.
fn node_worker(service: &str, event: &str) -> Topology {
    let queue = format!("{service}.{event}");
    Topology {
        exchanges: vec![Exchange::fanout(event)],
        queues: vec![Queue::classic(&*queue)],
        bindings: vec![Binding::queue(event, &*queue, "")],
        ..Topology::default()
    }
}

fn exchange_is_fanout(vhost: &str, name: &str) -> bool {
    let resource = format!("rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{name}\">>)");
    Node::shared().eval(&format!("rabbit_exchange:lookup({resource})")).contains(",fanout,true,")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fanout_an_unmodified_node_worker_gets_its_events_whoever_starts_first() {
    const FIRST: &str = "[[schedule]]\nname = \"first\"\nevent = \"test.first.passed\"\nevery = \"200ms\"\n";
    const SECOND: &str =
        "[[schedule]]\nname = \"second\"\nevent = \"test.second.passed\"\nevery = \"200ms\"\n";
    let url = Node::shared().vhost("fanout");
    // This worker is there before the clock.
    let early = Arrivals::of(&url, vec![node_worker("docker", "test.first.passed")]).await;
    let mut clock = Clock::new(&url, FIRST).with("KHRONOS_BROKER_FANOUT", "true").started();
    early.more(3);
    let event = early.so_far().remove(0);
    let body = valid(&event);
    assert_eq!(body["schedule"], "first");
    assert!(!exchange_is_fanout("fanout", "test.second.passed"));

    clock.write_schedules(&format!("{FIRST}{SECOND}"));
    clock.signal(Signal::HUP);
    clock.until_at("/schedules/second", "the new schedule", |status, _| status == 200);
    assert!(
        exchange_is_fanout("fanout", "test.second.passed"),
        "its exchange is there before its first event"
    );
    // And this one comes later.
    let late = Arrivals::of(&url, vec![node_worker("backup", "test.second.passed")]).await;
    late.more(3);
    assert!(late.so_far().iter().all(|arrival| arrival.event.name.as_str() == "test.second.passed"));
    clock.stop();
}
