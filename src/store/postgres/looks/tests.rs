//! What the thread of a follower holds, and what it makes of what goes wrong.

use super::super::{
    WarmStore,
    following::{Follower, Leader, assert_same, at, open, sql},
    held::Held,
    load::{self, Found},
};
use crate::{
    engine::{Commit, Span},
    postgres::{
        Failed,
        fixture::{PATIENCE, Tables},
    },
    store::{Store, StoreError, conformance::rows},
};
use testkit::block_until;

#[test]
fn the_thread_of_a_follower_holds_what_the_leader_writes_until_somebody_takes_it() {
    let tables = Tables::new();
    let mut leader = Leader::new(4);
    let mut store = open(&tables.door("khronos"), None);
    store.save(0, &leader.commit()).unwrap();
    let door = tables.of_another_process().door("khronos");
    let warm = WarmStore::new(&door).unwrap();
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
