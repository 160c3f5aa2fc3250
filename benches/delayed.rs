//! The store of delayed events by itself: how many a second are durable, in batches and one by one; what a million of them take of
//! disk and memory; how soon it is open again, after a clean end and after a kill; how many a second are read for handing over, and
//! settled in time order. Beside it, in the same run, what the disk gives: writes of a page made durable one by one (`fdatasync`).
//! `EVENTS` (1,000,000), `BATCH` (1,000), `DATA` (200 bytes each); `FOLDER`: on which disk. Figures: docs/adr/0027-delayed-store.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

#[allow(dead_code, unreachable_pub)] // a part of it is used
#[path = "common/measure.rs"]
mod measure;

use khronos::{
    delayed::{
        DelayedBatch, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedStep, DelayedStore,
        RedbDelayed, RedbOptions,
    },
    engine::Outcome,
};
use measure::{memory, quantile, wall};
use ponos::event::Timestamp;
use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _, path::Path, process::Command, sync::Arc};

const START: Timestamp = Timestamp::from_millis(1_764_547_200_000);
/// Events are due within this many milliseconds: a day.
const DAY: u64 = 86_400_000;

fn main() {
    let folder = std::env::var_os("FOLDER").map_or_else(std::env::temp_dir, Into::into);
    if let Some(path) = std::env::var_os("KILLED") {
        killed(Path::new(&path));
    }
    let place = tempfile::tempdir_in(folder).unwrap();
    let path = place.path().join("delayed");
    let (events, batch, data) = (setting("EVENTS", 1_000_000), setting("BATCH", 1_000), setting("DATA", 200));
    println!("{events} events of {data} bytes, due at random within a day, in batches of {batch}");
    println!("a page written and made durable, one after the other: {:.0} a second", syncs(place.path()));

    let mut store = open(&path);
    let (begin, mut times) = (wall(), Vec::new());
    for first in (0..events).step_by(batch) {
        let asked = wall();
        put(&mut store, first..events.min(first + batch), data);
        times.push((wall() - asked) as f64 / 1e6);
    }
    show("put", events, begin, &times);
    let disk = on_disk(&path);
    let beside = (disk as f64 - (events * data) as f64) / events as f64;
    println!("  {} MiB on disk: {beside:.0} bytes an event beside its data", disk >> 20);
    resident();

    let (begin, mut times) = (wall(), Vec::new());
    for one in events..events + 300 {
        let asked = wall();
        put(&mut store, one..one + 1, data);
        times.push((wall() - asked) as f64 / 1e6);
    }
    show("put one by one", 300, begin, &times);

    let names: Vec<Arc<str>> = (0..20_000).map(|n| format!("unknown {n}").into()).collect();
    let begin = wall();
    names.chunks(batch).for_each(|names| drop(store.reader().find(names).unwrap()));
    show("looked up by a name that is not there", names.len(), begin, &[]);

    let begin = wall();
    drop(store);
    println!("closed in {:.1} ms", (wall() - begin) as f64 / 1e6);
    let begin = wall();
    drop(open(&path));
    println!("opened and closed after a clean end in {:.1} ms", (wall() - begin) as f64 / 1e6);
    let ran = Command::new(std::env::current_exe().unwrap()).env("KILLED", &path).output().unwrap();
    assert!(!ran.status.success(), "it kills itself");
    let begin = wall();
    let mut store = open(&path);
    let due = store.reader().due(START..START.plus(DAY as i64), None, 1).unwrap();
    println!("after a kill the first event is there in {:.1} ms", (wall() - begin) as f64 / 1e6);
    assert_eq!(due.len(), 1);

    settle_all(&mut store, batch);
    resident();
    println!("  {} MiB on disk", on_disk(&path) >> 20);
}

/// Reads all that is due, a page at a time, with its content, and settles it; durable once a second.
fn settle_all(store: &mut RedbDelayed, batch: usize) {
    let reader = store.reader();
    let (begin, mut flushed, mut count) = (wall(), wall(), 0);
    let (mut reading, mut times) = (0, Vec::new());
    loop {
        let read = wall();
        let due = reader.due(START..START.plus(DAY as i64), None, batch).unwrap();
        let keys: Vec<DelayedKey> = due.into_iter().map(|due| due.key).collect();
        let found = reader.events(&keys).unwrap();
        assert!(found.iter().all(Option::is_some));
        reading += wall() - read;
        if keys.is_empty() {
            break;
        }
        count += keys.len();
        let asked = wall();
        let outcome = Outcome::Confirmed { sent_at: START, lateness: 1, returned: false };
        let settle = |key| DelayedStep::Settle { key, outcome: outcome.clone(), keeps_content: false };
        let steps = keys.into_iter().map(settle).collect();
        store.write(0, &DelayedBatch { now: START, steps, ..DelayedBatch::default() }).unwrap();
        if wall() - flushed > 1_000_000_000 {
            store.flush(0).unwrap();
            flushed = wall();
        }
        times.push((wall() - asked) as f64 / 1e6);
    }
    store.flush(0).unwrap();
    show("read with its content and settled, in time order", count, begin, &times);
    println!("  of that time, reading: {:.0} %", 100.0 * reading as f64 / (wall() - begin) as f64);
}

fn open(path: &Path) -> RedbDelayed {
    RedbDelayed::open(path, "khronos", &RedbOptions::default()).unwrap()
}

/// Puts and settles something, and ends without any care.
fn killed(path: &Path) -> ! {
    let mut store = open(path);
    put(&mut store, 900_000_000..900_001_000, 200);
    let due = store.reader().due(START..START.plus(DAY as i64), None, 500).unwrap();
    let settle = |key| DelayedStep::Settle { key, outcome: Outcome::Dropped, keeps_content: false };
    let steps = due.into_iter().map(|due| settle(due.key)).collect();
    store.write(0, &DelayedBatch { now: START, steps, ..DelayedBatch::default() }).unwrap();
    std::process::abort()
}

fn put(store: &mut RedbDelayed, numbers: std::ops::Range<usize>, data: usize) {
    let steps = numbers.map(|number| DelayedStep::Put(Box::new(event(number as u64, data)))).collect();
    let written = store.write(0, &DelayedBatch { now: START, steps, ..DelayedBatch::default() }).unwrap();
    assert!(written.is_durable);
}

/// With a name as the server makes them.
fn event(number: u64, data: usize) -> DelayedEvent {
    let mut random = fastrand::Rng::with_seed(number);
    let due = START.plus(random.u64(0..DAY) as i64);
    let [a, b] = [random.u64(..), random.u64(..)];
    let name = format!(
        "{:08x}-{:04x}-5{:03x}-{:04x}-{:012x}",
        a >> 32,
        a & 0xffff,
        a >> 16 & 0xfff,
        b >> 48,
        b & 0xffff_ffff_ffff
    );
    let head = DelayedHead {
        key: DelayedKey { send: due, name: name.into() },
        due,
        creation: number + 1,
        revision: 1,
        owner: "billing".into(),
        event: "order.reminder.due".into(),
        queue: None,
        is_named: number.is_multiple_of(2),
        refused: 0,
        at: START,
        digest: number.to_le_bytes().repeat(2).try_into().unwrap(),
    };
    let data: Vec<u8> = (0..data).map(|_| random.alphanumeric() as u8).collect();
    DelayedEvent { head, content: DelayedContent { data: data.into(), ..DelayedContent::default() } }
}

fn show(what: &str, count: usize, begin: i64, times: &[f64]) {
    let a_second = count as f64 / ((wall() - begin) as f64 / 1e9);
    let took = match times {
        [] => String::new(),
        times => {
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(times, part));
            format!("; a write took {p50:.1} ms (p99 {p99:.1}, at most {most:.1})")
        }
    };
    println!("{what}: {a_second:.0} a second{took}");
}

/// Bytes that the database takes. Its length says less: it grows by much at once, and what was not written yet takes nothing.
fn on_disk(path: &Path) -> u64 {
    fs::metadata(path.join("delayed.redb")).unwrap().blocks() * 512
}

fn resident() {
    println!("  {:.0} MiB resident (peak {:.0})", memory("VmRSS"), memory("VmHWM"));
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How often a page of a file can be written and made durable in a second.
fn syncs(folder: &Path) -> f64 {
    let mut file = fs::File::create(folder.join("page")).unwrap();
    let (begin, mut count) = (wall(), 0);
    while wall() - begin < 2_000_000_000 {
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / ((wall() - begin) as f64 / 1e9)
}
