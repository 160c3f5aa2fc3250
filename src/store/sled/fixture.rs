//! What the fault tests share: a store with known content, and a look at what is left of it.

use super::{SledOptions, SledStore};
use crate::{
    engine::{Commit, Era, Revision, Row, Snapshot},
    schedule::{Definition, Packed},
    store::{ChangePage, Limits, Page, Store, StoreError, conformance},
};
use ponos::event::Timestamp;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Everything that can be read from a store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content {
    pub(crate) snapshot: Snapshot,
    pub(crate) record: Page,
    pub(crate) changes: ChangePage,
}

pub(crate) fn open(path: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(path, "khronos", &SledOptions::default())
}

pub(crate) fn open_limited(path: &Path, rows: u64) -> Result<SledStore, StoreError> {
    let limits = Limits { rows, ..Limits::default() };
    SledStore::open(path, "khronos", &SledOptions { limits, ..SledOptions::default() })
}

pub(crate) fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + millis)
}

/// Row number `sequence` of any fixture: what a row holds follows from its number.
pub(crate) fn rows(after: u64, count: u64) -> Vec<Row> {
    conformance::rows((after + 1..=after + count).map(|sequence| sequence as i64))
}

/// The commit that says W = `tick`.
pub(crate) fn commit(tick: i64, rows: Vec<Row>) -> Commit {
    Commit { settled: instant(tick), handed: instant(tick + 1000), rows, ..Commit::default() }
}

pub(crate) fn revision(number: u32) -> Revision {
    Era::first(1, instant(0)).of(Packed::kept(&Definition {
        name: format!("schedule-{number}"),
        every: Some("1 day".into()),
        data: Some(serde_json::json!({ "number": number, "text": "x".repeat(200) })),
        ..Definition::default()
    }))
}

/// A store of some hundred kilobytes, several segments, written over and over: 300 schedules, 6000 rows.
pub(crate) fn fill(path: &Path) -> Content {
    let mut store = open(path).unwrap();
    store.save(0, &Commit { revisions: (0..300).map(revision).collect(), ..commit(0, vec![]) }).unwrap();
    for tick in 0..60 {
        let revisions = (0..5).map(|n| revision(tick as u32 * 5 + n)).collect();
        let Commit { created, messages, changes, calendars, .. } = conformance::at_run_time(tick as u8);
        let at_run_time = Commit { created, messages, changes, calendars, ..commit(tick, vec![]) };
        store.save(0, &Commit { revisions, ..at_run_time }).unwrap();
        store.append(0, &rows(tick as u64 * 100, 100), instant(tick)).unwrap();
    }
    content(&mut store).unwrap()
}

pub(crate) fn content(store: &mut SledStore) -> Result<Content, StoreError> {
    let snapshot = store.load()?;
    Ok(Content { snapshot, record: store.read(0, usize::MAX)?, changes: store.changes(0, usize::MAX)? })
}

/// Opens a store and reads everything.
pub(crate) fn everything(path: &Path) -> Result<Content, StoreError> {
    content(&mut open(path)?)
}

/// Copies a closed store.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Asserts that the store is refused as damaged, with a remedy, and still refused when it is tried again.
pub(crate) fn assert_damaged(path: &Path, words: &str) {
    for _ in 0..2 {
        let refused = open(path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        let message = refused.to_string();
        assert!(message.contains(words), "{message}");
        assert!(message.contains("backup") && message.contains(&*path.to_string_lossy()), "{message}");
    }
}

/// The test of this name, run alone in a process of its own, told by the environment where to work.
pub(crate) fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("KHRONOS_TEST_CHILD", folder);
    command
}

/// The folder, in such a process; tests that are meant for one do nothing otherwise.
pub(crate) fn child_folder() -> Option<PathBuf> {
    std::env::var_os("KHRONOS_TEST_CHILD").map(PathBuf::from)
}

/// How much longer than usual the random tests go on.
pub(crate) fn scale() -> usize {
    std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}
