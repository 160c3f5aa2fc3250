//! What a crash keeps from the record, and how a start says so: by `complete`, the same in every store.

use super::{Disk, at, row, rows, t};
use crate::{
    engine::{Commit, RecordRow, Row},
    store::details_lost,
};
use ponos::event::Timestamp;

pub(super) fn what_a_crash_kept_from_the_record_is_marked_once(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([5]), t(10)).unwrap();
    store.save(0, &at(50)).unwrap();
    drop(store);
    let expected = Row { at: t(50), ..details_lost(Some(t(10)), Some(t(50))).unwrap() };
    assert_eq!((expected.first, expected.last), (t(11), t(50)));
    for _ in 0..2 {
        let mut store = disk.open();
        assert_eq!(store.load().unwrap().last_sequence, 2);
        assert_eq!(store.read(1, 9).unwrap().rows, [RecordRow { sequence: 2, row: expected.clone() }]);
    }
}

pub(super) fn nothing_is_marked_when_all_rows_were_given(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([5]), t(50)).unwrap();
    store.append(0, &[], t(20)).unwrap();
    store.save(0, &at(50)).unwrap();
    drop(store);
    assert_eq!(disk.open().load().unwrap().last_sequence, 1);
}

pub(super) fn before_the_first_commit_nothing_can_be_missing(disk: &impl Disk) {
    let mut store = disk.open();
    store.append(0, &[], t(90)).unwrap();
    // Rows are asked for from the first commit on, not from what was said before.
    store.save(0, &at(10)).unwrap();
    assert_eq!(disk_after(store, disk), []);
    disk.open().save(0, &at(50)).unwrap();
    assert_eq!(marked(disk), [(t(11), t(50))]);
}

pub(super) fn rows_that_come_before_their_commit_leave_nothing_to_mark(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([5]), t(40)).unwrap();
    // The next commit never came.
    assert_eq!(disk_after(store, disk), []);
}

pub(super) fn what_was_given_beyond_the_last_commit_is_void_after_a_restart(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([5]), t(40)).unwrap();
    drop(store);
    let mut store = disk.open();
    store.load().unwrap();
    // The clock is behind by now, and what was decided otherwise this time got no row.
    store.save(0, &at(30)).unwrap();
    assert_eq!(disk_after(store, disk), [(t(1), t(30))]);
}

pub(super) fn rows_of_a_commit_say_nothing_of_rows_behind_it(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.save(0, &Commit { rows: vec![row(20)], ..at(20) }).unwrap();
    assert_eq!(disk_after(store, disk), [(t(1), t(20))]);
    // What was marked counts as given.
    disk.open().save(0, &at(30)).unwrap();
    assert_eq!(marked(disk), [(t(1), t(20)), (t(21), t(30))]);
}

pub(super) fn a_clock_that_was_set_back_makes_nothing_missing(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(50)).unwrap();
    store.save(0, &at(10)).unwrap();
    store.append(0, &[], t(10)).unwrap();
    assert_eq!(disk_after(store, disk), []);
}

/// What was given above the lower reading is void, so that what is lost between it and the old one is marked, too.
pub(super) fn after_a_step_back_lost_details_are_marked_from_the_lower_reading_on(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([5]), t(50)).unwrap();
    store.save(0, &at(50)).unwrap();
    let later = |settled| Commit { set_backs: 1, ..at(settled) };
    store.save(0, &later(10)).unwrap();
    store.append(0, &rows([12]), t(12)).unwrap();
    // No further step back: what was given stays so.
    store.save(0, &later(11)).unwrap();
    store.save(0, &later(30)).unwrap();
    assert_eq!(disk_after(store, disk), [(t(13), t(30))]);
    let mut store = disk.open();
    store.load().unwrap();
    store.save(0, &Commit { set_backs: 2, ..at(20) }).unwrap();
    store.save(0, &Commit { set_backs: 2, ..at(25) }).unwrap();
    assert_eq!(disk_after(store, disk), [(t(13), t(30)), (t(21), t(25))]);
}

/// From when to when details were marked as lost, once `store` is gone.
fn disk_after(store: Box<dyn crate::store::Store>, disk: &impl Disk) -> Vec<(Timestamp, Timestamp)> {
    drop(store);
    marked(disk)
}

fn marked(disk: &impl Disk) -> Vec<(Timestamp, Timestamp)> {
    let mut store = disk.open();
    store.load().unwrap();
    let rows = store.read(0, usize::MAX).unwrap().rows;
    rows.iter().filter(|r| &*r.row.schedule == "*").map(|r| (r.row.first, r.row.last)).collect()
}
