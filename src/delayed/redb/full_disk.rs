//! A disk that fills: events are refused while there is room to settle what is there, and that goes on.

use super::{
    fixture::{batch, everything, open, options, twin},
    {RedbDelayed, RedbOptions},
};
use crate::{
    delayed::{
        DelayedStoreEvent, DelayedTuning,
        conformance::{event, key, t},
        open_redb,
    },
    engine::{
        Outcome,
        delayed::{DelayedBatch, DelayedStep, DelayedStore},
    },
    store::{StoreError, child, child_folder},
};
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

/// Runs a test in a process of its own, on a file system of 16 MiB that only it sees. `None` where that is not allowed.
pub(crate) fn on_a_small_disk(test: &str, folder: &Path) -> Option<Output> {
    let line =
        "mount -t tmpfs -o size=16m none \"$KHRONOS_TEST_CHILD\" || { echo NO MOUNT; exit 0; }; exec \"$@\"";
    let test = child(test, folder);
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", line, "bash"]);
    command.arg(test.get_program()).args(test.get_args()).env("KHRONOS_TEST_CHILD", folder);
    let ran = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if errors.contains("unshare failed") || said.contains("NO MOUNT") {
        println!("no file system of its own here: {errors}");
        return None;
    }
    assert!(ran.status.success() && said.contains("all there"), "{said}\n{errors}");
    Some(ran)
}

fn step(number: usize) -> DelayedStep {
    let mut event = event(&format!("n{number:06}"), 10);
    event.content.data = vec![7; 1_000].into();
    DelayedStep::Put(Box::new(event))
}

fn put(first: usize) -> DelayedBatch {
    DelayedBatch { now: t(0), steps: (first..first + 100).map(step).collect(), ..DelayedBatch::default() }
}

fn settle(numbers: std::ops::Range<usize>) -> DelayedBatch {
    let settle = |number: usize| DelayedStep::Settle {
        key: key(&format!("n{number:06}"), 10),
        outcome: Outcome::Confirmed { sent_at: t(20), lateness: 10, returned: false },
        keeps_content: false,
    };
    DelayedBatch { now: t(20), steps: numbers.map(settle).collect(), ..DelayedBatch::default() }
}

#[test]
fn events_are_refused_while_there_is_room_to_settle_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    on_a_small_disk("delayed::redb::full_disk::child_fills_the_disk_with_events", folder.path());
}

#[test]
fn child_fills_the_disk_with_events() {
    let Some(folder) = child_folder() else { return };
    let path = folder.join("delayed");
    let options = RedbOptions { reserve: 4 << 20, ..options() };
    let mut store = RedbDelayed::open(&path, "khronos", &options).unwrap();
    fs::write(folder.join("ballast"), vec![7; 2 << 20]).unwrap();
    let room = store.room();
    let has_room = |batch: &DelayedBatch| {
        let (count, bytes) = batch.puts();
        room(bytes, count)
    };
    let mut there = 0;
    let refused = loop {
        if let Err(error) = has_room(&put(there)) {
            break error;
        }
        store.write(0, &put(there)).unwrap();
        there += 100;
    };
    assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
    assert!(refused.to_string().contains("make room"), "{refused}");
    assert!(there > 2_000, "{there}");
    // What was let in is written though others take of the disk meanwhile, as long as half of the reserve is left.
    fs::write(folder.join("of others"), vec![7; 1 << 20]).unwrap();
    store.write(0, &put(there)).unwrap();
    there += 100;
    fs::write(folder.join("more of others"), vec![7; 2 << 20]).unwrap();
    let refused = store.write(0, &put(there));
    assert!(matches!(refused, Err(StoreError::NoRoom { .. })), "{refused:?}");
    fs::remove_file(folder.join("more of others")).unwrap();
    for first in (0..there).step_by(500) {
        store.write(0, &settle(first..there.min(first + 500))).unwrap();
        assert!(matches!(has_room(&put(there)), Err(StoreError::NoRoom { .. })));
        store.flush(0).unwrap();
    }
    // Its pages are free, but in the file: it is the disk that needs room.
    fs::remove_file(folder.join("ballast")).unwrap();
    has_room(&put(there + 1_000)).unwrap();
    store.write(0, &put(there + 1_000)).unwrap();
    drop(store);
    let mut store = RedbDelayed::open(&path, "khronos", &options).unwrap();
    let balance = store.load().unwrap().balance;
    assert!(balance.is_right() && balance.settled == there as u64, "{balance:?}");
    println!("all there");
}

#[test]
fn a_disk_that_is_full_loses_nothing_and_works_again_with_room() {
    let folder = tempfile::tempdir().unwrap();
    on_a_small_disk("delayed::redb::full_disk::child_writes_to_a_full_disk", folder.path());
}

#[test]
fn child_writes_to_a_full_disk() {
    let Some(folder) = child_folder() else { return };
    let path = folder.join("delayed");
    let ballast = folder.join("ballast");
    // Nothing is left in reserve: the disk itself says that it is full.
    let options = RedbOptions { reserve: 0, ..options() };
    let mut twin = twin();
    let mut write = 0;
    for round in 1..=3 {
        let mut store = RedbDelayed::open(&path, "khronos", &options).unwrap();
        assert_eq!(store.written().count, write, "round {round}");
        fs::write(&ballast, []).unwrap();
        fill_up(&ballast, (round - 1) * 8_192);
        let failed = loop {
            match store.write(0, &batch(write + 1)) {
                Ok(_) => {
                    write += 1;
                    twin.write(0, &batch(write)).unwrap();
                }
                Err(error) => break error,
            }
            assert!(write < 2_000, "the disk never was full");
        };
        assert!(matches!(failed, StoreError::Io { .. } | StoreError::NoRoom { .. }), "{failed}");
        if matches!(failed, StoreError::Io { .. }) {
            assert!(failed.to_string().contains("make room"), "{failed}");
            let again = store.write(0, &batch(write + 1));
            assert!(matches!(again, Err(StoreError::Io { .. })), "{again:?}");
        }
        drop(store);
        File::options().write(true).open(&ballast).unwrap().set_len(0).unwrap();
        assert_eq!(everything(&path, write).unwrap(), super::fixture::content(&mut twin, write).unwrap());
    }
    drop(open(&path).unwrap());
    println!("all there");
}

/// Leaves nothing of the disk.
fn fill(ballast: &Path) -> File {
    use std::io::Write as _;
    let mut file = File::options().create(true).append(true).open(ballast).unwrap();
    while file.write_all(&[7; 4_096]).is_ok() {}
    file
}

/// Leaves that much of the disk.
fn fill_up(ballast: &Path, left: u64) {
    let file = fill(ballast);
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(left + 65_536)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_let_in_leaves_the_reserve_and_what_is_written_half_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let free = super::room::check(folder.path(), u64::MAX, 0, 0);
    let Err(StoreError::NoRoom { free, needed: u64::MAX, .. }) = free else { panic!("{free:?}") };
    for (reserve, is_let_in, is_written) in
        [(free / 2, true, true), (free / 2 * 3, false, true), (free * 3, false, false)]
    {
        let options = RedbOptions { reserve, ..options() };
        let path = folder.path().join(reserve.to_string());
        let mut store = RedbDelayed::open(&path, "khronos", &options).unwrap();
        let (count, bytes) = put(0).puts();
        assert_eq!((count, bytes > 100_000), (100, true));
        assert_eq!(store.room()(bytes, count).is_ok(), is_let_in, "{reserve} of {free}");
        assert_eq!(store.write(0, &put(0)).is_ok(), is_written, "{reserve} of {free}");
        store.write(0, &settle(0..1)).unwrap();
    }
}

#[test]
fn a_thread_on_a_full_disk_says_so_once_and_loses_nothing_that_was_settled() {
    let folder = tempfile::tempdir().unwrap();
    on_a_small_disk("delayed::redb::full_disk::child_has_a_thread_on_a_full_disk", folder.path());
}

#[tokio::test]
async fn child_has_a_thread_on_a_full_disk() {
    let Some(folder) = child_folder() else { return };
    let (path, ballast) = (folder.join("delayed"), folder.join("ballast"));
    let options = RedbOptions { reserve: 0, ..options() };
    let millisecond = Duration::from_millis(1);
    let pace = Duration::from_secs(3600);
    let tuning =
        DelayedTuning { pace, pause: millisecond, longest_pause: millisecond, ..DelayedTuning::default() };
    let opened = open_redb(path.clone(), "khronos".into(), options.clone(), tuning).await;
    let (store, _, mut events) = opened.unwrap();
    let mut next = async || {
        let told = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        told.expect("the store says something within a minute").unwrap()
    };
    let lasts = DelayedBatch { now: t(20), lasts: true, ..DelayedBatch::default() };
    for round in 0..5 {
        let first = round * 100;
        store.write(1, put(first)).unwrap();
        assert!(matches!(next().await, DelayedStoreEvent::Written { ticket: 1, .. }));
        store.write(2, settle(first..first + 50)).unwrap();
        let DelayedStoreEvent::Written { ticket: 2, written } = next().await else { panic!("it is written") };
        assert!(!written.is_durable);
        drop(fill(&ballast));
        store.write(3, lasts.clone()).unwrap();
        match next().await {
            DelayedStoreEvent::Failing { error: error @ StoreError::Io { .. } } => {
                assert!(error.to_string().contains("make room"), "{error}");
            }
            other => panic!("round {round}: {other:?}"),
        }
        fs::remove_file(&ballast).unwrap();
        assert!(matches!(next().await, DelayedStoreEvent::Reopened));
        match next().await {
            DelayedStoreEvent::Written { ticket: 3, written: now } => {
                assert_eq!((now.balance, now.last_row), (written.balance, written.last_row));
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
    store.close().await.unwrap();
    let mut again = RedbDelayed::open(&path, "khronos", &options).unwrap();
    let snapshot = again.load().unwrap();
    assert_eq!((snapshot.balance.settled, snapshot.balance.pending, snapshot.last_row), (250, 250, 250));
    assert_eq!(snapshot.balance, store.balance());
    println!("all there");
}
