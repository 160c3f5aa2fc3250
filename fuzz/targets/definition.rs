//! Definitions as JSON: what a clock is sent, and what its store keeps.
#![no_main]

use fuzz::{diagnostics, schedules, timings};
use khronos_schedule::{Calendars, Definition, FaultCode, Packed, Schedule, file};
use ponos_event::Timestamp;
use std::sync::LazyLock;

static CALENDARS: LazyLock<Calendars> = LazyLock::new(schedules::calendars);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(found) = file::from_json(bytes, &CALENDARS, Timestamp::from_millis(1_790_000_000_000)) {
        assert!(!found.list.is_empty() && !found.to_string().is_empty());
        // Of two equal keys this reader takes the other one.
        let twice = found.list.iter().any(|fault| fault.code == FaultCode::DuplicateKey);
        let whole = serde_json::from_slice::<serde_json::Value>(bytes).ok().filter(|_| !twice);
        for pointer in whole.iter().flat_map(|_| found.list.iter().map(|fault| fault.pointer.as_str())) {
            let above = pointer.rsplit_once('/').map_or("", |(above, _)| above);
            let there = |whole: &serde_json::Value| whole.pointer(pointer).or(whole.pointer(above)).is_some();
            assert!(whole.as_ref().is_some_and(there), "{pointer}");
        }
    }
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
