//! Faults at every point, and by chance: after each the store is as one that never failed.

use super::*;
use crate::delayed::{DelayedSnapshot, NumberedRow, RedbDelayed};

/// Where stores are opened that can fail.
#[derive(Clone, Copy, Debug)]
enum Disk {
    /// Loses what was not durable each time.
    Forgets,
    /// Loses nothing.
    Keeps,
    Redb,
}

struct Bench {
    script: Script,
    memory: DelayedMemory,
    folder: tempfile::TempDir,
    disk: Disk,
}

impl Bench {
    fn new(disk: Disk) -> Self {
        let memory = DelayedMemory::forgetful();
        Self { script: Script::new().0, memory, folder: tempfile::tempdir().unwrap(), disk }
    }

    fn opener(&self) -> DelayedOpener {
        let (script, memory, path) = (self.script.clone(), self.memory.clone(), self.folder.path().join("d"));
        let disk = self.disk;
        Box::new(move || {
            let limits = DelayedLimits::default();
            Ok(match disk {
                Disk::Redb => script.played(RedbDelayed::open(&path, "khronos", &RedbOptions::default())?),
                Disk::Keeps => script.played(memory.open("khronos", limits)?),
                Disk::Forgets => {
                    memory.crash();
                    script.played(memory.open("khronos", limits)?)
                }
            })
        })
    }
}

/// All that a store holds: no write may be lost, nor made twice.
#[derive(Debug, PartialEq)]
struct Content {
    snapshot: DelayedSnapshot,
    pending: Vec<String>,
    rows: Vec<NumberedRow>,
}

fn content(store: &mut dyn DelayedStore) -> Content {
    let rows = store.reader().read(0, usize::MAX).unwrap().rows;
    Content { snapshot: store.load().unwrap(), pending: pending(store), rows }
}

/// Writes these, each after its faults are planted, holds each answer and what is found against a twin that never fails; then
/// closes, with faults of its own, and compares all there is.
async fn held_against_a_twin(
    disk: Disk,
    writes: Vec<(DelayedBatch, Vec<Fault>)>,
    at_the_end: Option<Fault>,
    what: &str,
) {
    let bench = Bench::new(disk);
    let mut twin = DelayedMemory::default().open("khronos", DelayedLimits::default()).unwrap();
    let (store, _, mut events) = open(bench.opener(), tuning()).await.unwrap();
    let mut works = true;
    for (ticket, (batch, faults)) in (1..).zip(writes) {
        let expected = twin.write(0, &batch).unwrap();
        let lasts = batch.must_last();
        faults.into_iter().for_each(|fault| bench.script.plant(fault));
        store.write(ticket, batch).unwrap();
        loop {
            match events.recv().await {
                Some(Event::Failing { .. }) if works => works = false,
                Some(Event::Reopened) if !works => works = true,
                Some(Event::Written { ticket: told, written }) => {
                    assert_eq!((told, written.balance), (ticket, expected.balance), "{what}");
                    assert_eq!(written.last_row, expected.last_row, "{what}");
                    assert!(written.is_durable || !lasts, "{what}");
                    break;
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        assert!(works, "{what}: what is written says that it works");
        let names = vec!["a".into(), "b".into(), "c".into(), "d".into()];
        let known = twin.reader().find(&names).unwrap();
        store.find(ticket, names, Vec::new()).unwrap();
        match events.recv().await {
            Some(Event::Found { ticket: told, found, .. }) => {
                assert_eq!((told, found), (ticket, known), "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    // There is one more attempt when it is closed, and not another.
    bench.script.calm();
    at_the_end.into_iter().for_each(|fault| bench.script.plant(fault));
    store.close().await.unwrap();
    for event in told(events).await {
        assert!(["failing", "reopened"].contains(&event.as_str()), "{what}: {event}");
    }
    let mut store = bench.opener()().unwrap();
    assert_eq!(content(&mut *store), content(&mut twin), "{what}");
}

/// Of three kinds: puts, which last, settles, which need not, and one that lasts though it settles; at the end something is left
/// to be made durable.
fn story() -> Vec<DelayedBatch> {
    let only_copy = DelayedBatch { lasts: true, ..settles("b") };
    let moved = batch(5, vec![put("c", 20), DelayedStep::Cancel("d".into())]);
    vec![
        puts(&["a", "b", "c"]),
        settles("a"),
        puts(&["d"]),
        settles("d"),
        settles("nobody"),
        only_copy,
        moved,
        batch(20, vec![settle("c", 20)]),
    ]
}

const DISKS: [Disk; 3] = [Disk::Forgets, Disk::Keeps, Disk::Redb];

#[tokio::test]
async fn a_failure_at_any_write_loses_nothing_and_does_nothing_twice() {
    use Fault::{KeptUnanswered, Refused};
    let runs: [&[Fault]; 5] = [
        &[Refused],
        &[KeptUnanswered],
        &[Refused, KeptUnanswered],
        &[KeptUnanswered, Refused],
        &[Refused, Refused, KeptUnanswered, Refused],
    ];
    for (disk, faults) in DISKS.iter().flat_map(|disk| runs.iter().map(move |run| (*disk, run.to_vec()))) {
        for failing in 0..=story().len() {
            let of = |number: usize| if number == failing { faults.clone() } else { Vec::new() };
            let writes: Vec<_> = story().into_iter().enumerate().map(|(at, batch)| (batch, of(at))).collect();
            let end = of(writes.len()).first().copied();
            held_against_a_twin(disk, writes, end, &format!("{disk:?}, write {failing}: {faults:?}")).await;
        }
    }
}

#[tokio::test]
async fn failures_by_chance_lose_nothing_and_do_nothing_twice() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = if seed % 15 == 0 { Disk::Redb } else { DISKS[random.usize(0..2)] };
        let mut writes = Vec::new();
        for _ in 0..25 {
            let mut faults = Vec::new();
            while random.u32(0..3) == 0 {
                faults.push(if random.bool() { Fault::Refused } else { Fault::KeptUnanswered });
            }
            let mut name = || ["a", "b", "c", "d"][random.usize(0..4)];
            let (one, other) = (name(), name());
            let batch = match random.u32(0..5) {
                0 => puts(&[one, other]),
                1 => batch(3, vec![DelayedStep::Cancel(one.into())]),
                2 => DelayedBatch { lasts: true, ..settles(one) },
                _ => settles(one),
            };
            writes.push((batch, faults));
        }
        held_against_a_twin(disk, writes, Some(Fault::Refused), &format!("seed {seed}, {disk:?}")).await;
    }
}
