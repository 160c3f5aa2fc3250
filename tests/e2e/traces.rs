//! Traces of a real clock and a worker on a real RabbitMQ, as a collector that is not ours received them; and collectors that
//! are no use.

use crate::harness::{Clock, LIMIT, text};
use ponos::{metrics::Metrics, prelude::*, shutdown::Trigger, traces::Collector};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};
use testkit::{Node, ReceivedSpan, Rotel, block_until_or_tell};
use tokio::{runtime::Runtime, task::JoinHandle};

const TICK: &str = "[[schedule]]\nname = \"tick\"\nevent = \"test.tick.passed\"\nevery = \"500ms\"\n";
const SENDER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

/// Makes a task of each event.
fn worker(collector: Collector) -> Worker {
    Worker::new("shop")
        .on::<Value>("test.*.passed", async |_: Value, ctx: Context| {
            ctx.task("shop.tick.print", &json!({}))?;
            Ok(Done)
        })
        .task("shop.tick.print", async |_: Value, _: Context| Ok(Done))
        .traces(collector)
}

/// A worker at work.
struct Running {
    runtime: Runtime,
    trigger: Trigger,
    worker: JoinHandle<()>,
}

impl Running {
    fn begin(url: &str, vhost: &str, worker: Worker) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (trigger, shutdown) = shutdown();
        let url = url.to_owned();
        let worker = runtime.spawn(async move { drop(worker.run(&url, shutdown).await.unwrap()) });
        let listens =
            || Node::shared().queue(vhost, "shop.test.*.passed").filter(|(_, consumers)| *consumers == 1);
        block_until_or_tell("the worker to listen", LIMIT, listens, String::new);
        Self { runtime, trigger, worker }
    }

    fn end(self) {
        self.trigger.advance();
        self.runtime.block_on(async { tokio::time::timeout(LIMIT, self.worker).await }).unwrap().unwrap();
    }
}

/// The spans of one trace by name and service, once all of these are there.
fn whole(
    rotel: &Rotel,
    clock: &Clock,
    names: &[&str],
    is_meant: impl Fn(&ReceivedSpan) -> bool,
) -> Vec<ReceivedSpan> {
    let found = || {
        let spans = rotel.spans();
        let first = spans.iter().find(|span| is_meant(span))?;
        let of_trace = |name: &&str| {
            spans.iter().find(|span| span.trace_id == first.trace_id && span.name == **name).cloned()
        };
        names.iter().map(of_trace).collect()
    };
    let tell = || {
        format!("{names:?}: {:#?}\n{}", rotel.spans().iter().rev().take(20).collect::<Vec<_>>(), clock.log())
    };
    block_until_or_tell("the spans of one trace", LIMIT, found, tell)
}

/// Puts an event to be sent soon, in the trace of somebody else.
fn put(clock: &Clock, name: &str) {
    let body = json!({ "event": name, "in": "100ms", "headers": { "baggage": "tenant=7" } }).to_string();
    ask(clock, ("/v1/events", ""), &body, "201");
}

/// Asks in the trace of somebody else.
fn ask(clock: &Clock, (path, header): (&str, &str), body: &str, status: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", clock.port)).unwrap();
    let (trace, span) = SENDER;
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{header}traceparent: 00-{trace}-{span}-01\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{answer}");
}

const NAMES: [&str; 6] = [
    "process shop.test.*.passed",
    "receive shop.test.*.passed",
    "ack shop.test.*.passed",
    "send shop.tick.print",
    "process shop.shop.tick.print",
    "ack shop.shop.tick.print",
];

#[test]
fn an_event_its_task_and_all_that_became_of_them_are_one_trace() {
    let (rotel, url) = (Rotel::start(), Node::shared().vhost("traces"));
    let to = Collector::at(&rotel.endpoint()).unwrap();
    let worker = Running::begin(&url, "traces", worker(to));
    let mut clock = Clock::new(&url, TICK)
        .with("KHRONOS_TRACES_ENDPOINT", rotel.endpoint())
        .with("KHRONOS_HTTP_OPEN", "true")
        .started();
    let names = |event: &'static str| [&[event][..], &NAMES].concat();

    let trace = whole(&rotel, &clock, &names("send test.tick.passed"), |span| span.service == "khronos");
    let [sent, process, receive, ack, task, done, _] = &trace[..] else { panic!("{trace:#?}") };
    let id = sent.attributes["messaging.message.id"].trim_start_matches("Str(").trim_end_matches(')');
    assert_eq!(sent.trace_id, id.replace('-', ""), "the trace is the event's id");
    assert_eq!((sent.kind.as_str(), sent.parent.as_str()), ("PRODUCER", ""));
    assert_eq!(sent.attributes["messaging.destination.name"], "Str(events:test.tick.passed)");
    assert_eq!(sent.attributes["cloudevents.event_subject"], "Str(tick)");
    for (below, above) in [(process, sent), (receive, sent), (ack, process), (task, process), (done, task)] {
        assert_eq!(below.parent, above.span_id, "{} below {}", below.name, above.name);
    }
    assert_eq!((process.service.as_str(), process.kind.as_str()), ("shop", "CONSUMER"));
    assert_eq!(process.attributes["ponos.outcome"], "Str(done)");
    assert_eq!((ack.kind.as_str(), task.kind.as_str()), ("CLIENT", "PRODUCER"));
    for span in &trace {
        assert!(span.begun <= span.ended && span.begun >= sent.begun, "{span:#?} after {sent:#?}");
        assert_eq!(span.attributes["messaging.system"], "Str(rabbitmq)");
        assert_ne!(span.status, "ERROR");
    }
    assert!(process.begun >= receive.ended && task.ended <= process.ended && done.begun >= task.begun);
    let all = rotel.spans();
    let sends = all.iter().filter(|span| span.trace_id == sent.trace_id && span.service == "khronos");
    assert_eq!(sends.count(), 1, "one for each event");

    put(&clock, "test.later.passed");
    let later = whole(&rotel, &clock, &names("send test.later.passed"), |span| span.trace_id == SENDER.0);
    assert_eq!(later[0].parent, SENDER.1, "a delayed event goes on in the trace of who asked for it");
    assert_eq!((later[0].service.as_str(), &later[1].parent), ("khronos", &later[0].span_id));

    ask(&clock, ("/v1/schedules/tick/trigger", "Idempotency-Key: k\r\n"), "", "202");
    let triggered = whole(&rotel, &clock, &names("send test.tick.passed"), |span| {
        span.service == "khronos" && !span.links.is_empty()
    });
    let asked = (SENDER.0.to_owned(), SENDER.1.to_owned());
    assert_eq!(triggered[0].links, [asked], "what is triggered is linked to the trace of who asked for it");
    assert_eq!((triggered[0].parent.as_str(), &triggered[1].parent), ("", &triggered[0].span_id));
    assert_ne!(triggered[0].trace_id, SENDER.0);

    let counted = clock.text("/metrics").unwrap();
    let sent = counted.lines().find(|line| line.starts_with("khronos_spans_total{outcome=\"sent\""));
    assert!(sent.is_some_and(|line| !line.ends_with(" 0")), "{counted}");
    clock.stop();
    worker.end();
}

#[test]
fn of_a_share_all_say_the_same_and_only_that_share_is_recorded() {
    let (rotel, url) = (Rotel::start(), Node::shared().vhost("traces-share"));
    let to = Collector::at(&rotel.endpoint()).unwrap();
    let worker = Running::begin(&url, "traces-share", worker(to));
    let tick = TICK.replace("500ms", "100ms");
    let mut clock = Clock::new(&url, &tick)
        .with("KHRONOS_TRACES_ENDPOINT", rotel.endpoint())
        .with("KHRONOS_TRACES_RATIO", "0.25")
        .started();
    let share = ponos::event::Sampling::of(0.25).unwrap();
    let is_in = |trace: &str| share.includes(u128::from_str_radix(trace, 16).unwrap());
    let sent = || -> Vec<String> {
        let rows = clock.json(&["history", "--limit", "1000"]);
        rows.iter().map(|row| row["id"].as_str().unwrap().replace('-', "")).collect()
    };
    let enough = || Some(sent()).filter(|sent| sent.iter().filter(|trace| is_in(trace)).count() >= 20);
    let sent = block_until_or_tell("twenty events of the share", LIMIT, enough, || clock.log());
    // all of them, and of none that is not of the share
    let has_all = || {
        let recorded: Vec<String> = clock_events(&rotel).into_iter().map(|span| span.trace_id).collect();
        sent.iter().filter(|trace| is_in(trace)).all(|trace| recorded.contains(trace)).then_some(())
    };
    block_until_or_tell("their spans", LIMIT, has_all, || clock.log());
    clock.stop();
    worker.end();
    let spans = rotel.spans();
    let of_worker = spans.iter().filter(|span| span.service == "shop");
    assert!(of_worker.count() > 0);
    for span in &spans {
        assert!(is_in(&span.trace_id), "{span:#?}");
    }
}

fn clock_events(rotel: &Rotel) -> Vec<ReceivedSpan> {
    rotel.spans().into_iter().filter(|span| span.service == "khronos").collect()
}

/// The trace ids of the exemplars of a histogram.
fn exemplars(open_metrics: &str, histogram: &str) -> BTreeSet<String> {
    let buckets = format!("{histogram}_bucket{{");
    let lines = open_metrics.lines().filter(|line| line.starts_with(&buckets));
    let of_line = |line: &str| Some(line.split_once(" # {trace_id=\"")?.1.split_once('"')?.0.to_owned());
    lines.filter_map(of_line).collect()
}

/// The traces that the exemplars of a scrape name.
type Shown<'a> = &'a dyn Fn() -> BTreeSet<String>;

#[test]
fn exemplars_of_a_clock_and_of_a_worker_lead_to_traces_that_the_collector_has() {
    const OPEN: &str = "application/openmetrics-text;version=1.0.0";
    let (rotel, url, metrics) = (Rotel::start(), Node::shared().vhost("traces-exemplars"), Metrics::new());
    let worker = worker(Collector::at(&rotel.endpoint()).unwrap()).registry(&metrics);
    let worker = Running::begin(&url, "traces-exemplars", worker);
    // A share of them: what nobody records is no exemplar.
    let mut clock = Clock::new(&url, &TICK.replace("500ms", "100ms"))
        .with("KHRONOS_TRACES_ENDPOINT", rotel.endpoint())
        .with("KHRONOS_TRACES_RATIO", "0.25")
        .started();
    let of_clock = || {
        let mut answer = String::new();
        let mut stream = clock.request("/metrics", &format!("Accept: {OPEN}\r\n")).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        exemplars(&answer, "khronos_lateness_seconds")
    };
    let of_worker = || exemplars(&metrics.expose(Some(OPEN)).unwrap().text, "ponos_handler_duration_seconds");
    let both: [(&str, &str, Shown<'_>); 2] =
        [("khronos", "send test.tick.passed", &of_clock), ("shop", "process shop.", &of_worker)];
    for (service, name, shown) in both {
        let some = || Some(shown()).filter(|ids| !ids.is_empty());
        let ids = block_until_or_tell("an exemplar", LIMIT, some, || clock.log());
        let leads = || {
            let spans = rotel.spans();
            let of_trace = |id: &String, span: &ReceivedSpan| {
                span.trace_id == *id && span.service == service && span.name.starts_with(name)
            };
            ids.iter().all(|id| spans.iter().any(|span| of_trace(id, span))).then_some(())
        };
        let tell = || format!("{service}: {ids:?}\n{}", clock.log());
        block_until_or_tell("the traces of all exemplars", LIMIT, leads, tell);
    }
    clock.stop();
    worker.end();
}

#[test]
fn a_collector_that_is_away_or_hangs_holds_up_no_event_and_no_end() {
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (away, hangs) = (listener(), listener());
    let endpoint = |listener: &TcpListener| format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let ends = [endpoint(&away), endpoint(&hangs)];
    drop(away);
    for (endpoint, says) in
        ends.iter().zip(["spans are dropped, and nothing else is", "could not be sent in time"])
    {
        let url = Node::shared().vhost("traces-away");
        let mut clock = Clock::new(&url, TICK).with("KHRONOS_TRACES_ENDPOINT", endpoint).started();
        let sent = || clock.json(&["history"]);
        block_until_or_tell("six events", LIMIT, || (sent().len() >= 6).then_some(()), || clock.log());
        if endpoint == &ends[0] {
            block_until_or_tell(
                "the log to say so",
                LIMIT,
                || clock.log().contains(says).then_some(()),
                || clock.log(),
            );
        }
        for row in sent() {
            assert_eq!(row["outcome"], "confirmed", "{row}");
        }
        clock.stop();
        assert!(clock.log().contains(says), "{}", clock.log());
    }
}

#[test]
fn what_is_configured_wrongly_is_refused_with_the_remedy_and_shows_no_header() {
    let clock = Clock::new("memory:", TICK).with("KHRONOS_TRACES_ENDPOINT", "http://collector:4318");
    let refused = |clock: &Clock| text(&clock.verb(&["check"]));
    assert!(refused(&clock).contains("/v1/traces"), "{}", refused(&clock));
    let file = clock.sandbox.path("headers");
    std::fs::write(&file, "hunter2").unwrap();
    let clock = clock
        .with("KHRONOS_TRACES_ENDPOINT", "http://collector:4318/v1/traces")
        .with("KHRONOS_TRACES_HEADERS_FILE", file.display());
    let said = refused(&clock);
    assert!(said.contains("line 1 has no colon") && !said.contains("hunter2"), "{said}");
    let clock = clock.without("KHRONOS_TRACES_HEADERS_FILE").with("KHRONOS_TRACES_RATIO", "1%");
    assert!(refused(&clock).contains("not a number"), "{}", refused(&clock));
}
