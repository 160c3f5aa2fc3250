//! Names of time zones, and what is guessed where there is no such zone.
#![no_main]

use fuzz::{pieces, schedules};
use khronos_schedule::{Definition, TimingDefinition};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    let zone = || Some(text.to_owned());
    let alone = Definition { every: Some("1 day".into()), time_zone: zone(), ..schedules::definition() };
    let read = schedules::build("time_zone", text, &alone);
    let one = TimingDefinition {
        cron: Some("0 9 * * MON".into()),
        time_zone: zone(),
        ..TimingDefinition::default()
    };
    let several = Definition { timings: Some(vec![one]), ..schedules::definition() };
    assert_eq!(schedules::build("time_zone", text, &several).is_some(), read.is_some());
    if let Some(schedule) = read {
        assert_eq!(schedule.timing.zone().name(), text);
    }
});
