//! The record is bounded.

use super::{Disk, Limits, rows, t};

pub(super) fn trimming_by_number_keeps_the_newest_and_counts_on(disk: &impl Disk) {
    let limits = Limits { rows: 100, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    for start in (1..=2000).step_by(50) {
        store.append(0, &rows(start..start + 50), t(0)).unwrap();
        let page = store.read(0, usize::MAX).unwrap();
        let expected = (start as u64 + 49).min(100);
        assert!((expected..=expected + 128).contains(&(page.rows.len() as u64)), "{}", page.rows.len());
        assert!(page.rows.iter().map(|row| row.sequence).eq(page.first..=page.last));
    }
    drop(store);
    let mut store = disk.open_limited("khronos", limits).unwrap();
    assert_eq!(store.load().unwrap().last_sequence, 2000);
    assert_eq!(store.append(0, &rows([2001]), t(0)).unwrap(), 2001);
}

pub(super) fn trimming_by_age_goes_by_the_newest_row(disk: &impl Disk) {
    let limits = Limits { age: 1000, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    store.append(0, &rows(1..=500), t(0)).unwrap();
    assert_eq!(store.read(0, 1).unwrap().first, 1);
    store.append(0, &rows(1_000_000..1_000_064), t(0)).unwrap();
    store.append(0, &rows([1_000_100]), t(0)).unwrap();
    let page = store.read(0, usize::MAX).unwrap();
    assert!(page.first > 400, "{}", page.first);
    assert_eq!(page.last, 565);
    assert!(page.rows.iter().map(|row| row.sequence).eq(page.first..=page.last));
}
