//! What is counted, and how a scrape shows it.

use super::*;
use crate::{
    event::HeaderValue,
    metrics::Metrics,
    worker::{breaker::Breaker, ended::Death},
};
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};

const QUEUE: &str = "shop.order.parcel.shipped";
const NAME: &str = "order.parcel.shipped";
const OPEN: Option<&str> = Some("application/openmetrics-text");

fn event() -> Event {
    Event::new("1".parse().unwrap(), "/shop", NAME.parse().unwrap(), b"{}".to_vec())
}

fn exposed(metrics: &Metrics) -> String {
    metrics.expose(OPEN).unwrap().text
}

/// One queue with its handler and a circuit, and everything that can happen has happened.
fn busy(metrics: &Metrics) -> (QueueMetrics, Arc<Circuit>) {
    let (queue, handler) = (metrics.of_workers().queue(QUEUE), metrics.of_workers().handler(QUEUE, NAME));
    let circuit = Arc::new(Circuit::new(Some(Breaker::default()), QUEUE.into(), 1));
    queue.follow(&QUEUE.into(), &circuit);
    queue.received(&Event { time: Some(Timestamp::EPOCH), ..event() }, 0, Timestamp::EPOCH);
    handler.ran(None, Duration::from_millis(1));
    (queue, circuit)
}

/// Families by name: type and labels, as a scrape shows them.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families = BTreeMap::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            families.insert(format!("{name}{suffix}"), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let labels = labels.split_once('}').unwrap().0;
            let names = labels.split(',').map(|label| label.split_once('=').unwrap().0.to_owned());
            let names = names.filter(|name| name != "le");
            families.get_mut(family.unwrap_or(name)).expect(line).1.extend(names);
        }
    }
    families
}

#[test]
fn the_table_of_the_guide_has_every_metric_with_its_type_and_labels() {
    let metrics = Metrics::new();
    let kept = busy(&metrics);
    let guide = include_str!("../../../../../docs/workers.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `ponos_"));
    let told = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let kind = cells[2].split(',').next().unwrap().trim().to_owned();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        (cells[1].trim_matches('`').to_owned(), (kind, labels.filter(|label| !label.is_empty()).collect()))
    });
    assert_eq!(told.collect::<BTreeMap<_, _>>(), families(&exposed(&metrics)));
    for word in
        ["done", "already-handled", "unsettled", "early", "retried", "snoozed", "released", "cancelled"]
    {
        assert!(guide.contains(&format!("`{word}`")), "outcome {word}");
    }
    drop(kept);
}

#[test]
fn every_end_counts_once_and_under_its_outcome() {
    let due = Timestamp::EPOCH;
    let death = Ended::Dead(Death::new(DeadKind::Poison, "password=secret"));
    let why = || "amqp://user:password@host".to_owned();
    for (ended, void, outcome, more) in [
        (Ended::Done, false, "done", None),
        (Ended::Done, true, "unsettled", None),
        (Ended::HandledAlready, false, "already-handled", None),
        (Ended::HandledAlready, true, "unsettled", None),
        (Ended::Skipped(why()), false, "skipped", Some("ponos_skipped_total")),
        (Ended::Early { due }, false, "early", None),
        (Ended::Retried { attempt: 2, due, reason: why() }, false, "retried", Some("ponos_retries_total")),
        (Ended::Snoozed { due, reason: why() }, false, "snoozed", None),
        (Ended::Released(why()), false, "released", None),
        (Ended::Cancelled(why()), false, "cancelled", None),
        (Ended::Cancelled(why()), true, "unsettled", None),
        (death, false, "dead", Some("ponos_dead_letters_total")),
    ] {
        let metrics = Metrics::new();
        let (queue, _circuit) = busy(&metrics);
        queue.ended(Some(&metrics.of_workers().handler(QUEUE, NAME)), &ended, void);
        let text = exposed(&metrics);
        let counted: Vec<&str> =
            text.lines().filter(|line| line.contains("_total{") && !line.ends_with(" 0")).collect();
        let labels = format!("queue=\"{QUEUE}\",handler=\"{NAME}\"");
        let mut wanted = vec![format!("ponos_deliveries_total{{{labels},outcome=\"{outcome}\"}} 1")];
        wanted.extend(more.map(|name| match name {
            "ponos_dead_letters_total" => format!("{name}{{{labels},reason=\"poison\"}} 1"),
            _ => format!("{name}{{{labels}}} 1"),
        }));
        assert_eq!(BTreeSet::from_iter(counted), wanted.iter().map(String::as_str).collect(), "{ended:?}");
        assert!(!text.contains("password"), "{text}");
    }
}

#[test]
fn only_the_first_receipt_has_an_age() {
    let at = |millis| Some(Timestamp::from_millis(millis));
    for (recorded, time, header, count, sum) in [
        (at(1_000), at(500), "", 0, Some("1.0")),
        (None, at(500), "", 0, Some("1.5")),
        // the sender's clock is ahead
        (at(9_000), at(500), "", 0, Some("0.0")),
        (None, None, "", 0, None),
        (at(1_000), at(500), "", 1, None),
        (at(1_000), at(500), "retry-attempt", 0, None),
        (at(1_000), at(500), "retry-due", 0, None),
        (at(1_000), at(500), "requeued-count", 0, None),
    ] {
        let metrics = Metrics::new();
        let queue = metrics.of_workers().queue(QUEUE);
        let mut event = Event { recorded_time: recorded, time, ..event() };
        if !header.is_empty() {
            event.extensions.set(header, HeaderValue::Int(2));
        }
        queue.received(&event, count, Timestamp::from_millis(2_000));
        let text = exposed(&metrics);
        let sum = format!("ponos_event_age_seconds_sum{{queue=\"{QUEUE}\"}} {}\n", sum.unwrap_or("0.0"));
        let counted = format!(
            "ponos_event_age_seconds_count{{queue=\"{QUEUE}\"}} {}\n",
            u8::from(count == 0 && header.is_empty() && time.is_some())
        );
        assert!(text.contains(&sum) && text.contains(&counted), "{sum}{counted}{text}");
    }
}

#[test]
fn a_run_leaves_its_trace_if_it_has_one_that_is_recorded() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (parent, exemplar) in [
        (Some(format!("00-{trace}-00f067aa0ba902b7-01")), Some(trace)),
        (Some(format!("00-{trace}-00f067aa0ba902b7-02")), None),
        (Some(format!("00-{trace}\n-00f067aa0ba902b7-01")), None),
        (Some("\"} 1\nponos_in_progress 9".to_owned()), None),
        (None, None),
    ] {
        let metrics = Metrics::new();
        let handler = metrics.of_workers().handler(QUEUE, NAME);
        handler.ran(parent.as_deref(), Duration::from_millis(30));
        let text = exposed(&metrics);
        let exemplar = exemplar.map(|id| format!(" # {{trace_id=\"{id}\"}} 0.03")).unwrap_or_default();
        let line = format!(
            "ponos_handler_duration_seconds_bucket{{le=\"0.05\",queue=\"{QUEUE}\",handler=\"{NAME}\"}} 1{exemplar}\n"
        );
        assert!(text.contains(&line), "{line}{text}");
        // the classic text has no exemplars
        assert!(!metrics.expose(None).unwrap().text.contains("trace_id"));
    }
}

#[test]
fn workers_that_share_metrics_register_them_once() {
    let metrics = Metrics::new();
    let (_first, _circuit) = busy(&metrics);
    let (_second, circuit) = busy(&metrics);
    let text = exposed(&metrics);
    for line in [
        "# TYPE ponos_deliveries counter\n",
        "# TYPE ponos_paused gauge\n",
        &format!("ponos_paused{{queue=\"{QUEUE}\"}} 0\n"),
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}{text}");
    }
    let ticket = circuit.admitted().now_or_never().unwrap();
    circuit.unavailable(ticket, ("shelf", "no shelf"), true);
    let paused = format!("ponos_paused{{queue=\"{QUEUE}\"}} 1\n");
    assert!(exposed(&metrics).contains(&paused), "{text}");
}
