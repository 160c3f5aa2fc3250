use super::{Opener, StoreEvent, StoreHandle, Tuning, open};
use crate::{
    config::MetricsConfig,
    engine::{Commit, Outcome, Row, Snapshot},
    store::{
        Fault, Limits, Memory, PageReader, SledOptions, SledStore, Store, StoreError, Written,
        conformance::rows,
    },
    telemetry::Counts,
};
use ponos::event::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{self, UnboundedReceiver};

mod being_read;
mod counted;

type Opened = (StoreHandle, Snapshot, UnboundedReceiver<StoreEvent>);

fn tuning() -> Tuning {
    let millisecond = Duration::from_millis(1);
    Tuning { pause: millisecond, longest_pause: millisecond, ..Tuning::default() }
}

fn counts() -> Counts {
    Counts::new("khronos", &MetricsConfig::default())
}

fn opener(memory: &Memory) -> Opener {
    let memory = memory.clone();
    Box::new(move || Ok(Box::new(memory.open("khronos", Limits::default())?) as Box<dyn Store>))
}

async fn started(memory: &Memory, tuning: Tuning) -> Opened {
    open(opener(memory), tuning, counts()).await.unwrap()
}

fn t(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn commit(settled: i64, rows: Vec<Row>) -> Commit {
    Commit { settled: t(settled), handed: t(settled), rows, ..Commit::default() }
}

/// All events up to the end of the thread, in short.
async fn told(mut events: UnboundedReceiver<StoreEvent>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        told.push(match event {
            StoreEvent::Saved { ticket, last_sequence } => format!("saved {ticket} {last_sequence}"),
            StoreEvent::SaveFailed { ticket, .. } => format!("failed {ticket}"),
            StoreEvent::Appended { last_sequence } => format!("appended {last_sequence}"),
            StoreEvent::Failing { .. } => "failing".into(),
            StoreEvent::Reopened => "reopened".into(),
        });
    }
    told
}

#[tokio::test]
async fn saves_are_answered_in_their_order_and_are_there_after_closing() {
    let memory = Memory::default();
    let (store, snapshot, events) = started(&memory, tuning()).await;
    assert_eq!(snapshot, Snapshot::default());
    for ticket in 1..=3 {
        store.save(ticket, commit(ticket as i64, rows([1]))).unwrap();
    }
    store.append(Vec::new(), t(3)).unwrap();
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["saved 1 1", "saved 2 2", "saved 3 3", "appended 3"]);
    let (_store, snapshot, _) = started(&memory, tuning()).await;
    assert_eq!((snapshot.settled, snapshot.last_sequence), (Some(t(3)), 3));
}

#[tokio::test]
async fn a_failed_write_is_repeated_until_it_succeeds_and_told_once() {
    let memory = Memory::default();
    let (store, _, events) = started(&memory, tuning()).await;
    for fault in [Fault::Refused, Fault::Unopenable, Fault::Unopenable, Fault::Refused] {
        memory.plant(fault);
    }
    store.save(1, commit(1, rows([1]))).unwrap();
    store.save(2, commit(2, rows([2]))).unwrap();
    store.flush().await.unwrap();
    assert_eq!(memory.planted(), 0);
    assert_eq!(store.read(0, 9).await.unwrap().last, 2);
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["failing", "reopened", "saved 1 1", "saved 2 2"]);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_made_twice() {
    let memory = Memory::default();
    let (store, _, events) = started(&memory, tuning()).await;
    memory.plant(Fault::KeptUnanswered);
    store.save(1, commit(1, rows([1]))).unwrap();
    store.flush().await.unwrap();
    memory.plant(Fault::KeptUnanswered);
    store.append(rows([2, 3]), t(2)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.read(0, 9).await.unwrap().rows.len(), 3);
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["failing", "reopened", "saved 1 1", "failing", "reopened", "appended 3"]);
}

#[tokio::test]
async fn while_the_disk_fails_readers_are_told_so_and_closing_ends() {
    let memory = Memory::default();
    let hour = Duration::from_secs(3600);
    let slow = Tuning { pause: hour, longest_pause: hour, ..Tuning::default() };
    let (store, _, mut events) = started(&memory, slow).await;
    memory.plant(Fault::Refused);
    store.save(1, commit(1, vec![])).unwrap();
    assert!(matches!(events.recv().await, Some(StoreEvent::Failing { .. })));
    assert!(matches!(store.read(0, 9).await, Err(StoreError::Io { .. })));
    memory.plant(Fault::Refused);
    assert!(matches!(store.close().await, Err(StoreError::Io { .. })), "after one more attempt");
    assert_eq!(told(events).await, ["failed 1"]);
    assert!(store.save(2, commit(2, vec![])).is_err());
    assert!(store.read(0, 1).await.is_err());
}

#[tokio::test]
async fn a_term_that_is_too_low_ends_saving_but_not_reading() {
    let memory = Memory::default();
    memory.open("khronos", Limits::default()).unwrap().save(9, &commit(1, rows([1]))).unwrap();
    let (store, _, events) = started(&memory, Tuning { term: 8, ..tuning() }).await;
    store.save(1, commit(2, vec![])).unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Fenced { term: 8, seen: 9 })));
    assert_eq!(store.read(0, 9).await.unwrap().last, 1);
    drop(store);
    assert_eq!(told(events).await, ["failed 1"]);
}

#[tokio::test]
async fn what_another_process_wrote_in_between_ends_saving() {
    let memory = Memory::default();
    let other = memory.clone();
    let mut openings = 0;
    let opener: Opener = Box::new(move || {
        openings += 1;
        let mut store = other.open("khronos", Limits::default())?;
        if openings == 2 {
            store.save(0, &commit(7, vec![]))?;
            store.save(0, &commit(8, vec![]))?;
        }
        Ok(Box::new(store))
    });
    let (store, _, events) = open(opener, tuning(), counts()).await.unwrap();
    memory.plant(Fault::Refused);
    store.save(1, commit(1, vec![])).unwrap();
    assert!(store.flush().await.unwrap_err().to_string().contains("another process wrote"));
    drop(store);
    assert_eq!(told(events).await, ["failing", "failed 1"]);
}

/// A store whose thread hangs, before a commit reaches it, until somebody lets it go on.
struct Stuck {
    store: Box<dyn Store>,
    begun: mpsc::UnboundedSender<()>,
    go_on: std::sync::mpsc::Receiver<()>,
}

impl Store for Stuck {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn save(&mut self, term: u64, commit: &Commit) -> Result<u64, StoreError> {
        self.begun.send(()).unwrap();
        self.go_on.recv().unwrap();
        self.store.save(term, commit)
    }

    fn append(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.store.append(term, rows, complete)
    }

    fn reader(&self) -> Arc<dyn PageReader> {
        self.store.reader()
    }

    fn written(&self) -> Written {
        self.store.written()
    }

    fn id(&self) -> u64 {
        self.store.id()
    }
}

#[tokio::test]
async fn the_record_is_read_while_the_thread_hangs() {
    let (memory, folder) = (Memory::default(), tempfile::tempdir().unwrap());
    let on_memory = memory.open("khronos", Limits::default()).unwrap();
    let on_sled = SledStore::open(&folder.path().join("store"), "khronos", &SledOptions::default()).unwrap();
    for mut store in [Box::new(on_memory) as Box<dyn Store>, Box::new(on_sled)] {
        store.append(0, &rows(1..=70), t(0)).unwrap();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (let_go, go_on) = std::sync::mpsc::channel();
        let mut stuck = Some(Stuck { store, begun, go_on });
        let opener: Opener = Box::new(move || Ok(Box::new(stuck.take().unwrap())));
        let (store, _, events) = open(opener, tuning(), counts()).await.unwrap();
        store.save(1, commit(1, rows(71..=75))).unwrap();
        begins.recv().await.unwrap();
        // More at once than are read at a time.
        let pages = (60..70).map(|after| store.read(after, 9));
        for (after, page) in (60..70).zip(futures_util::future::join_all(pages).await) {
            let page = page.unwrap();
            assert_eq!((page.last, page.rows[0].sequence), (70, after + 1));
        }
        let_go.send(()).unwrap();
        store.flush().await.unwrap();
        assert_eq!(store.read(70, 9).await.unwrap().rows.len(), 5);
        store.close().await.unwrap();
        assert!(matches!(store.read(0, 9).await, Err(StoreError::Io { .. })));
        assert_eq!(told(events).await, ["saved 1 75"]);
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged { path: "store".into(), what: "a page".into(), remedy: "restore it".into() }
}

#[tokio::test]
async fn readers_are_told_why_a_store_that_failed_is_not_opened_again() {
    let memory = Memory::default();
    let (mut opens, mut openings) = (opener(&memory), 0);
    let opener: Opener = Box::new(move || {
        openings += 1;
        if openings == 1 { opens() } else { Err(damaged()) }
    });
    let (store, _, events) = open(opener, tuning(), counts()).await.unwrap();
    memory.plant(Fault::Refused);
    store.save(1, commit(1, vec![])).unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Damaged { .. })));
    assert!(matches!(store.read(0, 9).await, Err(StoreError::Damaged { .. })));
    drop(store);
    assert_eq!(told(events).await, ["failing", "failed 1"]);
}

#[tokio::test]
async fn an_opening_that_fails_is_handed_back() {
    let memory = Memory::default();
    memory.plant(Fault::Unopenable);
    assert!(matches!(open(opener(&memory), tuning(), counts()).await, Err(StoreError::Io { .. })));
}

/// The thread is held up by a disk that fails, with a pause that only closing ends, while rows come in.
async fn held_up(tuning: Tuning) -> (Memory, Opened) {
    let memory = Memory::default();
    let hour = Duration::from_secs(3600);
    let tuning = Tuning { pause: hour, longest_pause: hour, ..tuning };
    let (store, snapshot, mut events) = started(&memory, tuning).await;
    memory.plant(Fault::Refused);
    store.save(0, commit(0, vec![])).unwrap();
    assert!(matches!(events.recv().await, Some(StoreEvent::Failing { .. })));
    (memory, (store, snapshot, events))
}

#[tokio::test]
async fn saves_go_before_waiting_rows_and_rows_are_merged_into_batches() {
    let (memory, (store, _, events)) = held_up(Tuning { batch: 4, ..tuning() }).await;
    for number in 1..=3 {
        assert_eq!(
            store.append(rows([number * 2, number * 2 + 1]), t(number)).unwrap().waiting,
            number as usize * 2
        );
    }
    store.save(1, commit(9, rows([1]))).unwrap();
    store.close().await.unwrap();
    assert_eq!(told(events).await, ["reopened", "saved 0 0", "saved 1 1", "appended 5", "appended 7"]);
    let store = memory.open("khronos", Limits::default()).unwrap();
    assert!(store.read(0, 99).unwrap().rows.into_iter().map(|row| row.row).eq(rows(1..=7)));
}

#[tokio::test]
async fn rows_that_have_no_room_are_recorded_as_one_without_details() {
    let (memory, (store, _, _events)) = held_up(Tuning { rows: 3, ..tuning() }).await;
    assert_eq!(store.append(rows([1, 2]), t(2)).unwrap().dropped, 0);
    let mut more = rows(3..=10);
    // Jitter sent the last one long after it was due.
    let sent_at = more[7].last.plus(500);
    more[7].outcome = Outcome::Confirmed { sent_at, lateness: 100, returned: false };
    let backlog = store.append(more, t(10)).unwrap();
    assert_eq!((backlog.waiting, backlog.dropped), (3, 7));
    store.close().await.unwrap();
    let store = memory.open("khronos", Limits::default()).unwrap();
    let mut found: Vec<Row> = store.read(0, 99).unwrap().rows.into_iter().map(|row| row.row).collect();
    let lost = found.pop().unwrap();
    assert_eq!(found, rows([1, 2, 3]));
    assert_eq!(lost.outcome, Outcome::DetailsLost);
    assert_eq!((lost.schedule.as_ref(), lost.count), ("*", 7));
    assert_eq!((lost.first, lost.last), (rows([4])[0].first, sent_at.plus(-100)), "send times");
}

#[tokio::test]
async fn saves_that_have_no_room_are_refused() {
    let (_memory, (store, _, _events)) = held_up(Tuning { saves: 2, ..tuning() }).await;
    store.save(1, commit(1, vec![])).unwrap();
    store.save(2, commit(2, vec![])).unwrap();
    assert!(store.save(3, commit(3, vec![])).is_err());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_thread_ends_when_the_last_handle_is_dropped() {
    let memory = Memory::default();
    let (store, _, events) = started(&memory, tuning()).await;
    store.save(1, commit(1, vec![])).unwrap();
    drop(store.clone());
    store.append(rows([1]), t(1)).unwrap();
    drop(store);
    assert_eq!(told(events).await, ["saved 1 0", "appended 1"]);
}
