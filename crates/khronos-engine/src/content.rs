//! What an event says: a pure function of the clock's name, the revision and what the event stands for. So whatever
//! is sent again under one id has the same body, byte for byte; what differs between two sendings travels in headers.

use super::{Coalesced, Era};
use khronos_schedule::Schedule;
use ponos_event::{Event, OccurrenceId, Timestamp};
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

/// The event for what `stands_for` says; its due time is `stands_for.last`.
pub fn occurrence_event(clock: &str, era: Era, schedule: &Schedule, stands_for: Coalesced) -> Event {
    let due = stands_for.last;
    let id = OccurrenceId { clock, schedule: &schedule.name, due, trigger: None }.id();
    Event {
        subject: Some(schedule.name.to_string()),
        time: Some(due),
        expiry_time: schedule.expires.map(|millis| due.plus(millis)),
        ..Event::new(id, format!("/khronos/{clock}"), schedule.event.clone(), data(era, schedule, stands_for))
    }
}

fn data(era: Era, schedule: &Schedule, stands_for: Coalesced) -> Vec<u8> {
    let (timing, due) = (&schedule.timing, stands_for.last);
    let one_shot = timing.is_one_shot();
    // Due times lie between 1970 and 2099, where every zone has a local time.
    let local = timing.local(due).unwrap_or_default();
    let before = timing.before(stands_for.first).filter(|earlier| *earlier > era.effective_from);
    let data = Data {
        schedule: &schedule.name,
        due_at: due,
        local_time: with_millis(local.time),
        time_zone: local.zone,
        utc_offset: local.offset,
        fold: local.fold,
        window: (!one_shot).then(|| Window { from: before.unwrap_or(era.opens), to: due }),
        previous_due_at: if one_shot { None } else { before.or(era.previous) },
        next_due_at: timing.after(due),
        cause: "scheduled",
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
