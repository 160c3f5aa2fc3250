use super::{
    DelayedHandle, DelayedOpener, DelayedStoreEvent as Event, DelayedTuning, Opened, open, open_memory,
    open_redb,
};
use crate::{
    delayed::{
        DelayedBatch, DelayedLimits, DelayedMemory, DelayedStep, DelayedStore, DueEvent, Found, RedbOptions,
        conformance::{batch, event, key, pending, put, settle, t},
    },
    store::{Closed, Fault, StoreError},
};
use double::{Script, io};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedReceiver;

mod double;
mod faults;
mod reading;
mod reopening;
mod room;

const HOUR: Duration = Duration::from_secs(3600);

/// Nothing is made durable by itself, and a failure costs no time.
fn tuning() -> DelayedTuning {
    let none = Duration::ZERO;
    DelayedTuning { pace: HOUR, pause: none, longest_pause: none, ..DelayedTuning::default() }
}

/// Opens what is on a memory, each time after it lost what was not durable.
fn opener(memory: &DelayedMemory, script: &Script) -> DelayedOpener {
    let (memory, script) = (memory.clone(), script.clone());
    Box::new(move || {
        memory.crash();
        Ok(script.played(memory.open("khronos", DelayedLimits::default())?))
    })
}

async fn started(memory: &DelayedMemory, script: &Script, tuning: DelayedTuning) -> Opened {
    open(opener(memory, script), tuning).await.unwrap()
}

/// The next event, in short.
async fn next(events: &mut UnboundedReceiver<Event>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
    next.expect("something is told within a minute").map_or("end".into(), |event| in_short(&event))
}

fn in_short(event: &Event) -> String {
    match event {
        Event::Written { ticket, written } => {
            format!("written {ticket}{}", if written.is_durable { " for good" } else { "" })
        }
        Event::Found { ticket, found, .. } => {
            let found = found.iter().map(|found| match found {
                Found::Pending(_) => " pending",
                Found::Settled(_) => " settled",
                Found::Nothing => " nothing",
            });
            format!("found {ticket}{}", found.collect::<String>())
        }
        Event::NotFound { ticket, .. } => format!("not found {ticket}"),
        Event::Due { ticket, events } => format!("due {ticket} {}", events.len()),
        Event::Contents(events) => {
            let there = events.iter().map(|(token, _, event)| format!(" {token} {}", event.is_some()));
            format!("contents{}", there.collect::<String>())
        }
        Event::FoundParked { ticket, found } => format!("found parked {ticket} {}", found.len()),
        Event::Parked { ticket, heads } => format!("parked {ticket} {}", heads.len()),
        Event::Failing { .. } => "failing".into(),
        Event::Reopened => "reopened".into(),
        Event::Gone { .. } => "gone".into(),
    }
}

/// All events up to the end of the threads, in short.
async fn told(mut events: UnboundedReceiver<Event>) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match next(&mut events).await {
            end if end == "end" => return told,
            event => told.push(event),
        }
    }
}

/// Waits until the store is called so.
async fn called(calls: &mut UnboundedReceiver<&'static str>, wanted: &str) {
    let waiting = async { while calls.recv().await.expect("the script outlives its store") != wanted {} };
    let called = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    called.unwrap_or_else(|_| panic!("{wanted} is called within a minute"));
}

fn puts(names: &[&str]) -> DelayedBatch {
    batch(0, names.iter().map(|name| put(name, 10)).collect())
}

fn settles(name: &str) -> DelayedBatch {
    batch(10, vec![settle(name, 10)])
}

fn find(store: &DelayedHandle, ticket: u64, name: &str) -> Result<(), Closed> {
    store.find(ticket, vec![name.into()], Vec::new())
}

#[tokio::test]
async fn writes_are_answered_in_their_order_and_are_there_after_closing() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let (store, snapshot, events) = started(&memory, &script, tuning()).await;
    assert_eq!(snapshot.balance, store.balance());
    store.write(7, puts(&["a", "b", "c"])).unwrap();
    store.write(3, settles("a")).unwrap();
    store.write(4, settles("b")).unwrap();
    let mut recorded = store.recorded();
    assert_eq!(*recorded.wait_for(|last| *last == 2).await.unwrap(), 2, "whoever waits for rows is woken");
    store.close().await.unwrap();
    let balance = store.balance();
    assert_eq!((balance.accepted, balance.settled, balance.pending), (3, 2, 1));
    assert_eq!(told(events).await, ["written 7 for good", "written 3", "written 4"]);
    let (again, snapshot, _) = started(&memory, &script, tuning()).await;
    assert_eq!((snapshot.balance, snapshot.last_row), (balance, 2));
    assert_eq!((again.balance(), again.id()), (balance, store.id()));
    assert_eq!(*again.recorded().borrow(), 2);
}

#[tokio::test]
async fn what_need_not_last_is_durable_after_its_time() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let soon = DelayedTuning { pace: Duration::from_millis(1), ..tuning() };
    let (store, _, mut events) = started(&memory, &script, soon).await;
    store.write(1, puts(&["a", "b"])).unwrap();
    store.write(2, settles("a")).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    assert_eq!(next(&mut events).await, "written 2");
    called(&mut calls, "flush").await;
    // The next call comes after the flush.
    store.write(3, puts(&["c"])).unwrap();
    called(&mut calls, "write").await;
    memory.crash();
    assert_eq!(memory.balance().settled, 1);
}

#[tokio::test]
async fn many_steps_are_durable_before_their_time() {
    let (memory, (script, mut calls)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, events) = started(&memory, &script, DelayedTuning { steps: 3, ..tuning() }).await;
    store.write(1, puts(&["a", "b", "c", "d"])).unwrap();
    store.write(2, settles("a")).unwrap();
    store.write(3, batch(10, vec![settle("b", 10), settle("c", 10)])).unwrap();
    store.write(4, settles("d")).unwrap();
    store.close().await.unwrap();
    assert_eq!(told(events).await.len(), 4);
    let mut called = Vec::new();
    while let Ok(call) = calls.try_recv() {
        called.push(call);
    }
    assert_eq!(called, ["write", "write", "write", "flush", "write", "flush"], "the last one for closing");
}

#[tokio::test]
async fn the_threads_end_when_the_last_handle_is_dropped_and_answer_what_was_asked() {
    let (memory, (script, _)) = (DelayedMemory::forgetful(), Script::new());
    let (store, _, events) = started(&memory, &script, tuning()).await;
    let go = script.hold("find");
    find(&store, 1, "a").unwrap();
    find(&store, 2, "b").unwrap();
    drop(store.clone());
    store.write(3, settles("nobody")).unwrap();
    drop(store);
    go.send(()).unwrap();
    let mut told = told(events).await;
    told.sort();
    assert_eq!(told, ["found 1 nothing", "found 2 nothing", "written 3"]);
    memory.crash();
    assert_eq!(memory.open("khronos", DelayedLimits::default()).unwrap().written().count, 1, "it lasts");
}

#[tokio::test]
async fn a_store_that_is_closed_takes_nothing_in_and_may_be_closed_again() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, _, events) = started(&memory, &script, tuning()).await;
    store.close().await.unwrap();
    assert_eq!(store.write(1, puts(&["a"])), Err(Closed));
    assert_eq!(find(&store, 1, "a"), Err(Closed));
    assert!(matches!(store.read_by(|reader| reader.read(0, 1)).await, Err(StoreError::Io { .. })));
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let (memory, (script, mut calls)) = (DelayedMemory::default(), Script::new());
    let few = DelayedTuning { writes: 2, questions: 3, ..tuning() };
    let (store, _, events) = started(&memory, &script, few).await;
    let go_on_writing = script.hold("write");
    store.write(0, puts(&["a"])).unwrap();
    called(&mut calls, "write").await;
    let go = script.hold("find");
    find(&store, 0, "a").unwrap();
    called(&mut calls, "find").await;
    for ticket in 1..=2 {
        store.write(ticket, settles("a")).unwrap();
    }
    assert_eq!(store.write(3, settles("a")), Err(Closed));
    for ticket in 1..=3 {
        find(&store, ticket, "a").unwrap();
    }
    assert_eq!(store.due(4, t(0)..t(9), None, 9), Err(Closed));
    assert_eq!(store.contents(Vec::new()), Err(Closed));
    go_on_writing.send(()).unwrap();
    go.send(()).unwrap();
    store.close().await.unwrap();
    assert_eq!(told(events).await.len(), 3 + 4, "each that was accepted is answered");
}

#[tokio::test]
async fn an_opening_that_fails_is_handed_back() {
    let memory = DelayedMemory::default();
    memory.plant(Fault::Unopenable);
    let opened = open_memory(memory.clone(), "khronos".into(), DelayedLimits::default(), tuning()).await;
    assert!(matches!(opened, Err(StoreError::Io { .. })));
    let opened = open_memory(memory, "khronos".into(), DelayedLimits::default(), tuning()).await;
    opened.unwrap().0.close().await.unwrap();
}

#[tokio::test]
async fn a_store_on_a_disk_is_written_read_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let opened = || open_redb(path.clone(), "khronos".into(), RedbOptions::default(), tuning());
    let (store, _, mut events) = opened().await.unwrap();
    store.write(1, puts(&["a", "b", "c"])).unwrap();
    assert_eq!(next(&mut events).await, "written 1 for good");
    store.find(2, vec!["a".into(), "z".into()], Vec::new()).unwrap();
    assert_eq!(next(&mut events).await, "found 2 pending nothing");
    store.due(3, t(0)..t(100), Some(key("a", 10)), 9).unwrap();
    let Some(Event::Due { ticket: 3, events: due }) = events.recv().await else { panic!("it is not due") };
    assert!(due.iter().map(|event| &*event.key.name).eq(["b", "c"]));
    store.write(4, settles("b")).unwrap();
    assert_eq!(next(&mut events).await, "written 4");
    store.contents(due.into_iter().zip(7..).map(|(event, token)| (token, event)).collect()).unwrap();
    let Some(Event::Contents(contents)) = events.recv().await else { panic!("nothing is read") };
    let contents = contents.into_iter().map(|(token, due, content)| (token, due.key.name, content));
    let expected = [(7, Arc::from("b"), None), (8, Arc::from("c"), Some(event("c", 10)))];
    assert!(contents.eq(expected));
    let rows = store.read_by(|reader| reader.read(0, 9)).await.unwrap();
    assert_eq!((rows.last, rows.record), (1, store.id()));
    let _room = store.room_for(1_000, 1).unwrap();
    store.close().await.unwrap();
    assert!(told(events).await.is_empty());
    let (again, snapshot, _) = opened().await.unwrap();
    assert_eq!((snapshot.balance, again.id()), (store.balance(), store.id()));
    assert_eq!((snapshot.balance.pending, snapshot.balance.settled), (2, 1));
}
