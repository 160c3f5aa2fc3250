//! What makes a request safe to repeat: tombstones and answers to messages; and the log of changes.

use super::*;
use crate::{
    delayed::{ANSWERS_KEPT, PORTION, TOMBSTONES_KEPT, Tombstone},
    engine::{Answered, ChangeEntry, ChangeKind, MessageKey, Verdict},
};

pub(super) fn a_tombstone_is_left_of_a_name_that_the_caller_chose(disk: &impl Disk) {
    let mut store = disk.open();
    let mut unnamed = event("b", 10);
    unnamed.head.is_named = false;
    write(&mut *store, 0, vec![put("a", 10), DelayedStep::Put(Box::new(unnamed))]);
    write(&mut *store, 12, vec![settle("a", 10), settle("b", 10)]);
    let expected = Tombstone {
        at: t(12),
        due: t(10),
        creation: 1,
        revision: 1,
        owner: "billing".into(),
        event: "order.reminder.due".into(),
        digest: [7; 16],
    };
    store.flush(0).unwrap();
    drop(store);
    let mut store = disk.open();
    assert_eq!(find(&*store, "a"), Found::Settled(Box::new(expected)));
    assert_eq!(find(&*store, "b"), Found::Nothing);
    write(&mut *store, 13, vec![put("a", 20)]);
    assert!(matches!(find(&*store, "a"), Found::Pending(_)), "what is pending goes first");
}

pub(super) fn a_tombstone_goes_after_an_hour(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10)]);
    write(&mut *store, 10, vec![settle("a", 10)]);
    write(&mut *store, 10 + TOMBSTONES_KEPT, vec![]);
    assert!(matches!(find(&*store, "a"), Found::Settled(_)));
    write(&mut *store, 11 + TOMBSTONES_KEPT, vec![]);
    assert_eq!(find(&*store, "a"), Found::Nothing);
}

pub(super) fn the_oldest_tombstones_go_where_there_are_too_many(disk: &impl Disk) {
    let limits = DelayedLimits { tombstones: 3, ..DelayedLimits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    write(&mut *store, 0, (0..5).map(|n| put(&name_of(n), 10)).collect());
    for n in [4, 0, 1, 2, 3] {
        write(&mut *store, 20 + n as i64 % 4, vec![settle(&name_of(n), 10)]);
    }
    let known = (0..5).map(|n| matches!(find(&*store, &name_of(n)), Found::Settled(_)));
    assert!(known.eq([false, true, true, true, false]), "0 and 4 were at 20");
}

/// Puts and settles so many, all at one instant.
fn settled(store: &mut dyn DelayedStore, numbers: std::ops::Range<usize>) {
    write(store, 0, numbers.clone().map(|n| put(&name_of(n), 10)).collect());
    write(store, 10, numbers.map(|n| settle(&name_of(n), 10)).collect());
}

pub(super) fn tombstones_go_in_portions(disk: &impl Disk) {
    let mut store = disk.open();
    settled(&mut *store, 0..PORTION + 200);
    let names: Vec<_> = (0..PORTION + 200).map(name_of).collect();
    let known = |store: &dyn DelayedStore| {
        let found = store.reader().find(&names).unwrap();
        found.iter().filter(|found| matches!(found, Found::Settled(_))).count()
    };
    let later = TOMBSTONES_KEPT + 100;
    write(&mut *store, later, vec![]);
    assert_eq!(known(&*store), 200);
    write(&mut *store, later, vec![]);
    assert_eq!(known(&*store), 0);
}

pub(super) fn a_name_that_is_settled_twice_has_the_later_tombstone(disk: &impl Disk) {
    let mut store = disk.open();
    for now in [10, 20] {
        let mut again = event("a", now);
        again.head.creation = now as u64;
        write(&mut *store, now, vec![DelayedStep::Put(Box::new(again)), settle("a", now)]);
    }
    let of = |store: &dyn DelayedStore| match find(store, "a") {
        Found::Settled(tombstone) => Some(tombstone.creation),
        _ => None,
    };
    assert_eq!(of(&*store), Some(20));
    write(&mut *store, 15 + TOMBSTONES_KEPT, vec![]);
    assert_eq!(of(&*store), Some(20), "what was known of the first has no say");
    write(&mut *store, 21 + TOMBSTONES_KEPT, vec![]);
    assert_eq!(of(&*store), None);
}

fn message(owner: &str, id: &str) -> MessageKey {
    (owner.into(), id.into())
}

fn answered(at: i64, verdicts: usize) -> Answered {
    Answered { digest: [3; 32], verdicts: vec![Verdict::GoneAlready; verdicts], at: t(at), number: 9 }
}

fn answer(store: &mut dyn DelayedStore, now: i64, messages: Vec<(MessageKey, Answered)>) {
    store.write(0, &DelayedBatch { messages, ..batch(now, vec![]) }).unwrap();
}

pub(super) fn answers_are_kept_for_a_day_by_owner_and_id(disk: &impl Disk) {
    let keys = [message("a", "bc"), message("ab", "c"), message("", "abc"), message("a", "")];
    let all: Vec<_> = keys.iter().cloned().zip((1..5).map(|n| answered(0, n))).collect();
    let mut store = disk.open();
    answer(&mut *store, 0, all.clone());
    drop(store);
    let mut store = disk.open();
    let expected: Vec<_> = all.iter().map(|(_, answered)| Some(answered.clone())).collect();
    assert_eq!(store.reader().answers(&keys).unwrap(), expected);
    assert_eq!(store.reader().answers(&[message("a", "b")]).unwrap(), [None]);
    let shares = |store: &mut dyn DelayedStore| {
        let owners = store.load().unwrap().owners.into_iter();
        owners.map(|(owner, share)| (owner.to_string(), share.answers)).collect::<Vec<_>>()
    };
    // Each weighs as many as its verdicts, and one more.
    assert_eq!(shares(&mut *store), [("".into(), 4), ("a".into(), 2 + 5), ("ab".into(), 3)]);
    write(&mut *store, ANSWERS_KEPT, vec![]);
    assert_eq!(store.reader().answers(&keys).unwrap(), expected);
    write(&mut *store, ANSWERS_KEPT + 1, vec![]);
    assert_eq!(store.reader().answers(&keys).unwrap(), [None, None, None, None]);
    assert_eq!(shares(&mut *store), []);
}

pub(super) fn answers_go_in_portions(disk: &impl Disk) {
    let mut store = disk.open();
    let keys: Vec<_> = (0..PORTION + 200).map(|n| message("a", &name_of(n))).collect();
    answer(&mut *store, 0, keys.iter().map(|key| (key.clone(), answered(0, 1))).collect());
    let known = |store: &dyn DelayedStore| store.reader().answers(&keys).unwrap().iter().flatten().count();
    write(&mut *store, ANSWERS_KEPT + 1, vec![]);
    assert_eq!(known(&*store), 200);
    write(&mut *store, ANSWERS_KEPT + 1, vec![]);
    assert_eq!(known(&*store), 0);
}

pub(super) fn an_answer_that_is_given_again_replaces_the_first(disk: &impl Disk) {
    let key = message("a", "b");
    let mut store = disk.open();
    answer(&mut *store, 0, vec![(key.clone(), answered(0, 5))]);
    answer(&mut *store, 10, vec![(key.clone(), answered(10, 1))]);
    assert_eq!(
        store.load().unwrap().owners,
        [("a".into(), OwnerShare { answers: 2, ..OwnerShare::default() })]
    );
    write(&mut *store, ANSWERS_KEPT + 5, vec![]);
    assert_eq!(store.reader().answers(&[key]).unwrap(), [Some(answered(10, 1))]);
}

fn change(at: i64) -> ChangeEntry {
    ChangeEntry {
        at: t(at),
        by: "billing".into(),
        door: "HTTP".into(),
        what: ChangeKind::Created,
        name: format!("n{at}").into(),
        others: vec!["b".into()],
        creation: 7,
        before: None,
        after: None,
        command: Some("id".into()),
        note: "".into(),
    }
}

fn log(store: &mut dyn DelayedStore, now: i64, changes: impl IntoIterator<Item = i64>) {
    let changes = changes.into_iter().map(change).collect();
    store.write(0, &DelayedBatch { changes, ..batch(now, vec![]) }).unwrap();
}

pub(super) fn changes_are_numbered_and_read_page_by_page(disk: &impl Disk) {
    let mut store = disk.open();
    log(&mut *store, 0, 1..=3);
    drop(store);
    let mut store = disk.open();
    log(&mut *store, 0, 4..=5);
    let page = store.reader().changes(1, 3).unwrap();
    assert_eq!(page.changes, [2, 3, 4].map(|number| (number as u64, change(number))));
    assert_eq!((page.first, page.last, page.record), (1, 5, store.id()));
    assert!(store.reader().changes(5, 3).unwrap().changes.is_empty());
}

pub(super) fn changes_are_trimmed_by_number_and_by_age(disk: &impl Disk) {
    let limits = DelayedLimits { changes: 4, changes_age: 100, ..DelayedLimits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    log(&mut *store, 6, 1..=6);
    let bounds = |store: &dyn DelayedStore| {
        let page = store.reader().changes(0, 99).unwrap();
        (page.first, page.last, page.changes.len())
    };
    assert_eq!(bounds(&*store), (3, 6, 4));
    write(&mut *store, 104, vec![]);
    assert_eq!(bounds(&*store), (4, 6, 3), "one was at 3");
    write(&mut *store, 999, vec![]);
    assert_eq!(bounds(&*store), (7, 6, 0));
    log(&mut *store, 999, [999]);
    assert_eq!(bounds(&*store), (7, 7, 1));
}

pub(super) fn changes_are_trimmed_by_their_bytes(disk: &impl Disk) {
    let of = change(1).bytes() as u64;
    let limits = DelayedLimits { changes_bytes: 3 * of, ..DelayedLimits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    log(&mut *store, 3, 1..=3);
    let bounds = |store: &dyn DelayedStore| {
        let page = store.reader().changes(0, 99).unwrap();
        (page.first, page.last, page.changes.len())
    };
    assert_eq!(bounds(&*store), (1, 3, 3));
    log(&mut *store, 4, [4]);
    assert_eq!(bounds(&*store), (2, 4, 3));
    drop(store);
    let mut store = disk.open_limited("khronos", limits).unwrap();
    log(&mut *store, 5, 5..=6);
    assert_eq!(bounds(&*store), (4, 6, 3), "what lay there counts after a restart");
    let long = ChangeEntry { note: "x".repeat(3 * of as usize).into(), ..change(7) };
    store.write(0, &DelayedBatch { changes: vec![long], ..batch(7, vec![]) }).unwrap();
    assert_eq!(bounds(&*store), (8, 7, 0), "nor does one stay that is too long alone");
    log(&mut *store, 8, [8]);
    assert_eq!(bounds(&*store), (8, 8, 1));
}
