//! How events ended: rows, and what is parked.

use super::*;
use crate::delayed::{DelayedRow, NumberedRow, PORTION, ParkedEvent};

fn end(name: &str, send: i64, outcome: Outcome) -> DelayedStep {
    DelayedStep::Settle { key: key(name, send), outcome, keeps_content: false }
}

fn unpark(creation: u64, outcome: Outcome) -> DelayedStep {
    DelayedStep::Unpark { creation, outcome, keeps_content: true }
}

/// The numbers of the rows that are kept, and the bounds.
fn numbers(store: &dyn DelayedStore) -> (Vec<u64>, u64, u64) {
    let page = store.reader().read(0, usize::MAX).unwrap();
    (page.rows.iter().map(|row| row.number).collect(), page.first, page.last)
}

pub(super) fn rows_are_numbered_from_one_across_restarts(disk: &impl Disk) {
    let mut store = disk.open();
    for round in 0..3 {
        let names: Vec<_> = (0..50).map(|n| name_of(round * 50 + n)).collect();
        write(&mut *store, 0, names.iter().map(|name| put(name, 10)).collect());
        write(&mut *store, 11, names.iter().map(|name| settle(name, 10)).collect());
        drop(store);
        store = disk.open();
    }
    assert_eq!(numbers(&*store), ((1..=150).collect(), 1, 150));
    for (after, most) in [(0, 150), (49, 2), (50, 0), (149, 9), (150, 9), (900, 9), (u64::MAX, 9)] {
        let page = store.reader().read(after, most).unwrap();
        let expected = (after.saturating_add(1)..=150).take(most);
        assert!(page.rows.iter().map(|row| row.number).eq(expected.clone()), "{most} after {after}");
        let names = page.rows.iter().map(|row| row.row.name.clone());
        assert!(names.eq(expected.map(|number| name_of(number as usize - 1))));
    }
    assert_eq!(store.load().unwrap().last_row, 150);
}

pub(super) fn rows_keep_what_was_published_where_they_are_told_to(disk: &impl Disk) {
    let mut store = disk.open();
    let put = |event: DelayedEvent| DelayedStep::Put(Box::new(event));
    write(&mut *store, 0, vec![put(full("a", 10)), put(full("b", 10))]);
    let step = |name, keeps_content| DelayedStep::Settle {
        key: key(name, 10),
        outcome: Outcome::Dropped,
        keeps_content,
    };
    write(&mut *store, 11, vec![step("a", true), step("b", false)]);
    store.flush(0).unwrap();
    drop(store);
    let row = |name: &str, content| DelayedRow::of(&full(name, 10).head, t(11), Outcome::Dropped, content);
    let expected = [row("a", Some(full("a", 10).content)), row("b", None)];
    let numbered = (1..).zip(expected).map(|(number, row)| NumberedRow { number, row });
    assert_eq!(disk.open().reader().read(0, 9).unwrap().rows, numbered.collect::<Vec<_>>());
}

pub(super) fn rows_that_keep_much_content_come_in_shorter_pages(disk: &impl Disk) {
    let mut store = disk.open();
    let large = |number| {
        let mut event = event(&name_of(number), 10);
        event.content.data = vec![7; 300 << 10].into();
        DelayedStep::Put(Box::new(event))
    };
    write(&mut *store, 0, (0..9).map(large).collect());
    let keep = |number| {
        let key = key(&name_of(number), 10);
        DelayedStep::Settle { key, outcome: Outcome::Dropped, keeps_content: true }
    };
    write(&mut *store, 11, (0..9).map(keep).collect());
    let reader = store.reader();
    let page = |after, most| {
        let page = reader.read(after, most).unwrap();
        assert_eq!((page.first, page.last), (1, 9));
        page.rows.iter().map(|row| row.number).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 99), [1, 2, 3, 4], "1 MiB is full");
    assert_eq!(page(4, 2), [5, 6]);
    assert_eq!((page(4, 99), page(8, 99), page(9, 99)), (vec![5, 6, 7, 8], vec![9], vec![]));
}

pub(super) fn rows_of_every_outcome_are_kept(disk: &impl Disk) {
    let mut store = disk.open();
    let names = (0..outcomes().len()).map(name_of);
    write(&mut *store, 0, names.clone().map(|name| put(&name, 10)).collect());
    write(&mut *store, 11, names.zip(outcomes()).map(|(name, outcome)| end(&name, 10, outcome)).collect());
    store.flush(0).unwrap();
    drop(store);
    let rows = disk.open().reader().read(0, 9).unwrap().rows;
    assert!(rows.into_iter().map(|row| row.row.outcome).eq(outcomes()));
}

pub(super) fn rows_are_trimmed_by_number_and_by_age_in_portions(disk: &impl Disk) {
    let limits = DelayedLimits { rows: 2 * PORTION as u64, age: 100, ..DelayedLimits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    let many = 2 * PORTION + 5;
    write(&mut *store, 0, (0..many).map(|n| put(&name_of(n), 10)).collect());
    write(&mut *store, 10, (0..many - 1).map(|n| settle(&name_of(n), 10)).collect());
    assert_eq!(numbers(&*store), ((5..many as u64).collect(), 5, many as u64 - 1));
    write(&mut *store, 60, vec![settle(&name_of(many - 1), 10)]);
    assert_eq!(numbers(&*store).1, 6);
    write(&mut *store, 111, vec![]);
    assert_eq!(numbers(&*store).1, 6 + PORTION as u64, "in portions");
    for _ in 0..2 {
        write(&mut *store, 111, vec![]);
    }
    assert_eq!(numbers(&*store), (vec![many as u64], many as u64, many as u64), "it was at 60");
    write(&mut *store, 161, vec![]);
    assert_eq!(numbers(&*store), (vec![], many as u64 + 1, many as u64));
}

pub(super) fn parked_events_are_kept_until_they_are_unparked(disk: &impl Disk) {
    let mut store = disk.open();
    let of = |name: &str, creation| {
        let mut event = full(name, 10);
        event.head.creation = creation;
        event
    };
    let all = [of("a", 5), of("b", 300), of("c", 7)];
    write(&mut *store, 0, all.iter().map(|event| DelayedStep::Put(Box::new(event.clone()))).collect());
    let parked = || Outcome::Parked("full".into());
    let settled = write(&mut *store, 11, ["a", "b", "c"].map(|name| end(name, 10, parked())).into());
    assert_eq!(settled, balance(3, 3, 0, 0));
    // Another one of the name takes nothing from it.
    write(&mut *store, 12, vec![put("a", 50), DelayedStep::Release(300)]);
    drop(store);
    let mut store = disk.open();
    let entry = |event: &DelayedEvent, released| ParkedEvent {
        event: event.clone(),
        reason: "full".into(),
        since: t(11),
        released,
    };
    let expected = [entry(&all[0], false), entry(&all[2], false), entry(&all[1], true)];
    assert_eq!(store.reader().parked(0, 9).unwrap(), expected, "by creation");
    assert_eq!(store.reader().parked(5, 1).unwrap(), expected[1..2]);
    assert_eq!(store.reader().parked_as(300).unwrap().as_ref(), Some(&expected[2]));
    for nothing in [0, 6, 301, u64::MAX] {
        assert_eq!(store.reader().parked_as(nothing).unwrap(), None, "{nothing}");
    }
    let steps = vec![unpark(7, Outcome::Dropped), unpark(300, outcomes().remove(0))];
    assert_eq!(write(&mut *store, 13, steps), balance(4, 3, 0, 1), "it was settled before");
    assert_eq!(store.reader().parked(0, 9).unwrap(), expected[..1]);
    let rows = store.reader().read(3, 9).unwrap().rows;
    assert_eq!(
        rows[0].row,
        DelayedRow::of(&all[2].head, t(13), Outcome::Dropped, Some(all[2].content.clone()))
    );
    assert_eq!((rows.len(), rows[1].row.creation, &rows[1].row.outcome), (2, 300, &outcomes()[0]));
}

pub(super) fn a_parked_event_that_is_refused_again_is_not_released_any_more(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), end("a", 10, Outcome::Parked("first".into()))]);
    write(&mut *store, 20, vec![DelayedStep::Release(1)]);
    write(&mut *store, 30, vec![unpark(1, Outcome::Parked("second".into()))]);
    let parked = store.reader().parked(0, 9).unwrap();
    assert_eq!((parked.len(), &*parked[0].reason, parked[0].since), (1, "second", t(30)));
    assert!(!parked[0].released);
    assert_eq!(numbers(&*store).2, 2);
}

pub(super) fn parked_events_are_their_owners_until_they_are_gone(disk: &impl Disk) {
    let shares = |store: &mut dyn DelayedStore| {
        let owners = store.load().unwrap().owners;
        owners.iter().map(|(_, share)| (share.pending, share.parked)).collect::<Vec<_>>()
    };
    let parked = || Outcome::Parked("full".into());
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 10)]);
    write(&mut *store, 1, vec![end("a", 10, parked())]);
    assert_eq!(shares(&mut *store), [(1, 1)]);
    write(&mut *store, 2, vec![DelayedStep::Release(1), settle("b", 10)]);
    assert_eq!(shares(&mut *store), [(0, 1)], "it is still there");
    write(&mut *store, 3, vec![unpark(1, parked()), unpark(7, Outcome::Dropped)]);
    drop(store);
    let mut store = disk.open();
    assert_eq!(shares(&mut *store), [(0, 1)]);
    write(&mut *store, 4, vec![unpark(1, Outcome::Dropped), unpark(1, Outcome::Dropped)]);
    assert_eq!(shares(&mut *store), []);
}
