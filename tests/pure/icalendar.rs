//! Calendars as programs write them (`tests/conformance/ics`), with the days that the standard gives them.

use khronos::{
    diagnostic::Text,
    schedule::{Calendars, calendar, file},
};
use ponos::event::Timestamp;
use std::{collections::BTreeSet, fs, path::Path};

/// File, zone of the schedule, and the days at whose noon it is due there, from 2025-12-31 to the end of 2027.
const CASES: &[(&str, &str, &str)] = &[
    // Cancelled and moved occurrences: RFC 5545 §3.8.4.4, RFC 5546 §3.2.5.
    ("cancelled-instance", "UTC", "2026-01-05 2026-01-19 2026-01-26"),
    ("cancelled-google", "UTC", "2026-01-05 2026-01-12 2026-01-26"),
    ("moved-instance", "UTC", "2026-01-05 2026-01-13 2026-01-19"),
    // §3.3.10; an end beyond the horizon is no end.
    ("bysetpos", "UTC", "2026-09-25 2027-09-24"),
    ("rrule-trailing-semicolon", "UTC", "2026-01-01 2027-01-01"),
    ("until-9998", "UTC", "2026-01-07 2027-01-07"),
    ("multiday-recurring", "UTC", "2026-01-02 2026-01-03 2026-01-04 2026-02-02 2026-02-03 2026-02-04"),
    // §3.4, §3.8.7.4
    ("two-calendars", "UTC", "2026-01-05 2026-01-07"),
    ("same-uid-higher-sequence", "UTC", "2026-01-06"),
    // An instant is read in the schedule's zone: §3.3.5.
    ("tzid-utc", "Europe/Paris", "2026-01-11"),
    ("utc-z", "Europe/Paris", "2026-01-11"),
    ("tzid-ny-schedule-paris", "Europe/Paris", "2026-01-11"),
    ("tzid-mixed-end-utc", "America/Los_Angeles", "2026-01-05"),
    ("tzid-quoted-colon", "UTC", "2026-01-05"),
    ("windows-wr-timezone", "Europe/Berlin", "2026-01-06"),
    // What says nothing about days changes none.
    ("conference", "UTC", "2026-01-05"),
    ("request-status", "UTC", "2026-01-05"),
    ("timezone-id", "UTC", "2026-01-05"),
    ("vtodo-beside", "UTC", "2026-01-05"),
];

/// The days at whose noon a schedule is due that has this calendar alone.
fn due(bytes: Vec<u8>, zone: &str) -> String {
    let text = calendar::ics::decoded(bytes);
    let (calendar, warnings) = calendar::parse(&Text::new("cal.ics", &text), true).unwrap();
    assert_eq!(warnings.to_string(), "");
    let mut calendars = Calendars::default();
    calendars.insert("cal", Some(calendar));
    let schedule = format!(
        "[[schedule]]\nname = \"a\"\nevent = \"a.b.passed\"\ncron = \"0 12 * * *\"\nonly = [\"cal\"]\ntime_zone = \"{zone}\"\n"
    );
    let (entries, faults) = file::parse(&Text::new("f.toml", &schedule), &calendars);
    assert_eq!(faults.to_string(), "");
    let timing = &entries[0].schedule.timing;
    let from: Timestamp = "2025-12-30T23:59:59.999Z".parse().unwrap();
    let until: Timestamp = "2028-01-01T00:00:00.000Z".parse().unwrap();
    let due = std::iter::successors(timing.after(from), |&due| timing.after(due));
    let days = due.take_while(|due| *due < until).map(|due| timing.local(due).unwrap().time[..10].to_owned());
    days.collect::<Vec<_>>().join(" ")
}

#[test]
fn calendars_of_other_programs_have_the_days_that_the_standard_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/ics");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let known: BTreeSet<String> = CASES.iter().map(|(name, ..)| format!("{name}.ics")).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), known);
    for (name, zone, days) in CASES {
        let bytes = fs::read(folder.join(format!("{name}.ics"))).unwrap();
        assert_eq!(due(bytes, zone), *days, "{name} in {zone}");
    }
}

#[test]
fn one_calendar_has_other_days_for_schedules_of_other_zones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/ics");
    let bytes = fs::read(folder.join("utc-z.ics")).unwrap();
    for (zone, day) in
        [("UTC", "10"), ("Europe/London", "10"), ("Asia/Tokyo", "11"), ("Pacific/Honolulu", "10")]
    {
        assert_eq!(due(bytes.clone(), zone), format!("2026-01-{day}"), "{zone}");
    }
}

#[test]
fn the_zone_of_a_list_of_timings_is_the_one_that_all_of_them_have() {
    let bytes = include_str!("../conformance/ics/utc-z.ics");
    let (calendar, _) = calendar::parse(&Text::new("cal.ics", bytes), true).unwrap();
    let mut calendars = Calendars::default();
    calendars.insert("cal", Some(calendar));
    let first = |zones: [&str; 2]| {
        let [one, two] = zones.map(|zone| format!("{{ cron = \"0 12 * * *\", time_zone = \"{zone}\" }}"));
        let schedule = format!(
            "[[schedule]]\nname = \"a\"\nevent = \"a.b.passed\"\ntimings = [{one}, {two}]\nonly = [\"cal\"]\n"
        );
        let (entries, faults) = file::parse(&Text::new("f.toml", &schedule), &calendars);
        assert_eq!(faults.to_string(), "");
        entries[0].schedule.timing.after("2025-12-31T00:00:00.000Z".parse().unwrap()).unwrap().to_string()
    };
    assert_eq!(first(["Europe/Paris", "Europe/Paris"]), "2026-01-11T11:00:00.000Z");
    assert_eq!(first(["Europe/Paris", "Asia/Tokyo"]), "2026-01-10T03:00:00.000Z");
}
