//! What is created and changed at run time: numbers, messages that were answered, and the log of changes.

use super::{Arc, Created, Disk, DoorKind, Limits, at, created_calendar, row, t};
use crate::{
    engine::{
        Answered, ChangeEntry, ChangeKind, Commit, LoggedChange, MessageKey, Refusal, Row, Verdict, Version,
    },
    schedule::{Definition, Packed},
};

/// With a verdict of every kind.
pub(super) fn answered(number: u8) -> Answered {
    let (creation, revision, since, through) = (u64::MAX, 7, t(1), t(2));
    let refusals = [
        Refusal::FileOwned,
        Refusal::NotOwner { owner: "ann".into() },
        Refusal::OutsideDomains { event: "a.b.c".into() },
        Refusal::ReservedEvent { event: "time.b.c".into() },
        Refusal::Exists { revision },
        Refusal::Stale { revision: Some(revision) },
        Refusal::Stale { revision: None },
        Refusal::MayHaveBeenSent { due: t(9) },
        Refusal::NeverDue,
        Refusal::Invalid { faults: "a".into() },
        Refusal::Twice,
        Refusal::Another,
        Refusal::MessageIdUsed,
        Refusal::AlreadySettled { due: t(9) },
    ];
    let verdicts = [
        Verdict::Created { creation, revision, since },
        Verdict::Changed { creation, revision, since },
        Verdict::Unchanged { creation, revision },
        Verdict::Deleted { creation, revision, through },
        Verdict::GoneAlready,
        Verdict::Settled { due: t(9), creation, revision },
    ];
    let verdicts = verdicts.into_iter().chain(refusals.map(Verdict::Refused)).collect();
    Answered { digest: [number; 32], verdicts, at: t(i64::from(number)), number: number.into() }
}

fn key(number: u8) -> MessageKey {
    ("billing".into(), format!("message {number}").into())
}

pub(super) fn message(number: u8, answered: Option<Answered>) -> (MessageKey, Option<Answered>) {
    (key(number), answered)
}

pub(super) fn kept_message(number: u8) -> (MessageKey, Answered) {
    (key(number), answered(number))
}

/// What is created and changed at run time, in one commit.
pub(in crate::store) fn at_run_time(number: u8) -> Commit {
    Commit {
        created: number.into(),
        messages: vec![message(number, Some(answered(number))), message(number.saturating_sub(9), None)],
        changes: vec![change(number.into()), change(i64::from(number) + 1)],
        // Now and then one that takes a file of its own.
        calendars: vec![("off".into(), {
            let bytes = if number.is_multiple_of(20) { 300_000 } else { 10 };
            (!number.is_multiple_of(7)).then(|| created_calendar("off", number.into(), bytes))
        })],
        ..Commit::default()
    }
}

pub(super) fn change(number: i64) -> LoggedChange {
    let definition = |data: i64| {
        let every = Definition {
            name: "a".into(),
            event: Some("a.b.c".into()),
            every: Some("1h".into()),
            data: Some(data.into()),
            ..Definition::default()
        };
        let created = Created { number: 3, owner: "ann".into(), door: DoorKind::Http };
        Packed::build(&every).unwrap().created_as(Some(created))
    };
    LoggedChange {
        at: t(number),
        by: "ann".into(),
        door: "a test".into(),
        what: if number % 2 == 0 { ChangeKind::Changed } else { ChangeKind::Finished },
        name: "a".into(),
        others: vec!["b".into()],
        creation: 3,
        before: Some(Version::of_schedule(1, &definition(number))),
        after: (number % 2 == 0).then(|| Version::of_schedule(2, &definition(1))),
        command: (number % 3 == 0).then(|| "m".into()),
        note: "".into(),
    }
}

fn changes(numbers: std::ops::RangeInclusive<i64>) -> Commit {
    Commit { changes: numbers.map(change).collect(), ..at(1) }
}

pub(super) fn creation_numbers_never_go_back(disk: &impl Disk) {
    for (created, expected) in [(3, 3), (0, 3), (300, 300), (299, 300)] {
        disk.open().save(0, &Commit { created, ..at(1) }).unwrap();
        assert_eq!(disk.open().load().unwrap().created, expected);
    }
}

pub(super) fn messages_of_any_id_are_kept_until_they_are_removed(disk: &impl Disk) {
    let ids = ["", "a", "a\u{0}b", "b", &"é".repeat(127)];
    let owners = ["", "a", "a\u{0}", "billing"];
    let keys = || owners.iter().flat_map(|owner| ids.iter().map(|id| ((*owner).into(), (*id).into())));
    let messages = keys().map(|key: MessageKey| (key, Some(answered(1)))).collect();
    disk.open().save(0, &Commit { messages, ..at(1) }).unwrap();
    let mut found = disk.open().load().unwrap().messages;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut expected: Vec<MessageKey> = keys().collect();
    expected.sort();
    assert!(found.iter().map(|(key, _)| key).eq(&expected));
    assert!(found.iter().all(|(_, found)| *found == answered(1)));
    let messages = keys().skip(1).map(|key| (key, None)).collect();
    disk.open().save(0, &Commit { messages, ..at(2) }).unwrap();
    let left: Vec<MessageKey> =
        disk.open().load().unwrap().messages.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [(Arc::from(""), Arc::from(""))]);
}

pub(super) fn rows_keep_the_creation_that_they_are_about(disk: &impl Disk) {
    let creations = [0, 1, 0, 300, u64::MAX];
    let numbered = (1..=200).zip(creations.into_iter().cycle());
    let rows: Vec<Row> = numbered.map(|(number, creation)| Row { creation, ..row(number) }).collect();
    for some in rows.chunks(30) {
        disk.open().save(0, &Commit { rows: some.to_vec(), ..at(0) }).unwrap();
    }
    let found = disk.open().read(0, usize::MAX).unwrap().rows;
    assert!(found.into_iter().map(|found| found.row).eq(rows));
}

pub(super) fn changes_are_numbered_and_read_page_by_page(disk: &impl Disk) {
    let page = disk.open().changes(0, 10).unwrap();
    assert_eq!((page.changes.len(), page.first, page.last), (0, 1, 0));
    disk.open().save(0, &changes(1..=7)).unwrap();
    disk.open().save(0, &at(2)).unwrap();
    let mut store = disk.open();
    store.save(0, &changes(8..=300)).unwrap();
    for (after, most) in [(0, 300), (0, 1), (0, 0), (7, 2), (298, 9), (300, 9), (u64::MAX, 9)] {
        let page = store.changes(after, most).unwrap();
        assert_eq!((page.first, page.last, page.record), (1, 300, store.id()));
        let expected = (1..=300_u64).filter(|number| *number > after).take(most);
        let expected: Vec<_> =
            expected.map(|number| (number, ChangeEntry::from(&change(number as i64)))).collect();
        assert_eq!(page.changes, expected, "{most} after {after}");
    }
    let (_, first) = store.changes(1, 1).unwrap().changes.remove(0);
    let (before, after) = (first.before.unwrap(), first.after.unwrap());
    assert!(before.definition.contains("\"every\":\"1h\"") && !before.definition.contains("data"));
    assert!(before.payload.is_some() && before.payload != after.payload);
}

pub(super) fn changes_are_trimmed_by_number_and_by_age(disk: &impl Disk) {
    let limits = Limits { changes: 100, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    for start in (1..=1_000).step_by(50) {
        store.save(0, &changes(start..=start + 49)).unwrap();
        let page = store.changes(0, usize::MAX).unwrap();
        let expected = (start as u64 + 49).min(100);
        assert!((expected..=expected + 50).contains(&(page.changes.len() as u64)), "{}", page.changes.len());
        assert!(page.changes.iter().map(|(number, _)| *number).eq(page.first..=page.last));
    }
    drop(store);
    let limits = Limits { changes_age: 1_000, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    assert_eq!(store.changes(0, 1).unwrap().last, 1_000);
    for number in 0..60 {
        store.save(0, &changes(1_000_000 + number..=1_000_000 + number)).unwrap();
    }
    let page = store.changes(0, usize::MAX).unwrap();
    assert_eq!((page.first, page.last, page.changes.len()), (1_001, 1_060, 60));
    drop(store);
    assert_eq!(disk.open().changes(0, usize::MAX).unwrap().changes, page.changes);
    // What was far over the limits, for they were lowered or much came at once, is within them soon.
    disk.open().save(0, &changes(1_000_100..=1_000_699)).unwrap();
    let limits = Limits { changes: 100, ..Limits::default() };
    let mut store = disk.open_limited("khronos", limits).unwrap();
    for number in 0..4 {
        store.save(0, &changes(1_001_000 + number..=1_001_000 + number)).unwrap();
    }
    let kept = store.changes(0, usize::MAX).unwrap().changes.len();
    assert!((100..=101).contains(&kept), "{kept}");
}
