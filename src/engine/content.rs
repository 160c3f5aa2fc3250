//! What an occurrence's event says: a pure function, so that what is sent again is the same byte for byte.

use super::{Coalesced, Revision};
use crate::schedule::Schedule;
use ponos::event::{Event, OccurrenceId};

/// The event of one occurrence, or of several that `stands_for` makes one of.
pub fn occurrence_event(
    clock: &str,
    revision: &Revision,
    schedule: &Schedule,
    stands_for: Coalesced,
) -> Event {
    let due = stands_for.last;
    let data = serde_json::json!({
        "schedule": revision.schedule,
        "due_at": due,
        "coalesced": stands_for.count.saturating_sub(1),
    });
    let id = OccurrenceId { clock, schedule: &revision.schedule, due, trigger: None }.id();
    let event = Event::new(id, format!("/khronos/{clock}"), schedule.event.clone(), data.to_string());
    Event {
        subject: Some(revision.schedule.to_string()),
        time: Some(due),
        expiry_time: schedule.expires.map(|expires| due.plus(expires)),
        ..event
    }
}
