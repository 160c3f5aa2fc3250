//! What is kept of an event that was seen on the bus: what names it and what it follows from; never its payload.

use ponos_event::{Event, TraceParent};
use serde::Deserialize;

/// A clock's event that is later than this was caught up with.
const ON_TIME_MS: i64 = 30_000;
/// Larger payloads are not those of a clock.
const CLOCKS_PAYLOAD: usize = 1 << 20;

/// An event as it was seen on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenEvent {
    /// Its id.
    pub id: String,
    /// Its type.
    pub name: String,
    /// Its source.
    pub source: String,
    /// Its subject: the schedule, for a clock's.
    pub subject: Option<String>,
    /// The correlation id.
    pub correlation_id: Option<String>,
    /// The id of the event that it follows from.
    pub causation_id: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// How late it was sent, if its clock says so.
    pub lateness_ms: Option<i64>,
    /// Sent after its time, with others perhaps: a backfill, or what a clock caught up with.
    pub is_caught_up: bool,
}

impl SeenEvent {
    /// What is kept of an event.
    pub fn of(event: &Event) -> Self {
        let trace = event.traceparent.as_deref().and_then(TraceParent::parse);
        let lateness_ms = event.extensions.int("khronos-lateness-ms");
        Self {
            id: event.id.to_string(),
            name: event.name.to_string(),
            source: event.source.clone(),
            subject: event.subject.clone(),
            correlation_id: event.correlation_id.clone(),
            causation_id: event.causation_id.clone(),
            trace_id: trace.map(|trace| trace.trace_id.to_owned()),
            lateness_ms,
            is_caught_up: lateness_ms.is_some_and(|late| late > ON_TIME_MS) || is_of_many(event),
        }
    }
}

/// The part of a clock's payload that says why it was sent (`schemas/time-event.json`).
#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    coalesced: Option<u64>,
}

/// Whether a clock's event was backfilled, or stands for others.
fn is_of_many(event: &Event) -> bool {
    if !event.source.starts_with("/khronos/") || event.data.len() > CLOCKS_PAYLOAD {
        return false;
    }
    let sent: Option<Sent> = serde_json::from_slice(&event.data).ok();
    sent.is_some_and(|sent| {
        sent.cause.as_deref() == Some("backfilled") || sent.coalesced.is_some_and(|count| count > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(source: &str, data: &str, late: Option<i64>) -> SeenEvent {
        let name = "time.one-day.passed".parse().unwrap();
        let mut event = Event::new("1".parse().unwrap(), source, name, data);
        if let Some(late) = late {
            event.extensions.set("khronos-lateness-ms", late);
        }
        SeenEvent::of(&event)
    }

    #[test]
    fn what_a_clock_sends_after_its_time_is_caught_up() {
        for (source, data, late, caught_up) in [
            ("/khronos/khronos", r#"{"cause":"scheduled","coalesced":0}"#, Some(4), false),
            ("/khronos/khronos", r#"{"cause":"scheduled","coalesced":0}"#, Some(30_001), true),
            ("/khronos/khronos", r#"{"cause":"scheduled","coalesced":3}"#, Some(4), true),
            ("/khronos/khronos", r#"{"cause":"backfilled"}"#, None, true),
            ("/khronos/khronos", r#"{"cause":"triggered"}"#, None, false),
            ("/khronos/khronos", "not JSON", None, false),
            // only a clock's says that
            ("/shop", r#"{"cause":"backfilled","coalesced":3}"#, None, false),
        ] {
            assert_eq!(event(source, data, late).is_caught_up, caught_up, "{source} {data} {late:?}");
        }
    }
}
