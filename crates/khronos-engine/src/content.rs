//! What an event says: a pure function of the clock's name, the revision and what the event stands for. So whatever
//! is sent again under one id has the same body, byte for byte; what differs between two sendings travels in headers.

use super::{Coalesced, Era};
use khronos_schedule::Schedule;
use ponos_event::{Event, EventKind, OccurrenceId, Timestamp};
use serde::Serialize;

/// Bytes of a body without a payload, rounded up: so that it need not grow.
const USUAL: usize = 384;

/// `schemas/time-event.json`.
#[derive(Serialize)]
struct Data<'a> {
    schedule: &'a str,
    due_at: Timestamp,
    local_time: String,
    time_zone: &'a str,
    utc_offset: String,
    fold: u8,
    window: Option<Window>,
    previous_due_at: Option<Timestamp>,
    next_due_at: Option<Timestamp>,
    cause: &'a str,
    coalesced: u64,
    data: Option<&'a serde_json::Value>,
}

#[derive(Serialize)]
struct Window {
    from: Timestamp,
    to: Timestamp,
}

/// The event for occurrences: for what `stands_for` says; its due time is `stands_for.last`.
pub fn occurrence_event(clock: &str, era: Era, schedule: &Schedule, stands_for: Coalesced) -> Event {
    time_event(clock, &EventKind::Occurrence, era, schedule, stands_for)
}

/// The event of a kind that is made from a schedule's definition: every kind but [`EventKind::Delayed`].
pub fn time_event(
    clock: &str,
    kind: &EventKind,
    era: Era,
    schedule: &Schedule,
    stands_for: Coalesced,
) -> Event {
    let due = stands_for.last;
    let id = OccurrenceId { clock, schedule: &schedule.id_name(), due, kind }.id();
    let data = data(kind, era, schedule, stands_for);
    let is_past = matches!(kind, EventKind::Backfill(_));
    Event {
        subject: Some(schedule.name.to_string()),
        time: Some(due),
        // Somebody wants the past to be handled, however late.
        expiry_time: schedule.expires.filter(|_| !is_past).map(|millis| due.plus(millis)),
        ..Event::new(id, format!("/khronos/{clock}"), schedule.event.clone(), data)
    }
}

fn data(kind: &EventKind, era: Era, schedule: &Schedule, stands_for: Coalesced) -> Vec<u8> {
    let (timing, due) = (&schedule.timing, stands_for.last);
    let one_shot = timing.is_one_shot();
    // Due times lie between 1970 and 2099, where every zone has a local time.
    let local = timing.local(due).unwrap_or_default();
    let earlier = timing.before(stands_for.first);
    let before = earlier.filter(|earlier| *earlier > era.effective_from);
    let (cause, from, previous) = match kind {
        EventKind::Occurrence | EventKind::Delayed => {
            ("scheduled", Some(before.unwrap_or(era.opens)), before.or(era.previous))
        }
        EventKind::Trigger(_) => ("triggered", None, before.or(era.previous)),
        // Due before the definition took effect that it is made from.
        EventKind::Backfill(_) => ("backfilled", earlier, earlier),
    };
    let data = Data {
        schedule: &schedule.name,
        due_at: due,
        local_time: with_millis(local.time),
        time_zone: local.zone.name(),
        utc_offset: local.offset,
        fold: local.fold,
        window: from.filter(|_| !one_shot).map(|from| Window { from, to: due }),
        previous_due_at: previous.filter(|_| !one_shot),
        next_due_at: timing.after(due),
        cause,
        coalesced: stands_for.count - 1,
        data: schedule.data.as_ref(),
    };
    let mut body = Vec::with_capacity(USUAL);
    // Strings, numbers and JSON values only: there is nothing in it that serialising could refuse.
    drop(serde_json::to_writer(&mut body, &data));
    body
}

/// Always three digits, so that consumers may parse it with one pattern.
fn with_millis(time: String) -> String {
    if time.contains('.') { time } else { time + ".000" }
}
