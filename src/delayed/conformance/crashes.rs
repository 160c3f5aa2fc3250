//! What is durable and when; terms; which store it is.

use super::*;
use crate::engine::{Answered, Verdict};

pub(super) fn what_is_asked_for_is_durable_and_what_is_settled_is_not_yet(disk: &impl Disk) {
    let mut store = disk.open();
    let answered = Answered { digest: [0; 32], verdicts: vec![Verdict::GoneAlready], at: t(0), number: 1 };
    let asked = [
        batch(0, vec![put("a", 10), put("b", 10), put("c", 10)]),
        batch(0, vec![DelayedStep::Cancel("c".into())]),
        batch(0, vec![DelayedStep::Release(1)]),
        DelayedBatch { messages: vec![(("a".into(), "b".into()), answered)], ..batch(0, vec![]) },
    ];
    for batch in asked {
        assert!(store.write(0, &batch).unwrap().is_durable, "{batch:?}");
    }
    for batch in [batch(11, vec![settle("a", 10)]), batch(12, vec![])] {
        assert!(!store.write(0, &batch).unwrap().is_durable, "{batch:?}");
    }
    assert_eq!(pending(&*store), ["b"], "readers see it at once");
}

pub(super) fn a_flush_makes_durable_what_was_written(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 10)]);
    write(&mut *store, 11, vec![settle("a", 10)]);
    store.flush(0).unwrap();
    store.flush(0).unwrap();
    let count = store.written().count;
    drop(store);
    let store = disk.open();
    assert_eq!((pending(&*store), store.written().count), (vec!["b".into()], count));
}

pub(super) fn a_later_batch_that_lasts_makes_durable_what_was_written_before(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10)]);
    write(&mut *store, 11, vec![settle("a", 10)]);
    assert!(store.write(0, &batch(12, vec![put("b", 20)])).unwrap().is_durable);
    drop(store);
    assert_eq!(pending(&*disk.open()), ["b"]);
}

pub(super) fn a_record_that_is_the_only_copy_lasts(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10)]);
    let only_copy = DelayedBatch { lasts: true, ..batch(11, vec![settle("a", 10)]) };
    assert!(store.write(0, &only_copy).unwrap().is_durable);
}

pub(super) fn a_lower_term_is_refused_and_changes_nothing(disk: &impl Disk) {
    let mut store = disk.open();
    store.write(7, &batch(0, vec![put("a", 10)])).unwrap();
    drop(store);
    let mut store = disk.open();
    let fenced = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Fenced { term: 6, seen: 7 })), "{result:?}");
    };
    fenced(store.write(6, &batch(1, vec![put("b", 10)])).map(drop));
    fenced(store.flush(6));
    assert_eq!(pending(&*store), ["a"]);
    store.write(8, &batch(1, vec![put("c", 20)])).unwrap();
    assert_eq!(pending(&*store), ["a", "c"]);
}

pub(super) fn a_store_of_another_clock_is_refused(disk: &impl Disk) {
    drop(disk.open());
    // Nothing was written yet.
    let mut store = disk.open_limited("metronome", DelayedLimits::default()).unwrap();
    write(&mut *store, 0, vec![put("a", 10)]);
    drop(store);
    match disk.open_limited("khronos", DelayedLimits::default()).err().unwrap() {
        StoreError::OtherClock { kept, configured, .. } => {
            assert_eq!((kept.as_str(), configured.as_str()), ("metronome", "khronos"));
        }
        other => panic!("{other}"),
    }
    disk.open_limited("metronome", DelayedLimits::default()).unwrap();
}

pub(super) fn each_write_counts_one_up_and_the_id_stays(disk: &impl Disk) {
    let mut store = disk.open();
    let id = store.id();
    assert_ne!(id, 0);
    assert_eq!(store.written().count, 0);
    write(&mut *store, 0, vec![put("a", 10)]);
    write(&mut *store, 11, vec![settle("a", 10)]);
    let written = store.written();
    assert_eq!((written.count, written.ours, written.last_sequence), (2, true, 1));
    store.flush(0).unwrap();
    let count = store.written().count;
    drop(store);
    let store = disk.open();
    assert_eq!((store.written().count, store.id()), (count, id));
}

pub(super) fn a_reader_sees_each_write_at_once_and_nothing_once_the_store_is_closed(disk: &impl Disk) {
    let mut store = disk.open();
    let reader = store.reader();
    let due = || reader.due(t(0)..t(100), None, 9).map(|due| due.len());
    write(&mut *store, 0, vec![put("a", 10)]);
    assert_eq!(due().unwrap(), 1);
    write(&mut *store, 11, vec![settle("a", 10)]);
    assert_eq!(due().unwrap(), 0);
    drop(store);
    // The memory is there after the store, as a disk is.
    assert!(due().is_err() || due().unwrap() == 0);
}

pub(super) fn room_is_asked_for_while_the_store_is_closed_too(disk: &impl Disk) {
    let mut store = disk.open();
    let room = store.room();
    write(&mut *store, 0, vec![put("a", 10)]);
    drop(store);
    room(1_000, 1).unwrap();
}
