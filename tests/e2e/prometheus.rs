//! A real Prometheus with the rules and alerts of `deploy/prometheus`, which scrapes a real clock and a real worker over a
//! real RabbitMQ. The clock keeps its state in a Postgres: it might be one of several. Absent: what `ponos gateway`,
//! `ponos serve` and an observer show, of which their own tests say that it is there.

use crate::{
    alerts::{RULES, file},
    harness::{Clock, LIMIT, text},
};
use ponos::prelude::*;
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};
use testkit::{Node, Postgres, Prometheus, Sandbox, block_until_or_tell, promtool};

/// One is heard by the worker; of the others one is parked, since nobody is bound.
const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
[[schedule]]
name = "needed"
event = "test.needed.passed"
every = "1 second"
unrouted = "park"
"#;

/// How what other programs show begins.
const ELSEWHERE: [&str; 4] = ["ponos_gateway_", "ponos_serve_", "ponos:gateway_", "ponos_handling_"];

/// A metric as a query selects it: the name with the matchers, without a range.
fn selectors(query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        let end = rest[start..].find(|c| !is_name(c)).map_or(rest.len(), |length| start + length);
        let name = &rest[start..end];
        rest = &rest[end..];
        let is_ours =
            ["khronos_", "ponos_", "khronos:", "ponos:"].iter().any(|begin| name.starts_with(begin));
        let matchers = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((inner, after)) = matchers {
            rest = after;
            found.extend(alternatives(name, inner));
        } else if is_ours {
            found.push(name.to_owned());
        }
    }
    found
}

/// One selector for each value that a matcher names, each of which must be there: what no series has, a rule looks for in
/// vain. A bucket is spelt in one of the two ways, so that `le` stays as it is.
fn alternatives(name: &str, matchers: &str) -> Vec<String> {
    let mut selectors = Vec::new();
    let matchers: Vec<&str> = matchers.split(',').map(str::trim).collect();
    let bucket = matchers.iter().find(|matcher| matcher.starts_with("le=")).copied();
    for matcher in matchers.iter().filter(|matcher| !matcher.starts_with("le=")) {
        let (label, values) = matcher.split_once('"').unwrap();
        let label = label.trim_end_matches(['=', '~', '!']);
        for value in values.trim_end_matches('"').split('|') {
            let bucket = bucket.map_or(String::new(), |bucket| format!(", {bucket}"));
            selectors.push(format!("{name}{{{label}=\"{value}\"{bucket}}}"));
        }
    }
    if let (Some(bucket), 1) = (bucket, matchers.len()) {
        selectors.push(format!("{name}{{{bucket}}}"));
    }
    selectors
}

#[test]
fn what_a_query_selects_is_found() {
    let query = "sum without (le) (rate(khronos_a_bucket{cause=\"x\", le=~\"1|1.0\"}[5m])) / khronos:b \
                 unless on (job) khronos_c{reason!~\"d|e\",x=\"y\"} == 0 or absent(up{job=\"f\"})";
    assert_eq!(
        selectors(query),
        [
            "khronos_a_bucket{cause=\"x\", le=~\"1|1.0\"}",
            "khronos:b",
            "khronos_c{reason=\"d\"}",
            "khronos_c{reason=\"e\"}",
            "khronos_c{x=\"y\"}",
            "up{job=\"f\"}",
        ]
    );
    assert_eq!(selectors("ponos_a_bucket{le=~\"60|60.0\"}"), ["ponos_a_bucket{le=~\"60|60.0\"}"]);
}

/// A Prometheus on the files of the repository, but that it asks and evaluates more often, and at these addresses. A scrape
/// may take as long as the interval: on a busy machine one takes seconds.
struct Scraping {
    prometheus: Prometheus,
    _files: Sandbox,
}

impl Scraping {
    fn start(clock: &str, worker: &str) -> Self {
        let files = Sandbox::new();
        let replaced = |text: &str, old: &str, new: &str| {
            assert_eq!(text.matches(old).count(), 1, "{old}");
            text.replace(old, new)
        };
        let mut configuration = file("prometheus.yml");
        for (old, new) in [
            ("scrape_interval: 15s", "scrape_interval: 5s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("127.0.0.1:7650", clock),
            ("127.0.0.1:9464", worker),
        ] {
            configuration = replaced(&configuration, old, new);
        }
        std::fs::write(files.path("prometheus.yml"), configuration).unwrap();
        for rules in RULES {
            // A group with an interval of its own would be evaluated late.
            let text = file(rules);
            let lines = text.lines().filter(|line| !line.starts_with("    interval: "));
            std::fs::write(files.path(rules), lines.collect::<Vec<_>>().join("\n")).unwrap();
        }
        Self { prometheus: Prometheus::start(&files.path("prometheus.yml")), _files: files }
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let (status, body) = self.prometheus.get(path, parameters);
        assert_eq!(status, 200, "{path} {parameters:?}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["status"], "success", "{path} {parameters:?}: {body}");
        answer["data"].clone()
    }

    /// The values of a query's result.
    fn query(&self, query: &str) -> Vec<f64> {
        let data = self.get("/api/v1/query", &[("query", query)]);
        let result = data["result"].as_array().unwrap();
        result.iter().map(|sample| sample["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    fn rules(&self) -> Vec<Value> {
        let data = self.get("/api/v1/rules", &[]);
        let groups = data["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// What is to be there: what each recording rule returns, and all that any rule selects.
    fn wanted(&self) -> BTreeSet<String> {
        let rules = self.rules();
        assert!(rules.len() > 40, "{rules:?}");
        let recorded = rules.iter().filter(|rule| rule["type"] == "recording");
        let recorded = recorded.map(|rule| rule["name"].as_str().unwrap().to_owned());
        let selected = rules.iter().flat_map(|rule| selectors(rule["query"].as_str().unwrap()));
        let is_elsewhere = |wanted: &String| ELSEWHERE.iter().any(|begin| wanted.starts_with(begin));
        recorded.chain(selected).filter(|wanted| !is_elsewhere(wanted)).collect()
    }

    /// Rules that were not evaluated yet, or with an error.
    fn unwell(&self) -> Vec<Value> {
        self.rules().into_iter().filter(|rule| rule["health"] != "ok").collect()
    }

    /// The trace ids of the exemplars of a histogram.
    fn exemplars(&self, histogram: &str) -> BTreeSet<String> {
        let parameters = [("query", histogram), ("start", "0"), ("end", "99999999999")];
        let data = self.get("/api/v1/query_exemplars", &parameters);
        let series = data.as_array().unwrap().iter();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap().clone());
        exemplars.map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The worker's metrics in the classic text.
fn scraped(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 ") && text.contains("ponos_deliveries_total"), "{answer}");
    text.to_owned()
}

/// Each way for an event to end that rules look at: done, tried again, dead.
async fn work(_event: TimePassed, ctx: Context) -> HandlerResult {
    let due = ctx.event().time.expect("the clock says when it was due").millis();
    match (due / 100 % 10, ctx.attempt()) {
        (3, 1) => Ok(Outcome::retry_after(std::time::Duration::from_secs(1))),
        (7, _) => Ok(Outcome::dead("planned")),
        _ => Ok(Done),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_returns_data_of_a_real_clock_and_worker_and_exemplars_lead_to_events() {
    let url = Node::shared().vhost("prometheus");
    let worker = Worker::new("docker").on::<TimePassed>("test.often.passed", work).metrics("127.0.0.1:0");
    let worker = worker.ready().unwrap();
    let address = worker.metrics_address().unwrap();
    let (trigger, shutdown) = shutdown();
    let transport = ponos::broker::Transport::amqp(ponos::broker::amqp::AmqpConfig::parse(&url).unwrap());
    let worker = tokio::spawn(worker.run_on(transport, shutdown));
    tokio::task::block_in_place(|| {
        let store = Postgres::shared().database("prometheus");
        let clock = Clock::new(&url, SCHEDULES)
            .with("KHRONOS_STORE_PATH", store)
            .with("KHRONOS_METRICS_AUDIT_EVERY", "1s");
        let mut clock = clock.started();
        let scraping = Scraping::start(&format!("127.0.0.1:{}", clock.port), &address.to_string());
        let missing = RefCell::new(scraping.wanted());
        let look = || {
            let has_data = |wanted: &String| scraping.query(wanted).iter().any(|value| value.is_finite());
            missing.borrow_mut().retain(|wanted| !has_data(wanted));
            (missing.borrow().is_empty() && scraping.unwell().is_empty()).then_some(())
        };
        let tell = || {
            let (missing, unwell) = (missing.borrow(), scraping.unwell());
            format!("{missing:#?}\n{unwell:#?}\n{}\n{}", scraping.prometheus.log(), clock.log())
        };
        block_until_or_tell("every rule to have what it looks at", LIMIT, look, tell);
        let both = || (scraping.query("up") == [1.0, 1.0]).then_some(());
        block_until_or_tell("both to be scraped", LIMIT, both, || scraping.prometheus.log());

        // The clock is well but for what is parked; what a worker ended with is seen. What waits for its `for` is enough to be
        // seen, but too little to be an alarm: one scrape that was too slow is none.
        let is_there = |matchers: &str| !scraping.query(&format!("ALERTS{{{matchers}}}")).is_empty();
        for alert in ["KhronosParked", "PonosDeadLetters"] {
            let raised = || is_there(&format!("alertname=\"{alert}\"")).then_some(());
            block_until_or_tell(alert, LIMIT, raised, || scraping.prometheus.log());
        }
        for alert in ["KhronosGone", "KhronosNotReady", "KhronosAuditHole", "KhronosScheduleSilent"] {
            assert!(!is_there(&format!("alertname=\"{alert}\", alertstate=\"firing\"")), "{alert}");
        }

        let ids = || -> BTreeSet<String> {
            let rows = clock.json(&["history", "often", "--after", "0", "--limit", "1000"]);
            let id = |row: &Value| row["id"].as_str().unwrap().replace('-', "");
            rows.iter().map(id).collect()
        };
        for histogram in ["khronos_lateness_seconds_bucket", "ponos_handler_duration_seconds_bucket"] {
            let known = || scraping.exemplars(histogram).iter().any(|id| ids().contains(id)).then_some(());
            let tell = || format!("{:?} of {:?}", scraping.exemplars(histogram), ids());
            block_until_or_tell(histogram, LIMIT, known, tell);
        }
        drop(scraping);
        clock.stop();
        let scraped = scraped(address);
        let output = promtool(&std::env::temp_dir(), ["check", "metrics"], &scraped);
        assert!(output.status.success() && text(&output).is_empty(), "{}\n{scraped}", text(&output));
    });
    trigger.advance();
    let report = tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap().unwrap();
    assert!(report.left.is_empty(), "{report:?}");
}
