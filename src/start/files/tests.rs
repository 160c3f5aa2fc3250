//! Whose files count, on one Postgres.

use super::*;
use crate::{
    config::{CalendarSource, Config, Request, ScheduleSource},
    postgres::fixture::Tables,
    reading::{Beside, Ends},
    schedule::{CalendarStore, Demand},
    sources::FileLines,
};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// A clock that has this schedule in its files.
struct Machine {
    folder: tempfile::TempDir,
    files: Files,
    reader: FilesReader,
}

fn write(folder: &Path, schedule: &str) {
    let text = format!("[[schedule]]\nname = \"{schedule}\"\nevent = \"x.day.passed\"\nevery = \"1 day\"\n");
    fs::write(folder.join("a.toml"), text).unwrap();
}

impl Machine {
    fn new(tables: &Tables, place: &str, schedule: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), schedule);
        fs::create_dir(folder.path().join("none")).unwrap();
        let config = Config {
            schedules: ScheduleSource::Folder(folder.path().to_owned()),
            calendars: CalendarSource::Folder(folder.path().join("none")),
            ..Config::load(&Request::default()).unwrap()
        };
        let beside = Beside {
            had_folder: true,
            demand: watch::channel(Demand::default()).1,
            calendars: watch::channel(Default::default()).1,
        };
        let (store, ends) = (CalendarStore::default(), Ends::default());
        let (named, lines) = (watch::channel(None).0, watch::channel(FileLines::default()).0);
        let reader = FilesReader::new(&config, beside, &store, &ends, named, lines);
        let files = Files::new(tables.of_another_process().door("khronos"), place);
        Self { folder, files, reader }
    }

    /// What it would apply, if it led.
    fn applies(&self) -> Result<Vec<String>, String> {
        let read = self.files.clone().only_the_newest(self.reader.clone())();
        let names = |list: Vec<Packed>| list.iter().map(|one| one.name().to_owned()).collect();
        read.map(names).map_err(|wrong| wrong.to_string())
    }
}

#[test]
fn who_leads_applies_what_a_member_changed_to_last_whoever_has_it() {
    let tables = Tables::new();
    drop(tables.door("khronos").session().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _in = runtime.enter();
    let (one, two) = (Machine::new(&tables, "one", "old"), Machine::new(&tables, "two", "old"));
    assert_eq!((one.applies(), two.applies()), (Ok(vec!["old".into()]), Ok(vec!["old".into()])));
    // A rolling deployment: one has the new files, two leads, and is started again later.
    write(one.folder.path(), "new");
    assert_eq!((one.applies(), two.applies()), (Ok(vec!["new".into()]), Ok(vec!["new".into()])));
    let again = Machine::new(&tables, "two", "old");
    assert_eq!(again.applies(), Ok(vec!["new".into()]), "nothing is edited to and fro");
    let at_last = runtime.block_on(again.files.applied_in_the_end(again.reader.clone())).unwrap();
    assert_eq!(at_last.len(), 1);
    assert_eq!(at_last[0].name(), "new");
    write(two.folder.path(), "new");
    assert_eq!((two.applies(), one.applies()), (Ok(vec!["new".into()]), Ok(vec!["new".into()])));
}

#[test]
fn what_the_newest_files_say_is_refused_wholly_where_it_is_missing_or_not_what_was_announced() {
    let tables = Tables::new();
    drop(tables.door("khronos").session().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _in = runtime.enter();
    let (one, two) = (Machine::new(&tables, "one", "new"), Machine::new(&tables, "two", "old"));
    let door = tables.door("khronos");
    let announced = |bytes: Option<&[u8]>, digest: &str| {
        let note = FilesNote { digest, bytes, is_assumed: false };
        runtime.block_on(note_files(&door, "one", note)).unwrap();
    };
    assert!(two.applies().is_ok());
    announced(None, "too large");
    let why = two.applies().unwrap_err();
    assert!(why.contains("newer schedule files") && why.contains("not in the tables"), "{why}");
    announced(Some(b"something else"), "a digest");
    let why = two.applies().unwrap_err();
    assert!(why.contains("does not match its digest"), "{why}");
    // What it says is wrong, by the rules of the clock that would apply it.
    let (_, mut wrong) = one.reader.own_set().unwrap();
    wrong.add_for_test("[[schedule]]\nname = \"x\"\nevery = \"never\"\n");
    announced(wrong.bytes(), &wrong.digest());
    let why = two.applies().unwrap_err();
    assert!(why.contains("it is refused here") && why.contains("never"), "{why}");
    assert_eq!(one.applies(), Ok(vec!["new".into()]), "it is mended");
    assert_eq!(two.applies(), Ok(vec!["new".into()]));
}

#[test]
fn who_has_not_got_its_own_files_applies_those_of_another_one_and_else_says_what_is_wrong_with_them() {
    let tables = Tables::new();
    drop(tables.door("khronos").session().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _in = runtime.enter();
    let (one, two) = (Machine::new(&tables, "one", "old"), Machine::new(&tables, "two", "old"));
    assert!(one.applies().is_ok() && two.applies().is_ok());
    let spoil = |machine: &Machine| {
        let text = "[[schedule]]\nname = \"x\"\nevery = \"never\"\n";
        fs::write(machine.folder.path().join("a.toml"), text).unwrap();
    };
    spoil(&two);
    let why = two.applies().unwrap_err();
    assert!(why.contains("never") && !why.contains("another clock"), "nobody has others: {why}");
    write(one.folder.path(), "new");
    assert!(one.applies().is_ok());
    assert_eq!(two.applies(), Ok(vec!["new".into()]), "they are wrong");
    fs::remove_file(two.folder.path().join("a.toml")).unwrap();
    assert_eq!(two.applies(), Ok(vec!["new".into()]), "they are missing");
    let at_last = runtime.block_on(two.files.applied_in_the_end(two.reader.clone())).unwrap();
    assert_eq!(at_last[0].name(), "new");
    // Where the others can't be had either, both are said.
    let door = tables.door("khronos");
    let note = FilesNote { digest: "too large", bytes: None, is_assumed: false };
    runtime.block_on(note_files(&door, "one", note)).unwrap();
    spoil(&two);
    let why = two.applies().unwrap_err();
    assert!(why.contains("not in the tables") && why.contains("never"), "{why}");
}

#[test]
fn what_was_read_counts_as_applied_once_all_that_it_needs_is_there() {
    let tables = Tables::new();
    drop(tables.door("khronos").session().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _in = runtime.enter();
    let (one, two) = (Machine::new(&tables, "one", "old"), Machine::new(&tables, "two", "old"));
    assert!(two.applies().is_ok());
    write(one.folder.path(), "new");
    assert!(one.applies().is_ok());
    let newest = runtime.block_on(newest_files(&two.files.door, "two")).unwrap().unwrap();
    assert!(newest.is_others && !two.files.is_applied(&newest.digest));
    // As where the broker is away, and then is not.
    let is_there = Arc::new(AtomicBool::new(false));
    let (read, may) = (two.files.clone().only_the_newest(two.reader.clone()), is_there.clone());
    let load = two.files.clone().noting(Arc::new(move || {
        let list = read().map_err(|wrong| wrong.to_string())?;
        if may.load(Ordering::SeqCst) { Ok(list) } else { Err("no broker".into()) }
    }));
    assert!(load().is_err() && !two.files.is_applied(&newest.digest));
    is_there.store(true, Ordering::SeqCst);
    assert!(load().is_ok() && two.files.is_applied(&newest.digest));
}
