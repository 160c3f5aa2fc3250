//! A store belongs to the clock that first wrote to it.

use super::{Disk, Limits, StoreError, at, t};

pub(super) fn a_store_of_another_clock_is_refused(disk: &impl Disk) {
    disk.open().save(0, &at(10)).unwrap();
    let refused = disk.open_limited("kairos", Limits::default()).err().unwrap();
    assert!(matches!(&refused, StoreError::OtherClock { kept, configured, .. }
        if kept == "khronos" && configured == "kairos"));
    assert!(refused.to_string().contains("clock.name = \"khronos\""), "{refused}");
    assert_eq!(disk.open().load().unwrap().settled, Some(t(10)));
}

pub(super) fn a_store_that_never_was_written_takes_any_name(disk: &impl Disk) {
    drop(disk.open());
    disk.open_limited("kairos", Limits::default()).unwrap().save(0, &at(1)).unwrap();
    assert!(matches!(disk.open_limited("khronos", Limits::default()), Err(StoreError::OtherClock { .. })));
}
