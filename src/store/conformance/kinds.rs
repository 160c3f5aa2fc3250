//! Rows of every kind: read as they were written, whatever stands beside them in the record.

use super::{Disk, Limits, at, row, t};
use crate::engine::{Commit, Row};
use ponos::event::EventKind::{self, Backfill, Delayed, Occurrence, Trigger};

/// Of every kind, with the shortest command id and the longest.
fn kinds() -> [EventKind; 5] {
    let command = |text: &str| text.parse().unwrap();
    let long = command(&"é".repeat(127));
    [Occurrence, Trigger(command("a")), Occurrence, Backfill(long), Delayed]
}

fn rows(numbers: std::ops::RangeInclusive<i64>) -> Vec<Row> {
    let kinds = numbers.zip(kinds().into_iter().cycle());
    let queue = |number: i64| (number % 7 == 4).then(|| "one".into());
    kinds.map(|(number, kind)| Row { kind, queue: queue(number), ..row(number) }).collect()
}

pub(super) fn rows_of_every_kind_are_kept(disk: &impl Disk) {
    let expected: Vec<Row> = [rows(1..=3), rows(4..=5), rows(6..=406)].concat();
    for (start, written) in [(0, 3), (3, 2), (5, 401)] {
        let mut store = disk.open();
        let batch = expected[start..start + written].to_vec();
        store.save(0, &Commit { rows: batch, ..at(0) }).unwrap();
        let found = store.read(0, usize::MAX).unwrap().rows;
        assert!(found.into_iter().map(|entry| entry.row).eq(expected[..start + written].iter().cloned()));
    }
    let store = disk.open();
    for after in [0, 1, 63, 64, 300] {
        let page = store.read(after, 70).unwrap().rows;
        let wanted = expected.iter().skip(after as usize).take(70).cloned();
        assert!(page.into_iter().map(|entry| entry.row).eq(wanted), "after {after}");
    }
}

pub(super) fn rows_of_every_kind_are_trimmed(disk: &impl Disk) {
    let mut store = disk.open_limited("khronos", Limits { rows: 100, ..Limits::default() }).unwrap();
    store.append(0, &rows(1..=500), t(0)).unwrap();
    store.append(0, &rows(501..=600), t(0)).unwrap();
    let page = store.read(0, usize::MAX).unwrap();
    assert!((100..300).contains(&page.rows.len()), "{}", page.rows.len());
    assert!(page.rows.iter().map(|row| row.sequence).eq(page.first..=600));
}
