//! `ponos why`: the causal tree of an event, for people.

use crate::{
    ask::{self, Asked},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos::{event::reports::ReportedOutcome, text::counted};
use ponos_observer::{Attempt, Awaited, AwaitedState, Handling, HandlingState, Node, SeenView, Why};
use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Says what came of an event: who handled it, attempt by attempt, what they published, and what came of that.
///
/// Asks an observer (ponos observe), which knows what services report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of an event or a task, or of a trace
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    asked: Asked,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<Exit, Trouble> {
    let body = match args.asked.get(&format!("/v1/why/{}", encoded(&args.id))).await? {
        Ok(body) => body,
        Err(why) => return Err(Trouble::findings(why)),
    };
    if args.json {
        let value: serde_json::Value = ask::read(&body)?;
        output::print(|out| writeln!(out, "{value:#}"))?;
        return Ok(Exit::Done);
    }
    let why: Why = ask::read(&body)?;
    output::print(|out| write_why(out, &why))?;
    Ok(Exit::Done)
}

/// As a part of a path.
fn encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            _ => {
                // a String takes all
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn write_why(out: &mut dyn Write, why: &Why) -> io::Result<()> {
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

/// A text of others in one line.
fn one(text: &str) -> String {
    output::shortened(text, 600)
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
    fn an_id_is_one_part_of_the_path() {
        assert_eq!(encoded("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
    }

    #[test]
    fn nothing_of_what_others_wrote_is_obeyed() {
        let mut why = why();
        let root = &mut why.roots[0];
        (root.event.source, root.event.name) = (HOSTILE.into(), HOSTILE.into());
        root.handlings[0].attempts[0].reason = Some(HOSTILE.into());
        assert_harmless("why", &written(&why));
    }
}
