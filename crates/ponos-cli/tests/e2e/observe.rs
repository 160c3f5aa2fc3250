//! `ponos observe`, `ponos why` and `ponos coverage`: three services on a real RabbitMQ, one of them stopped.

use super::support::{LIMIT, Running, declare_all, holds, look, ponos, ponos_ends, start};
use ponos::{
    event::Event,
    prelude::*,
    schema::Contract,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::thread::JoinHandle;
use testkit::{Node, Signal};

const SHIPPED: &str = "order.parcel.shipped";
/// Where misses lie.
const MISSES: &str = "misses";

/// A service in Rust, which makes an event of a clock's.
struct Shop {
    trigger: ponos::shutdown::Trigger,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    fn start(url: &str) -> Self {
        let (trigger, shutdown) = shutdown();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let handler = async |_: Value, ctx: Context| {
                ctx.publish(SHIPPED, &json!({}))?;
                Ok(Done)
            };
            let worker = Worker::new("shop").on::<Value>("time.one-day.passed", handler);
            let worker = worker.publishes::<Value>(SHIPPED).reports();
            runtime.block_on(Box::pin(worker.run(&url, shutdown))).unwrap();
        });
        Self { trigger, thread: Some(thread) }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.trigger.advance();
        if let Some(thread) = self.thread.take() {
            // a panic of it has failed the test already
            let _ = thread.join();
        }
    }
}

/// A program as a service that takes parcels.
fn program(url: &str, service: &str) -> Running {
    let words = ["run", "--service", service, "--on", SHIPPED, "--reports", "--within", "1s", "--", "cat"];
    start(url, &words)
}

struct Observed {
    url: String,
    running: Running,
    at: String,
}

impl Observed {
    fn start(vhost: &str) -> Self {
        let url = Node::shared().vhost(vhost);
        let misses = Topology {
            exchanges: vec![Exchange::topic("events")],
            queues: vec![Queue::quorum(MISSES)],
            bindings: vec![Binding::queue("events", MISSES, "ponos.handling.missed")],
            ..Topology::default()
        };
        declare_all(&url, &misses);
        let running = start(&url, &["observe", "--listen", "127.0.0.1:0"]);
        running.says("observing ");
        let said = running.err();
        let at = said.split("listening at ").nth(1).unwrap().lines().next().unwrap().to_owned();
        Self { url, running, at }
    }

    fn coverage(&self) -> Value {
        let said = ponos_ends("", &["coverage", "--json", "--observer", &self.at], 0);
        serde_json::from_str(&said.out).unwrap()
    }

    /// Waits until coverage is so.
    fn covers(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        testkit::block_until_or_tell(
            what,
            LIMIT,
            || Some(self.coverage()).filter(&is_so),
            || format!("{:#}\n{}", self.coverage(), self.running.err()),
        )
    }

    fn why(&self, id: &str) -> Value {
        let said = ponos_ends("", &["why", id, "--json", "--observer", &self.at], 0);
        serde_json::from_str(&said.out).unwrap()
    }
}

/// How a service runs.
fn state<'a>(coverage: &'a Value, service: &str) -> &'a str {
    let services = coverage["services"].as_array().unwrap();
    let known = services.iter().find(|known| known["service"] == service);
    known.and_then(|known| known["state"].as_str()).unwrap_or_default()
}

/// What a service does with parcels.
fn handler<'a>(coverage: &'a Value, service: &str) -> &'a Value {
    let events = coverage["events"].as_array().unwrap();
    let event = events.iter().find(|event| event["event"] == SHIPPED).unwrap();
    event["handlers"].as_array().unwrap().iter().find(|handler| handler["service"] == service).unwrap()
}

#[test]
fn why_shows_the_whole_tree_and_a_service_that_is_stopped_is_named_and_its_events_are_missed() {
    let observed = Observed::start("observe-three");
    let _shop = Shop::start(&observed.url);
    let (_mailer, billing) = (program(&observed.url, "mailer"), program(&observed.url, "billing"));
    observed.covers("three services at work", |coverage| {
        ["shop", "mailer", "billing"].iter().all(|service| state(coverage, service) == "running")
    });
    ponos_ends(&observed.url, &["publish", "time.one-day.passed", "{}", "--id", "day-1"], 0);
    let is_whole = |coverage: &Value| {
        ["mailer", "billing"].iter().all(|service| handler(coverage, service)["share"] == 1.0)
    };
    observed.covers("both to have handled it", is_whole);
    // the tree: what the clock's event led to, and what came of that
    let why = observed.why("day-1");
    let root = &why["roots"][0];
    assert_eq!(
        (&root["handlings"][0]["service"], &root["handlings"][0]["state"]),
        (&json!("shop"), &json!("handled"))
    );
    let shipped = &root["followed"][0];
    assert_eq!((&shipped["event"]["name"], &shipped["event"]["source"]), (&json!(SHIPPED), &json!("/shop")));
    let mut by: Vec<&str> = shipped["handlings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|handling| handling["service"].as_str().unwrap())
        .collect();
    by.sort_unstable();
    assert_eq!(by, ["billing", "mailer"], "{why:#}");
    assert_eq!(shipped["handlings"][0]["attempts"][0]["outcome"], "done");
    let text = ponos_ends("", &["why", "day-1", "--observer", &observed.at], 0).out;
    assert!(text.starts_with("time.one-day.passed  day-1"), "{text}");
    assert!(text.contains("\n    order.parcel.shipped  ") && text.contains("mailer: handled"), "{text}");
    // one is stopped
    billing.program.signal(Signal::TERM);
    assert_eq!(billing.end().code, Some(0));
    observed.covers("billing to be stopped", |coverage| state(coverage, "billing") == "stopped");
    ponos_ends(&observed.url, &["publish", SHIPPED, "{}", "--id", "parcel-2"], 0);
    holds(&observed.url, MISSES, 1);
    let missed = Event::from_message(&look(&observed.url, MISSES, 1)[0]).unwrap();
    let data: Value = serde_json::from_slice(&missed.data).unwrap();
    let schema = Contract::parse(include_str!("../../../../schemas/reports/handling-missed.json")).unwrap();
    schema.check(&data).unwrap();
    assert_eq!(
        (&data["service"], &data["event_id"], &data["state"]),
        (&json!("billing"), &json!("parcel-2"), &json!("not-received"))
    );
    let coverage = observed.coverage();
    let (billing, mailer) = (handler(&coverage, "billing"), handler(&coverage, "mailer"));
    assert_eq!((&billing["silent"], &billing["share"]), (&json!(true), &json!(0.5)));
    assert_eq!((&mailer["silent"], &mailer["share"]), (&json!(false), &json!(1.0)));
    let text = ponos_ends("", &["coverage", "--observer", &observed.at], 0).out;
    assert!(text.contains("billing: STOPPED") && text.contains("SILENT (queue billing."), "{text}");
    assert_eq!(observed.why("parcel-2")["roots"][0]["awaited"][0]["state"], "missed");
    observed.running.program.signal(Signal::TERM);
    assert_eq!(observed.running.end().code, Some(0));
}

#[test]
fn of_what_is_not_known_it_says_so_and_without_an_observer_whom_to_start() {
    let observed = Observed::start("observe-unknown");
    let ended = ponos("", &["why", "no such", "--observer", &observed.at]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("observed since"), "{}", ended.err);
    let ended = ponos_ends("", &["coverage", "--observer", "http://127.0.0.1:1"], 69);
    assert!(ended.err.contains("127.0.0.1:1") && ended.err.contains("ponos observe"), "{}", ended.err);
    ponos_ends("", &["coverage", "--observer", "https://127.0.0.1"], 2);
    ponos_ends(&observed.url, &["observe", "--listen", "0.0.0.0:0"], 2);
}
