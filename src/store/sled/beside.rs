//! The record is read while it is written and trimmed.

use super::fixture::{commit, instant, open_limited, rows, scale};
use crate::store::{PageReader, Store};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

/// Rows in one write.
const WRITTEN: u64 = 100;
/// Rows that are kept at least.
const KEPT: u64 = 200;

struct Progress {
    /// Rows that were begun to be written, and that are durable.
    begun: AtomicU64,
    durable: AtomicU64,
    done: AtomicBool,
}

/// Reads pages of all sizes from all places, and mostly from where rows are trimmed; gives how many had a gap before them.
fn read(reader: &dyn PageReader, progress: &Progress) -> usize {
    let mut gaps = 0;
    let mut first = 1;
    for turn in 0_u64.. {
        if progress.done.load(Ordering::SeqCst) {
            break;
        }
        let durable = progress.durable.load(Ordering::SeqCst);
        let after = [first - 1, first + 30, 0, durable.saturating_sub(turn % 150)][turn as usize % 4];
        let most = [1, 70, 500, usize::MAX][turn as usize / 4 % 4];
        let page = reader.read(after, most).unwrap();
        let begun = progress.begun.load(Ordering::SeqCst);
        assert!((durable..=begun).contains(&page.last), "{durable} to {begun}, and not {}", page.last);
        assert!(page.first >= first, "{} was trimmed, and is kept", page.first);
        first = page.first;
        let from = (after + 1).max(first);
        let count = (page.last + 1).saturating_sub(from).min(most as u64);
        assert!(page.rows.iter().map(|row| row.sequence).eq(from..from + count), "{after}: {:?}", page.rows);
        assert!(page.rows.iter().all(|found| found.row == rows(found.sequence - 1, 1)[0]));
        gaps += usize::from(from > after + 1);
    }
    gaps
}

#[test]
fn a_page_is_what_was_durable_at_one_moment_while_rows_are_added_and_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_limited(&folder.path().join("store"), KEPT).unwrap();
    store.save(0, &commit(0, vec![])).unwrap();
    let reader = store.reader();
    let (begun, durable) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = Progress { begun, durable, done: AtomicBool::new(false) };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| read(&*reader, &progress))).collect();
        for tick in 0..200 * scale() as u64 {
            // A writer that fails ends the readers all the same.
            progress.begun.store((tick + 1) * WRITTEN, Ordering::SeqCst);
            let written = store.append(0, &rows(tick * WRITTEN, WRITTEN), instant(0));
            progress.durable.store(written.unwrap_or(0), Ordering::SeqCst);
        }
        progress.done.store(true, Ordering::SeqCst);
        assert_eq!(progress.durable.load(Ordering::SeqCst), 200 * scale() as u64 * WRITTEN);
        for one in readers {
            assert!(one.join().unwrap() > 10, "hardly a row was trimmed meanwhile");
        }
    });
    drop(store);
    assert!(reader.read(0, 1).unwrap_err().to_string().contains("it is closed"));
}
