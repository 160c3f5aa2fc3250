//! What every store of delayed events does, whichever it is. Each adapter runs the whole suite.

mod beside;
mod crashes;
mod places;
mod records;

use super::{
    Balance, Counted, DelayedBatch, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedLimits,
    DelayedMemory, DelayedSnapshot, DelayedStep, DelayedStore, Found, OwnerShare, PostgresDelayed,
    RedbDelayed, RedbOptions,
};
use crate::{
    engine::{Outcome, SkipReason},
    postgres::fixture::Tables,
    store::StoreError,
};
use beside::*;
use crashes::*;
use places::*;
use ponos::event::Timestamp;
use records::*;
use std::sync::Arc;

/// A disk that outlives the stores on it.
trait Disk {
    fn open_limited(&self, clock: &str, limits: DelayedLimits) -> Result<Box<dyn DelayedStore>, StoreError>;
    fn open(&self) -> Box<dyn DelayedStore> {
        self.open_limited("khronos", DelayedLimits::default()).unwrap()
    }
}

impl Disk for DelayedMemory {
    fn open_limited(&self, clock: &str, limits: DelayedLimits) -> Result<Box<dyn DelayedStore>, StoreError> {
        Ok(Box::new(Self::open(self, clock, limits)?))
    }
}

impl Disk for tempfile::TempDir {
    fn open_limited(&self, clock: &str, limits: DelayedLimits) -> Result<Box<dyn DelayedStore>, StoreError> {
        let options = RedbOptions { limits, ..RedbOptions::default() };
        Ok(Box::new(RedbDelayed::open(&self.path().join("delayed"), clock, &options)?))
    }
}

impl Disk for Tables {
    fn open_limited(&self, clock: &str, limits: DelayedLimits) -> Result<Box<dyn DelayedStore>, StoreError> {
        Ok(Box::new(PostgresDelayed::open(&self.door(clock), limits)?))
    }
}

macro_rules! suite {
    ($($name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::$name(&super::DelayedMemory::forgetful()); })* }
        mod postgres { $(#[test] fn $name() { super::$name(&super::Tables::new()); })* }
        mod redb { $(#[test] fn $name() { super::$name(&tempfile::tempdir().unwrap()); })* }
    };
}

suite! {
    a_new_store_is_empty
    what_is_put_is_there_field_by_field_after_a_restart
    what_is_put_again_moves_and_is_accepted_once
    what_is_put_again_by_another_owner_is_his
    what_is_cancelled_is_gone
    what_was_never_there_is_cancelled_and_settled_without_effect
    what_is_settled_has_a_row_and_goes
    steps_of_one_batch_happen_in_their_order
    a_settled_place_that_moved_meanwhile_stays
    the_balance_is_right_after_every_write
    creation_numbers_never_go_back
    owners_are_known_as_long_as_they_have_something
    what_is_due_comes_in_the_order_of_time_and_name
    what_is_due_is_read_page_by_page
    the_end_of_a_range_is_exclusive
    times_before_the_epoch_and_at_the_horizon_have_their_place
    names_that_begin_with_another_name_stay_apart
    content_of_any_bytes_and_any_length_is_kept
    events_that_are_gone_are_none
    a_list_is_of_a_prefix_and_goes_on_behind_a_name
    a_list_looks_at_no_more_than_it_may
    a_list_has_what_matches
    what_is_pending_is_counted_by_name_in_portions
    a_tombstone_is_left_of_a_name_that_the_caller_chose
    a_tombstone_goes_after_an_hour
    the_oldest_tombstones_go_where_there_are_too_many
    tombstones_go_in_portions
    a_name_that_is_settled_twice_has_the_later_tombstone
    answers_are_kept_for_a_day_by_owner_and_id
    answers_go_in_portions
    an_answer_that_is_given_again_replaces_the_first
    changes_are_numbered_and_read_page_by_page
    changes_are_trimmed_by_number_and_by_age
    changes_are_trimmed_by_their_bytes
    rows_are_numbered_from_one_across_restarts
    rows_keep_what_was_published_where_they_are_told_to
    rows_that_keep_much_content_come_in_shorter_pages
    rows_of_every_outcome_are_kept
    rows_are_trimmed_by_number_and_by_age_in_portions
    parked_events_are_kept_until_they_are_unparked
    parked_events_are_their_owners_until_they_are_gone
    a_parked_event_that_is_refused_again_is_not_released_any_more
    what_is_asked_for_is_durable_and_what_is_settled_is_not_yet
    a_flush_makes_durable_what_was_written
    a_later_batch_that_lasts_makes_durable_what_was_written_before
    a_record_that_is_the_only_copy_lasts
    a_lower_term_is_refused_and_changes_nothing
    a_store_of_another_clock_is_refused
    each_write_counts_one_up_and_the_id_stays
    room_is_asked_for_while_the_store_is_closed_too
    a_reader_sees_each_write_at_once_and_nothing_once_the_store_is_closed
}

pub(super) fn t(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + millis)
}

pub(super) fn key(name: &str, send: i64) -> DelayedKey {
    DelayedKey { send: t(send), name: name.into() }
}

/// An event with a name that the caller chose.
pub(super) fn event(name: &str, send: i64) -> DelayedEvent {
    let head = DelayedHead {
        key: key(name, send),
        due: t(send),
        creation: 1,
        revision: 1,
        owner: "billing".into(),
        event: "order.reminder.due".into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: t(0),
        digest: [7; 16],
    };
    DelayedEvent { head, content: DelayedContent { data: (*b"{}").into(), ..DelayedContent::default() } }
}

pub(super) fn put(name: &str, send: i64) -> DelayedStep {
    DelayedStep::Put(Box::new(event(name, send)))
}

pub(super) fn settle(name: &str, send: i64) -> DelayedStep {
    let outcome = Outcome::Confirmed { sent_at: t(send), lateness: 0, returned: false };
    DelayedStep::Settle { key: key(name, send), outcome, keeps_content: false }
}

/// These steps, at an instant.
pub(super) fn batch(now: i64, steps: Vec<DelayedStep>) -> DelayedBatch {
    DelayedBatch { now: t(now), steps, ..DelayedBatch::default() }
}

/// Writes these steps.
pub(super) fn write(store: &mut dyn DelayedStore, now: i64, steps: Vec<DelayedStep>) -> Balance {
    store.write(0, &batch(now, steps)).unwrap().balance
}

/// The names of all that is pending, in the order in which they are due.
pub(super) fn pending(store: &dyn DelayedStore) -> Vec<String> {
    let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
    let due = store.reader().due(all, None, usize::MAX).unwrap();
    due.iter().map(|event| event.key.name.to_string()).collect()
}

pub(super) fn find(store: &dyn DelayedStore, name: &str) -> Found {
    store.reader().find(&[name.into()]).unwrap().remove(0)
}

fn balance(accepted: u64, settled: u64, cancelled: u64, pending: u64) -> Balance {
    Balance { accepted, settled, cancelled, pending }
}

/// With every field set.
pub(super) fn full(name: &str, send: i64) -> DelayedEvent {
    let plain = event(name, send);
    let head = DelayedHead {
        due: t(send - 500),
        creation: u64::MAX,
        revision: 300,
        queue: Some("docker.images.cleanup".into()),
        is_named: false,
        refused: 3,
        at: t(-7),
        digest: std::array::from_fn(|i| i as u8),
        ..plain.head
    };
    let content = DelayedContent {
        data: (0..=255).collect::<Vec<u8>>().into(),
        content_type: Some("application/octet-stream".into()),
        headers: r#"{"a":"Grüße\u0000"}"#.into(),
        correlation_id: Some("order 7".into()),
        expires: Some(i64::MAX),
        parks_unrouted: true,
    };
    DelayedEvent { head, content }
}

fn a_new_store_is_empty(disk: &impl Disk) {
    let mut store = disk.open();
    assert_eq!(store.load().unwrap(), DelayedSnapshot::default());
    assert_eq!(pending(&*store), [] as [&str; 0]);
    assert_eq!(find(&*store, "a"), Found::Nothing);
    let page = store.reader().read(0, 10).unwrap();
    assert_eq!((page.rows.len(), page.first, page.last, page.record), (0, 1, 0, store.id()));
    drop(store);
    assert_eq!(disk.open().load().unwrap(), DelayedSnapshot::default());
}

fn what_is_put_is_there_field_by_field_after_a_restart(disk: &impl Disk) {
    let all = [full("b", 9), event("a", 10)];
    let mut store = disk.open();
    let puts = all.iter().map(|event| DelayedStep::Put(Box::new(event.clone()))).collect();
    assert_eq!(write(&mut *store, 0, puts), balance(2, 0, 0, 2));
    for _ in ["in the same store", "after a restart"] {
        let reader = store.reader();
        let keys = [key("b", 9), key("a", 10)];
        assert_eq!(reader.events(&keys).unwrap(), all.clone().map(Some));
        assert_eq!(find(&*store, "b"), Found::Pending(Box::new(all[0].head.clone())));
        let due = reader.due(t(0)..t(100), None, 10).unwrap();
        assert_eq!(due, [(&all[0].head).into(), (&all[1].head).into()]);
        let snapshot = store.load().unwrap();
        assert_eq!((snapshot.created, snapshot.balance), (u64::MAX, balance(2, 0, 0, 2)));
        drop((reader, store));
        store = disk.open();
    }
}

fn what_is_put_again_moves_and_is_accepted_once(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 20)]);
    let mut moved = event("a", 30);
    moved.head.revision = 2;
    moved.content.data = (*b"other").into();
    assert_eq!(write(&mut *store, 1, vec![DelayedStep::Put(Box::new(moved.clone()))]), balance(2, 0, 0, 2));
    assert_eq!(pending(&*store), ["b", "a"]);
    let events = store.reader().events(&[key("a", 10), key("a", 30)]).unwrap();
    assert_eq!(events, [None, Some(moved.clone())]);
    moved.content.data = (*b"third").into();
    write(&mut *store, 2, vec![DelayedStep::Put(Box::new(moved.clone()))]);
    assert_eq!(store.reader().events(&[key("a", 30)]).unwrap(), [Some(moved)], "at the same place");
}

fn what_is_put_again_by_another_owner_is_his(disk: &impl Disk) {
    let mut store = disk.open();
    let mut other = event("a", 10);
    other.head.owner = "ops".into();
    write(&mut *store, 0, vec![put("a", 10), DelayedStep::Put(Box::new(other))]);
    let owners = store.load().unwrap().owners;
    assert_eq!(owners, [("ops".into(), OwnerShare { pending: 1, ..OwnerShare::default() })]);
}

fn what_is_cancelled_is_gone(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 20)]);
    assert_eq!(write(&mut *store, 1, vec![DelayedStep::Cancel("a".into())]), balance(2, 0, 1, 1));
    assert_eq!(find(&*store, "a"), Found::Nothing, "no tombstone");
    drop(store);
    let store = disk.open();
    assert_eq!(pending(&*store), ["b"]);
    assert_eq!(store.reader().read(0, 10).unwrap().last, 0, "no row");
}

fn what_was_never_there_is_cancelled_and_settled_without_effect(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10)]);
    let steps = vec![
        DelayedStep::Cancel("b".into()),
        settle("b", 10),
        settle("a", 11),
        DelayedStep::Release(7),
        DelayedStep::Unpark { creation: 7, outcome: Outcome::Dropped, keeps_content: false },
    ];
    assert_eq!(write(&mut *store, 1, steps), balance(1, 0, 0, 1));
    assert_eq!(store.reader().read(0, 10).unwrap().last, 0);
    assert_eq!(find(&*store, "b"), Found::Nothing);
}

fn what_is_settled_has_a_row_and_goes(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 10)]);
    let written = store.write(0, &batch(11, vec![settle("a", 10)])).unwrap();
    assert_eq!((written.last_row, written.balance), (1, balance(2, 1, 0, 1)));
    assert_eq!(pending(&*store), ["b"]);
    let page = store.reader().read(0, 10).unwrap();
    let row = &page.rows[0];
    assert_eq!((row.number, row.row.at, row.row.due, &*row.row.name), (1, t(11), t(10), "a"));
    assert_eq!((&*row.row.owner, &*row.row.event), ("billing", "order.reminder.due"));
    assert_eq!(write(&mut *store, 12, vec![settle("a", 10)]), balance(2, 1, 0, 1), "once");
}

fn steps_of_one_batch_happen_in_their_order(disk: &impl Disk) {
    let mut store = disk.open();
    let cancel = || DelayedStep::Cancel("a".into());
    let steps = vec![put("a", 10), cancel(), put("a", 20), put("a", 30), settle("a", 30), put("a", 40)];
    assert_eq!(write(&mut *store, 0, steps), balance(3, 1, 1, 1));
    assert_eq!(write(&mut *store, 1, vec![cancel(), cancel()]), balance(3, 1, 2, 0));
}

fn a_settled_place_that_moved_meanwhile_stays(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("a", 50)]);
    assert_eq!(write(&mut *store, 11, vec![settle("a", 10)]), balance(1, 0, 0, 1));
    assert_eq!(pending(&*store), ["a"]);
}

fn the_balance_is_right_after_every_write(disk: &impl Disk) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut store = disk.open();
    let mut sends = std::collections::BTreeMap::new();
    let mut expected = Balance::default();
    for now in 0..120 {
        if now % 40 == 39 {
            drop(store);
            store = disk.open();
        }
        let mut steps = Vec::new();
        for _ in 0..random.usize(0..8) {
            let name = format!("n{}", random.u8(0..30));
            match random.u8(0..4) {
                0 | 1 => {
                    let send = random.i64(0..50);
                    steps.push(put(&name, send));
                    expected.accepted += u64::from(sends.insert(name, send).is_none());
                }
                2 => {
                    expected.cancelled += u64::from(sends.remove(&name).is_some());
                    steps.push(DelayedStep::Cancel(name.as_str().into()));
                }
                _ => {
                    let send = sends.remove(&name);
                    expected.settled += u64::from(send.is_some());
                    steps.push(settle(&name, send.unwrap_or(7)));
                }
            }
        }
        expected.pending = sends.len() as u64;
        let written = write(&mut *store, now, steps);
        assert!(written.is_right());
        assert_eq!(written, expected);
    }
    drop(store);
    assert_eq!(disk.open().load().unwrap().balance, expected);
    assert!(expected.settled > 20 && expected.cancelled > 20 && expected.pending > 5, "{expected:?}");
}

fn creation_numbers_never_go_back(disk: &impl Disk) {
    let mut store = disk.open();
    store.write(0, &DelayedBatch { created: 9, lasts: true, ..DelayedBatch::default() }).unwrap();
    write(&mut *store, 0, vec![put("a", 1)]);
    drop(store);
    assert_eq!(disk.open().load().unwrap().created, 9);
}

fn owners_are_known_as_long_as_they_have_something(disk: &impl Disk) {
    let of = |name: &str, owner: &str| {
        let mut event = event(name, 10);
        event.head.owner = owner.into();
        DelayedStep::Put(Box::new(event))
    };
    let pending = |store: &mut dyn DelayedStore| {
        let owners = store.load().unwrap().owners;
        for (owner, share) in &owners {
            assert_eq!(store.reader().owner(owner).unwrap(), *share);
        }
        owners.iter().map(|(owner, share)| (owner.to_string(), share.pending)).collect::<Vec<_>>()
    };
    let mut store = disk.open();
    write(&mut *store, 0, vec![of("a", "x"), of("b", "x"), of("c", "y")]);
    assert_eq!(pending(&mut *store), [("x".into(), 2), ("y".into(), 1)]);
    assert_eq!(store.reader().owner("z").unwrap(), OwnerShare::default());
    write(&mut *store, 1, vec![DelayedStep::Cancel("c".into()), settle("a", 10)]);
    drop(store);
    assert_eq!(pending(&mut *disk.open()), [("x".into(), 1)]);
}

/// A row of every outcome that an event can have.
fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Confirmed { sent_at: t(8), lateness: -3, returned: true },
        Outcome::Skipped(SkipReason::Past),
        Outcome::Parked("nobody".into()),
        Outcome::Dropped,
        Outcome::DroppedAtLimit,
    ]
}

fn name_of(number: usize) -> Arc<str> {
    format!("n{number:06}").into()
}
