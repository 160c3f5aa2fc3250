//! Both stores behind a pooler in transaction mode: each transaction may get another session of the server, and another client's
//! transactions come in between.

use super::{PostgresDelayed, faults::Tally};
use crate::{
    delayed::redb::fixture::{batch, content, limits, twin},
    engine::{Commit, delayed::DelayedStore as _},
    postgres::{
        Door, Failed, Follower, Writing,
        fixture::{PATIENCE, Tables},
        number,
    },
    store::{PostgresOptions, PostgresStore, Store as _},
};
use ponos::event::Timestamp;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use testkit::{PgBouncer, Postgres, block_until, block_until_or_tell};

/// Ends what runs beside a test, when the test fails, too.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The process of the server that a transaction of this writer is made by.
fn server(door: &Door) -> u64 {
    let session = door.session().unwrap();
    let asked = session.write(Writing::default(), async |calls| {
        let row = calls.one(calls.statement("select pg_backend_pid()::bigint")).await?;
        number(&row.ok_or_else(|| Failed::Unreadable("no answer".into()))?, 0)
    });
    asked.unwrap()
}

#[test]
fn behind_a_pooler_in_transaction_mode_both_stores_keep_what_they_keep_elsewhere() {
    const WRITES: u64 = 40;
    let bouncer = PgBouncer::start(Postgres::shared(), 3);
    let tables = Tables::new();
    let pooled = tables.by(&bouncer.url(tables.url()));
    let door = pooled.door("khronos");
    let (mut delayed, mut twin) = (PostgresDelayed::open(&door, limits()).unwrap(), twin());
    let mut store = PostgresStore::open(&door, &PostgresOptions::default()).unwrap();
    let is_over = AtomicBool::new(false);
    let mut servers = BTreeSet::new();
    thread::scope(|scope| {
        let _ending = Ending(&is_over);
        for _ in 0..2 {
            scope.spawn(|| {
                let follower = Follower::new(&pooled.of_another_process().door("khronos"));
                while !is_over.load(Ordering::SeqCst) {
                    assert!(!follower.look().unwrap().unwrap().is_ours);
                }
            });
        }
        for write in 1..=WRITES {
            delayed.write(0, &batch(write)).unwrap();
            twin.write(0, &batch(write)).unwrap();
            let at = Timestamp::from_millis(write as i64);
            store.save(0, &Commit { settled: at, handed: at, reached: at, ..Commit::default() }).unwrap();
            servers.insert(server(&door));
        }
        assert_eq!(content(&mut delayed, WRITES).unwrap(), content(&mut twin, WRITES).unwrap());
        // Which session each transaction gets is the pooler's affair.
        let look = || {
            servers.insert(server(&door));
            (servers.len() > 1).then_some(())
        };
        let tell = || format!("each transaction had the same session\n{}", bouncer.log());
        block_until_or_tell("another session", PATIENCE, look, tell);
    });
    drop((store, delayed));
    // What is there is there without it, too.
    let door = tables.door("khronos");
    let mut delayed = PostgresDelayed::open(&door, limits()).unwrap();
    assert_eq!(content(&mut delayed, WRITES).unwrap(), content(&mut twin, WRITES).unwrap());
    let mut store = PostgresStore::open(&door, &PostgresOptions::default()).unwrap();
    assert_eq!(store.written().count, WRITES);
    assert_eq!(store.load().unwrap().settled, Some(Timestamp::from_millis(WRITES as i64)));
}

#[test]
fn a_server_behind_a_pooler_that_crashes_loses_what_need_not_last_and_nobody_is_taken_for_another_leader() {
    let postgres = Postgres::start(true);
    let bouncer = PgBouncer::start(&postgres, 3);
    let tables = Tables::at(&bouncer.url(&postgres.database("stores")));
    let door = tables.door("khronos");
    let (mut delayed, mut twin) = (PostgresDelayed::open(&door, limits()).unwrap(), twin());
    let mut store = PostgresStore::open(&door, &PostgresOptions::default()).unwrap();
    let mut tally = Tally::default();
    // A server that was quick to write its log to disk loses nothing, so that one crash may be too few.
    while tally.written < 60 || (tally.failures == 0 && tally.written < 600) {
        if tally.written % 20 == 19 && tally.failures < 3 {
            // Most likely the last one is lost, which settles something; the connection to the pooler is not.
            postgres.restart();
        }
        let at = Timestamp::from_millis(tally.written as i64);
        let saved = store.save(0, &Commit { settled: at, handed: at, reached: at, ..Commit::default() });
        let done = saved.and_then(|_| {
            // What was written before is durable with it.
            tally.durable = tally.written;
            delayed.write(0, &batch(tally.written + 1))
        });
        if !tally.note(done) {
            drop((store, delayed));
            let open = || {
                let delayed = PostgresDelayed::open(&door, limits()).ok()?;
                Some((PostgresStore::open(&door, &PostgresOptions::default()).ok()?, delayed))
            };
            (store, delayed) = block_until("the server", PATIENCE, open);
            tally.go_on(delayed.written().count);
        }
    }
    let Tally { written, failures, .. } = tally;
    assert!(failures > 0, "nothing was lost\n{}", bouncer.log());
    (1..=written).try_for_each(|write| twin.write(0, &batch(write)).map(|_| ())).unwrap();
    assert_eq!(content(&mut delayed, written).unwrap(), content(&mut twin, written).unwrap());
}
