//! Processes that end at the worst moments: what was reported saved is there afterwards.

use super::fixture::{
    Content, child, child_folder, commit, content, everything, instant, open, open_limited, revision, rows,
    scale,
};
use crate::{
    engine::{Commit, Outcome},
    store::{Store, conformance},
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
};

/// Killed by its own hand at a point within the write of tick 5.
fn abort_at(point: &str) -> (u64, Content) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = open(&path).unwrap();
    store.save(0, &commit(0, rows(0, 10))).unwrap();
    store.append(0, &[], instant(5)).unwrap();
    drop(store);
    let ran = child("store::sled::kills::child_saves_once", &path)
        .env("KHRONOS_TEST_ABORT", point)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(!ran.status.success(), "it was to be aborted");
    let count = open(&path).unwrap().written().count;
    (count, everything(&path).unwrap())
}

#[test]
fn child_saves_once() {
    let Some(folder) = child_folder() else { return };
    open(&folder).unwrap().save(0, &commit(5, rows(10, 100))).unwrap();
}

#[test]
fn a_kill_between_flush_and_seal_is_survived() {
    for point in ["flushed", "sealed"] {
        let (count, found) = abort_at(point);
        assert_eq!(count, 3);
        assert_eq!(found.snapshot.settled, Some(instant(5)));
        assert_eq!(found.record.last, 110);
        assert!(found.record.rows.into_iter().map(|row| row.row).eq(rows(0, 110)));
    }
}

#[test]
fn a_kill_between_creation_and_the_first_seal_is_survived() {
    for point in ["flushed", "sealed"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let ran = child("store::sled::kills::child_saves_once", &path)
            .env("KHRONOS_TEST_ABORT", point)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(!ran.status.success(), "it was to be aborted");
        assert_eq!(everything(&path).unwrap().snapshot.settled, Some(instant(5)));
    }
}

#[test]
fn kills_between_flush_and_seal_one_after_the_other_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for _ in 0..3 {
        let mut aborted = child("store::sled::kills::child_saves_once", &path);
        let ran = aborted.env("KHRONOS_TEST_ABORT", "flushed").stderr(Stdio::null()).output().unwrap();
        assert!(!ran.status.success(), "it was to be aborted");
    }
    assert_eq!(open(&path).unwrap().written().count, 3);
}

#[test]
fn child_is_set_back() {
    let Some(folder) = child_folder() else { return };
    let mut store = open(&folder).unwrap();
    store.save(0, &commit(0, vec![])).unwrap();
    store.append(0, &rows(0, 10), instant(50)).unwrap();
    store.save(0, &commit(50, vec![])).unwrap();
    let later = |settled| Commit { set_backs: 1, ..commit(settled, vec![]) };
    store.save(0, &later(5)).unwrap();
    store.append(0, &rows(10, 3), instant(7)).unwrap();
    store.save(0, &later(30)).unwrap();
    std::process::abort();
}

#[test]
fn a_kill_after_a_step_back_marks_what_is_lost_since() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut aborted = child("store::sled::kills::child_is_set_back", &path);
    assert!(!aborted.stderr(Stdio::null()).output().unwrap().status.success(), "it was to be aborted");
    let found = everything(&path).unwrap();
    assert_eq!((found.snapshot.settled, found.record.rows.len()), (Some(instant(30)), 14));
    let mark = &found.record.rows[13].row;
    assert_eq!((&mark.outcome, mark.first, mark.last), (&Outcome::DetailsLost, instant(8), instant(30)));
}

#[test]
fn a_creation_that_was_interrupted_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path).unwrap());
    std::fs::remove_file(path.join(super::files::DATABASE)).unwrap();
    let mut store = open(&path).unwrap();
    assert_eq!(store.load().unwrap().settled, None);
    store.save(0, &commit(1, vec![])).unwrap();
}

/// Saves and appends without end, and says so after each: `saved W last` or `appended last`.
#[test]
fn child_writes_until_killed() {
    let Some(folder) = child_folder() else { return };
    let mut store = open_limited(&folder, 3000).unwrap();
    let snapshot = store.load().unwrap();
    let mut last = snapshot.last_sequence;
    let mut tick = snapshot.settled.map_or(0, |settled| settled.since(instant(0)));
    let mut out = std::io::stdout();
    loop {
        tick += 1;
        let revisions = (0..tick as u32 % 4).map(|n| revision(tick as u32 % 500 + n)).collect();
        let few = rows(last, tick as u64 % 3);
        let Commit { messages, changes, calendars, .. } = conformance::at_run_time(tick as u8);
        let at_run_time = Commit { created: tick as u64, messages, changes, calendars, ..commit(tick, few) };
        last = store.save(0, &Commit { revisions, ..at_run_time }).unwrap();
        writeln!(out, "saved {tick} {last}").unwrap();
        last = store.append(0, &rows(last, tick as u64 * 7 % 150), instant(tick)).unwrap();
        writeln!(out, "appended {tick} {last}").unwrap();
    }
}

#[test]
fn what_was_reported_saved_is_there_after_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (mut settled, mut last) = (0, 0);
    for round in 0..30 * scale() {
        let mut running = child("store::sled::kills::child_writes_until_killed", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // After so many words, and then some: the kill comes while the next write goes on.
        let mut words = BufReader::new(running.stdout.take().unwrap());
        let mut seen = 0;
        let mut line = String::new();
        let wanted = (round * 7919 + 1) % 53;
        loop {
            line.clear();
            if words.read_line(&mut line).unwrap() == 0 {
                let ran = running.wait_with_output().unwrap();
                panic!("round {round}: it ended: {}", String::from_utf8_lossy(&ran.stderr));
            }
            seen += usize::from(told(&line, &mut settled, &mut last));
            if seen > wanted {
                break;
            }
        }
        running.kill().unwrap();
        running.wait().unwrap();
        for line in words.lines().map_while(Result::ok) {
            told(&line, &mut settled, &mut last);
        }
        (settled, last) = check(&path, settled, last, round);
        check_run_time(&path, settled);
    }
}

/// What was changed at run time is there, as far as W says that it was written, and nothing of a later write.
fn check_run_time(path: &Path, tick: i64) {
    let found = content(&mut open_limited(path, 3000).unwrap()).unwrap();
    assert_eq!((found.snapshot.created, found.changes.last), (tick as u64, 2 * tick as u64));
    let Commit { messages, changes, calendars, .. } = conformance::at_run_time(tick as u8);
    let calendars: Vec<_> = calendars.into_iter().filter_map(|(_, calendar)| calendar).collect();
    assert_eq!(found.snapshot.calendars, calendars);
    for (key, answered) in messages {
        let kept = found.snapshot.messages.iter().find(|(kept, _)| *kept == key);
        assert_eq!(kept.map(|(_, kept)| kept), answered.as_ref(), "{key:?}");
    }
    let logged = found.changes.changes.iter().rev().zip(changes.iter().rev());
    logged.for_each(|((_, found), change)| assert_eq!(*found, change.into()));
}

/// Reads one line of the child's, if it is a whole one.
pub(super) fn told(line: &str, settled: &mut i64, last: &mut u64) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["saved" | "appended", tick, sequence] = words[..] else { return false };
    *settled = tick.parse().unwrap();
    *last = sequence.parse().unwrap();
    true
}

/// Opens what a killed process left.
pub(super) fn check(path: &Path, settled: i64, last: u64, round: usize) -> (i64, u64) {
    let mut store = open_limited(path, 3000).unwrap_or_else(|error| panic!("round {round}: {error}"));
    let found = content(&mut store).unwrap();
    let now = found.snapshot.settled.unwrap().since(instant(0));
    assert!(now == settled || now == settled + 1, "round {round}: W was {settled} and is {now}");
    assert!(
        found.record.last >= last,
        "round {round}: row {last} was told, {} is the last",
        found.record.last
    );
    assert!(found.record.rows.iter().map(|row| row.sequence).eq(found.record.first..=found.record.last));
    for row in found.record.rows {
        let lost = row.row.outcome == Outcome::DetailsLost;
        assert!(lost || row.row == rows(row.sequence - 1, 1)[0], "round {round}: {row:?}");
    }
    (now, found.record.last)
}
