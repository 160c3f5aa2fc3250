//! What is read beside what is written.

use super::*;
use crate::engine::{Answered, MessageKey, Outcome, Verdict};

#[tokio::test]
async fn questions_are_answered_with_all_that_was_told_as_written() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    let message: MessageKey = ("billing".into(), "1".into());
    let answered = Answered { digest: [3; 32], verdicts: vec![Verdict::GoneAlready], at: t(0), number: 9 };
    let messages = vec![(message.clone(), answered.clone())];
    store.write(1, DelayedBatch { messages, ..puts(&["a", "b", "c"]) }).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    store.write(2, settles("b")).unwrap();
    assert_eq!(next(&mut events).await, "written 2");
    let names = ["a", "b", "z"].map(Arc::from).to_vec();
    store.find(3, names, vec![message, ("billing".into(), "2".into())]).unwrap();
    match events.recv().await {
        Some(Event::Found { ticket: 3, found, answered: answers }) => {
            assert!(
                matches!(&found[..], [Found::Pending(_), Found::Settled(_), Found::Nothing]),
                "{found:?}"
            );
            assert_eq!(answers, [Some(answered), None]);
        }
        other => panic!("{other:?}"),
    }
    store.due(4, t(0)..t(100), None, 1).unwrap();
    store.due(5, t(0)..t(100), Some(key("a", 10)), 9).unwrap();
    assert_eq!(next(&mut events).await, "due 4 1");
    assert_eq!(next(&mut events).await, "due 5 1");
}

#[tokio::test]
async fn contents_come_in_parts_and_what_is_gone_is_none() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, DelayedTuning { contents: 2, ..tuning() }).await;
    store.write(1, puts(&["a", "b", "c", "d", "e"])).unwrap();
    store.write(2, settles("b")).unwrap();
    for _ in 1..=2 {
        next(&mut events).await;
    }
    let wanted = ["e", "b", "a", "c", "d"].map(|name| DueEvent::from(&event(name, 10).head));
    store.contents((1..).zip(wanted).collect()).unwrap();
    assert_eq!(next(&mut events).await, "contents 1 true 2 false");
    assert_eq!(next(&mut events).await, "contents 3 true 4 true");
    assert_eq!(next(&mut events).await, "contents 5 true");
}

#[tokio::test]
async fn what_is_due_waits_for_a_part_of_what_is_looked_up_and_not_for_all_of_it() {
    let (memory, (script, mut calls)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, DelayedTuning { names: 2, ..tuning() }).await;
    store.write(1, puts(&["a", "b", "c", "d"])).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    let go = script.hold("find");
    store.find(2, ["a", "x", "c", "d", "z"].map(Arc::from).to_vec(), Vec::new()).unwrap();
    called(&mut calls, "find").await;
    store.due(3, t(0)..t(100), None, 9).unwrap();
    store.contents(vec![(7, DueEvent::from(&event("a", 10).head))]).unwrap();
    go.send(()).unwrap();
    assert_eq!(next(&mut events).await, "contents 7 true");
    assert_eq!(next(&mut events).await, "due 3 4");
    assert_eq!(next(&mut events).await, "found 2 pending nothing pending pending nothing");
}

#[tokio::test]
async fn a_panic_of_either_thread_is_told() {
    for call in ["write", "find"] {
        let (memory, (script, mut calls)) = (DelayedMemory::default(), Script::new());
        let (store, _, mut events) = started(&memory, &script, tuning()).await;
        // Nobody lets it go on: it panics.
        let go = script.hold(call);
        if call == "write" { store.write(1, puts(&["a"])) } else { find(&store, 1, "a") }.unwrap();
        called(&mut calls, call).await;
        drop(go);
        assert_eq!(next(&mut events).await, "gone", "{call}");
        assert_eq!(store.write(2, puts(&["a"])), Err(Closed));
        assert!(store.close().await.is_err());
        assert!(told(events).await.is_empty());
    }
}

#[tokio::test]
async fn the_content_of_what_was_released_is_that_of_its_creation_and_not_of_a_later_one_of_its_name() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    let of = |creation: u64| {
        let mut event = event("a", 10);
        event.head.creation = creation;
        event.content.data = creation.to_le_bytes().into();
        event
    };
    let put = |creation| DelayedStep::Put(Box::new(of(creation)));
    let outcome = Outcome::Parked("full".into());
    let park = DelayedStep::Settle { key: key("a", 10), outcome, keeps_content: false };
    let steps = vec![put(4), park, put(5), DelayedStep::Release(4)];
    store.write(1, DelayedBatch { steps, ..DelayedBatch::default() }).unwrap();
    next(&mut events).await;
    store.parked(2, 0, 9).unwrap();
    let Some(Event::Parked { ticket: 2, heads }) = events.recv().await else { panic!("they are read") };
    store.find_parked(3, vec![5, 4, 0]).unwrap();
    let Some(Event::FoundParked { ticket: 3, found }) = events.recv().await else { panic!("it is found") };
    assert!(heads.len() == 1 && heads[0].is_released && heads[0].event.is_parked, "{heads:?}");
    assert_eq!(found, [None, Some(heads[0].clone()), None]);
    let gone = DueEvent { creation: 3, ..heads[0].event.clone() };
    let wanted = vec![(6, heads[0].event.clone()), (7, DueEvent::from(&of(5).head)), (8, gone)];
    store.contents(wanted).unwrap();
    let mut read = Vec::new();
    while read.len() < 3 {
        let Some(Event::Contents(part)) = events.recv().await else { panic!("they are read") };
        read.extend(part.into_iter().map(|(token, _, event)| (token, event)));
    }
    assert_eq!(read, [(6, Some(of(4))), (7, Some(of(5))), (8, None)]);
}

#[tokio::test]
async fn nothing_that_is_read_waits_behind_a_write() {
    let (memory, (script, mut calls)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    let go = script.hold("write");
    store.write(1, puts(&["a"])).unwrap();
    called(&mut calls, "write").await;
    find(&store, 2, "a").unwrap();
    assert_eq!(next(&mut events).await, "found 2 nothing");
    assert_eq!(store.read_by(|reader| reader.find(&["a".into()])).await.unwrap(), [Found::Nothing]);
    go.send(()).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
}

#[tokio::test]
async fn while_a_store_is_opened_again_questions_wait_and_are_answered_once() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let (go, opens) = std::sync::mpsc::channel();
    let mut reopens = opener(&memory, &script);
    go.send(()).unwrap();
    let opener: DelayedOpener = Box::new(move || {
        opens.recv().unwrap();
        reopens()
    });
    let (store, _, mut events) = open(opener, tuning()).await.unwrap();
    store.write(1, puts(&["a", "b"])).unwrap();
    store.write(2, settles("a")).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    assert_eq!(next(&mut events).await, "written 2");
    script.plant(Fault::Refused);
    store.write(3, puts(&["c"])).unwrap();
    assert_eq!(next(&mut events).await, "failing");
    find(&store, 4, "a").unwrap();
    store.due(5, t(0)..t(100), None, 9).unwrap();
    let meanwhile = store.read_by(|reader| reader.read(0, 1)).await;
    assert!(matches!(meanwhile, Err(StoreError::Io { .. })), "{meanwhile:?}");
    assert!(events.try_recv().is_err());
    go.send(()).unwrap();
    let mut rest = Vec::new();
    for _ in 0..4 {
        rest.push(next(&mut events).await);
    }
    // The two threads speak at the same time.
    let read: Vec<_> = rest.iter().filter(|told| !told.starts_with("due")).collect();
    assert!(read.contains(&&"found 4 settled".to_owned()), "what was lost is there again: {rest:?}");
    assert!(rest.iter().any(|told| told == "due 5 1" || told == "due 5 2"), "{rest:?}");
    let written = rest.iter().filter(|told| ["reopened", "written 3 for good"].contains(&told.as_str()));
    assert!(written.eq(["reopened", "written 3 for good"]), "{rest:?}");
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
}

#[tokio::test]
async fn what_was_read_of_a_store_that_was_closed_meanwhile_is_read_again() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    store.write(1, puts(&["a"])).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    let go = script.hold("find");
    find(&store, 2, "b").unwrap();
    called(&mut calls, "find").await;
    script.plant(Fault::Refused);
    store.write(3, puts(&["b"])).unwrap();
    for expected in ["failing", "reopened", "written 3 for good"] {
        assert_eq!(next(&mut events).await, expected);
    }
    go.send(()).unwrap();
    assert_eq!(next(&mut events).await, "found 2 pending");
}

#[tokio::test]
async fn a_read_that_fails_has_the_store_opened_again_and_is_told_once() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    store.write(1, puts(&["a", "b"])).unwrap();
    store.write(2, settles("a")).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    assert_eq!(next(&mut events).await, "written 2");
    (0..3).for_each(|_| script.fail_reading(io()));
    find(&store, 3, "a").unwrap();
    find(&store, 4, "b").unwrap();
    assert_eq!(next(&mut events).await, "failing");
    // The two threads speak at the same time.
    let mut rest = [next(&mut events).await, next(&mut events).await, next(&mut events).await];
    rest.sort();
    assert_eq!(rest, ["found 3 settled", "found 4 pending", "reopened"]);
    let finds = std::iter::from_fn(|| calls.try_recv().ok()).filter(|call| *call == "find").count();
    assert_eq!(finds, 3 + 2);
}

#[tokio::test]
async fn others_whose_read_fails_are_told_and_have_the_store_opened_again() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    let read = || store.read_by(|reader| reader.read(0, 9));
    script.fail_reading(io());
    assert!(matches!(read().await, Err(StoreError::Io { .. })));
    assert_eq!(next(&mut events).await, "failing");
    while read().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut events).await, "reopened");
    // A damaged page is the asker's matter.
    script.fail_reading(damaged());
    assert!(matches!(read().await, Err(StoreError::Damaged { .. })));
    read().await.unwrap();
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
}

pub(super) fn damaged() -> StoreError {
    StoreError::Damaged { path: "store".into(), what: "a page".into(), remedy: "restore it".into() }
}

#[tokio::test]
async fn damage_under_what_is_looked_up_is_the_askers_matter_alone() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    script.fail_reading(damaged());
    find(&store, 1, "a").unwrap();
    assert_eq!(next(&mut events).await, "not found 1");
    store.write(2, puts(&["a"])).unwrap();
    assert_eq!(next(&mut events).await, "written 2 for good");
    find(&store, 3, "a").unwrap();
    assert_eq!(next(&mut events).await, "found 3 pending");
    script.fail_reading(damaged());
    store.find_parked(4, vec![1]).unwrap();
    assert_eq!(next(&mut events).await, "not found 4");
    script.fail_reading(damaged());
    store.parked(5, 0, 9).unwrap();
    assert_eq!(next(&mut events).await, "not found 5");
    store.parked(6, 0, 9).unwrap();
    assert_eq!(next(&mut events).await, "parked 6 0");
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
}

#[tokio::test]
async fn damage_under_what_is_due_ends_it() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    script.fail_reading(damaged());
    store.due(1, t(0)..t(100), None, 9).unwrap();
    assert_eq!(next(&mut events).await, "gone");
    assert_eq!(store.write(2, puts(&["a"])), Err(Closed));
    assert!(matches!(store.read_by(|reader| reader.read(0, 1)).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(store.close().await, Err(StoreError::Damaged { .. })));
    assert!(told(events).await.is_empty());
}
