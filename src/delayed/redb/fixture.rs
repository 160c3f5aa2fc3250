//! What the fault tests share: writes that follow from their number, and a look at all that a store holds.

use super::{RedbDelayed, RedbOptions};
use crate::{
    delayed::conformance::{event, key, t},
    engine::{
        Answered, ChangeEntry, ChangeKind, MessageKey, Outcome, Verdict,
        delayed::{
            DelayedBatch, DelayedEvent, DelayedLimits, DelayedMemory, DelayedReader, DelayedSnapshot,
            DelayedStep, DelayedStore, Found, MemoryDelayed, NumberedRow, ParkedEvent,
        },
    },
    store::StoreError,
};
use ponos::event::Timestamp;
use std::{path::Path, sync::Arc};

/// Everything that can be read from a store; what is known by name and id as far as a number of writes tells of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content {
    pub(crate) snapshot: DelayedSnapshot,
    pub(crate) events: Vec<DelayedEvent>,
    pub(crate) listed: Vec<Arc<str>>,
    pub(crate) found: Vec<Found>,
    pub(crate) answers: Vec<Option<Answered>>,
    pub(crate) rows: Vec<NumberedRow>,
    pub(crate) first_row: u64,
    pub(crate) parked: Vec<ParkedEvent>,
    pub(crate) changes: Vec<(u64, ChangeEntry)>,
}

pub(crate) fn limits() -> DelayedLimits {
    DelayedLimits { rows: 60, changes: 30, tombstones: 50, ..DelayedLimits::default() }
}

pub(crate) fn options() -> RedbOptions {
    RedbOptions { limits: limits(), reserve: 1 << 20, ..RedbOptions::default() }
}

pub(crate) fn open(path: &Path) -> Result<RedbDelayed, StoreError> {
    RedbDelayed::open(path, "khronos", &options())
}

pub(crate) fn twin() -> MemoryDelayed {
    DelayedMemory::default().open("khronos", limits()).unwrap()
}

/// What each write puts.
const PUT: u64 = 8;

fn name(write: u64, number: u64) -> String {
    format!("n{write:06}-{number}")
}

fn send(write: u64) -> i64 {
    write as i64 * 60_000 + (write as i64 * 7919) % 100
}

fn message(write: u64) -> MessageKey {
    ("billing".into(), write.to_string().into())
}

/// The write of this number, the first is 1: of four three put and cancel, and are durable; one settles.
pub(crate) fn batch(write: u64) -> DelayedBatch {
    let now = t(write as i64 * 60_000);
    if write % 4 == 3 {
        let settle = |number: u64| {
            let outcome = match number {
                7 => Outcome::Parked("full".into()),
                _ => Outcome::Confirmed { sent_at: now, lateness: 1, returned: false },
            };
            let key = key(&name(write - 2, number), send(write - 2));
            DelayedStep::Settle { key, outcome, keeps_content: number == 6 }
        };
        let unpark = DelayedStep::Unpark {
            creation: (write.saturating_sub(10)) * PUT + 7,
            outcome: Outcome::Dropped,
            keeps_content: false,
        };
        let steps = (2..PUT).map(settle).chain([unpark]).collect();
        return DelayedBatch { now, steps, ..DelayedBatch::default() };
    }
    let put = |number: u64| {
        let mut event = event(&name(write, number), send(write));
        event.head.creation = write * PUT + number;
        event.content.data = vec![number as u8; (write * 37 % 400) as usize].into();
        DelayedStep::Put(Box::new(event))
    };
    let cancel = DelayedStep::Cancel(name(write.saturating_sub(1), 1).as_str().into());
    let answered = Answered { digest: [1; 32], verdicts: vec![Verdict::GoneAlready], at: now, number: write };
    let change = ChangeEntry {
        at: now,
        by: "billing".into(),
        door: "a test".into(),
        what: ChangeKind::Created,
        name: name(write, 0).as_str().into(),
        others: vec![],
        creation: write,
        before: None,
        after: None,
        command: None,
        note: "".into(),
    };
    DelayedBatch {
        now,
        created: write * PUT + PUT,
        steps: (0..PUT).map(put).chain([cancel]).collect(),
        messages: vec![(message(write), answered)],
        changes: vec![change],
        lasts: false,
    }
}

/// A store that so many writes were made to, and what it holds.
pub(crate) fn fill(path: &Path, writes: u64) -> Content {
    let mut store = open(path).unwrap();
    for write in 1..=writes {
        store.write(0, &batch(write)).unwrap();
    }
    content(&mut store, writes).unwrap()
}

pub(crate) fn content(store: &mut dyn DelayedStore, writes: u64) -> Result<Content, StoreError> {
    let snapshot = store.load()?;
    let reader = store.reader();
    Ok(Content { snapshot, ..read(&*reader, writes)? })
}

/// All that a reader sees.
pub(crate) fn read(reader: &dyn DelayedReader, writes: u64) -> Result<Content, StoreError> {
    let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
    let due = reader.due(all, None, usize::MAX)?;
    let keys: Vec<_> = due.into_iter().map(|event| event.key).collect();
    let events = reader.events(&keys)?.into_iter().flatten().collect();
    let listed = reader.list("", None, &|_| true, usize::MAX, usize::MAX)?.heads;
    let last = writes.saturating_sub(80)..=writes + 1;
    let names: Vec<_> =
        last.flat_map(|write| (0..PUT).map(move |number| name(write, number).as_str().into())).collect();
    let messages: Vec<_> = (writes.saturating_sub(80)..=writes + 1).map(message).collect();
    let page = reader.read(0, usize::MAX)?;
    Ok(Content {
        snapshot: DelayedSnapshot::default(),
        events,
        listed: listed.into_iter().map(|head| head.key.name).collect(),
        found: reader.find(&names)?,
        answers: reader.answers(&messages)?,
        rows: page.rows,
        first_row: page.first,
        parked: reader.parked(0, usize::MAX)?,
        changes: reader.changes(0, usize::MAX)?.changes,
    })
}

/// Opens a store and reads everything.
pub(crate) fn everything(path: &Path, writes: u64) -> Result<Content, StoreError> {
    content(&mut open(path)?, writes)
}

/// Asserts that the store is refused as damaged, with a remedy, and still refused when it is tried again.
pub(crate) fn assert_damaged(path: &Path, words: &str) {
    for _ in 0..2 {
        let refused = everything(path, 100).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        let message = refused.to_string();
        assert!(message.contains(words), "{message}");
        assert!(message.contains("backup") && message.contains(&*path.to_string_lossy()), "{message}");
    }
}
