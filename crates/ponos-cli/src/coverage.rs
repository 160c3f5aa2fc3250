//! `ponos coverage`: who handles what, and who is silent.

use crate::{
    ask::{self, Asked},
    exit::Exit,
    output, span,
    trouble::Trouble,
};
use ponos::text::counted;
use ponos_observer::{Coverage, EventCoverage, HandlerCoverage, RunState, ServiceCoverage};
use std::io::{self, Write};

/// How many misses are shown.
const SHOWN: usize = 20;

/// Shows who handles which event, how much of it and how fast, who is silent, and which events reach nobody.
///
/// Asks an observer (ponos observe), which knows what services report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<Exit, Trouble> {
    let body = args.asked.get("/v1/coverage").await?.map_err(Trouble::lost)?;
    if args.json {
        let value: serde_json::Value = ask::read(&body)?;
        output::print(|out| writeln!(out, "{value:#}"))?;
        return Ok(Exit::Done);
    }
    let coverage: Coverage = ask::read(&body)?;
    output::print(|out| write_coverage(out, &coverage))?;
    Ok(Exit::Done)
}

fn write_coverage(out: &mut dyn Write, coverage: &Coverage) -> io::Result<()> {
    for event in &coverage.events {
        write_event(out, coverage, event)?;
    }
    if coverage.left_out > 0 {
        writeln!(out, "({} left out)", counted(coverage.left_out, "name"))?;
    }
    if !coverage.services.is_empty() {
        writeln!(out, "services")?;
    }
    for service in &coverage.services {
        writeln!(out, "  {}", line_of(coverage, service))?;
    }
    if !coverage.missed.is_empty() {
        writeln!(out, "not handled in time")?;
    }
    for miss in coverage.missed.iter().take(SHOWN) {
        let (event, id, service) = (one(&miss.event), one(&miss.event_id), one(&miss.service));
        let reason = miss.reason.as_deref().map(|reason| format!(": {}", one(reason))).unwrap_or_default();
        writeln!(out, "  {event}  {id}  by {service} until {}{reason}", miss.due_at)?;
    }
    if !coverage.uncertain.is_empty() {
        writeln!(out, "uncertain")?;
    }
    for uncertain in coverage.uncertain.iter().take(SHOWN) {
        let (event, id, service) = (one(&uncertain.event), one(&uncertain.event_id), one(&uncertain.service));
        writeln!(out, "  {event}  {id}  by {service}: {}", uncertain.doubt.words())?;
    }
    let since =
        coverage.since.map_or_else(|| "nothing is observed yet".into(), |at| format!("observed since {at}"));
    let gap = coverage.interrupted_at.map(|at| format!("; with a gap at {at}")).unwrap_or_default();
    let now = if coverage.listening { "" } else { "; not connected now" };
    writeln!(out, "{since}{gap}{now}")
}

/// A text of others in one line.
fn one(text: &str) -> String {
    output::shortened(text, 600)
}

fn write_event(out: &mut dyn Write, coverage: &Coverage, event: &EventCoverage) -> io::Result<()> {
    let seen = match event.seen_at {
        Some(at) => format!("{} seen, the last {} ago", event.seen, span::ago(coverage.at.since(at))),
        None => "not seen".to_owned(),
    };
    let by = if event.published_by.is_empty() {
        String::new()
    } else {
        format!(", published by {}", one(&event.published_by.join(", ")))
    };
    let nobody = if event.reaches_nobody { ": REACHES NOBODY" } else { "" };
    writeln!(out, "{}  {seen}{by}{nobody}", one(&event.event))?;
    event.handlers.iter().try_for_each(|handler| writeln!(out, "  {}", handler_line(coverage, handler)))
}

fn handler_line(coverage: &Coverage, handler: &HandlerCoverage) -> String {
    let mut parts = vec![one(&handler.service)];
    if let Some(share) = handler.share {
        parts.push(format!("{} of {} handled ({:.1} %)", handler.handled, handler.due, share * 100.0));
    }
    if handler.waiting > 0 {
        parts.push(format!("{} waiting", handler.waiting));
    }
    if handler.dead > 0 {
        parts.push(format!("{} dead", handler.dead));
    }
    if let Some(p99) = handler.p99_ms {
        parts.push(format!("p99 {p99} ms"));
    }
    match handler.heard_at {
        Some(at) => parts.push(format!("last heard {} ago", span::ago(coverage.at.since(at)))),
        None => parts.push("never heard".into()),
    }
    if handler.silent {
        parts.push("SILENT".into());
    }
    if !handler.declared {
        parts.push("does not declare it".into());
    }
    format!("{} (queue {})", parts.join(", "), one(&handler.queue))
}

fn line_of(coverage: &Coverage, service: &ServiceCoverage) -> String {
    let state = match service.state {
        RunState::Running => format!("{} at work", counted(service.workers, "worker")),
        RunState::Stopped => "STOPPED".into(),
        RunState::Silent => "SILENT: its last worker went without a word".into(),
        RunState::Declared => "declared, no worker was heard".into(),
    };
    let heard = service.heard_at.map(|at| format!(", heard {} ago", span::ago(coverage.at.since(at))));
    let lost = service.lost_at.map(|at| format!(", reports lost by {at}"));
    format!("{}: {state}{}{}", one(&service.service), heard.unwrap_or_default(), lost.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_and_what_reaches_nobody_is_seen_at_once() {
        let text = r#"{
            "at": "2026-12-01T09:10:00.000Z", "since": "2026-12-01T08:00:00.000Z", "listening": true,
            "events": [
                { "event": "order.parcel.lost", "seen": 2, "seen_at": "2026-12-01T09:09:30.000Z", "reaches_nobody": true, "handlers": [] },
                { "event": "order.parcel.shipped", "seen": 0, "published_by": ["shop"], "reaches_nobody": false, "handlers": [
                    { "service": "mailer", "queue": "mailer.order.#", "handler": "order.#", "declared": true, "within_ms": 60000,
                      "due": 3, "handled": 2, "share": 0.6666, "waiting": 1, "dead": 0, "heard_at": "2026-12-01T09:00:00.000Z",
                      "p99_ms": 12, "silent": true },
                    { "service": "old", "queue": "old.order.#", "handler": "order.#", "declared": false,
                      "due": 0, "handled": 0, "waiting": 0, "dead": 1, "silent": false }
                ] }
            ],
            "left_out": 0,
            "services": [{ "service": "mailer", "state": "stopped", "workers": 0, "handlers": 1, "heard_at": "2026-12-01T09:00:00.000Z" }],
            "missed": [{ "event_id": "7", "event": "order.parcel.shipped", "service": "mailer", "queue": "mailer.order.#",
                         "handler": "order.#", "seen_at": "2026-12-01T09:01:00.000Z", "within_ms": 60000,
                         "due_at": "2026-12-01T09:02:00.000Z", "state": "waiting", "attempts": 1, "reason": "no stamps" }],
            "uncertain": [{ "event_id": "6", "event": "order.parcel.shipped", "service": "mailer", "queue": "mailer.order.#",
                            "handler": "order.#", "at": "2026-12-01T09:01:00.000Z", "doubt": "report-lost" }]
        }"#;
        let coverage: Coverage = serde_json::from_str(text).unwrap();
        let mut out = Vec::new();
        write_coverage(&mut out, &coverage).unwrap();
        let expected = "\
order.parcel.lost  2 seen, the last 30 s ago: REACHES NOBODY
order.parcel.shipped  not seen, published by shop
  mailer, 2 of 3 handled (66.7 %), 1 waiting, p99 12 ms, last heard 10 min ago, SILENT (queue mailer.order.#)
  old, 1 dead, never heard, does not declare it (queue old.order.#)
services
  mailer: STOPPED, heard 10 min ago
not handled in time
  order.parcel.shipped  7  by mailer until 2026-12-01T09:02:00.000Z: no stamps
uncertain
  order.parcel.shipped  6  by mailer: a report of the service was lost or dropped
observed since 2026-12-01T08:00:00.000Z
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
