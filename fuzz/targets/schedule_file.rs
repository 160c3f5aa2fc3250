//! Schedule files: TOML, what each key means, and where what is wrong stands.
#![no_main]

use fuzz::{diagnostics, pieces, schedules, timings};
use khronos_schedule::{Calendars, Packed, diagnostic::Text, file};
use ponos_event::Timestamp;
use std::sync::LazyLock;

static CALENDARS: LazyLock<Calendars> = LazyLock::new(schedules::calendars);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    let now = Timestamp::from_millis(1_790_000_000_000);
    let source = Text::new("fuzz.toml", text);
    let (entries, found) = file::advised(&source, &CALENDARS, Some(now));
    diagnostics::placed(text, &found);
    for entry in entries.iter().take(8) {
        timings::ask(&entry.schedule.timing);
        let packed = Packed::build_with(&entry.definition, CALENDARS.store()).expect("it was built before");
        schedules::kept(&entry.definition, &entry.schedule, &packed);
        for place in [&entry.name, &entry.event] {
            assert!(text.get(place.clone()).is_some(), "{place:?}");
        }
        let later = entry.schedule.clone().counting_since(now);
        timings::ask(&later.timing);
    }
    // Advice changes nothing of what is read.
    let (plain, errors) = file::parse(&source, &CALENDARS);
    assert_eq!((plain, errors.errors()), (entries, found.errors()));
    CALENDARS.store().forget_unused();
});
