//! The record is read by others than its writer.

use super::{Disk, row, rows, t};
use crate::store::{Limits, Page};

pub(super) fn a_reader_sees_what_is_written_later_and_nothing_that_was_trimmed(disk: &impl Disk) {
    let limits = Limits { rows: 100, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    let reader = store.reader();
    assert_eq!(reader.read(0, 9).unwrap(), Page { first: 1, record: store.id(), ..Page::default() });
    for last in (100..=500).step_by(100) {
        store.append(0, &rows(last - 99..=last), t(0)).unwrap();
        let page = reader.read(0, usize::MAX).unwrap();
        assert_eq!(page, store.read(0, usize::MAX).unwrap());
        assert_eq!((page.last, page.record), (last as u64, store.id()));
        assert!(page.rows.iter().map(|row| row.sequence).eq(page.first..=page.last));
        assert!(page.rows.iter().all(|found| found.row == row(found.sequence as i64)));
    }
    // Whoever was at row 7 sees by the first row that there is a gap.
    let page = reader.read(7, 5).unwrap();
    assert!(page.first > 8 && page.rows[0].sequence == page.first, "{page:?}");
}
