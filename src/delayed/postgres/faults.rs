//! What may happen to a store of delayed events on Postgres: a server that is killed, another clock, and the other store of its
//! clock, which writes by the same session.

use super::{PostgresDelayed, meta::FORM};
use crate::{
    delayed::{
        self, DelayedLimits, DelayedStoreEvent,
        conformance::{batch as steps, event, key, pending, put, settle},
        redb::fixture::{batch, content, limits, twin},
    },
    engine::{
        Commit, Outcome,
        delayed::{DelayedBatch, DelayedEvent, DelayedStep, DelayedStore, DelayedWritten},
    },
    postgres::{
        Door, DoorOptions,
        fixture::{PATIENCE, Tables},
        proxy::{Cut, Proxy},
    },
    store::{PostgresOptions, PostgresStore, Store, StoreError},
};
use std::{thread, time::Duration};
use testkit::{Postgres, block_until};

fn open(door: &Door) -> Result<PostgresDelayed, StoreError> {
    PostgresDelayed::open(door, limits())
}

fn progress(door: &Door) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(door, &PostgresOptions::default())
}

#[test]
fn many_writes_leave_what_they_leave_in_the_twin() {
    const WRITES: u64 = 80;
    let tables = Tables::new();
    let (mut store, mut twin) = (open(&tables.door("khronos")).unwrap(), twin());
    for write in 1..=WRITES {
        store.write(0, &batch(write)).unwrap();
        twin.write(0, &batch(write)).unwrap();
        if write % 20 == 0 {
            assert_eq!(content(&mut store, write).unwrap(), content(&mut twin, write).unwrap());
        }
    }
    drop(store);
    let mut store = open(&tables.door("khronos")).unwrap();
    assert_eq!(content(&mut store, WRITES).unwrap(), content(&mut twin, WRITES).unwrap());
}

#[test]
fn what_is_too_large_for_one_statement_comes_and_goes_in_several() {
    let mut store = open(&Tables::new().door("khronos")).unwrap();
    let events: Vec<DelayedEvent> = (1..=12_u8)
        .map(|number| {
            let mut event = event(&format!("n{number:02}"), 9);
            event.head.creation = number.into();
            event.content.data = vec![number; 1 << 20].into();
            event
        })
        .collect();
    let puts = events.iter().map(|event| DelayedStep::Put(Box::new(event.clone()))).collect();
    store.write(0, &steps(1, puts)).unwrap();
    // In another order than the tables', one twice, and some that are not there.
    let wanted = [
        "n12", "n", "n01", "n07", "n071", "n02", "n01", "n11", "n03", "n10", "n04", "n09", "n05", "n08",
        "n06", "z",
    ];
    let found = store.reader().events(&wanted.map(|name| key(name, 9))).unwrap();
    let expected = wanted.map(|name| events.iter().find(|event| *event.head.key.name == *name).cloned());
    assert!(found == expected, "{:?}", found.iter().map(Option::is_some).collect::<Vec<_>>());
    let park = |event: &DelayedEvent| {
        let outcome = Outcome::Parked("full".into());
        DelayedStep::Settle { key: event.head.key.clone(), outcome, keeps_content: true }
    };
    store.write(0, &steps(2, events.iter().map(park).collect())).unwrap();
    let parked = |after, most| {
        let parked = store.reader().parked(after, most).unwrap();
        parked.into_iter().map(|parked| parked.event).collect::<Vec<_>>()
    };
    assert!(parked(0, 100) == events && parked(2, 6) == events[2..8], "they come in order, each once");
    let rows = store.reader().read(0, 1).unwrap().rows;
    assert_eq!(rows[0].row.content_bytes(), 1 << 20);
    let unpark = |creation| DelayedStep::Unpark { creation, outcome: Outcome::Dropped, keeps_content: true };
    let unparked = store.write(0, &steps(3, (1..=12).map(unpark).collect())).unwrap();
    assert_eq!(unparked.last_row, 24);
    assert!(store.reader().parked(0, 100).unwrap().is_empty());
}

#[test]
fn a_store_of_an_older_form_says_the_newer_one_once_it_is_written_in_that() {
    let tables = Tables::new();
    let mut store = open(&tables.door("khronos")).unwrap();
    store.state.meta.form = FORM - 1;
    store.write(0, &batch(1)).unwrap();
    drop(store);
    assert_eq!(open(&tables.door("khronos")).unwrap().state.meta.form, FORM);
}

/// What is known of writes to a server that fails in between.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) written: u64,
    pub(super) durable: u64,
    pub(super) failures: u32,
}

impl Tally {
    /// Whether the next write was made; else the store is to be opened again.
    pub(super) fn note(&mut self, done: Result<DelayedWritten, StoreError>) -> bool {
        match done {
            Ok(done) => {
                self.written += 1;
                if done.is_durable {
                    self.durable = self.written;
                }
                true
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Io { .. }), "{error}");
                self.failures += 1;
                false
            }
        }
    }

    /// So many are kept, as is seen once it is open.
    pub(super) fn go_on(&mut self, kept: u64) {
        let Self { written, durable, .. } = *self;
        assert!((durable..=written + 1).contains(&kept), "{durable} to {written}, not {kept}");
        (self.written, self.durable) = (kept, kept);
    }
}

#[test]
fn a_server_that_is_killed_loses_the_newest_writes_that_need_not_last_and_no_others() {
    const WRITES: u64 = 100;
    let postgres = Postgres::start(true);
    let tables = Tables::at(&postgres.database("stores"));
    let door = tables.door("khronos");
    let (mut store, mut twin) = (open(&door).unwrap(), twin());
    let killing = thread::spawn(move || {
        for kill in 1..=2 {
            let reached = || {
                let count = format!("select writes from {}.shard", tables.schema());
                let writes: u64 = postgres.sql("stores", &count).parse().unwrap();
                (writes >= kill * WRITES / 4).then_some(())
            };
            block_until("some writes", PATIENCE, reached);
            postgres.restart();
        }
        postgres
    });
    let mut tally = Tally::default();
    while tally.written < WRITES {
        if !tally.note(store.write(0, &batch(tally.written + 1))) {
            drop(store);
            store = block_until("the server", PATIENCE, || open(&door).ok());
            tally.go_on(store.written().count);
        }
    }
    assert!(tally.failures > 0, "nothing was killed");
    for write in 1..=WRITES {
        twin.write(0, &batch(write)).unwrap();
    }
    let _postgres = killing.join().unwrap();
    assert_eq!(content(&mut store, WRITES).unwrap(), content(&mut twin, WRITES).unwrap());
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_kept_or_not_when_it_is_opened_again() {
    let proxy = Proxy::to(Postgres::shared().port());
    let tables = Tables::new();
    let door = tables.through(&proxy).door("khronos");
    let mut store = open(&door).unwrap();
    for (number, (cut, kept)) in (1..).zip([(Cut::Before, 0), (Cut::After, 1), (Cut::Before, 0)]) {
        let before = store.written().count;
        proxy.plan(cut);
        let name = format!("n{number}");
        store.write(0, &steps(0, vec![put(&name, 10)])).unwrap_err();
        drop(store);
        store = open(&door).unwrap();
        let written = store.written();
        assert_eq!((written.count, written.ours), (before + kept, before + kept > 0), "{cut:?}");
        assert_eq!(pending(&store).contains(&name), kept == 1, "{cut:?}");
    }
}

#[test]
fn both_stores_of_a_clock_write_by_turns_and_neither_fences_the_other() {
    let tables = Tables::new();
    let door = tables.door("khronos");
    let (mut delayed, mut store) = (open(&door).unwrap(), progress(&door).unwrap());
    assert_ne!(delayed.id(), store.id());
    thread::scope(|scope| {
        let saving = scope.spawn(|| (0..40).try_for_each(|_| store.save(0, &Commit::default()).map(drop)));
        (1..=40).try_for_each(|write| delayed.write(0, &batch(write)).map(|_| ())).unwrap();
        saving.join().unwrap().unwrap();
    });
    assert_eq!((store.written().count, delayed.written().count), (40, 40));
    // One whose connection is lost takes the other along: what that one wrote may be lost with it.
    let proxy = Proxy::to(Postgres::shared().port());
    drop((store, delayed));
    let door = tables.through(&proxy).door("khronos");
    let (mut delayed, mut store) = (open(&door).unwrap(), progress(&door).unwrap());
    proxy.plan(Cut::Before);
    store.save(0, &Commit::default()).unwrap_err();
    let error = delayed.write(0, &batch(41)).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    drop(store);
    let mut store = progress(&door).unwrap();
    assert!(delayed.write(0, &batch(41)).is_err(), "until it is opened again, too");
    drop(delayed);
    let mut delayed = open(&door).unwrap();
    assert_eq!((store.written().count, delayed.written().count), (40, 40));
    store.save(0, &Commit::default()).unwrap();
    delayed.write(0, &batch(41)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_fails_leaves_the_store_open_for_what_is_due_and_what_is_written() {
    let door = Tables::new().door("khronos");
    let opener = move || open(&door).map(|store| Box::new(store) as Box<dyn DelayedStore>);
    let (store, _, mut events) =
        delayed::open(Box::new(opener), delayed::DelayedTuning::default()).await.unwrap();
    let slow = || StoreError::Io { path: "Postgres".into(), what: "no answer within 5000 ms".into() };
    let asked = store.read_by(move |_| Err::<(), _>(slow())).await;
    assert!(matches!(asked, Err(StoreError::Io { .. })), "{asked:?}");
    assert_eq!(store.read_by(|reader| reader.owner("nobody")).await.unwrap().pending, 0);
    store.write(7, steps(0, vec![put("a", 10)])).unwrap();
    let told = events.recv().await;
    assert!(
        matches!(told, Some(DelayedStoreEvent::Written { ticket: 7, .. })),
        "it was not opened again: {told:?}"
    );
    store.close().await.unwrap();
}

#[test]
fn an_older_clock_is_fenced_and_changes_nothing() {
    let tables = Tables::new();
    let no_time = DoorOptions { ttl: Duration::from_millis(1), ..tables.options() };
    let mut older = open(&tables.door_with("khronos", no_time)).unwrap();
    older.write(0, &steps(0, vec![put("a", 10), put("b", 20)])).unwrap();
    let other = tables.of_another_process();
    let mut newer = block_until("the lease to run out", PATIENCE, || open(&other.door("khronos")).ok());
    let asked: [DelayedBatch; 2] = [steps(1, vec![put("c", 30)]), steps(1, vec![settle("a", 10)])];
    for batch in &asked {
        let refused = older.write(0, batch).unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
    }
    assert_eq!(pending(&newer), ["a", "b"]);
    newer.write(0, &steps(2, vec![settle("b", 20)])).unwrap();
    assert_eq!((pending(&newer), newer.written().count), (vec!["a".to_owned()], 2));
}

#[test]
fn a_batch_of_many_events_goes_down_in_one_write() {
    let tables = Tables::new();
    let door = tables.door("khronos");
    let mut store = PostgresDelayed::open(&door, DelayedLimits::default()).unwrap();
    let puts = (0..2_500).map(|number| put(&format!("n{number:04}"), number)).collect();
    store.write(0, &steps(0, puts)).unwrap();
    let settled = (0..2_500).step_by(2).map(|number| settle(&format!("n{number:04}"), number)).collect();
    let written = store.write(0, &steps(9, settled)).unwrap();
    assert_eq!((written.balance.settled, written.balance.pending, written.last_row), (1_250, 1_250, 1_250));
    assert_eq!(store.written().count, 2);
    let left = (0..2_500).filter(|number| number % 2 == 1).map(|number| format!("n{number:04}"));
    assert_eq!(pending(&store), left.collect::<Vec<_>>());
    assert_eq!(store.reader().read(0, usize::MAX).unwrap().rows.len(), 1_250);
}

#[test]
fn of_each_row_it_is_known_under_which_leadership_it_was_written() {
    let tables = Tables::new();
    let settles = |address: &str, name: &str, at: i64| {
        let process = tables.of_another_process();
        let options = DoorOptions { address: Some(address.into()), ..process.options() };
        let mut store = open(&process.door_with("khronos", options)).unwrap();
        store.write(0, &steps(at, vec![put(name, at)])).unwrap();
        store.write(0, &steps(at, vec![settle(name, at)])).unwrap();
    };
    // At times of which neither trims the other.
    settles("http://one:7650", "a", 1);
    settles("http://two:7650", "b", 2);
    let store = open(&tables.of_another_process().door("khronos")).unwrap();
    let leader = |row| store.reader().leader(row).unwrap().unwrap();
    let addresses = [1, 2].map(|row| leader(row).address.unwrap());
    assert_eq!(addresses, ["http://one:7650", "http://two:7650"]);
    assert!(leader(1).term < leader(2).term);
    assert_eq!(store.reader().leader(0).unwrap(), None);
}
