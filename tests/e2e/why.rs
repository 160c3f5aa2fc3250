//! `khronos why` and `khronos coverage`: a clock that listens to what services report, with services that handle what it sends and what
//! follows from that; and one that may not listen.

use crate::harness::{Arrivals, Clock};
use ponos::{
    event::Timestamp,
    prelude::*,
    schema::Contract,
    shutdown::Trigger,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::{thread::JoinHandle, time::Duration};
use testkit::Node;

const TICK: &str = "time.two-seconds.passed";
const SHIPPED: &str = "order.parcel.shipped";
const MISSED: &str = "ponos.handling.missed";
const SCHEDULES: &str = "[[schedule]]\nname = \"tick\"\nevery = \"2 seconds\"\n";

/// A worker at work, on a thread of its own.
struct Service {
    trigger: Trigger,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    fn start(url: &str, worker: Worker) -> Self {
        let (trigger, shutdown) = shutdown();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Box::pin(worker.reports().run(&url, shutdown))).unwrap();
        });
        Self { trigger, thread: Some(thread) }
    }

    /// Makes an event of the clock's.
    fn shop(url: &str) -> Self {
        let handler = async |_: Value, ctx: Context| {
            ctx.publish(SHIPPED, &json!({}))?;
            Ok(Done)
        };
        Self::start(url, Worker::new("shop").on::<Value>(TICK, handler).publishes::<Value>(SHIPPED))
    }

    /// Takes what the shop makes, and means to be done within five seconds: longer than a busy machine holds it up.
    fn mailer(url: &str) -> Self {
        let policy = Policy::default().within(Duration::from_secs(5));
        let handler = async |_: Value, _: Context| Ok(Done);
        Self::start(url, Worker::new("mailer").on::<Value>(SHIPPED, handler.with(policy)))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.trigger.advance();
        if let Some(thread) = self.thread.take() {
            // A panic of it has failed the test already.
            let _ = thread.join();
        }
    }
}

/// How a service runs.
fn state<'a>(coverage: &'a Value, service: &str) -> &'a str {
    let services = coverage["services"].as_array().map_or(&[][..], Vec::as_slice);
    let known = services.iter().find(|known| known["service"] == service);
    known.and_then(|known| known["state"].as_str()).unwrap_or_default()
}

/// The service and the state of the first handling.
fn handled(node: &Value) -> (&str, &str) {
    let handling = &node["handlings"][0];
    (handling["service"].as_str().unwrap_or_default(), handling["state"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_shows_the_occurrence_and_the_whole_tree_and_a_service_that_is_stopped_misses() {
    let url = Node::shared().vhost("why");
    let misses = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::quorum("misses")],
        bindings: vec![Binding::queue("events", "misses", MISSED)],
        ..Topology::default()
    };
    let misses = Arrivals::of(&url, vec![misses]).await;
    tokio::task::block_in_place(|| {
        let mut clock = Clock::new(&url, SCHEDULES).with("KHRONOS_REPORTS_ENABLED", true).started();
        clock.until_at("/v1/coverage", "the clock to listen", |_, body| body["listening"] == true);
        let (_shop, mailer) = (Service::shop(&url), Service::mailer(&url));
        let at_work = clock.until_at("/v1/coverage", "both services to be heard", |_, coverage| {
            ["shop", "mailer"].iter().all(|service| state(coverage, service) == "running")
        });
        let since: Timestamp = at_work["at"].as_str().unwrap().parse().unwrap();
        // The first that is due since both are at work, by its due time.
        let due = Timestamp::from_millis((since.millis() / 2_000 + 1) * 2_000);
        let is_whole = |_: u16, why: &Value| {
            let root = &why["observed"]["roots"][0];
            handled(root) == ("shop", "handled") && handled(&root["followed"][0]) == ("mailer", "handled")
        };
        let why = clock.until_at(&format!("/v1/why/tick%40{due}"), "the tree to be whole", is_whole);
        assert_eq!((&why["clock"]["state"], &why["clock"]["kind"]), (&json!("sent"), &json!("occurrence")));
        let id = why["clock"]["event_id"].as_str().unwrap().to_owned();
        let root = &why["observed"]["roots"][0];
        assert_eq!(
            (&root["event"]["id"], &root["event"]["source"]),
            (&json!(id), &json!("/khronos/khronos"))
        );
        let shipped = root["followed"][0]["event"]["id"].as_str().unwrap();
        // By any of its names, and from what followed up to its cause.
        for name in [&*id, &*id.replace('-', ""), shipped] {
            let found = &clock.json(&["why", name])[0];
            assert_eq!(found["clock"]["event_id"], id, "{name}: {found}");
        }
        let text = clock.done(&["why", &id]);
        assert!(text.starts_with(&format!("tick of {due} was sent at ")), "{text}");
        for part in [
            "\n  by revision 1, in effect since ",
            "\n  shop: handled",
            "\n    order.parcel.shipped  ",
            "mailer: handled",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let unknown = clock.verb(&["why", "6f992030-8ff1-57e8-8522-1fc0093e28d6"]);
        assert_ne!(unknown.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("were looked through"), "{unknown:?}");

        // One is stopped.
        drop(mailer);
        let missed = misses.first("something to be missed", |_| true).event;
        let data: Value = serde_json::from_slice(&missed.data).unwrap();
        let schema = include_str!("../../schemas/reports/handling-missed.json");
        Contract::parse(schema).unwrap().check(&data).unwrap();
        assert_eq!((&data["service"], &data["event"]), (&json!("mailer"), &json!(SHIPPED)));
        let stopped = |_: u16, coverage: &Value| state(coverage, "mailer") == "stopped";
        clock.until_at("/v1/coverage", "the mailer to be heard as stopped", stopped);
        let coverage = &clock.json(&["coverage"])[0];
        assert!(
            coverage["missed"].as_array().unwrap().iter().any(|miss| miss["event_id"] == data["event_id"])
        );
        let text = clock.done(&["coverage"]);
        assert!(text.contains("mailer: STOPPED") && text.contains("not handled in time"), "{text}");
        let why = clock.done(&["why", data["event_id"].as_str().unwrap()]);
        assert!(why.starts_with("tick of ") && why.contains("mailer: NOT HANDLED by"), "{why}");
        let is_said = |status, ready: &Value| {
            let warnings = ready["warnings"].as_array().map_or(&[][..], Vec::as_slice);
            let said = |one: &Value| one.as_str().unwrap().contains("not handled in time in the last hour");
            status == 200 && warnings.iter().any(said)
        };
        clock.until("the warning", is_said);
        let metrics = clock.text("/metrics").unwrap();
        assert!(metrics.contains("ponos_handling_missed_total{service=\"mailer\"} "), "{metrics}");
        assert!(metrics.contains("\nponos_observer_connected 1\n"), "{metrics}");
        clock.stop();
    });
}

#[test]
fn a_clock_that_may_not_listen_says_so_and_sends_all_the_same() {
    let node = Node::shared();
    node.vhost("why-refused");
    // He may do all that the clock needs, and not read what others report.
    node.add_user("deaf", "s3cret");
    node.permit("deaf", "why-refused", ".*", ".*", "^(amq.gen|khronos).*");
    let url = node.url_for("deaf", "s3cret", "why-refused");
    let mut clock = Clock::new(&url, SCHEDULES).with("KHRONOS_REPORTS_ENABLED", true).started();
    let is_said = |status, ready: &Value| {
        let warnings = ready["warnings"].as_array().map_or(&[][..], Vec::as_slice);
        let said = |one: &Value| {
            let said = one.as_str().unwrap();
            said.contains("what services report is not heard") && said.contains("'deaf'")
        };
        status == 200 && ready["confirmed"].as_u64() > Some(2) && warnings.iter().any(said)
    };
    let ready = clock.until("the warning, and events that go out", is_said);
    assert_eq!(ready["broker"]["link"], "up", "{ready}");
    assert!(clock.log().contains("what services report is not heard; it is tried again"), "{}", clock.log());
    clock.stop();
}
