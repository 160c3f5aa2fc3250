//! What every store does, whichever it is. Each adapter runs the whole suite.

mod calendars;
mod changes;
mod clocks;
mod disks;
mod kinds;
mod lost;
mod pauses;
mod readers;
mod terms;
mod triggers;
mod trimming;

use super::{Fault, Limits, Memory, StoreError};
use crate::{
    engine::{
        Coalesced, Commit, OneShot, Outcome, Parked, Pauses, RecordRow, Revision, Row, Sent, SkipReason,
        Snapshot, Span,
    },
    postgres::fixture::Tables,
    schedule::{
        CatchUpDefinition, Created, Definition, DoorKind, DstDefinition, Packed, ResendsDefinition,
        TimingDefinition, ZoneData,
    },
};
use calendars::*;
pub(super) use changes::at_run_time;
use changes::*;
use clocks::*;
use disks::*;
use kinds::*;
use lost::*;
use pauses::*;
use ponos::event::{EventKind, Timestamp};
use readers::*;
use std::sync::Arc;
use terms::*;
use triggers::*;
use trimming::*;

macro_rules! suite {
    ($($name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::$name(&super::Memory::default()); })* }
        mod postgres { $(#[test] fn $name() { super::$name(&super::Tables::new()); })* }
        mod sled { $(#[test] fn $name() { super::$name(&tempfile::tempdir().unwrap()); })* }
    };
}

suite! {
    a_new_store_is_empty
    everything_saved_is_loaded_again_field_by_field
    a_later_commit_replaces_and_removes
    what_is_said_last_about_a_key_within_one_commit_holds
    names_that_begin_with_another_name_stay_apart
    rows_are_numbered_from_one_without_gaps_across_restarts
    any_page_of_the_record_can_be_read
    rows_of_every_kind_are_kept
    rows_of_every_kind_are_trimmed
    trimming_by_number_keeps_the_newest_and_counts_on
    trimming_by_age_goes_by_the_newest_row
    creation_numbers_never_go_back
    messages_of_any_id_are_kept_until_they_are_removed
    calendars_are_kept_until_they_are_removed_however_long_they_are
    rows_keep_the_creation_that_they_are_about
    changes_are_numbered_and_read_page_by_page
    changes_are_trimmed_by_number_and_by_age
    what_is_kept_of_pauses_stays_until_it_is_said_otherwise
    what_is_kept_of_pauses_by_name_stays_by_name
    what_commands_triggered_is_kept_until_it_is_forgotten
    operations_are_kept_until_they_are_forgotten
    a_lower_term_is_refused_and_changes_nothing
    the_highest_term_survives_a_restart
    a_store_of_another_clock_is_refused
    a_store_that_never_was_written_takes_any_name
    what_a_crash_kept_from_the_record_is_marked_once
    nothing_is_marked_when_all_rows_were_given
    before_the_first_commit_nothing_can_be_missing
    rows_that_come_before_their_commit_leave_nothing_to_mark
    what_was_given_beyond_the_last_commit_is_void_after_a_restart
    rows_of_a_commit_say_nothing_of_rows_behind_it
    a_clock_that_was_set_back_makes_nothing_missing
    after_a_step_back_lost_details_are_marked_from_the_lower_reading_on
    a_reader_sees_what_is_written_later_and_nothing_that_was_trimmed
    each_write_counts_one_up
}

fn t(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + millis)
}

pub(super) fn row(number: i64) -> Row {
    Row {
        at: t(number),
        schedule: Arc::from("one-day"),
        revision: 1,
        first: t(number),
        last: t(number),
        count: 1,
        outcome: Outcome::Confirmed { sent_at: t(number), lateness: 0, returned: false },
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    }
}

pub(super) fn rows(numbers: impl IntoIterator<Item = i64>) -> Vec<Row> {
    numbers.into_iter().map(row).collect()
}

fn at(settled: i64) -> Commit {
    Commit { settled: t(settled), handed: t(settled + 1000), reached: t(settled + 2000), ..Commit::default() }
}

/// A definition with every key, and a payload of every kind of JSON value.
fn definition(name: &str) -> Definition {
    let text = |text: &str| Some(text.to_owned());
    let mut definition = Definition {
        name: name.into(),
        event: text("time.one-day.passed"),
        every: text("1 day"),
        cron: text("0 9 * * MON-FRI"),
        at: text("2026-12-01T09:00"),
        timings: Some(vec![TimingDefinition { every: text("4h"), ..TimingDefinition::default() }]),
        time_zone: text("Europe/Paris"),
        phase: text("9h"),
        anchor: text("2026-01-01"),
        from: text("2026-01-01"),
        until: text("2027-01-01"),
        limit: Some(9),
        jitter: text("5m"),
        exclude: Some(vec!["holidays".into()]),
        move_to: text("next-business-day"),
        dst: Some(DstDefinition { gap: text("skip"), fold: text("both") }),
        catch_up: Some(CatchUpDefinition {
            policy: text("all"),
            grace: text("30s"),
            within: text("7 days"),
            most: Some(1000),
        }),
        past: text("send"),
        unrouted: text("park"),
        resends: Some(ResendsDefinition { most: Some(3), within: text("1m") }),
        paused: Some(true),
        expires: text("10m"),
        description: text("\"Grüße\""),
        data: Some(serde_json::json!({
            "z": [null, true, -1, 18_446_744_073_709_551_615_u64, 0.5, "Grüße\u{0}"], "a": {"b": {}}
        })),
        labels: Some([("team".to_owned(), "a: b".to_owned())].into()),
        created: (name == "b").then(|| Created { number: 9, owner: "billing".into(), door: DoorKind::Http }),
        ..Definition::default()
    };
    definition.pin_zones(&ZoneData::bundled());
    definition
}

fn revision(name: &str, number: u32) -> Revision {
    Revision {
        number,
        definition: Packed::kept(&definition(name)),
        effective_from: t(0),
        counts_from: t(-3),
        opens: t(-1),
        previous: Some(t(-2)),
        ended: Some(t(3)),
        set_backs: number / 2,
    }
}

fn span(revision: u32) -> Span {
    let coalesced = Some(Coalesced { first: t(1), last: t(2), count: 2 });
    Span { revision, after: t(0), through: t(9), handed: t(4), coalesced }
}

fn parked(name: &str) -> Parked {
    Parked {
        schedule: Arc::from(name),
        revision: 1,
        stands_for: Coalesced { first: t(1), last: t(2), count: 2 },
        reason: "the queue is full".into(),
        at: t(7),
        released: true,
        singly: name != "b",
        refused: 3,
        retry_at: (name == "b").then_some(t(8)),
        kind: EventKind::Occurrence,
    }
}

/// A row of every outcome.
fn outcomes() -> Vec<Row> {
    use Outcome::{ClockSetBack, Confirmed, DetailsLost, Dropped, Parked, Skipped};
    use SkipReason::{Missed, Past, Paused, Removed, TooOld};
    let confirmed = Confirmed { sent_at: t(8), lateness: -3, returned: true };
    let mut all = vec![confirmed, Parked("nobody".into()), Dropped, DetailsLost, ClockSetBack];
    all.extend([Paused, Missed, TooOld, Past, Removed].map(Skipped));
    all.into_iter().zip(0..).map(|(outcome, n)| Row { outcome, count: 7, ..row(n) }).collect()
}

fn full() -> (Commit, Snapshot) {
    let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
    let one = OneShot { revision: 1, due: t(4) };
    let bare = Revision {
        definition: Packed::kept(&Definition { name: "b".into(), ..Definition::default() }),
        counts_from: t(0),
        previous: None,
        ended: None,
        ..revision("b", 1)
    };
    let commit = Commit {
        revisions: vec![revision("a", 1), revision("a", 2), bare.clone()],
        spans: vec![(a.clone(), 2, Some(span(2))), (b.clone(), 1, Some(Span { coalesced: None, ..span(1) }))],
        one_shots: vec![(b.clone(), Some(one))],
        parked: vec![(1, Some(parked("a"))), (300, Some(parked("b")))],
        rows: outcomes(),
        set_backs: 2,
        created: 9,
        messages: vec![message(1, Some(answered(1))), message(2, Some(answered(2)))],
        ..at(10)
    };
    let mut sent = Sent::default();
    sent.note(t(8), true);
    let snapshot = Snapshot {
        settled: Some(t(10)),
        handed: Some(t(1010)),
        reached: Some(t(2010)),
        set_backs: 2,
        revisions: vec![revision("a", 1), revision("a", 2), bare],
        spans: vec![(a, span(2)), (b.clone(), Span { coalesced: None, ..span(1) })],
        one_shots: vec![(b, one)],
        parked: vec![(1, parked("a")), (300, parked("b"))],
        pauses: Pauses::default(),
        named_pauses: Vec::new(),
        triggers: Vec::new(),
        operations: Vec::new(),
        last_sequence: 10,
        sent: outcomes().first().map(|row| (row.schedule.clone(), sent)).into_iter().collect(),
        created: 9,
        messages: vec![kept_message(1), kept_message(2)],
        calendars: Vec::new(),
    };
    (commit, snapshot)
}

fn a_new_store_is_empty(disk: &impl Disk) {
    let mut store = disk.open();
    assert_eq!(store.load().unwrap(), Snapshot::default());
    let page = store.read(0, 10).unwrap();
    assert_eq!((page.rows.len(), page.first, page.last, page.record), (0, 1, 0, store.id()));
    drop(store);
    assert_eq!(disk.open().load().unwrap(), Snapshot::default());
}

fn everything_saved_is_loaded_again_field_by_field(disk: &impl Disk) {
    let (commit, snapshot) = full();
    let mut store = disk.open();
    assert_eq!(store.save(0, &commit).unwrap(), 10);
    assert_eq!(store.load().unwrap(), snapshot, "in the same store");
    drop(store);
    let mut store = disk.open();
    assert_eq!(store.load().unwrap(), snapshot, "after a restart");
    let numbered = (1..).zip(outcomes()).map(|(sequence, row)| RecordRow { sequence, row });
    assert_eq!(store.read(0, 100).unwrap().rows, numbered.collect::<Vec<_>>());
}

fn a_later_commit_replaces_and_removes(disk: &impl Disk) {
    let (commit, mut expected) = full();
    let mut store = disk.open();
    store.save(0, &commit).unwrap();
    let changed = Revision { ended: None, ..revision("a", 2) };
    let later = Commit {
        revisions: vec![changed.clone()],
        forgotten: vec![("a".into(), 1), ("never-was".into(), 1)],
        spans: vec![("a".into(), 2, None), ("b".into(), 1, Some(span(1))), ("never-was".into(), 9, None)],
        one_shots: vec![("b".into(), None)],
        parked: vec![(1, None), (300, Some(parked("c")))],
        created: 12,
        messages: vec![message(1, None), message(7, None)],
        ..at(20)
    };
    assert_eq!(store.save(0, &later).unwrap(), 10, "no rows, so no new number");
    store.append(0, &[], t(20)).unwrap();
    drop(store);
    expected.revisions.remove(0);
    expected.revisions[0] = changed;
    expected.spans = vec![("b".into(), span(1))];
    expected.one_shots.clear();
    expected.parked = vec![(300, parked("c"))];
    expected.settled = Some(t(20));
    expected.handed = Some(t(1020));
    expected.reached = Some(t(2020));
    expected.set_backs = 0;
    expected.created = 12;
    expected.messages.remove(0);
    assert_eq!(disk.open().load().unwrap(), expected);
}

fn what_is_said_last_about_a_key_within_one_commit_holds(disk: &impl Disk) {
    let spans = vec![("a".into(), 1, Some(span(1))), ("a".into(), 1, None), ("b".into(), 1, None)];
    let mut store = disk.open();
    let one = OneShot { revision: 1, due: t(1) };
    let one_shots = vec![("a".into(), None), ("a".into(), Some(one))];
    store.save(0, &Commit { spans, one_shots, ..at(0) }).unwrap();
    drop(store);
    let snapshot = disk.open().load().unwrap();
    assert!(snapshot.spans.is_empty());
    assert_eq!(snapshot.one_shots, [("a".into(), one)]);
}

fn names_that_begin_with_another_name_stay_apart(disk: &impl Disk) {
    let names = ["a", "a-b", "a.b", "a0", "ab"];
    let revisions: Vec<_> = names.iter().flat_map(|name| [revision(name, 1), revision(name, 256)]).collect();
    let mut store = disk.open();
    store.save(0, &Commit { revisions: revisions.clone(), ..at(0) }).unwrap();
    drop(store);
    assert_eq!(disk.open().load().unwrap().revisions, revisions, "in the order of names and numbers");
}

fn rows_are_numbered_from_one_without_gaps_across_restarts(disk: &impl Disk) {
    let mut number = 0;
    for size in [1, 2, 0, 63, 64, 65, 1, 500] {
        let mut store = disk.open();
        let batch = rows(number..number + size);
        let last = if size % 2 == 0 {
            store.append(0, &batch, t(0)).unwrap()
        } else {
            store.save(0, &Commit { rows: batch, ..at(0) }).unwrap()
        };
        number += size;
        assert_eq!(last, number as u64);
    }
    let mut store = disk.open();
    assert_eq!(store.load().unwrap().last_sequence, number as u64);
    let page = store.read(0, usize::MAX).unwrap();
    assert!(page.rows.iter().map(|row| row.sequence).eq(1..=number as u64));
    assert!(page.rows.into_iter().map(|row| row.row).eq(rows(0..number)));
}

fn any_page_of_the_record_can_be_read(disk: &impl Disk) {
    let mut store = disk.open();
    store.append(0, &rows(1..=300), t(0)).unwrap();
    for (after, most) in
        [(0, 300), (0, 1), (0, 0), (63, 2), (64, 64), (128, 200), (299, 9), (300, 9), (900, 9)]
    {
        let page = store.read(after, most).unwrap();
        let expected: Vec<u64> = (after + 1..=300).take(most).collect();
        let found: Vec<u64> = page.rows.iter().map(|row| row.sequence).collect();
        assert_eq!(found, expected, "{most} after {after}");
        assert!(page.rows.iter().all(|found| found.row == row(found.sequence as i64)));
        assert_eq!((page.first, page.last), (1, 300));
    }
    assert!(store.read(u64::MAX, 1).unwrap().rows.is_empty());
}

fn each_write_counts_one_up(disk: &impl Disk) {
    let mut store = disk.open();
    assert_eq!(store.written().count, 0);
    let id = store.id();
    assert_ne!(id, 0);
    store.save(0, &at(0)).unwrap();
    store.append(0, &rows([1, 2]), t(0)).unwrap();
    let written = store.written();
    assert_eq!((written.count, written.ours, written.last_sequence), (2, true, 2));
    drop(store);
    assert_eq!(disk.open().written(), written);
    assert_eq!(disk.open().id(), id);
}

#[test]
fn a_planted_fault_comes_to_pass_once() {
    let memory = Memory::default();
    memory.plant(Fault::Refused);
    let mut store = Disk::open(&memory);
    assert!(matches!(store.save(0, &at(1)), Err(StoreError::Io { .. })));
    assert!(store.save(0, &at(1)).is_err(), "broken until opened again");
    assert_eq!(Disk::open(&memory).save(0, &Commit { rows: rows([1]), ..at(1) }).unwrap(), 1);
}
