//! The schedule files that are shipped, and the bounds of reading others.

use khronos::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::Text,
    schedule::{Definition, file},
    sources::{self, Bounds},
};
use ponos::event::Timestamp;
use std::{fmt::Write, fs, path::Path};

#[test]
fn the_standard_time_events_are_all_there_and_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let read = sources::read(&ScheduleSource::Folder(folder));
    assert_eq!(read.diagnostics.to_string(), "");
    let names: Vec<_> = read.list.iter().map(|source| &*source.schedule.name).collect();
    let expected = [
        "one-minute",
        "five-minutes",
        "ten-minutes",
        "fifteen-minutes",
        "thirty-minutes",
        "one-hour",
        "four-hours",
        "twelve-hours",
        "one-day",
        "one-week",
        "one-month",
        "one-year",
    ];
    assert_eq!(names, expected);
    for source in &read.list {
        let name = &source.schedule.name;
        assert_eq!(source.schedule.event.as_str(), format!("time.{name}.passed"));
    }
    let embedded = sources::read(&ScheduleSource::Embedded);
    let definitions =
        |list: &[sources::Source]| list.iter().map(|s| s.definition.clone()).collect::<Vec<_>>();
    assert_eq!(definitions(&embedded.list), definitions(&read.list));
}

#[test]
fn every_example_is_right_once_its_comment_marks_are_gone() {
    let text = include_str!("../../schedules/examples.toml");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let calendars = sources::read(&ScheduleSource::Folder(folder)).calendars;
    assert_eq!(calendars.names().collect::<Vec<_>>(), ["holidays-fr"]);
    assert_eq!(file::parse(&Text::new("examples.toml", text), &calendars).0.len(), 0);
    let (_, examples) = text.split_once("\n\n").unwrap();
    let lines = examples.lines().filter(|line| !line.starts_with("##"));
    let live: Vec<_> = lines.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let live = live.join("\n");
    let (entries, faults) = file::parse(&Text::new("examples.toml", &live), &calendars);
    assert_eq!(faults.to_string(), "");
    assert_eq!(entries.len(), live.matches("[[schedule]]").count());
    assert!(entries.len() >= 10);
    // And the same as JSON, but for what the clock notes by itself.
    for entry in &entries {
        let written = Definition { calendars: None, zones: None, ..entry.definition.clone() };
        let json = serde_json::to_vec(&written).unwrap();
        let read = file::from_json(&json, &calendars, Timestamp::EPOCH).unwrap();
        assert_eq!((&read.definition, &read.schedule), (&entry.definition, &entry.schedule));
    }
    // Every key is shown, those of the tables in it too.
    let all = "name event every cron at timings time_zone phase anchor from until limit jitter exclude only move dst gap \
               fold catch_up policy grace within most past unrouted resends paused expires data";
    let shown = |key: &str| live.contains(&format!("\n{key} = ")) || live.contains(&format!(" {key} = "));
    let missing: Vec<_> = all.split_whitespace().filter(|key| !shown(key)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_schedule_of_the_example_services_is_right_and_leaves_weekends_and_holidays_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let calendars = sources::read(&ScheduleSource::Folder(folder)).calendars;
    let text = include_str!("../../examples/services/missing-schedule.toml");
    let (entries, faults) = file::parse(&Text::new("missing-schedule.toml", text), &calendars);
    assert_eq!(faults.to_string(), "");
    let [entry] = &entries[..] else { panic!("{} schedules", entries.len()) };
    // Christmas 2026 is a Friday, and Paris one hour ahead of UTC
    let thursday: Timestamp = "2026-12-24T17:00:00.000Z".parse().unwrap();
    let monday = entry.schedule.timing.after(thursday).unwrap();
    assert_eq!(monday.to_string(), "2026-12-28T17:00:00.000Z");
}

#[test]
fn files_larger_or_more_than_allowed_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let mut text = String::new();
        for count in 0..10 {
            write!(text, "[[schedule]]\nname = \"{name}{count}\"\nevent = \"x.{name}{count}.started\"\nevery = \"1h\"\n")
                .unwrap();
        }
        fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    let read = |bounds| {
        sources::read_within(&ScheduleSource::Folder(folder.path().into()), &CalendarSource::Beside, bounds)
    };
    let all = read(Bounds::default());
    assert_eq!((all.list.len(), all.files, all.diagnostics.errors()), (20, 2, 0), "{}", all.diagnostics);
    let some = read(Bounds { schedules: 15, ..Bounds::default() });
    assert_eq!((some.list.len(), some.diagnostics.errors()), (15, 1));
    let small = read(Bounds { bytes: 100, ..Bounds::default() });
    assert!(small.diagnostics.to_string().contains("spread its schedules over several files"));
    let few = read(Bounds { files: 1, ..Bounds::default() });
    assert!(few.diagnostics.to_string().contains("more than 1 files (.toml)"));
}

#[test]
fn calendars_are_read_from_the_folder_beside_that_of_the_schedules() {
    let root = tempfile::tempdir().unwrap();
    let (schedules, calendars) = (root.path().join("schedules"), root.path().join("calendars"));
    fs::create_dir(&schedules).unwrap();
    let names = "exclude = [\"days-off\"]\n";
    let schedule = format!("[[schedule]]\nname = \"a\"\nevent = \"a.b.passed\"\nevery = \"1 day\"\n{names}");
    fs::write(schedules.join("a.toml"), &schedule).unwrap();
    let read = || sources::read(&ScheduleSource::Folder(schedules.clone()));
    let faults = |read: sources::Schedules| {
        let list = read.diagnostics.list().iter();
        list.map(|one| one.to_string().replace(&format!("{}/", root.path().display()), ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        faults(read()),
        [
            "schedules/a.toml:5:12: schedule 'a': exclude.0: there is no calendar 'days-off'; put days-off.toml or days-off.ics into the folder of calendars"
        ]
    );
    fs::create_dir(&calendars).unwrap();
    fs::write(calendars.join("days-off.toml"), "dates = [\"2026-12-25\"]").unwrap();
    fs::write(calendars.join(".days-off.ics"), "an editor's").unwrap();
    fs::write(calendars.join("README.md"), "for people").unwrap();
    assert_eq!(faults(read()), [""; 0]);
    fs::write(calendars.join("days-off.ics"), "BEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT\n").unwrap();
    fs::write(calendars.join("Days.toml"), "dates = []").unwrap();
    assert_eq!(
        faults(read()),
        [
            "calendars/Days.toml: this file's name is not a valid calendar name; 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, then .toml or .ics",
            "calendars/days-off.toml: two calendars are named 'days-off': the other one is calendars/days-off.ics; rename one of the files",
        ]
    );
    fs::remove_file(calendars.join("Days.toml")).unwrap();
    fs::remove_file(calendars.join("days-off.toml")).unwrap();
    fs::write(calendars.join("days-off.ics"), "BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR\n")
        .unwrap();
    // A warning: it is as good as none.
    assert_eq!(
        faults(read()),
        [
            "calendars/days-off.ics:1:1: this calendar has no events, and so no days; only events (VEVENT) define days: put one into it, or remove it"
        ]
    );
    fs::write(calendars.join("days-off.ics"), "BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VCALENDAR\n").unwrap();
    assert_eq!(
        faults(read()),
        [
            "calendars/days-off.ics:3:1: END:VCALENDAR found where END:VTODO is expected; end each component that is begun; the file may be cut off",
            "schedules/a.toml:5:12: schedule 'a': exclude.0: the calendar 'days-off' can't be used: its file is wrong",
        ]
    );
    let elsewhere = CalendarSource::Folder(root.path().join("nowhere"));
    let read = sources::read_with(&ScheduleSource::Folder(schedules.clone()), &elsewhere);
    assert!(faults(read)[0].starts_with("nowhere: the folder of calendars can't be read"));
}
