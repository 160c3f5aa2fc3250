//! Processes that end at the worst moments: what was durable is there afterwards, and of what was not the newest is lost, in
//! order. A store after so many writes is held against the twin after as many.

use super::fixture::{Content, batch, content, everything, open, twin};
use crate::{
    engine::delayed::{DelayedStore, MemoryDelayed},
    store::{child, child_folder, scale},
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
};

/// Writes of the child that is stopped at a point of its last one.
const WRITES: u64 = 7;

#[test]
fn child_writes_a_few() {
    let Some(folder) = child_folder() else { return };
    let mut store = open(&folder).unwrap();
    let next = store.written().count + 1;
    store.write(0, &batch(next)).unwrap();
}

fn expected(writes: u64) -> Content {
    let mut twin = twin();
    for write in 1..=writes {
        twin.write(0, &batch(write)).unwrap();
    }
    content(&mut twin, writes).unwrap()
}

/// Killed by its own hand at a point of its next write.
fn abort_at(path: &Path, point: &str) {
    let mut aborted = child("delayed::redb::kills::child_writes_a_few", path);
    let ran = aborted.env("KHRONOS_TEST_ABORT", point).stderr(Stdio::null()).output().unwrap();
    assert!(!ran.status.success(), "it was to be aborted");
}

#[test]
fn a_kill_within_a_write_leaves_all_of_it_or_nothing() {
    for (point, more) in [("applied", 0), ("committed", 1), ("sealed", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("delayed");
        super::fixture::fill(&path, WRITES - 3);
        abort_at(&path, point);
        let writes = WRITES - 3 + more;
        assert_eq!(open(&path).unwrap().written().count, writes, "{point}");
        assert_eq!(everything(&path, writes).unwrap(), expected(writes), "{point}");
    }
}

#[test]
fn a_kill_before_what_is_settled_is_durable_leaves_it_pending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    // The next one settles.
    super::fixture::fill(&path, 6);
    abort_at(&path, "sealed");
    assert_eq!(everything(&path, 6).unwrap(), expected(6));
}

#[test]
fn a_kill_while_it_is_created_is_survived() {
    for point in ["seal", "unfinished", "finished", "applied"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("delayed");
        abort_at(&path, point);
        assert_eq!(everything(&path, 0).unwrap(), expected(0), "{point}");
        open(&path).unwrap().write(0, &batch(1)).unwrap();
        assert_eq!(everything(&path, 1).unwrap(), expected(1), "{point}");
    }
}

/// Writes without end, and says so after each: `durable N` or `written N`.
#[test]
fn child_writes_until_killed() {
    let Some(folder) = child_folder() else { return };
    let mut store = open(&folder).unwrap();
    let mut out = std::io::stdout();
    loop {
        let next = store.written().count + 1;
        let written = store.write(0, &batch(next)).unwrap();
        writeln!(out, "{} {next}", if written.is_durable { "durable" } else { "written" }).unwrap();
    }
}

#[test]
fn what_was_durable_is_there_after_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let mut twin = twin();
    for round in 0..15 * scale() {
        let (durable, last) = killed(&path, (round * 7919 + 1) % 61);
        let mut store = open(&path).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let count = store.written().count;
        assert!(durable <= count && count <= last + 1, "round {round}: {durable} {count} {last}");
        advance(&mut twin, count);
        assert_eq!(content(&mut store, count).unwrap(), content(&mut twin, count).unwrap(), "round {round}");
    }
    assert!(twin.written().count > 100);
}

/// Makes the writes up to this one.
fn advance(twin: &mut MemoryDelayed, count: u64) {
    for write in twin.written().count + 1..=count {
        twin.write(0, &batch(write)).unwrap();
    }
}

/// Has a child write, and kills it after so many words, and then some: while the next write goes on. Gives which write it said
/// to be durable last, and which it said last at all.
fn killed(path: &Path, wanted: usize) -> (u64, u64) {
    let mut running = child("delayed::redb::kills::child_writes_until_killed", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(running.stdout.take().unwrap());
    let (mut seen, mut durable, mut last) = (0, 0, 0);
    let mut line = String::new();
    let mut told = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind @ ("durable" | "written"), number] = words[..] else { return 0 };
        // The last line may be cut off.
        last = number.parse::<u64>().unwrap().max(last);
        if kind == "durable" {
            durable = last;
        }
        1
    };
    while seen <= wanted {
        line.clear();
        if words.read_line(&mut line).unwrap() == 0 {
            let ran = running.wait_with_output().unwrap();
            panic!("it ended: {}", String::from_utf8_lossy(&ran.stderr));
        }
        seen += told(&line);
    }
    running.kill().unwrap();
    running.wait().unwrap();
    for line in words.lines().map_while(Result::ok) {
        told(&line);
    }
    (durable, last)
}
