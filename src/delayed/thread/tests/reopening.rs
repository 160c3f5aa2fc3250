//! The disk fails.

use super::{reading::damaged, *};

#[tokio::test]
async fn a_failed_write_is_repeated_until_it_succeeds_and_told_once() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    for fault in [Fault::Refused, Fault::Unopenable, Fault::Unopenable, Fault::Refused] {
        memory.plant(fault);
    }
    store.write(1, puts(&["a"])).unwrap();
    store.write(2, puts(&["b"])).unwrap();
    for expected in ["failing", "reopened", "written 1 for good", "written 2 for good"] {
        assert_eq!(next(&mut events).await, expected);
    }
    assert_eq!((memory.planted(), memory.balance().accepted), (0, 2));
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_made_twice() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    memory.plant(Fault::KeptUnanswered);
    store.write(1, puts(&["a", "b"])).unwrap();
    assert_eq!(next(&mut events).await, "failing");
    assert_eq!(next(&mut events).await, "reopened");
    match events.recv().await {
        Some(Event::Written { ticket: 1, written }) => {
            assert!(written.is_durable);
            assert_eq!(written.balance, memory.balance());
        }
        other => panic!("{other:?}"),
    }
    let called: Vec<_> = std::iter::from_fn(|| calls.try_recv().ok()).collect();
    assert_eq!(called, ["write", "flush"], "whether it lasts is not known before");
    let of = memory.open("khronos", DelayedLimits::default()).unwrap();
    assert_eq!((of.written().count, pending(&of)), (1, vec!["a".into(), "b".into()]));
}

#[tokio::test]
async fn what_was_lost_is_written_again_before_a_flush_is() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    store.write(1, puts(&["a", "b", "c"])).unwrap();
    store.write(2, settles("a")).unwrap();
    store.write(3, settles("b")).unwrap();
    for _ in 1..=3 {
        next(&mut events).await;
    }
    memory.plant(Fault::Refused);
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["failing", "reopened"]);
    let called: Vec<_> = std::iter::from_fn(|| calls.try_recv().ok()).collect();
    assert_eq!(called, ["write", "write", "write", "flush", "write", "write", "flush"]);
    memory.crash();
    assert_eq!(memory.balance(), store.balance());
    assert_eq!(memory.balance().settled, 2);
}

#[tokio::test]
async fn while_the_disk_fails_closing_makes_one_last_attempt() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let slow = DelayedTuning { pause: HOUR, longest_pause: HOUR, ..tuning() };
    let (store, _, mut events) = started(&memory, &script, slow).await;
    (0..3).for_each(|_| memory.plant(Fault::Refused));
    store.write(1, puts(&["a"])).unwrap();
    store.write(2, puts(&["b"])).unwrap();
    find(&store, 3, "a").unwrap();
    while next(&mut events).await != "failing" {}
    assert!(matches!(store.close().await, Err(StoreError::Io { .. })));
    assert_eq!(told(events).await.last().unwrap(), "gone");
    assert!(matches!(store.close().await, Err(StoreError::Io { .. })), "whoever asks");
    let writes = std::iter::from_fn(|| calls.try_recv().ok()).filter(|call| *call == "write").count();
    assert_eq!((writes, memory.planted(), memory.balance().accepted), (2, 1, 0));
}

#[tokio::test]
async fn a_last_attempt_that_succeeds_closes_as_if_nothing_had_been() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let slow = DelayedTuning { pause: HOUR, longest_pause: HOUR, ..tuning() };
    let (store, _, mut events) = started(&memory, &script, slow).await;
    memory.plant(Fault::Refused);
    store.write(1, puts(&["a"])).unwrap();
    store.write(2, settles("a")).unwrap();
    assert_eq!(next(&mut events).await, "failing");
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["reopened", "written 1 for good", "written 2"]);
    memory.crash();
    assert_eq!(memory.balance().settled, 1);
}

#[tokio::test]
async fn what_has_no_room_after_all_waits_for_it_while_everything_is_read() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, mut events) = started(&memory, &script, tuning()).await;
    store.write(1, puts(&["a", "b"])).unwrap();
    store.write(2, settles("a")).unwrap();
    next(&mut events).await;
    next(&mut events).await;
    memory.fill(Some((10, 20)));
    store.write(3, puts(&["c"])).unwrap();
    match events.recv().await {
        Some(Event::Failing { error: StoreError::NoRoom { free: 10, needed: 20, .. } }) => {}
        other => panic!("{other:?}"),
    }
    called(&mut calls, "flush").await;
    // It is tried again and again, of the same opening: nothing that was settled is lost by that.
    for _ in 0..3 {
        called(&mut calls, "write").await;
    }
    find(&store, 4, "a").unwrap();
    assert_eq!(next(&mut events).await, "found 4 settled");
    memory.fill(None);
    assert_eq!(next(&mut events).await, "reopened");
    assert_eq!(next(&mut events).await, "written 3 for good");
}

#[tokio::test]
async fn a_disk_that_stays_full_does_not_keep_it_from_closing() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let slow = DelayedTuning { pause: HOUR, longest_pause: HOUR, ..tuning() };
    let (store, _, mut events) = started(&memory, &script, slow).await;
    store.write(1, puts(&["a"])).unwrap();
    store.write(2, settles("a")).unwrap();
    memory.fill(Some((10, 20)));
    store.write(3, puts(&["c"])).unwrap();
    while next(&mut events).await != "failing" {}
    assert!(matches!(store.close().await, Err(StoreError::NoRoom { .. })));
    memory.crash();
    assert_eq!(memory.balance().settled, u64::from(memory.balance().accepted == 1));
}

/// What happens to a store whose writes fail for good.
async fn ended_by(opener: DelayedOpener, script: &Script, tuning: DelayedTuning) -> StoreError {
    let (store, _, mut events) = open(opener, tuning).await.unwrap();
    script.plant(Fault::Refused);
    store.write(1, puts(&["a"])).unwrap();
    let error = loop {
        match events.recv().await {
            Some(Event::Gone { error }) => break error,
            Some(Event::Failing { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    let closed = store.close().await.unwrap_err();
    assert_eq!(closed.to_string(), error.to_string());
    assert_eq!(store.write(2, puts(&["a"])), Err(Closed));
    assert!(told(events).await.is_empty());
    error
}

#[tokio::test]
async fn what_another_process_wrote_in_between_ends_it() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (mut opens, other, mut openings) = (opener(&memory, &script), memory.clone(), 0);
    let opener: DelayedOpener = Box::new(move || {
        openings += 1;
        if openings == 2 {
            let mut other = other.open("khronos", DelayedLimits::default())?;
            other.write(0, &puts(&["x"]))?;
            other.write(0, &puts(&["y"]))?;
        }
        opens()
    });
    let error = ended_by(opener, &script, tuning()).await;
    assert!(error.to_string().contains("another process wrote"), "{error}");
}

#[tokio::test]
async fn damage_that_opening_finds_ends_it() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (mut opens, mut openings) = (opener(&memory, &script), 0);
    let opener: DelayedOpener = Box::new(move || {
        openings += 1;
        if openings == 1 { opens() } else { Err(damaged()) }
    });
    assert!(matches!(ended_by(opener, &script, tuning()).await, StoreError::Damaged { .. }));
}

#[tokio::test]
async fn a_term_that_is_too_low_ends_it() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    memory.open("khronos", DelayedLimits::default()).unwrap().write(9, &puts(&["a"])).unwrap();
    let tuning = DelayedTuning { term: 8, ..tuning() };
    let error = ended_by(opener(&memory, &script), &script, tuning).await;
    assert!(matches!(error, StoreError::Fenced { term: 8, seen: 9 }), "{error}");
}
