//! The schedule files that are shipped, and the bounds of reading others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use khronos::{
    config::ScheduleSource,
    diagnostic::Text,
    schedule::file,
    sources::{self, Bounds},
};
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
    let text = include_str!("../schedules/examples.toml");
    assert_eq!(file::parse(&Text::new("examples.toml", text)).0.len(), 0);
    let (_, examples) = text.split_once("\n\n").unwrap();
    let lines = examples.lines().filter(|line| !line.starts_with("##"));
    let live: Vec<_> = lines.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let live = live.join("\n");
    let (entries, faults) = file::parse(&Text::new("examples.toml", &live));
    assert_eq!(faults.to_string(), "");
    assert_eq!(entries.len(), live.matches("[[schedule]]").count());
    assert!(entries.len() >= 8);
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
    let read = |bounds| sources::read_within(&ScheduleSource::Folder(folder.path().into()), bounds);
    let all = read(Bounds::default());
    assert_eq!((all.list.len(), all.files, all.diagnostics.errors()), (20, 2, 0), "{}", all.diagnostics);
    let some = read(Bounds { schedules: 15, ..Bounds::default() });
    assert_eq!((some.list.len(), some.diagnostics.errors()), (15, 1));
    let small = read(Bounds { bytes: 100, ..Bounds::default() });
    assert!(small.diagnostics.to_string().contains("spread its schedules over several files"));
    let few = read(Bounds { files: 1, ..Bounds::default() });
    assert!(few.diagnostics.to_string().contains("more than 1 schedule files"));
}
