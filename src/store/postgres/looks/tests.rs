//! What the thread of a follower holds, and what it makes of what goes wrong.

use super::super::{
    WarmStore,
    following::{Follower, Leader, assert_same, at, open, sql},
    held::{At, Held},
    load::{self, Found},
    warm::counts,
};
use super::{Answer, LEAST, Looked, OLDER, Shared, Work, pause};
use crate::{
    clock,
    engine::{Commit, Span},
    postgres::{
        Failed, NEWEST, Reads,
        fixture::{PATIENCE, Tables},
    },
    store::{Store, StoreError, conformance::rows},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use testkit::block_until;

#[test]
fn the_thread_of_a_follower_holds_what_the_leader_writes_until_somebody_takes_it() {
    let tables = Tables::new();
    let mut leader = Leader::new(4);
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    let door = tables.of_another_process().door("khronos");
    let warm = WarmStore::new(&door, counts()).unwrap();
    assert!(warm.take_over().take().is_none(), "it rests");
    let given_up = warm.take_over();
    warm.follow();
    let holds = |generation| {
        block_until("what was written", PATIENCE, || (warm.at() == Some(generation)).then_some(()));
    };
    holds(1);
    store.append(0, &rows([1]), leader.commit().settled).unwrap();
    holds(2);
    drop(store);
    assert!(given_up.take().is_none(), "what is held now is not of an opening from before");
    let warm = warm.take_over();
    let mut store = open(&door, Some(warm.clone()));
    let rest = store.load().unwrap();
    let (made, _) = warm.made().expect("it was held");
    let whole = store.load().unwrap();
    assert_same(made, rest, whole);
}

#[test]
fn what_does_not_read_is_found_by_who_follows_and_not_by_who_takes_over() {
    let tables = Tables::new();
    let mut store = open(&tables.door("khronos"), None);
    let span = |through| {
        let span = Span { revision: 1, after: at(1), through: at(through), handed: at(1), coalesced: None };
        let spans = vec![("a".into(), 1, Some(span))];
        Commit { settled: at(1), handed: at(9), reached: at(9), spans, ..Commit::default() }
    };
    store.save(0, &span(7)).unwrap();
    let mut follower = Follower::of(&tables);
    assert_eq!(follower.look(), None);
    store.save(0, &span(8)).unwrap();
    sql(&tables, "update {s}.span set value = ''");
    let shard = follower.door.shard();
    let whole = follower.reads.at_once(async |calls| Held::read(calls, shard, || true).await);
    assert!(matches!(whole, Err(StoreError::Damaged { .. })), "{whole:?}");
    let held = follower.held.take().expect("it was read before");
    let difference = follower.reads.at_once(async |calls| {
        let Found::Kept(meta) = load::meta(calls, shard).await? else { return Ok(None) };
        held.at.difference(calls, shard, &meta).await
    });
    let applied = held.apply(difference.unwrap().expect("it is known what was changed"));
    assert!(matches!(applied, Err(Failed::Unreadable(_))), "{applied:?}");
}

#[test]
fn where_what_tells_of_the_changes_does_not_read_all_is_read_anew() {
    let tables = Tables::new();
    let mut leader = Leader::new(7);
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    let mut follower = Follower::of(&tables);
    assert_eq!(follower.look(), None);
    store.save(0, &leader.commit()).unwrap();
    sql(&tables, "update {s}.touched set value = ''");
    let (held, shard) = (follower.held.take().expect("it was read before"), follower.door.shard());
    let difference = follower.reads.at_once(async |calls| {
        let Found::Kept(meta) = load::meta(calls, shard).await? else { return Ok(None) };
        held.at.difference(calls, shard, &meta).await
    });
    assert!(difference.expect("it is no failure").is_none());
}

#[test]
fn looks_that_come_to_nothing_are_made_later_and_later() {
    let pauses = |answer| [1, 2, 3, 4, 5, 99].map(|failures| pause(answer, failures));
    assert_eq!(pauses(Answer::Failed), [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert_eq!(pauses(Answer::Older), [5_000; 6]);
    assert_eq!(pauses(Answer::Given), [500; 6]);
}

#[test]
fn looks_that_come_to_nothing_are_counted_as_long_as_it_is_for_one_reason() {
    let shared = Shared::new(counts());
    shared.follow();
    let end = |answer: Answer| {
        // What was said before is no bound of what is said now.
        shared.state().next = i64::MAX;
        let wrong: Option<Arc<str>> = (answer != Answer::Given).then(|| "on purpose".into());
        shared.end(Looked { held: None, wrong, answer }, clock::reading(), false);
        let state = shared.state();
        (state.failures.1, state.next - state.ended)
    };
    assert_eq!([Answer::Failed; 3].map(end), [(1, 1_000), (2, 2_000), (3, 4_000)]);
    assert_eq!([Answer::Older; 2].map(end), [(1, 5_000), (2, 5_000)]);
    assert_eq!([Answer::Failed, Answer::Given, Answer::Failed].map(end), [(1, 1_000), (0, 500), (1, 1_000)]);
}

#[test]
fn however_often_a_look_is_wanted_there_is_some_time_from_one_to_the_next() {
    let shared = Shared::new(counts());
    shared.follow();
    assert!(shared.begin().is_some());
    let before = clock::reading();
    shared.end(Looked { held: None, wrong: None, answer: Answer::Given }, before, false);
    shared.look_now();
    assert!(shared.begin().is_some());
    assert!(clock::reading().boot >= before.boot + LEAST);
}

#[test]
fn in_tables_of_an_older_version_nothing_is_read_and_all_once_they_are_of_this_one() {
    let tables = Tables::new();
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &Leader::new(5).commit()).unwrap();
    sql(&tables, "alter table {s}.touched rename to later; delete from {s}.migration where number > 2");
    let door = tables.of_another_process().door("khronos");
    let shared = Shared::new(counts());
    let reads = Reads::new(&door);
    shared.follow();
    let look = || shared.look(&door, None, |at| shared.read(&door, &reads, at));
    let looked = look();
    assert_eq!((looked.answer, looked.wrong.as_deref()), (Answer::Older, Some(OLDER)));
    assert!(looked.held.is_none());
    let made = format!("insert into {{s}}.migration (number) select generate_series(3, {NEWEST})");
    sql(&tables, &format!("alter table {{s}}.later rename to touched; {made}"));
    let looked = look();
    assert!(looked.answer == Answer::Given && looked.held.is_some() && looked.wrong.is_none());
    // Of a newer version is nothing that waiting for helps soon.
    sql(&tables, "insert into {s}.migration (number) values (99)");
    let looked = look();
    assert!(looked.answer == Answer::Failed && looked.wrong.is_some_and(|why| why.contains("newer")));
}

#[test]
fn a_panic_is_said_and_counted_and_whoever_takes_over_then_waits_for_nothing() {
    let tables = Tables::new();
    let mut leader = Leader::new(6);
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    let door = tables.of_another_process().door("khronos");
    let (counts, reads) = (counts(), Reads::new(&door));
    let shared = Shared::new(counts.clone());
    // At the second look of all: something is held then.
    let (looks, was_held) = (AtomicU32::new(0), AtomicBool::new(false));
    let read = |at: Option<At>| match looks.fetch_add(1, Ordering::SeqCst) {
        1 => {
            was_held.store(at.is_some(), Ordering::SeqCst);
            panic!("on purpose")
        }
        _ => shared.read(&door, &reads, at),
    };
    let told = |what: &str| {
        block_until(what, PATIENCE, || format!("{:?}", *shared.told.borrow()).contains(what).then_some(()));
    };
    /// Else a failure would wait for the thread for ever.
    struct Closing<'a>(&'a Shared);
    impl Drop for Closing<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    std::thread::scope(|scope| {
        let _closing = Closing(&shared);
        scope.spawn(|| shared.work_by(&door, &reads, read));
        shared.follow();
        told("panicked");
        assert!(was_held.load(Ordering::SeqCst), "it was warm before");
        assert_eq!(counts.follower_panics(), 1);
        let state = shared.state();
        assert!(
            state.work == Work::Nothing && state.next == state.everything_next,
            "all is read, in a while"
        );
        drop(state);
        assert!(shared.take(1).is_none(), "nothing is held, and nobody waits for it");
        // It begins anew.
        shared.follow();
        told("Warm");
        assert!(shared.take(2).is_some());
    });
}
