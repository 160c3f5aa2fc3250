//! What is scraped, over a played loop.

use super::*;
use crate::{
    clock_loop::{Degraded, DelayedStatus, Figures},
    delayed::Balance,
    engine::{CeilingUse, SkipReason, States, UNROUTED},
    ops::{self, self_audit},
    telemetry::{Audited, ReplicationState, Tracing},
};
use ponos::{
    event::Sampling,
    metrics::{CLASSIC, OPEN_METRICS},
    prometheus_client::registry::Registry,
};
use std::collections::{BTreeMap, BTreeSet};
use testkit::wait_until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(60);

/// Status line, content type and body.
async fn scrape(clock: &Clock, headers: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(clock.address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (head.lines().next().unwrap().to_owned(), kind.to_owned(), body.to_owned())
}

async fn classic(clock: &Clock) -> String {
    scrape(clock, "").await.2
}

/// The value of a series, if it is there.
fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// A status that runs schedules by these numbers.
fn shows(clock: &Clock, active: usize, paused: usize, finished: usize) {
    let schedules = States { active, paused, finished };
    clock.status.send_modify(|status| status.figures = Figures { schedules, ..status.figures });
}

fn row(schedule: &str, count: u64, outcome: Outcome) -> Row {
    Row { count, outcome, ..confirmed(schedule, 1) }
}

/// One of each kind.
fn count_some(clock: &Clock) {
    let counts = &clock.state.clock.counts;
    let reached_nobody = Outcome::Confirmed { sent_at: at(2).plus(-20), lateness: 1_200, returned: true };
    counts.recorded(&[
        confirmed("two-minutes", 1),
        confirmed("one-minute", 1),
        Row { kind: EventKind::Trigger("t".parse().unwrap()), ..confirmed("one-minute", 1) },
        row("one-minute", 1, Outcome::Confirmed { sent_at: at(1), lateness: 400_000, returned: false }),
        Row { at: at(2), ..row("two-minutes", 3, reached_nobody) },
        row("two-minutes", 4, Outcome::Skipped(SkipReason::TooOld)),
        row("two-minutes", 1, Outcome::Parked(UNROUTED.into())),
        row("two-minutes", 1, Outcome::Parked("full".into())),
        row("two-minutes", 1, Outcome::Dropped),
        row("two-minutes", 1, Outcome::DroppedAtLimit),
        row("*", 9, Outcome::DetailsLost),
        row("two-minutes", 2, Outcome::DetailsLost),
        row("one-minute", 2, Outcome::DetailsLost),
        row("*", 0, Outcome::ClockSetBack),
    ]);
}

#[test]
fn exemplars_are_of_traces_that_somebody_records() {
    let delayed = Row { kind: EventKind::Delayed, ..confirmed("one-minute", 1) };
    for (ratio, row, is_shown) in [
        (1.0, confirmed("one-minute", 1), true),
        (0.0, confirmed("one-minute", 1), false),
        // it may be in the trace of who asked for it
        (1.0, delayed, false),
    ] {
        let tracing = Tracing { traces: None, sampling: Sampling::of(ratio).unwrap() };
        let counts = Counts::new("khronos", &MetricsConfig::default()).with_tracing(tracing);
        counts.recorded(&[row]);
        let mut registry = Registry::default();
        counts.register(&mut registry);
        let text = ponos::metrics::expose(&registry, Some("application/openmetrics-text")).unwrap().text;
        assert!(text.contains("lateness_seconds_count{cause=\"scheduled\"} 1"), "{text}");
        assert_eq!(text.contains("trace_id"), is_shown, "{ratio}: {text}");
    }
}

#[tokio::test]
async fn the_client_chooses_between_openmetrics_with_exemplars_and_classic_text() {
    let clock = Clock::start().await;
    shows(&clock, 2, 0, 0);
    count_some(&clock);
    let asks = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let (status, kind, open) = scrape(&clock, asks).await;
    assert_eq!((&*status, &*kind), ("HTTP/1.0 200 OK", OPEN_METRICS));
    assert!(open.ends_with("# EOF\n"), "{open}");
    // The newest of its bucket, under its event's id.
    let id = ponos::event::OccurrenceId {
        clock: "khronos",
        schedule: "one-minute",
        due: at(1),
        kind: &EventKind::Occurrence,
    };
    let trace = id.id().to_string().replace('-', "");
    for (upper, so_far, late, sent_at) in [("0.005", 2, "0.003", "60.003"), ("+Inf", 4, "400.0", "60.0")] {
        let line = format!(
            "khronos_lateness_seconds_bucket{{le=\"{upper}\",cause=\"scheduled\"}} {so_far} # {{trace_id=\"{trace}\"}} {late} {sent_at}"
        );
        assert!(open.lines().any(|found| found == line), "{line}\n{open}");
    }
    assert!(open.contains("khronos_lateness_seconds_count{cause=\"triggered\"} 1\n"), "{open}");
    let (status, kind, text) = scrape(&clock, "Accept: text/plain\r\n").await;
    assert_eq!((&*status, &*kind), ("HTTP/1.0 200 OK", CLASSIC));
    assert!(!text.contains("# EOF") && !text.contains("trace_id"), "{text}");
    for (series, count) in [
        ("khronos_occurrences_total{outcome=\"confirmed\",reason=\"\"}", "7"),
        ("khronos_occurrences_total{outcome=\"skipped\",reason=\"too-old\"}", "4"),
        ("khronos_occurrences_total{outcome=\"skipped\",reason=\"paused\"}", "0"),
        ("khronos_occurrences_total{outcome=\"parked\",reason=\"unrouted\"}", "1"),
        ("khronos_occurrences_total{outcome=\"parked\",reason=\"refused\"}", "1"),
        ("khronos_occurrences_total{outcome=\"dropped\",reason=\"operator\"}", "1"),
        ("khronos_occurrences_total{outcome=\"dropped\",reason=\"limit\"}", "1"),
        ("khronos_occurrences_total{outcome=\"details-lost\",reason=\"\"}", "13"),
        ("khronos_lateness_seconds_count{cause=\"scheduled\"}", "4"),
        ("khronos_lateness_seconds_bucket{cause=\"scheduled\",le=\"1\"}", "2"),
        ("khronos_lateness_seconds_bucket{cause=\"scheduled\",le=\"2.5\"}", "3"),
        ("khronos_confirm_duration_seconds_count", "5"),
        ("khronos_confirm_duration_seconds_sum", "0.02"),
        ("khronos_unheard_total", "1"),
        // They came with one write.
        ("khronos_details_lost_total", "1"),
        ("khronos_schedule_occurrences_total{schedule=\"one-minute\",outcome=\"confirmed\"}", "3"),
        ("khronos_schedule_occurrences_total{schedule=\"one-minute\",outcome=\"parked\"}", "0"),
        ("khronos_schedule_occurrences_total{schedule=\"two-minutes\",outcome=\"dropped\"}", "2"),
        ("khronos_schedule_next_due_timestamp_seconds{schedule=\"two-minutes\"}", "660.0"),
        ("khronos_schedule_last_settled_timestamp_seconds{schedule=\"two-minutes\"}", "600.0"),
        ("khronos_schedule_series", "1"),
    ] {
        assert_eq!(value(&text, series), Some(count), "{series}\n{text}");
    }
    assert!(!text.contains("schedule=\"*\"") && !text.contains("clock-set-back"), "{text}");
    assert_eq!(clock.state.clock.counts.of_schedules(&["*".into()]), [[0; 5]], "it is no schedule");
}

#[tokio::test]
async fn the_gauges_show_the_status_of_the_loop() {
    let clock = Clock::start().await;
    let text = classic(&clock).await;
    assert_eq!(value(&text, "khronos_ready"), Some("1"));
    assert_eq!(value(&text, "khronos_broker_connected"), Some("0"));
    assert_eq!(text.matches("khronos_degraded{reason=").count(), Degraded::ALL.len());
    assert!(!text.lines().any(|line| line.starts_with("khronos_degraded{") && line.ends_with(" 1")));
    shows(&clock, 5, 6, 7);
    clock.status.send_modify(|status| {
        status.reasons.push("broker: it accepts no messages".into());
        status.degraded = vec![Degraded::Broker, Degraded::Parked];
        status.link = Link::Blocked { reason: "memory".into() };
        (status.parked, status.outstanding) = (8, 9);
        let balance = Balance { accepted: 9, settled: 4, cancelled: 2, pending: 3 };
        status.delayed = Some(DelayedStatus {
            balance,
            in_flight: 1,
            refused: 15,
            parked: 16,
            settled_before: crate::clock::now().plus(-3_600_000),
        });
        (status.figures.in_flight, status.figures.refused_schedules) = (10, 11);
        (status.figures.refusals, status.figures.forward_steps, status.figures.backward_steps) = (12, 13, 14);
    });
    let text = classic(&clock).await;
    for (series, shown) in [
        ("khronos_schedules{state=\"active\"}", "5"),
        ("khronos_schedules{state=\"paused\"}", "6"),
        ("khronos_schedules{state=\"finished\"}", "7"),
        ("khronos_parked", "8"),
        ("khronos_outstanding", "9"),
        ("khronos_delayed_events_total{state=\"accepted\"}", "9"),
        ("khronos_delayed_events_total{state=\"settled\"}", "4"),
        ("khronos_delayed_events_total{state=\"cancelled\"}", "2"),
        ("khronos_delayed_pending", "3"),
        ("khronos_delayed_in_flight", "1"),
        ("khronos_delayed_refused", "15"),
        ("khronos_delayed_parked", "16"),
        ("khronos_in_flight", "10"),
        ("khronos_refused_schedules", "11"),
        ("khronos_refusals_total", "12"),
        ("khronos_clock_steps_total{direction=\"forward\"}", "13"),
        ("khronos_clock_steps_total{direction=\"backward\"}", "14"),
        ("khronos_ready", "0"),
        ("khronos_leader", "1"),
        ("khronos_broker_connected", "1"),
        ("khronos_degraded{reason=\"broker\"}", "1"),
        ("khronos_degraded{reason=\"parked\"}", "1"),
        ("khronos_degraded{reason=\"store\"}", "0"),
    ] {
        assert_eq!(value(&text, series), Some(shown), "{series}\n{text}");
    }
    let age: f64 = value(&text, "khronos_delayed_oldest_age_seconds").unwrap().parse().unwrap();
    assert!((3_600.0..3_700.0).contains(&age), "{age}");
    // Of those that are due later nothing waits.
    let later = crate::clock::now().plus(3_600_000);
    clock.status.send_modify(|status| status.delayed.as_mut().unwrap().settled_before = later);
    assert_eq!(value(&classic(&clock).await, "khronos_delayed_oldest_age_seconds"), Some("0.0"));
}

#[tokio::test]
async fn with_too_many_schedules_there_are_no_series_of_single_ones() {
    let clock = Clock::start().await;
    let limit = clock.state.clock.counts.config().schedules;
    let is_shown =
        |text: &str| (value(text, "khronos_schedule_series") == Some("1"), text.contains("schedule=\""));
    shows(&clock, limit - 1, 1, 0);
    count_some(&clock);
    assert_eq!(is_shown(&classic(&clock).await), (true, true));
    shows(&clock, limit, 1, 0);
    assert_eq!(is_shown(&classic(&clock).await), (false, false));
    count_some(&clock);
    shows(&clock, limit, 0, 0);
    let text = classic(&clock).await;
    assert_eq!(is_shown(&text), (true, true));
    let counted = "khronos_schedule_occurrences_total{schedule=\"one-minute\",outcome=\"confirmed\"}";
    assert_eq!(value(&text, counted), Some("0"), "it begins anew");
}

#[tokio::test]
async fn a_loop_that_does_not_turn_is_no_scrape() {
    let clock = Clock::with(Limits { answer: Duration::from_millis(50), ..Limits::patient() }).await;
    let (commands, _never_read) = mpsc::channel(1);
    let mut stuck = clock.state.clock.clone();
    stuck.handle.commands = commands;
    let failed = ops::metrics::read(&stuck).await.unwrap_err().to_string();
    assert!(failed.contains("did not answer"), "{failed}");
}

#[tokio::test]
async fn the_age_is_that_of_the_oldest_of_all_pages() {
    let (clock, mut asked, _client) = Clock::unanswered().await;
    let now = crate::clock::now();
    let clock = clock.state.clock.clone();
    let reading = tokio::spawn(async move { ops::metrics::read(&clock).await });
    let key = |name: &str| (Arc::from(name), 1);
    for (wanted, last, age) in
        [(None, Some("a"), Some(7_000)), (Some("a"), Some("b"), Some(3_600_000)), (Some("b"), None, None)]
    {
        let Some(Command::Oldest(after, reply)) = asked.recv().await else { panic!("it asks otherwise") };
        assert_eq!(after, wanted.map(key));
        reply.send(OldestPage { last: last.map(key), oldest: age.map(|age: i64| now.plus(-age)) }).unwrap();
    }
    let Some(Command::Schedules(None, reply)) = asked.recv().await else { panic!("it asks otherwise") };
    reply.send(vec![]).unwrap();
    let registry = reading.await.unwrap().unwrap();
    let text = ponos::metrics::expose(&registry, None).unwrap().text;
    let age: f64 = value(&text, "khronos_oldest_outstanding_age_seconds").unwrap().parse().unwrap();
    assert!((3_600.0..3_700.0).contains(&age), "{age}");
}

fn audits(every: Duration) -> Counts {
    Counts::new("khronos", &MetricsConfig { audit_every: every, ..MetricsConfig::default() })
}

#[tokio::test]
async fn the_clock_audits_its_record_and_a_hole_is_shown() {
    let mut clock = Clock::start().await;
    assert!(!classic(&clock).await.contains("khronos_audit_holes"), "no audit was made yet");
    // W is minute 4; the entry that is parked stands for minutes 1 and 2.
    [3, 4].into_iter().for_each(|minute| clock.record(confirmed("one-minute", minute)));
    clock.record(confirmed("two-minutes", 4));
    clock.state.clock.counts = audits(Duration::from_millis(1));
    let auditing = tokio::spawn(self_audit::run(clock.state.clock.clone(), clock.shutdown.clone()));
    let found = async |wanted| {
        let look = || async {
            let found = clock.state.clock.counts.last_audit();
            found.filter(|found| (found.holes, found.surplus) == wanted)
        };
        wait_until("the audit to find it", LONG, look).await
    };
    found((1, 0)).await;
    clock.record(confirmed("two-minutes", 2));
    clock.record(Row { first: at(1).plus(1), last: at(1).plus(1), ..confirmed("two-minutes", 1) });
    found((0, 1)).await;
    let registry = ops::metrics::read(&clock.state.clock).await.unwrap();
    let text = ponos::metrics::expose(&registry, None).unwrap().text;
    assert_eq!(value(&text, "khronos_audit_holes"), Some("0"));
    assert_eq!(value(&text, "khronos_audit_surplus"), Some("1"));
    assert!(value(&text, "khronos_audit_timestamp_seconds").is_some_and(|at| at > "1700000000"), "{text}");
    clock.trigger.advance();
    tokio::time::timeout(LONG, auditing).await.expect("it ends with the clock").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_very_many_schedules_does_not_audit_itself_and_a_failure_is_counted() {
    let (commands, mut asked) = mpsc::channel(8);
    let (status, seen) = watch::channel(status());
    let handle = Handle { commands, status: seen, recorded: watch::channel(0).1 };
    let record = RecordReader::new(|_, _| async { Ok(Page { rows: vec![], first: 1, last: 0, record: 1 }) });
    let (hour, counts) = (Duration::from_secs(3_600), audits(Duration::from_secs(3_600)));
    let clock = RunningClock::new(handle, record, CalendarStore::default(), counts.clone(), hour);
    let (_trigger, shutdown) = shutdown();
    let schedules = States { active: 20_001, ..States::default() };
    status.send_modify(|status| status.figures.schedules = schedules);
    counts.audited(Some(Audited { at: at(1), holes: 0, surplus: 0 }));
    tokio::spawn(self_audit::run(clock, shutdown));
    tokio::time::sleep(10 * hour).await;
    assert_eq!(
        counts.last_audit(),
        None,
        "what was found before grows old, and would raise an alarm for ever"
    );
    assert!(asked.try_recv().is_err(), "nothing is asked of the loop");
    status.send_modify(|status| status.figures.schedules.active -= 1);
    // The question is dropped: there is no answer.
    assert!(matches!(asked.recv().await, Some(Command::Kept(..))));
    assert!(matches!(asked.recv().await, Some(Command::Kept(..))), "an hour later");
    let mut registry = Registry::default();
    counts.register(&mut registry);
    let text = ponos::metrics::expose(&registry, None).unwrap().text;
    assert_eq!((value(&text, "audit_errors_total"), counts.last_audit()), (Some("1"), None));
}

/// Name, type and labels of all metrics of a classic text.
fn exposed(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut all = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            last = name.to_owned();
            all.insert(last.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let keys = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            all.get_mut(&last).unwrap().1.extend(keys.filter(|key| key != "le"));
        }
    }
    all
}

/// The same of the page's table.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../../docs/operating.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `khronos_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned);
        (format!("khronos_{}", cells[0].trim_end_matches('`')), (cells[1].to_owned(), labels.collect()))
    })
    .collect()
}

#[tokio::test]
async fn the_page_for_operators_lists_exactly_what_is_exposed() {
    let clock = Clock::start().await;
    shows(&clock, 2, 0, 0);
    count_some(&clock);
    clock.state.clock.counts.audited(Some(Audited { at: at(1), holes: 1, surplus: 2 }));
    let below =
        CeilingUse { domain: "billing.*".into(), interval: 1, waiting: 7, delayed: 9, since: Some(at(1)) };
    clock.status.send_modify(|status| status.ceilings = vec![below]);
    let lease = clock.state.clock.counts.lease();
    assert!(!classic(&clock).await.contains("khronos_term"), "it is alone");
    lease.saw(7, None);
    lease.saw(8, Some(48));
    lease.is_ahead_by(Some(-3));
    lease.replicated(ReplicationState::Lacking);
    let text = classic(&clock).await;
    for (series, shown) in [
        ("khronos_term", "8"),
        ("khronos_lead_changes_total", "1"),
        ("khronos_hand_over_seconds", "0.048"),
        ("khronos_database_skew_seconds", "-0.003"),
        ("khronos_warm", "1"),
        ("khronos_replication{state=\"lacking\"}", "1"),
        ("khronos_replication{state=\"safe\"}", "0"),
    ] {
        assert_eq!(value(&text, series), Some(shown), "{series}\n{text}");
    }
    assert_eq!(value(&text, "khronos_ceiling_waiting{domain=\"billing.*\"}"), Some("7"));
    assert_eq!(value(&text, "khronos_ceiling_waiting_delayed{domain=\"billing.*\"}"), Some("9"));
    assert_eq!(exposed(&text), documented());
    // Every reason and state that the page names is one, and the other way round.
    let page = include_str!("../../../docs/operating.md");
    let row = page.lines().find(|line| line.starts_with("| `khronos_degraded`")).unwrap();
    let named: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
    let words = Degraded::ALL.map(Degraded::word).into_iter().chain(["khronos_degraded", "reason"]);
    assert_eq!(named, words.collect());
}
