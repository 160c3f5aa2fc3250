//! Answers as texts for people: what `ponos` and `khronos` print of them.
//!
//! What others wrote stands in one line, is cut, and moves no cursor.

use crate::{
    Attempt, Awaited, AwaitedState, Coverage, EventCoverage, HandlerCoverage, Handling, HandlingState, Node,
    RunState, SeenView, ServiceCoverage, Why,
};
use ponos_event::{
    reports::ReportedOutcome,
    terminal,
    text::{ago, counted, shortened},
};
use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// How many misses are shown.
const SHOWN: usize = 20;

/// Writes the tree of an event: its causes, who handled it attempt by attempt, and what followed.
///
/// # Errors
/// The writer's.
pub fn write_why(out: &mut dyn Write, why: &Why) -> io::Result<()> {
    for cause in &why.causes {
        writeln!(out, "caused by {}", event(cause))?;
    }
    why.roots.iter().try_for_each(|root| write_node(out, root, 0))?;
    if why.left_out > 0 {
        writeln!(out, "({} left out)", counted(why.left_out, "event"))?;
    }
    if let Some(at) = why.interrupted_at {
        writeln!(out, "note: the observer had no connection at {at}; what was about then may be missing")?;
    }
    for (service, at) in &why.lost {
        writeln!(out, "note: reports of '{}' were lost by {at}", one(service))?;
    }
    Ok(())
}

/// An event in a line.
fn event(event: &SeenView) -> String {
    let name = if event.name.is_empty() { "(an event that was not seen)" } else { &event.name };
    let mut text = format!("{}  {}", one(name), one(&event.id));
    if !event.source.is_empty() {
        // a String takes all
        let _ = write!(text, "  from {}", one(&event.source));
    }
    if let Some(subject) = &event.subject {
        let _ = write!(text, " ({})", one(subject));
    }
    let _ = match event.sent_at {
        Some(at) => write!(text, "  sent {at}"),
        None => write!(text, "  first heard of {}", event.first_at),
    };
    if event.sent > 1 {
        let _ = write!(text, ", {} times", event.sent);
    }
    if let Some(late) = event.lateness_ms {
        let _ = write!(text, ", {late} ms late");
    }
    text
}

fn write_node(out: &mut dyn Write, node: &Node, depth: usize) -> io::Result<()> {
    let margin = "  ".repeat(depth * 2);
    writeln!(out, "{margin}{}", event(&node.event))?;
    for handling in &node.handlings {
        write_handling(out, handling, &margin)?;
    }
    for awaited in &node.awaited {
        writeln!(out, "{margin}  {}", self::awaited(awaited))?;
    }
    if node.handlings.is_empty() && node.awaited.is_empty() {
        writeln!(out, "{margin}  nobody reports that they handle it")?;
    }
    node.followed.iter().try_for_each(|node| write_node(out, node, depth + 1))
}

fn write_handling(out: &mut dyn Write, handling: &Handling, margin: &str) -> io::Result<()> {
    let state = match handling.state {
        HandlingState::Handled => "handled",
        HandlingState::Waiting => "waits",
        HandlingState::Dead => "in the dead letters",
    };
    writeln!(out, "{margin}  {}: {state} (queue {})", one(&handling.service), one(&handling.queue))?;
    for (at, attempt) in handling.attempts.iter().enumerate() {
        if at == 1 && handling.left_out > 0 {
            writeln!(out, "{margin}    ({} more)", handling.left_out)?;
        }
        writeln!(out, "{margin}    {}", self::attempt(attempt))?;
    }
    Ok(())
}

fn attempt(attempt: &Attempt) -> String {
    let word = match attempt.outcome {
        ReportedOutcome::Done => "done",
        ReportedOutcome::AlreadyHandled => "was handled already",
        ReportedOutcome::Skipped => "skipped",
        ReportedOutcome::Retried => "failed",
        ReportedOutcome::Snoozed => "put off",
        ReportedOutcome::Released => "given back",
        ReportedOutcome::Dead => "dead-lettered",
        ReportedOutcome::Cancelled => "cancelled",
        ReportedOutcome::Other => "ended in a way that is not known here",
    };
    let mut text =
        format!("attempt {} at {}: {word} after {} ms", attempt.attempt, attempt.began_at, attempt.took_ms());
    if let Some(reason) = &attempt.reason {
        // a String takes all
        let _ = write!(text, ": {}", one(reason));
    }
    if let Some(due) = attempt.due_at {
        let _ = write!(text, "; again at {due}");
    }
    text
}

fn awaited(awaited: &Awaited) -> String {
    let Awaited { service, queue, due_at, state, .. } = awaited;
    let (service, queue) = (one(service), one(queue));
    let by = due_at.map(|due| format!(" by {due}")).unwrap_or_default();
    match state {
        AwaitedState::Awaited => {
            format!("{service}: nothing reported yet, to be handled{by} (queue {queue})")
        }
        AwaitedState::Missed => format!("{service}: NOT HANDLED{by} (queue {queue})"),
        AwaitedState::Uncertain => {
            format!("{service}: not reported as handled{by}; reports may be missing (queue {queue})")
        }
        AwaitedState::NotYetDeclared => {
            format!("{service}: declared only after it was sent that it handles such (queue {queue})")
        }
    }
}

/// Writes who handles what, who is silent, and what was not handled in time.
///
/// # Errors
/// The writer's.
pub fn write_coverage(out: &mut dyn Write, coverage: &Coverage) -> io::Result<()> {
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

fn write_event(out: &mut dyn Write, coverage: &Coverage, event: &EventCoverage) -> io::Result<()> {
    let seen = match event.seen_at {
        Some(at) => format!("{} seen, the last {} ago", event.seen, ago(coverage.at.since(at))),
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
        Some(at) => parts.push(format!("last heard {} ago", ago(coverage.at.since(at)))),
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
    let heard = service.heard_at.map(|at| format!(", heard {} ago", ago(coverage.at.since(at))));
    let lost = service.lost_at.map(|at| format!(", reports lost by {at}"));
    format!("{}: {state}{}{}", one(&service.service), heard.unwrap_or_default(), lost.unwrap_or_default())
}

/// A text of others in one line.
fn one(text: &str) -> String {
    terminal::line(&shortened(text, 600)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{HOSTILE, assert_harmless};

    fn why() -> Why {
        let text = r#"{
            "id": "2",
            "causes": [{ "id": "1", "name": "time.one-day.passed", "source": "/khronos/khronos", "subject": "one-day",
                         "first_at": "2026-12-01T09:00:00.003Z", "sent_at": "2026-12-01T09:00:00.003Z", "sent": 1, "lateness_ms": 2 }],
            "roots": [{
                "event": { "id": "2", "name": "order.parcel.shipped", "source": "/shop", "first_at": "2026-12-01T09:00:01.000Z",
                           "sent_at": "2026-12-01T09:00:01.000Z", "sent": 2 },
                "handlings": [{ "service": "mailer", "queue": "mailer.order.parcel.shipped", "state": "dead", "left_out": 3, "attempts": [
                    { "attempt": 1, "outcome": "retried", "began_at": "2026-12-01T09:00:01.000Z", "ended_at": "2026-12-01T09:00:01.004Z",
                      "reason": "no stamps", "due_at": "2026-12-01T09:00:03.000Z" },
                    { "attempt": 5, "outcome": "dead", "began_at": "2026-12-01T09:10:01.000Z", "ended_at": "2026-12-01T09:10:01.002Z" }
                ] }],
                "awaited": [{ "service": "billing", "queue": "billing.order.#", "handler": "order.#", "state": "missed",
                              "due_at": "2026-12-01T10:00:01.000Z" }],
                "followed": [{ "event": { "id": "3", "name": "order.label.printed", "first_at": "2026-12-01T09:00:02.000Z", "sent": 0 },
                               "handlings": [] }]
            }],
            "lost": [["mailer", "2026-12-01T09:20:00.000Z"]]
        }"#;
        serde_json::from_str(text).unwrap()
    }

    fn written(why: &Why) -> String {
        let mut out = Vec::new();
        write_why(&mut out, why).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_tree_reads_from_the_cause_to_what_followed() {
        let expected = "\
caused by time.one-day.passed  1  from /khronos/khronos (one-day)  sent 2026-12-01T09:00:00.003Z, 2 ms late
order.parcel.shipped  2  from /shop  sent 2026-12-01T09:00:01.000Z, 2 times
  mailer: in the dead letters (queue mailer.order.parcel.shipped)
    attempt 1 at 2026-12-01T09:00:01.000Z: failed after 4 ms: no stamps; again at 2026-12-01T09:00:03.000Z
    (3 more)
    attempt 5 at 2026-12-01T09:10:01.000Z: dead-lettered after 2 ms
  billing: NOT HANDLED by 2026-12-01T10:00:01.000Z (queue billing.order.#)
    order.label.printed  3  first heard of 2026-12-01T09:00:02.000Z
      nobody reports that they handle it
note: reports of 'mailer' were lost by 2026-12-01T09:20:00.000Z
";
        assert_eq!(written(&why()), expected);
    }

    #[test]
    fn nothing_of_what_others_wrote_is_obeyed() {
        let mut why = why();
        let root = &mut why.roots[0];
        (root.event.source, root.event.name) = (HOSTILE.into(), HOSTILE.into());
        root.handlings[0].attempts[0].reason = Some(HOSTILE.into());
        assert_harmless("why", &written(&why));
    }

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
