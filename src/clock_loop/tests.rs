use super::{ClockLoop, Command, Failure, KEPT, NEIGHBOURS, NamedCalendars, PAGE, Parts, Wanted};
use crate::{
    config::MetricsConfig,
    engine::{Ceilings, ClockRules, Commit, Resends, Rules},
    schedule::{ADay, Definition, Demand, Packed},
    store::{self, Limits, Memory, Store, Tuning},
    telemetry::{Counts, Tracing},
};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Settlement},
    event::Timestamp,
    shutdown::shutdown,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

mod asked;
mod commands;
mod delayed;
mod measured;
mod pauses;

fn files(all: Vec<Packed>) -> Option<Result<Wanted, String>> {
    Some(Ok(Wanted::Files(all)))
}

/// A clock on memory, with one schedule that is often due.
pub(crate) async fn parts(memory: &Memory, publisher: Publisher) -> Parts {
    let memory = memory.clone();
    let opener =
        move || memory.open("khronos", Limits::default()).map(|store| Box::new(store) as Box<dyn Store>);
    let (store, snapshot, store_events) =
        store::open(Box::new(opener), Tuning::default(), Counts::new("khronos", &MetricsConfig::default()))
            .await
            .unwrap();
    let definition = Definition {
        name: "often".into(),
        event: Some("test.often.passed".into()),
        every: Some("100ms".into()),
        ..Definition::default()
    };
    Parts {
        clock: "khronos".into(),
        rules: Rules {
            clock: ClockRules {
                settle: 0,
                max_forward: 60_000,
                max_backward: 60_000,
                resume_backward: false,
            },
            resends: Resends { count: 5, over: 600_000 },
            in_flight: 100,
            piece: 100,
            parked: 1_000,
            record_first: false,
            keep_finished: 86_400_000,
            demand: Demand { schedules: 10_000, often: ADay::of_a_second(1_000) },
        },
        ceilings: Ceilings::default(),
        store,
        snapshot,
        store_events,
        publisher,
        exchange: "events".into(),
        warm: None,
        schedules: files(vec![Packed::build(&definition).unwrap()]),
        late: None,
        loader: Arc::new(|| Err("there are no files".into())),
        calendars: tokio::sync::watch::channel(None).1,
        named: tokio::sync::watch::channel(NamedCalendars::default()).0,
        remarks: Arc::new(|_| Vec::new()),
        created: tokio::sync::watch::channel(Demand::default()).0,
        reload: tokio::sync::mpsc::channel(1).1,
        rival: tokio::sync::watch::channel(None).1,
        delayed: None,
        lead: None,
        tracing: Tracing::default(),
        show_events: false,
        grace: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn when_the_brokers_task_is_gone_the_progress_is_written_before_the_end() {
    let memory = Memory::default();
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, _handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let outcome = PublishOutcome::Confirmed { returned: false };
    let mut last = None;
    for _ in 0..3 {
        let batch = task.submitted.recv().await.unwrap();
        last = batch.last().and_then(|one| one.message.headers.text("cloudEvents_time")?.parse().ok());
        let settle =
            |one: ponos::broker::Publishing| Settlement { token: one.token, outcome: outcome.clone() };
        task.settled.send(batch.into_iter().map(settle).collect()).await.unwrap();
    }
    drop(task);
    assert!(matches!(running.await.unwrap(), Err(Failure::PublisherGone)));
    let snapshot = memory.open("khronos", Limits::default()).unwrap().load().unwrap();
    assert!(
        snapshot.settled >= last && last.is_some(),
        "{:?} is written, {last:?} was confirmed",
        snapshot.settled
    );
    assert_eq!(snapshot.spans, []);
}

#[tokio::test]
async fn a_broker_that_confirms_nothing_is_told_of() {
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, mut handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let _unanswered = task.submitted.recv().await.unwrap();
    let told = handle
        .status
        .wait_for(|status| status.warnings.iter().any(|said| said.contains("have not been confirmed for")));
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told in time").unwrap();
    running.abort();
}

#[tokio::test]
async fn schedules_are_given_in_pages_by_name() {
    let count = 2 * PAGE + 5;
    let definition = |number: usize| Definition {
        name: format!("many-{number:05}"),
        event: Some("test.many.passed".into()),
        every: Some("1 day".into()),
        ..Definition::default()
    };
    let (publisher, _task) = Publisher::channel(4);
    let mut parts = parts(&Memory::default(), publisher).await;
    parts.schedules = files((0..count).map(|number| Packed::build(&definition(number)).unwrap()).collect());
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let page = async |after: Option<&str>| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        handle.commands.send(Command::Schedules(after.map(Into::into), reply)).await.unwrap();
        let page = answer.await.unwrap();
        page.iter().map(|status| status.revision.name().to_owned()).collect::<Vec<_>>()
    };
    let all = async || {
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let more = page(all.last().map(String::as_str)).await;
            sizes.push(more.len());
            if more.is_empty() {
                return (all.len() == count).then_some((all, sizes));
            }
            all.extend(more);
        }
    };
    testkit::wait_until("all to be taken in", Duration::from_secs(60), all).await;
    // Once more: while they were read, some were still being taken in.
    let (all, sizes) = all().await.unwrap();
    assert_eq!(sizes, [PAGE, PAGE, 5, 0]);
    assert!(all.is_sorted(), "{all:?}");
    // After what is not there, what comes next is first.
    assert_eq!(page(Some("many-00006x")).await[0], "many-00007");
    assert_eq!(page(Some("a")).await[0], "many-00000");
    assert_eq!(page(Some("z")).await, [""; 0]);
    let (reply, answer) = tokio::sync::oneshot::channel();
    handle.commands.send(Command::Neighbours("many-00006x".into(), reply)).await.unwrap();
    let near = answer.await.unwrap();
    assert!(near.len() <= NEIGHBOURS && near.iter().any(|near| near.name() == "many-00006"), "{near:?}");
    let (reply, answer) = tokio::sync::oneshot::channel();
    handle.commands.send(Command::Revision("many-00006".into(), 1, reply)).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().name(), "many-00006");
    running.abort();
}

#[tokio::test]
async fn what_is_kept_is_given_in_pages_and_what_is_due_goes_out_between_them() {
    let count = 2 * KEPT + 5;
    let definition = |number: usize| Definition {
        name: format!("many-{number:05}"),
        event: Some("test.many.passed".into()),
        every: Some(if number == 0 { "100ms" } else { "1 day" }.into()),
        ..Definition::default()
    };
    let (publisher, mut task) = Publisher::channel(4);
    let mut parts = parts(&Memory::default(), publisher).await;
    parts.schedules = files((0..count).map(|number| Packed::build(&definition(number)).unwrap()).collect());
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let mut all = async || {
        let (mut names, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let (reply, answer) = tokio::sync::oneshot::channel();
            handle.commands.send(Command::Kept(after, reply)).await.unwrap();
            let page = answer.await.unwrap();
            sizes.push(page.revisions.len());
            names.extend(page.revisions.iter().map(|one| one.name().to_owned()));
            after = page.revisions.last().map(|last| (last.name().into(), last.number));
            if after.is_none() {
                // Until all are taken in a page may have less.
                return (sizes == [KEPT, KEPT, 5, 0]).then_some(names);
            }
            // Something of the schedule that is often due.
            let batch = task.submitted.recv().await.unwrap();
            let settle = |one: ponos::broker::Publishing| Settlement {
                token: one.token,
                outcome: PublishOutcome::Confirmed { returned: false },
            };
            task.settled.send(batch.into_iter().map(settle).collect()).await.unwrap();
        }
    };
    let taken = async {
        loop {
            // Once all were there, they are in full pages.
            if all().await.is_some()
                && let Some(taken) = all().await
            {
                return taken;
            }
        }
    };
    let names = tokio::time::timeout(Duration::from_secs(60), taken).await.expect("whole pages in time");
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    running.abort();
}

#[tokio::test]
async fn the_record_has_what_the_pages_speak_of_once_everything_is_written() {
    let memory = Memory::default();
    let (publisher, task) = Publisher::channel(4);
    let mut parts = parts(&memory, publisher).await;
    let definition = Definition {
        name: "paused".into(),
        event: Some("test.paused.passed".into()),
        every: Some("100ms".into()),
        paused: Some(true),
        ..Definition::default()
    };
    // What it skips may wait ten seconds to be written.
    parts.schedules = files(vec![Packed::build(&definition).unwrap()]);
    let store = parts.store.clone();
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let limit = Duration::from_secs(60);
    let skipped_some_since = async |since: i64| {
        let skipped = async || {
            let (reply, answer) = tokio::sync::oneshot::channel();
            handle.commands.send(Command::Kept(None, reply)).await.unwrap();
            let page = answer.await.unwrap();
            let revision = page.revisions.first()?.clone();
            let from = revision.effective_from.plus(since);
            (revision.timing().count(from, page.settled) >= 3).then_some((revision, page.settled))
        };
        testkit::wait_until("some to be skipped", limit, skipped).await
    };
    let write = async || {
        let (reply, answer) = tokio::sync::oneshot::channel();
        handle.commands.send(Command::Write(reply)).await.unwrap();
        answer.await.unwrap()
    };
    let (revision, settled) = skipped_some_since(0).await;
    assert_eq!(write().await, Ok(()));
    let rows = store.read(0, 1_000).await.unwrap().rows;
    let skipped: u64 = rows.iter().map(|entry| entry.row.count).sum();
    assert!(skipped >= revision.timing().count(revision.effective_from, settled), "{rows:?}");
    // A disk that fails is told of; nobody waits for it.
    (0..50).for_each(|_| memory.plant(store::Fault::Refused));
    skipped_some_since(rows.last().unwrap().row.last.since(revision.effective_from)).await;
    assert!(write().await.is_err());
    running.abort();
}

/// What a loader that is told what to say gives, one after the other.
type Said = std::sync::mpsc::Receiver<Result<Vec<Packed>, String>>;

#[tokio::test]
async fn one_reload_at_a_time_reads_and_what_was_read_earlier_never_comes_later() {
    let (publisher, _task) = Publisher::channel(4);
    let mut parts = parts(&Memory::default(), publisher).await;
    let (say, said) = std::sync::mpsc::channel();
    let (said, begun) = (std::sync::Mutex::<Said>::new(said), Arc::new(AtomicUsize::new(0)));
    let count = begun.clone();
    parts.loader = Arc::new(move || {
        // Held while it waits: a second one that reads at the same time is counted all the same.
        count.fetch_add(1, Ordering::SeqCst);
        said.lock().unwrap().recv().unwrap()
    });
    let named = |name: &str| {
        let definition = Definition {
            name: name.into(),
            event: Some("test.one.passed".into()),
            every: Some("1 day".into()),
            ..Definition::default()
        };
        Ok(vec![Packed::build(&definition).unwrap()])
    };
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    // The loop takes commands in meanwhile: there is room.
    let reload = || {
        let (reply, answer) = tokio::sync::oneshot::channel();
        handle.commands.try_send(Command::Reload(reply)).unwrap();
        answer
    };
    let limit = Duration::from_secs(60);
    let begins = async |number| {
        let begun = async || (begun.load(Ordering::SeqCst) >= number).then_some(());
        testkit::wait_until("a reload to begin", limit, begun).await;
    };
    let first = reload();
    begins(1).await;
    let later = [reload(), reload(), reload()];
    // The loop has seen them all once it answers this.
    let (reply, answer) = tokio::sync::oneshot::channel();
    handle.commands.send(Command::Schedules(None, reply)).await.unwrap();
    answer.await.unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 1, "they wait for the one that reads");
    say.send(named("earlier")).unwrap();
    assert!(first.await.unwrap().is_ok());
    begins(2).await;
    say.send(named("later")).unwrap();
    for answer in later {
        let said = "1 schedule is loaded: 1 added (later), 1 removed (earlier)";
        assert_eq!(answer.await.unwrap().unwrap(), said);
    }
    assert_eq!(begun.load(Ordering::SeqCst), 2, "those that came meanwhile are one");
    let now = async || {
        let (reply, answer) = tokio::sync::oneshot::channel();
        handle.commands.send(Command::Schedules(None, reply)).await.unwrap();
        let names = answer.await.unwrap();
        (names.len() == 1 && names[0].revision.name() == "later").then_some(())
    };
    testkit::wait_until("the later one to be in effect", limit, now).await;
    // A loader that breaks down is no reload that never ends.
    let broken = reload();
    drop(say);
    let why = broken.await.unwrap().unwrap_err();
    assert!(why.contains("ended early"), "{why}");
    running.abort();
}

#[test]
fn the_status_is_brought_up_to_date_now_and_then_and_at_once_after_the_clock_was_set_back() {
    let at = Timestamp::from_millis;
    let is_outdated = |now: i64| super::status::is_outdated(at(10_000), at(now));
    assert_eq!([10_000, 10_199, 10_200, 9_000].map(is_outdated), [false, false, true, true]);
}

/// The parts of a clock that leaps from the first second of 1970 to now, and is not believed for an hour.
async fn leaping(publisher: Publisher) -> Parts {
    let memory = Memory::default();
    let then = Timestamp::from_millis(1_000);
    let commit = Commit { settled: then, handed: then, reached: then, ..Commit::default() };
    memory.open("khronos", Limits::default()).unwrap().save(0, &commit).unwrap();
    let mut parts = parts(&memory, publisher).await;
    parts.rules.clock.settle = 3_600_000;
    parts
}

#[tokio::test]
async fn a_reload_says_that_nothing_is_taken_in_while_the_clock_is_not_believed() {
    let (publisher, _task) = Publisher::channel(4);
    let mut parts = leaping(publisher).await;
    let Some(Ok(Wanted::Files(read))) = parts.schedules.take() else { panic!("it has files") };
    parts.loader = Arc::new(move || Ok(read.clone()));
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let (reply, answer) = tokio::sync::oneshot::channel();
    handle.commands.send(Command::Reload(reply)).await.unwrap();
    let said = answer.await.unwrap().unwrap();
    assert!(
        said.starts_with("1 schedule read; ") && said.contains("once the clock's time is believed"),
        "{said}"
    );
    running.abort();
}
