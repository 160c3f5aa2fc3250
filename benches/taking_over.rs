//! Taking over on Postgres: how long it takes to open both stores, to read what the leader has written, and to have an engine, with
//! what was held while another clock led and without. `HELD` (100,000) says how many schedules, all different, and as many
//! delayed events. Reading goes by the connections that the follower has kept, as in a clock. Unlike there each store is opened behind
//! the other, and the first opens a connection for writing and takes the lease: a clock has both by then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    as_the_program,
    clock::rules,
    measure::{median, quantile, wall},
    setting,
};
use khronos::{
    config::MetricsConfig,
    delayed::{DelayedLimits, DelayedStore as _, PostgresDelayed},
    engine::{Commit, Engine, Era, Reading, Revision},
    postgres::{Door, DoorOptions},
    schedule::{CalendarStore, Definition, Packed},
    store::{PostgresOptions, PostgresStore, Store as _, TakeOver, WarmStore, Warmth},
    telemetry::Counts,
};
use ponos::event::Timestamp;
use std::{thread::sleep, time::Duration};
use testkit::Postgres;

/// Definitions in one write.
const A_WRITE: usize = 1_000;
const TIMES: usize = 20;
const ZONES: [&str; 4] = ["Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Sydney"];

fn main() {
    as_the_program();
    let count = setting("HELD", 100_000);
    let postgres = Postgres::start(true);
    let url = postgres.database("taking_over");
    let now = Timestamp::from_millis(wall() / 1_000_000);
    let door = |holder: &str| {
        let patience = Duration::from_secs(60);
        let limits = DoorOptions { connect_limit: patience, call_limit: patience, ..DoorOptions::default() };
        Door::new(&url, "khronos", DoorOptions { holder: holder.into(), ..limits }).unwrap()
    };
    let (leader, follower) =
        (door("00000000-0000-4000-8000-000000000001"), door("00000000-0000-4000-8000-000000000002"));
    let zones = CalendarStore::default();
    let revision = |number: usize| Era::first(1, now).of(definition(number, &zones));
    let mut settled = now;
    let mut commit = |revisions: Vec<Revision>| {
        settled = settled.plus(1);
        Commit {
            settled,
            handed: settled.plus(500),
            reached: settled.plus(500),
            revisions,
            ..Commit::default()
        }
    };
    let mut store = open(&leader, None);
    drop(PostgresDelayed::open(&leader, DelayedLimits::default()).unwrap());
    for first in (0..count).step_by(A_WRITE) {
        let revisions = (first..count.min(first + A_WRITE)).map(revision).collect();
        store.save(0, &commit(revisions)).unwrap();
    }
    // They are not read here, so that it does not matter what they are.
    postgres.sql("taking_over", &format!("insert into khronos.delayed_pending
        select 'khronos', 0, convert_to('later-' || number, 'utf8'), number, '\\x00', '\\x00' from generate_series(1, {count}) as number;
        analyze"));
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let warm = WarmStore::new(&follower, counts).unwrap();
    println!("{count} schedules, and as many delayed events");
    let mut times = [const { Vec::new() }; 4];
    for round in 0..TIMES {
        let start = wall();
        warm.follow();
        let warmth = warm.warmth();
        while !matches!(*warmth.borrow(), Warmth::Warm(_)) {
            sleep(Duration::from_millis(10));
        }
        if round == 0 {
            println!("  a follower that was just started is ready after {:.2} s", since(start) / 1e3);
        }
        // A thousand changes since it looked last, at most.
        for first in (0..A_WRITE).step_by(100) {
            let revisions = (first..first + 100).map(|number| revision(number * 31 % count)).collect();
            store.save(0, &commit(revisions)).unwrap();
        }
        drop(store);
        let start = wall();
        let warm = warm.take_over();
        store = open(&follower, Some(warm.clone()));
        times[0].push(since(start));
        let start = wall();
        let snapshot = store.load().unwrap();
        times[1].push(since(start));
        let (made, _) = warm.made().expect("it was held");
        let start = wall();
        let reading = Reading { wall: snapshot.settled.unwrap(), boot: 0 };
        let engine = Engine::take_over(rules(), made, snapshot, reading);
        times[2].push(since(start));
        assert_eq!(engine.len(), count);
        let start = wall();
        PostgresDelayed::open(&follower, DelayedLimits::default()).unwrap().load().unwrap();
        times[3].push(since(start));
        drop(store);
        store = open(&leader, None);
    }
    for (what, times) in [
        "taking the lease, opening the store, and reading what has changed",
        "applying that",
        "the engine",
        "the store of delayed events",
    ]
    .into_iter()
    .zip(&times)
    {
        println!("  {what}: {:.1} ms, at most {:.1}", median(times), quantile(times, 1.0));
    }
    drop(store);
    let start = wall();
    let mut store = open(&follower, None);
    let snapshot = store.load().unwrap();
    let read = since(start);
    let reading = Reading { wall: snapshot.settled.unwrap(), boot: 0 };
    let engine = Engine::start(rules(), snapshot, reading);
    println!("  with nothing held: {:.0} ms, of which reading {read:.0}", since(start));
    assert_eq!(engine.len(), count);
}

fn open(door: &Door, warm: Option<TakeOver>) -> PostgresStore {
    PostgresStore::open(door, &PostgresOptions { warm, ..PostgresOptions::default() }).unwrap()
}

/// In milliseconds.
fn since(start: i64) -> f64 {
    (wall() - start) as f64 / 1e6
}

fn definition(number: usize, zones: &CalendarStore) -> Packed {
    let definition = Definition {
        name: format!("held-{number:07}"),
        event: Some(format!("bench.item-{number}.fired")),
        cron: Some(format!("{} {} {} * * *", number / 7 % 60, number % 60, number / 60 % 24)),
        time_zone: Some(ZONES[number % ZONES.len()].into()),
        ..Definition::default()
    };
    Packed::build_with(&definition, zones).unwrap()
}
