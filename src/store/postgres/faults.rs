//! What may happen to a store on Postgres: connections that are cut where they commit, a server that is killed or stands still,
//! another clock.

use super::{FORM, PostgresOptions, PostgresStore};
use crate::{
    clock,
    config::MetricsConfig,
    delayed::{DelayedLimits, DelayedStore as _, PostgresDelayed},
    engine::{Commit, Row, Span},
    postgres::{
        Door, DoorOptions,
        fixture::{PATIENCE, Tables},
        proxy::{Cut, Proxy},
    },
    store::{Opener, Store, StoreError, StoreEvent, Tuning, conformance::rows, open},
    telemetry::Counts,
};
use ponos::event::Timestamp;
use std::{sync::Arc, time::Duration};
use testkit::{Postgres, block_until};
use tokio::sync::mpsc::UnboundedReceiver;

fn commit(settled: i64, rows: Vec<Row>) -> Commit {
    let at = Timestamp::from_millis(settled);
    Commit { settled: at, handed: at, reached: at, rows, ..Commit::default() }
}

fn store(door: &Door) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(door, &PostgresOptions::default())
}

fn opener(door: Door) -> Opener {
    Box::new(move || store(&door).map(|store| Box::new(store) as Box<dyn Store>))
}

fn tuning() -> Tuning {
    let millisecond = Duration::from_millis(1);
    Tuning { pause: millisecond, longest_pause: 50 * millisecond, patience: PATIENCE, ..Tuning::default() }
}

fn counts() -> Counts {
    Counts::new("khronos", &MetricsConfig::default())
}

/// The next answer to a save: its ticket, and the number of the record's last row.
async fn saved(events: &mut UnboundedReceiver<StoreEvent>) -> (u64, u64) {
    let next = async {
        loop {
            match events.recv().await.expect("the thread lives") {
                StoreEvent::Saved { ticket, last_sequence } => return (ticket, last_sequence),
                StoreEvent::SaveFailed { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("an answer in time")
}

/// Rows 1 to `last` lie there, each once, and W is at `last`.
fn assert_whole(tables: &Tables, last: u64) {
    let mut store = store(&tables.door("khronos")).unwrap();
    let page = store.read(0, usize::MAX).unwrap();
    assert!(page.rows.iter().map(|row| row.sequence).eq(1..=last), "{:?}", page.rows.len());
    let expected = rows(1..=last as i64);
    assert!(page.rows.into_iter().map(|row| row.row).eq(expected), "each row once");
    assert_eq!(store.load().unwrap().settled, Some(Timestamp::from_millis(last as i64)));
}

#[tokio::test]
async fn a_connection_that_is_cut_at_the_commit_loses_no_write_and_makes_none_twice() {
    let proxy = Proxy::to(Postgres::shared().port());
    let tables = Tables::new();
    let through = tables.through(&proxy);
    let (handle, _, mut events) = open(opener(through.door("khronos")), tuning(), counts()).await.unwrap();
    // Where more than one is cut, the acquisitions behind it are, too.
    let plans: [&[Cut]; 8] = [
        &[],
        &[Cut::Before],
        &[Cut::After],
        &[Cut::Before, Cut::Before],
        &[Cut::After, Cut::After],
        &[Cut::After, Cut::Before, Cut::After],
        &[Cut::Before, Cut::After, Cut::After, Cut::Before],
        &[],
    ];
    for (number, plan) in (1..).zip(plans) {
        plan.iter().for_each(|cut| proxy.plan(*cut));
        handle.save(number, commit(number as i64, rows([number as i64]))).unwrap();
        assert_eq!(saved(&mut events).await, (number, number), "{plan:?}");
        assert_eq!(proxy.planned(), 0);
    }
    handle.close().await.unwrap();
    tokio::task::spawn_blocking(move || assert_whole(&tables, 8)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_writes_keeps_each_of_them_once() {
    const WRITES: u64 = 300;
    let postgres = Arc::new(Postgres::start(true));
    let tables = Tables::at(&postgres.database("stores"));
    let (handle, _, mut events) = open(opener(tables.door("khronos")), tuning(), counts()).await.unwrap();
    for number in 1..=WRITES {
        handle.save(number, commit(number as i64, rows([number as i64]))).unwrap();
    }
    for number in 1..=WRITES {
        if [30, 130].contains(&number) {
            // Those behind are being written.
            let postgres = postgres.clone();
            tokio::task::spawn_blocking(move || postgres.restart()).await.unwrap();
        }
        assert_eq!(saved(&mut events).await, (number, number));
    }
    handle.close().await.unwrap();
    tokio::task::spawn_blocking(move || assert_whole(&tables, WRITES)).await.unwrap();
}

#[test]
fn a_server_that_does_not_answer_is_given_up_after_the_limit_and_what_it_was_told_is_known_later() {
    let proxy = Proxy::to(Postgres::shared().port());
    let tables = Tables::new();
    let through = tables.through(&proxy);
    let limit = Duration::from_secs(3);
    let door = through.door_with("khronos", DoorOptions { call_limit: limit, ..through.options() });
    let mut silent = store(&door).unwrap();
    silent.save(0, &commit(1, rows([1]))).unwrap();
    proxy.plan(Cut::Silence);
    let begun = clock::stopwatch();
    let error = silent.save(0, &commit(2, rows([2]))).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains("3000 ms"), "{error}");
    assert!(begun.elapsed() >= limit);
    assert!(silent.save(0, &commit(2, rows([2]))).is_err(), "until it is opened again");
    let before = silent.written();
    drop(silent);
    let mut again = store(&door).unwrap();
    assert_eq!(again.written(), before, "it was not kept");
    again.save(0, &commit(2, rows([2]))).unwrap();
    drop(again);
    assert_whole(&tables, 2);
}

#[test]
fn of_two_writers_of_one_clock_the_older_is_fenced_and_changes_nothing() {
    let tables = Tables::new();
    let no_time = DoorOptions { ttl: Duration::from_millis(1), ..tables.options() };
    let mut older = store(&tables.door_with("khronos", no_time)).unwrap();
    older.save(0, &commit(1, rows([1]))).unwrap();
    let other = tables.of_another_process();
    let mut newer = block_until("the lease to run out", PATIENCE, || store(&other.door("khronos")).ok());
    assert_eq!(newer.load().unwrap().settled, Some(Timestamp::from_millis(1)));
    newer.save(0, &commit(2, rows([2]))).unwrap();
    for _ in 0..2 {
        let refused = older.save(0, &commit(9, rows([9]))).unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
        let refused = older.append(0, &rows([9]), Timestamp::from_millis(9)).unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
    }
    // It may be read still, by the record that the newer one goes on with.
    assert_eq!(older.read(0, 9).unwrap(), newer.read(0, 9).unwrap());
    drop(older);
    newer.save(0, &commit(3, rows([3]))).unwrap();
    drop(newer);
    assert_whole(&tables, 3);
}

#[test]
fn what_a_leader_reads_is_refused_where_it_is_older_than_what_it_wrote_or_of_another_one() {
    let tables = Tables::new();
    let door = tables.door("khronos");
    let mut first = store(&door).unwrap();
    let mut delayed = PostgresDelayed::open(&door, DelayedLimits::default()).unwrap();
    first.save(0, &commit(1, rows([1]))).unwrap();
    let sql = |statement: &str| {
        Postgres::shared().sql("stores", &statement.replace("{s}", tables.schema()));
    };
    sql("create table {s}.before as select * from {s}.shard");
    // What a server shows that lags behind, or was another leader's.
    for change in ["writes = writes - 1", "term = term - 1", "holder = gen_random_uuid()"] {
        sql(&format!("update {{s}}.shard set {change}"));
        let opened = store(&door).map(drop);
        assert!(matches!(opened, Err(StoreError::Io { .. })), "{change}: {opened:?}");
        let loaded = first.load().map(drop);
        assert!(matches!(loaded, Err(StoreError::Io { .. })), "{change}: {loaded:?}");
        let opened = PostgresDelayed::open(&door, DelayedLimits::default()).map(drop);
        assert!(matches!(opened, Err(StoreError::Io { .. })), "{change}: {opened:?}");
        let loaded = delayed.load().map(drop);
        assert!(matches!(loaded, Err(StoreError::Io { .. })), "{change}: {loaded:?}");
        sql("delete from {s}.shard; insert into {s}.shard select * from {s}.before");
        assert_eq!(first.load().unwrap().settled, Some(Timestamp::from_millis(1)));
        delayed.load().unwrap();
    }
    first.save(0, &commit(2, rows([2]))).unwrap();
}

#[test]
fn a_store_of_an_older_form_says_the_newer_one_once_it_is_written_in_that() {
    let tables = Tables::new();
    let mut kept = store(&tables.door("khronos")).unwrap();
    kept.meta.form = FORM - 1;
    kept.save(0, &commit(1, rows([1]))).unwrap();
    drop(kept);
    assert_eq!(store(&tables.door("khronos")).unwrap().meta.form, FORM);
}

#[test]
fn what_is_not_what_was_written_is_refused_as_damage() {
    let tables = Tables::new();
    let mut kept = store(&tables.door("khronos")).unwrap();
    kept.save(0, &commit(1, rows(1..=5))).unwrap();
    drop(kept);
    let sql = |statement: &str| {
        Postgres::shared().sql("stores", &statement.replace("{s}", tables.schema()));
    };
    sql("delete from {s}.record where number = 3");
    let damaged = store(&tables.door("khronos")).unwrap().read(0, 9).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    sql("insert into {s}.span (clock, shard, key, value) values ('khronos', 0, 'sx', 'y')");
    let damaged = store(&tables.door("khronos")).unwrap().load().unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    sql("update {s}.shard set state = '\\x01'");
    let damaged = store(&tables.door("khronos")).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    sql("update {s}.shard set state = '\\x7f'");
    let newer = store(&tables.door("khronos")).unwrap_err();
    assert!(matches!(newer, StoreError::Newer { form: 127, .. }), "{newer}");
}

#[test]
fn a_row_that_is_lost_or_that_nobody_wrote_is_noticed_when_all_is_read() {
    let tables = Tables::new();
    let mut kept = store(&tables.door("khronos")).unwrap();
    let at = Timestamp::from_millis;
    let span = |revision: u32, through| {
        let span = Span { revision, after: at(0), through: at(through), handed: at(0), coalesced: None };
        ("a".into(), revision, Some(span))
    };
    let save =
        |kept: &mut PostgresStore, spans| kept.save(0, &Commit { spans, ..commit(1, Vec::new()) }).unwrap();
    save(&mut kept, (1..=3).map(|revision| span(revision, 7)).collect());
    // One goes, one stays as it is, one is another, and one comes.
    save(&mut kept, vec![("a".into(), 1, None), span(2, 7), span(3, 8), span(4, 7)]);
    save(&mut kept, vec![("a".into(), 9, None)]);
    assert_eq!(kept.load().unwrap().spans.len(), 3);
    drop(kept);
    let sql = |statement: &str| Postgres::shared().sql("stores", &statement.replace("{s}", tables.schema()));
    sql("create table {s}.before as select * from {s}.span");
    for (change, found) in [
        ("delete from {s}.span where key = (select key from {s}.span order by key limit 1)", 2),
        ("delete from {s}.span", 0),
        ("insert into {s}.span select clock, shard, set_byte(key, 1, 98), value from {s}.span limit 1", 4),
    ] {
        sql(change);
        let damaged = store(&tables.door("khronos")).unwrap().load().unwrap_err();
        let told = format!("3 rows were written to its table span, and {found} are there");
        assert!(
            matches!(damaged, StoreError::Damaged { .. }) && damaged.to_string().contains(&told),
            "{damaged}"
        );
        sql("delete from {s}.span; insert into {s}.span select * from {s}.before");
    }
    assert_eq!(store(&tables.door("khronos")).unwrap().load().unwrap().spans.len(), 3);
}
