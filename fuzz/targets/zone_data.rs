//! Zone data: TZif bytes of a folder, or kept by a store.
#![no_main]

use fuzz::{schedules, timings};
use khronos_schedule::{CalendarStore, Definition, Packed, Schedule, ZoneData};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let store = CalendarStore::default();
    let kept = store.zones().insert(bytes.to_vec());
    let data = ZoneData::of_folder("fuzz", None, [("Fuzz/Zone".to_owned(), bytes.to_vec())]);
    store.zones().use_data(data.clone());
    let daily = Definition {
        cron: Some("30 2 * * *".into()),
        time_zone: Some("Fuzz/Zone".into()),
        ..schedules::definition()
    };
    let hourly = Definition { cron: Some("*/20 * * * *".into()), ..daily.clone() };
    let monthly = Definition { cron: None, every: Some("1 month".into()), ..daily.clone() };
    let once = Definition { cron: None, at: Some("2026-03-29T02:30".into()), ..daily.clone() };
    for mut definition in [daily, hourly, monthly, once] {
        match Schedule::build_with(&definition, &store) {
            Ok(schedule) => {
                let rules = kept.as_ref().expect("it was refused, and is used");
                assert_eq!(rules.tzif(), bytes);
                timings::ask(&schedule.timing);
                definition.pin_zones(&data);
                let again = Packed::build_with(&definition, &store).expect("its zone is kept");
                assert_eq!(again.timing(), schedule.timing);
                schedules::kept(&definition, &schedule, &again);
            }
            Err(found) => {
                let why = kept.as_ref().err();
                assert!(why.is_some() || found.iter().any(|fault| fault.key == "at"), "{found:?}");
                assert!(why.is_none_or(|why| !why.is_empty() && why.len() < 400), "{why:?}");
            }
        }
    }
});
