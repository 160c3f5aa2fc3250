//! What a clock holds that follows another one, and what it takes over with.

use super::{
    PostgresOptions, PostgresStore, TakeOver, WarmStore,
    held::Held,
    load::{self, Found},
};
use crate::{
    engine::{
        ClockRules, Coalesced, Commit, Engine, Era, OneShot, Outcome, Parked, Reading, Resends, Revision,
        Row, Rules, Snapshot, Span, Warm,
    },
    postgres::{Door, Reads, fixture::Tables},
    schedule::{ADay, Created, Definition, Demand, DoorKind, Packed},
    store::{Store, conformance::rows},
};
use fastrand::Rng;
use ponos::event::{EventKind, Timestamp};
use std::{collections::BTreeMap, sync::Arc};
use testkit::Postgres;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + second * 1_000)
}

pub(super) fn open(door: &Door, warm: Option<TakeOver>) -> PostgresStore {
    PostgresStore::open(door, &PostgresOptions { warm, ..PostgresOptions::default() }).unwrap()
}

pub(super) fn sql(tables: &Tables, statements: &str) {
    Postgres::shared().sql("stores", &statements.replace("{s}", tables.schema()));
}

/// A clock that follows, look by look.
pub(super) struct Follower {
    pub(super) door: Door,
    pub(super) reads: Reads,
    pub(super) held: Option<Held>,
}

impl Follower {
    pub(super) fn of(tables: &Tables) -> Self {
        let door = tables.of_another_process().door("khronos");
        let reads = Reads::new(&door);
        Self { door, reads, held: None }
    }

    /// How many entries and rows were read; `None`: all were.
    pub(super) fn look(&mut self) -> Option<(usize, usize)> {
        let (shard, at) = (self.door.shard(), self.held.as_ref().map(|held| held.at));
        let read = self.reads.at_once(async |calls| {
            let Found::Kept(meta) = load::meta(calls, shard).await? else { return Ok(None) };
            let Some(at) = at else { return Ok(None) };
            at.difference(calls, shard, &meta).await
        });
        let Some(difference) = read.unwrap() else {
            self.held = self.reads.at_once(async |calls| Held::read(calls, shard, || true).await).unwrap();
            return None;
        };
        let counts = (difference.entries.len(), difference.rows.len());
        self.held = self.held.take().map(|held| held.apply(difference).unwrap());
        Some(counts)
    }

    /// Leads, with what it holds: what is the same as a load of everything.
    fn take_over(mut self) -> PostgresStore {
        let held = self.held.take().expect("it holds something");
        let warm = WarmStore::holding(&self.door, held).take_over();
        let mut store = open(&self.door, Some(warm.clone()));
        let rest = store.load().unwrap();
        let (made, _) = warm.made().expect("what has changed is known");
        let whole = store.load().unwrap();
        assert!(warm.made().is_none(), "what was held is gone");
        assert_same(made, rest, whole);
        store
    }
}

pub(super) fn assert_same(made: Warm, rest: Snapshot, whole: Snapshot) {
    let without =
        Snapshot { revisions: Vec::new(), one_shots: Vec::new(), sent: BTreeMap::new(), ..whole.clone() };
    assert_eq!(rest, without);
    let minute = 60_000;
    let clock = ClockRules { settle: 0, max_forward: minute, max_backward: minute, resume_backward: false };
    let rules = Rules {
        clock,
        resends: Resends { count: 3, over: minute },
        in_flight: 100,
        piece: 100,
        parked: 100,
        record_first: false,
        keep_finished: 86_400_000,
        demand: Demand { schedules: 10_000, often: ADay::of_a_second(1_000) },
    };
    let reading = Reading { wall: whole.settled.unwrap(), boot: 0 };
    let ahead = Engine::take_over(rules, made, rest, reading);
    let engine = Engine::start(rules, whole, reading);
    assert_eq!(ahead.kept_after(None, usize::MAX), engine.kept_after(None, usize::MAX));
    assert_eq!((ahead.len(), ahead.next_wakeup()), (engine.len(), engine.next_wakeup()));
    let all = |engine: &Engine| {
        let all = engine.running_after(None).map(|status| format!("{status:?}"));
        all.collect::<Vec<_>>()
    };
    assert_eq!(all(&ahead), all(&engine));
}

/// What a leader has written, and what it may write next.
pub(super) struct Leader {
    random: Rng,
    now: i64,
    set_backs: u32,
    created: u64,
    /// The last revision of each name, and those before it that are kept.
    last: BTreeMap<String, Revision>,
    older: Vec<(Arc<str>, u32)>,
}

impl Leader {
    pub(super) fn new(seed: u64) -> Self {
        let (last, older) = (BTreeMap::new(), Vec::new());
        Self { random: Rng::with_seed(seed), now: 100, set_backs: 0, created: 0, last, older }
    }

    fn definition(&mut self, name: &str, created: Option<Created>) -> Packed {
        let text = |text: &str| Some(text.to_owned());
        let mut definition = Definition {
            name: name.into(),
            event: text("test.time.passed"),
            created,
            ..Definition::default()
        };
        if name.starts_with('o') {
            definition.at = text("2026-03-01T00:00:00Z");
        } else {
            let minute = self.random.u8(0..60);
            definition.cron = Some(format!("{minute} * * * *"));
            definition.time_zone = text(["Europe/Paris", "Asia/Kolkata"][self.random.usize(0..2)]);
            definition.paused = Some(self.random.u8(0..5) == 0);
        }
        Packed::build(&definition).unwrap()
    }

    pub(super) fn commit(&mut self) -> Commit {
        self.now += self.random.i64(0..900);
        if self.random.u8(0..40) == 0 {
            self.set_backs += 1;
            self.now -= 500;
        }
        let mut commit = Commit::default();
        for _ in 0..self.random.usize(0..4) {
            self.change(&mut commit);
        }
        // What is said last about a key holds; an engine says each once.
        let (settled, handed) = (at(self.now), at(self.now + 2));
        Commit {
            settled,
            handed,
            reached: handed,
            set_backs: self.set_backs,
            created: self.created,
            ..commit
        }
    }

    fn change(&mut self, commit: &mut Commit) {
        let name = format!("{}{}", ["a", "o"][self.random.usize(0..2)], self.random.u8(0..6));
        let is_new = |commit: &Commit| commit.revisions.iter().all(|one| one.name() != name);
        let shared: Arc<str> = name.as_str().into();
        let last = self.last.get(&name).cloned();
        match (self.random.u8(0..8), last) {
            (0..=2, last) if is_new(commit) => {
                let (number, creation) = last.as_ref().map_or((1, 0), |last| {
                    let creation = last.definition.creation();
                    (last.number + 1, if last.ended.is_none() { creation } else { 0 })
                });
                // A name that ended comes again as another creation.
                let has_ended = last.as_ref().is_some_and(|last| last.ended.is_some());
                let is_created = creation > 0 || has_ended || self.random.bool();
                let created = is_created.then(|| {
                    self.created += u64::from(creation == 0);
                    let number = if creation > 0 { creation } else { self.created };
                    Created { number, owner: "billing".into(), door: DoorKind::Http }
                });
                let definition = self.definition(&name, created);
                let revision = Era::first(number, at(self.now)).of(definition);
                if let Some(last) = last {
                    self.older.push((shared.clone(), last.number));
                    commit.revisions.push(Revision { ended: last.ended.or(Some(at(self.now))), ..last });
                }
                let row = OneShot { revision: number, due: at(self.now + self.random.i64(-50..9_000)) };
                commit.one_shots.push((shared, name.starts_with('o').then_some(row)));
                commit.revisions.push(revision.clone());
                self.last.insert(name, revision);
            }
            (3, Some(last)) if is_new(commit) && last.ended.is_none() => {
                let ended = Revision { ended: Some(at(self.now)), ..last };
                commit.revisions.push(ended.clone());
                commit.one_shots.push((shared, None));
                self.last.insert(name, ended);
            }
            (4, _) if !self.older.is_empty() => {
                let forgotten = self.older.swap_remove(self.random.usize(0..self.older.len()));
                if commit.revisions.iter().all(|one| one.name() != &*forgotten.0) {
                    commit.spans.push((forgotten.0.clone(), forgotten.1, None));
                    commit.forgotten.push(forgotten);
                } else {
                    self.older.push(forgotten);
                }
            }
            (5, Some(last)) if name.starts_with('a') => {
                let (after, through) = (at(self.now - 9_000), at(self.now - self.random.i64(0..9)));
                let span = Span { revision: last.number, after, through, handed: after, coalesced: None };
                let span = self.random.bool().then_some(span);
                commit.spans.push((shared, last.number, span));
            }
            (6, Some(last)) => {
                let creation = last.definition.creation();
                let outcome =
                    Outcome::Confirmed { sent_at: at(self.now), lateness: 0, returned: self.random.bool() };
                let row = rows([1]).remove(0);
                commit.rows.push(Row { schedule: shared, revision: last.number, outcome, creation, ..row });
            }
            (_, Some(last)) if last.ended.is_none() => {
                let due = at(self.now - 60);
                let parked = Parked {
                    schedule: shared,
                    revision: last.number,
                    stands_for: Coalesced { first: due, last: due, count: 1 },
                    reason: "refused".into(),
                    at: due,
                    released: false,
                    singly: true,
                    refused: 1,
                    retry_at: None,
                    kind: EventKind::Occurrence,
                };
                commit.parked.push((self.random.u64(1..4), self.random.bool().then_some(parked)));
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_taken_over_with_what_changed_is_what_a_load_of_everything_gives() {
    let (mut differences, mut wholes) = (0, 0);
    for seed in 0..8 {
        let tables = Tables::new();
        let mut leader = Leader::new(seed);
        let mut store = open(&tables.door("khronos"), None);
        let mut follower = Follower::of(&tables);
        for _ in 0..60 {
            store.save(0, &leader.commit()).unwrap();
            if leader.random.u8(0..3) == 0 {
                match follower.look() {
                    Some(_) => differences += 1,
                    None => wholes += 1,
                }
            }
        }
        // As of its last look, then: what comes since is read by whoever takes over.
        if follower.held.is_none() {
            follower.look();
        }
        let set_backs = leader.set_backs;
        while leader.set_backs == set_backs && leader.random.u8(0..5) > 0 {
            store.save(0, &leader.commit()).unwrap();
        }
        if leader.set_backs > set_backs {
            follower.look();
        }
        drop(store);
        drop(follower.take_over());
    }
    assert!(differences > 80 && wholes > 8, "{differences} differences, {wholes} loads of everything");
}

#[test]
fn who_follows_reads_what_has_changed_alone() {
    let tables = Tables::new();
    let mut leader = Leader::new(1);
    let mut store = open(&tables.door("khronos"), None);
    let mut follower = Follower::of(&tables);
    let revision = |leader: &mut Leader, name: &str| {
        let definition = leader.definition(name, None);
        Era::first(1, at(0)).of(definition)
    };
    let many = (0..500).map(|number| revision(&mut leader, &format!("a{number:03}"))).collect();
    let commit = |settled| Commit { settled: at(settled), handed: at(settled), ..Commit::default() };
    store.save(0, &Commit { revisions: many, rows: rows(1..=300), ..commit(1) }).unwrap();
    assert_eq!(follower.look(), None, "all");
    assert_eq!(follower.look(), Some((0, 0)));
    let ended = Revision { ended: Some(at(2)), ..revision(&mut leader, "a007") };
    // With it goes the zone that it names.
    store.save(0, &Commit { revisions: vec![ended], rows: rows([301]), ..commit(2) }).unwrap();
    assert_eq!(follower.look(), Some((2, 1)));
    store.append(0, &rows([302, 303]), at(2)).unwrap();
    assert_eq!(follower.look(), Some((0, 2)));
    drop(store);
    follower.take_over();
}

#[test]
fn who_missed_a_write_or_holds_one_that_was_lost_reads_all() {
    let tables = Tables::new();
    let mut leader = Leader::new(2);
    let mut store = open(&tables.door("khronos"), None);
    let mut follower = Follower::of(&tables);
    store.save(0, &leader.commit()).unwrap();
    sql(&tables, "create table {s}.before as select * from {s}.shard");
    store.save(0, &leader.commit()).unwrap();
    assert_eq!((follower.look(), follower.look()), (None, Some((0, 0))));
    drop(store);
    // A server is promoted that lacks the last write, and another one gets its number.
    sql(
        &tables,
        "update {s}.shard set state = before.state from {s}.before; delete from {s}.touched where number = 2",
    );
    assert_eq!(follower.look(), None);
    assert!(follower.held.is_some(), "it goes on from the write before");
    follower.held = None;
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    follower.look();
    let lost = follower.held.take();
    drop(store);
    sql(
        &tables,
        "update {s}.shard set state = before.state from {s}.before; delete from {s}.touched where number = 2",
    );
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    follower.held = lost;
    assert_eq!(follower.look(), None, "the write of that number is another one");
    // An earlier version writes, which does not note what it touches.
    store.save(0, &leader.commit()).unwrap();
    sql(&tables, "delete from {s}.touched where number = 3");
    assert_eq!(follower.look(), None);
    assert!(follower.held.is_none(), "nobody could go on from there");
    store.save(0, &leader.commit()).unwrap();
    assert_eq!((follower.look(), follower.look()), (None, Some((0, 0))));
    drop(store);
    follower.take_over();
}

#[test]
fn of_what_writes_touched_the_newest_thousand_are_kept() {
    let tables = Tables::new();
    let mut store = open(&tables.door("khronos"), None);
    let mut follower = Follower::of(&tables);
    store.save(0, &Leader::new(3).commit()).unwrap();
    sql(
        &tables,
        "insert into {s}.touched select clock, shard, more, value
        from {s}.touched, generate_series(2, 1199) as series (more) where number = 1",
    );
    store.meta.generation = 1_199;
    store.save(0, &Commit { settled: at(5_000), ..Commit::default() }).unwrap();
    let kept =
        |of: &str| Postgres::shared().sql("stores", &format!("select {of} from {}.touched", tables.schema()));
    assert_eq!((kept("min(number)"), kept("max(number)")), ("201".into(), "1200".into()));
    assert_eq!((follower.look(), follower.look()), (None, Some((0, 0))));
}
