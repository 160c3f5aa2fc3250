//! Definitions as JSON: what a clock is sent, and what its store keeps.
#![no_main]

use fuzz::{diagnostics, schedules, timings};
use khronos_schedule::{Calendars, Definition, Packed, Schedule};
use std::sync::LazyLock;

static CALENDARS: LazyLock<Calendars> = LazyLock::new(schedules::calendars);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut definition) = ponos_event::from_json::<Definition>(bytes) else { return };
    // Kept whatever it says: another version may have accepted it.
    let kept = Packed::kept_with(&definition, CALENDARS.store());
    assert!(kept.timing().describe().len() < 10_000);
    let _ = (kept.definition(), kept.conduct(), kept.schedule());
    if CALENDARS.pin(&mut definition).is_err() {
        return;
    }
    match Schedule::build_with(&definition, CALENDARS.store()) {
        Ok(schedule) => {
            timings::ask(&schedule.timing);
            schedules::kept(&definition, &schedule, &Packed::new(&definition, &schedule));
        }
        Err(found) => diagnostics::faults(&found, |_| None),
    }
    CALENDARS.store().forget_unused();
});
