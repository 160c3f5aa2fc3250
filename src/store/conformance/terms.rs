//! The fencing term: who was overtaken writes nothing more.

use super::{Disk, StoreError, at, rows, t};
use crate::engine::Commit;

pub(super) fn a_lower_term_is_refused_and_changes_nothing(disk: &impl Disk) {
    let mut store = disk.open();
    store.save(5, &at(10)).unwrap();
    let refused = store.save(4, &Commit { rows: rows([1]), ..at(20) });
    assert!(matches!(refused, Err(StoreError::Fenced { term: 4, seen: 5 })), "{refused:?}");
    let refused = store.append(4, &rows([1]), t(20));
    assert!(matches!(refused, Err(StoreError::Fenced { term: 4, seen: 5 })), "{refused:?}");
    let snapshot = store.load().unwrap();
    assert_eq!((snapshot.settled, snapshot.last_sequence), (Some(t(10)), 0));
    store.save(5, &at(20)).unwrap();
    store.append(5, &rows([1]), t(20)).unwrap();
    // Whichever call a new leader makes first.
    store.append(6, &[], t(20)).unwrap();
    let refused = store.save(5, &at(30));
    assert!(matches!(refused, Err(StoreError::Fenced { term: 5, seen: 6 })), "{refused:?}");
    drop(store);
    let refused = disk.open().append(5, &rows([2]), t(30));
    assert!(matches!(refused, Err(StoreError::Fenced { term: 5, seen: 6 })), "{refused:?}");
}

pub(super) fn the_highest_term_survives_a_restart(disk: &impl Disk) {
    disk.open().save(7, &at(10)).unwrap();
    assert!(matches!(disk.open().save(6, &at(20)), Err(StoreError::Fenced { term: 6, seen: 7 })));
}
