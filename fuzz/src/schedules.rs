//! What holds of every definition: it is refused with reasons, or it is the same schedule in each form in which it is kept.

use crate::{diagnostics, timings};
use khronos_schedule::{Calendars, Definition, Fault, Packed, Schedule, calendar, diagnostic::Text};

/// Two calendars, which schedules may name `days` and `office`.
pub fn calendars() -> Calendars {
    let mut calendars = Calendars::default();
    let days = "dates = [\"2026-12-24/2027-01-02\"]\nyearly = [\"02-29\"]\nweekdays = [\"SAT\", \"SUN\"]\n";
    let office = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T200000Z\r\nDURATION:P1DT2H\r\n\
                  RRULE:FREQ=WEEKLY;BYDAY=MO,TH\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    for (name, text, is_ics) in [("days", days, false), ("office", office, true)] {
        let parsed = calendar::parse(&Text::new(name, text), is_ics).ok();
        assert!(parsed.is_some(), "{name}");
        calendars.insert(name, parsed.map(|(calendar, _)| calendar));
    }
    calendars
}

/// A definition that lacks only what the target fills in.
pub fn definition() -> Definition {
    Definition { name: "fuzz".into(), event: Some("a.b.started".into()), ..Definition::default() }
}

/// Builds it and asks it; or its faults fit the value of the key that is tried.
pub fn build(key: &'static str, text: &str, definition: &Definition) -> Option<Schedule> {
    match Schedule::build(definition) {
        Ok(schedule) => {
            timings::ask(&schedule.timing);
            kept(definition, &schedule, &Packed::new(definition, &schedule));
            Some(schedule)
        }
        Err(found) => {
            diagnostics::faults(&found, |fault: &Fault| (fault.key == key).then(|| text.to_owned()));
            None
        }
    }
}

/// What is kept, in memory or as JSON, is what was understood.
pub fn kept(definition: &Definition, schedule: &Schedule, packed: &Packed) {
    assert!(packed.is_understood());
    // What was never named is named as it is kept: the rules of the zones.
    let written = packed.definition();
    let pinned = Definition { zones: written.zones.clone(), ..definition.clone() };
    assert_eq!(written, pinned);
    assert_eq!(packed.schedule().as_ref(), Some(schedule));
    assert_eq!(packed.timing(), schedule.timing);
    assert_eq!((packed.name(), packed.event()), (&*schedule.name, schedule.event.as_str()));
    assert_eq!(packed.is_one_shot(), schedule.timing.is_one_shot());
    assert_eq!(packed.has_jitter(), schedule.timing.jitter() > 0);
    let json = serde_json::to_vec(definition).expect("a definition is always JSON");
    assert_eq!(&serde_json::from_slice::<Definition>(&json).expect("what was written is read"), definition);
}
