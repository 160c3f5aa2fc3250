//! iCalendar, as programs write it and as strangers may: bytes of any charset, folded lines, zones of their own, series.
#![no_main]

use fuzz::{diagnostics, pieces, schedules, timings};
use khronos_schedule::{Calendars, Days, Definition, Schedule, Zone, calendar, diagnostic::Text};

/// Days between 1969 and 2100.
const ALL: usize = 48_300;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = calendar::ics::decoded(bytes.to_vec());
    assert!(text.len() <= 3 * bytes.len());
    let (calendar, found) = match calendar::parse(&Text::new("fuzz.ics", &text), true) {
        Ok(read) => read,
        Err(found) => {
            assert!(found.errors() > 0);
            return diagnostics::placed(&text, &found);
        }
    };
    diagnostics::placed(&text, &found);
    let days = calendar.days_in(&Zone::UTC);
    assert!(days.len() <= ALL);
    assert_eq!(Days::from_dates(&days.to_dates()), Some(days.clone()));
    // On another wall it has other days, but no more than so many.
    let zone = pieces::choose(
        bytes,
        &["UTC", "Pacific/Kiritimati", "Pacific/Apia", "America/Los_Angeles", "Europe/Paris"],
    );
    let mut calendars = Calendars::default();
    calendars.insert("fuzz", Some(calendar));
    let mut definition = Definition {
        cron: Some("0 12 * * *".into()),
        time_zone: Some(zone.into()),
        only: Some(vec!["fuzz".into()]),
        ..schedules::definition()
    };
    calendars.pin(&mut definition).expect("the calendar is there");
    let built = Schedule::build_with(&definition, calendars.store());
    if zone == "UTC" {
        // It has days in 1969 and 2100 too, for other walls.
        assert!(
            built.is_ok()
                || days.to_dates().iter().all(|date| date.contains("1969") || date.contains("2100"))
        );
        assert!(built.is_err() || !days.is_empty());
    }
    let Ok(schedule) = built else { return };
    timings::ask(&schedule.timing);
});
