//! Delayed events as the loop hands them over: at their time, once they are durable, and until somebody has them.

use super::{Memory, files, parts};
use crate::{
    clock,
    clock::Heartbeat,
    clock_loop::{
        ClockLoop, Command, Decided, DeclareTasks, DelayedAsked, DelayedParts, Failure, Handle, Lead,
        PauseFor, Proof, Report, Status, UnparkAsked,
    },
    delayed::{
        self, Balance, DelayedChange, DelayedContent, DelayedEvent, DelayedHandle, DelayedHead, DelayedKey,
        DelayedLimits, DelayedMemory, DelayedRules, DelayedTuning, PastDue, Unparking,
    },
    engine::{Author, Ceiling, Ceilings, Expect, OnResume, Refusal, Resends, Scope, Verdict},
    store::StoreError,
};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, PublisherTask, Publishing, Settlement},
    event::Timestamp,
    shutdown::{Trigger, shutdown},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

const CONFIRMED: PublishOutcome = PublishOutcome::Confirmed { returned: false };

/// A clock that runs with delayed events alone, and the broker that it talks to.
struct Running {
    handle: Handle,
    store: DelayedHandle,
    declared: Arc<AtomicUsize>,
    broker: PublisherTask,
    trigger: Trigger,
    ended: JoinHandle<Report>,
}

async fn start(memory: &Memory, delayed: &DelayedMemory) -> Running {
    start_below(memory, delayed, Ceilings::default()).await
}

async fn start_below(memory: &Memory, delayed: &DelayedMemory, ceilings: Ceilings) -> Running {
    let opened = delayed::open_memory(
        delayed.clone(),
        "khronos".into(),
        DelayedLimits::default(),
        DelayedTuning::default(),
    );
    let (store, snapshot, events) = opened.await.unwrap();
    let declared = Arc::new(AtomicUsize::new(0));
    let declares = declared.clone();
    let declare_tasks = DeclareTasks(Arc::new(move || {
        let first = declares.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move { if first { Err("no right to it".into()) } else { Ok(()) } })
    }));
    let rules = DelayedRules { resends: Resends { count: 1, over: 50 }, ..DelayedRules::default() };
    let (publisher, broker) = Publisher::channel(4);
    let mut parts = parts(memory, publisher).await;
    parts.schedules = files(Vec::new());
    parts.ceilings = ceilings;
    parts.delayed = Some(DelayedParts { store: store.clone(), snapshot, events, declare_tasks, rules });
    let (clock_loop, handle) = ClockLoop::new(parts);
    let (trigger, stop) = shutdown();
    let ended = tokio::spawn(async move { Box::pin(clock_loop.run(stop)).await.unwrap() });
    broker.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    Running { handle, store, declared, broker, trigger, ended }
}

impl Running {
    async fn ask(&self, change: DelayedChange) -> Verdict {
        let by = Author::owner("billing", "a test");
        let asked = DelayedAsked { by, message: None, atomic: false, changes: vec![change] };
        self.decide(|reply| Command::ChangeDelayed(asked, reply)).await.unwrap().remove(0)
    }

    async fn unpark(&self, what: Unparking, creations: &[u64]) -> Decided {
        let by = Author::owner("billing", "a test");
        let asked = UnparkAsked { by, what, creations: creations.to_vec() };
        self.decide(|reply| Command::UnparkDelayed(asked, reply)).await.unwrap()
    }

    /// Puts one that is due now, and has it refused until it is parked: its id, and its message.
    async fn park(&mut self, name: &str, settled: u64) -> (String, Vec<u8>) {
        self.ask(put(name, 0, |_| ())).await;
        let mut published = self.published().await;
        self.answer(published.token, PublishOutcome::Nacked).await;
        published = self.published().await;
        self.answer(published.token, PublishOutcome::Nacked).await;
        self.becomes(balance(settled, 0, 0)).await;
        (text(&published, "cloudEvents_id").to_owned(), published.message.body.to_vec())
    }

    /// Waits until so many are parked, by what the loop says.
    async fn shows_parked(&mut self, wanted: u64) {
        let shown = |status: &Status| status.delayed.is_some_and(|delayed| delayed.parked == wanted);
        timeout(Duration::from_secs(20), self.handle.status.wait_for(shown)).await.unwrap().unwrap();
    }

    async fn decide<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> T {
        let (reply, answer) = oneshot::channel();
        self.handle.commands.send(command(reply)).await.unwrap();
        timeout(Duration::from_secs(60), answer).await.unwrap().unwrap()
    }

    /// The next one that is published.
    async fn published(&mut self) -> Publishing {
        let next = timeout(Duration::from_secs(60), self.broker.submitted.recv()).await;
        let mut batch = next.expect("it is published in time").unwrap();
        assert_eq!(batch.len(), 1);
        batch.remove(0)
    }

    async fn answer(&self, token: u64, outcome: PublishOutcome) {
        self.broker.settled.send(vec![Settlement { token, outcome }]).await.unwrap();
    }

    /// Waits until the store says so.
    async fn becomes(&self, wanted: Balance) {
        let reached = async {
            while self.store.balance() != wanted {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), reached)
            .await
            .unwrap_or_else(|_| panic!("{:?}", self.store.balance()));
    }

    async fn stop(self) -> Report {
        self.trigger.advance();
        timeout(Duration::from_secs(60), self.ended).await.unwrap().unwrap()
    }
}

fn put(name: &str, millis: i64, more: impl FnOnce(&mut DelayedEvent)) -> DelayedChange {
    let send = clock::now().plus(millis);
    let head = DelayedHead {
        key: DelayedKey { send, name: name.into() },
        due: send,
        creation: 0,
        revision: 0,
        owner: "billing".into(),
        event: "order.reminder.due".into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: Timestamp::EPOCH,
        digest: [7; 16],
    };
    let content = DelayedContent { data: b"{\"order\":7}".as_slice().into(), ..DelayedContent::default() };
    let mut event = DelayedEvent { head, content };
    more(&mut event);
    DelayedChange::Put { event: Box::new(event), expect: Expect::Any, past: PastDue::Send }
}

fn balance(settled: u64, cancelled: u64, pending: u64) -> Balance {
    Balance { accepted: settled + cancelled + pending, settled, cancelled, pending }
}

fn text<'a>(published: &'a Publishing, name: &str) -> &'a str {
    published.message.headers.text(name).unwrap_or_default()
}

#[tokio::test]
async fn an_event_is_published_at_its_time_as_it_was_put() {
    let mut running = start(&Memory::default(), &DelayedMemory::default()).await;
    let begun = clock::now();
    let verdict = running.ask(put("order-7", 300, |event| {
        event.content.headers = r#"{"tenant":"a","tries":3,"rush":true}"#.into();
        event.content.correlation_id = Some("order 7".into());
        event.content.expires = Some(60_000);
    }));
    let Verdict::Created { creation: 1, revision: 1, since } = verdict.await else { panic!("it is created") };
    let published = running.published().await;
    assert!(clock::now() >= since && since >= begun.plus(300), "{since}");
    let message = &published.message;
    assert_eq!((&*published.exchange, &*message.routing_key), ("events", "order.reminder.due"));
    assert_eq!(message.body, b"{\"order\":7}");
    let id = uuid::Uuid::new_v5(
        &ponos::event::OccurrenceId::NAMESPACE,
        format!("khronos\norder-7@1\n{since}").as_bytes(),
    );
    assert_eq!(text(&published, "cloudEvents_id"), id.to_string());
    for (name, wanted) in [
        ("cloudEvents_type", "order.reminder.due"),
        ("cloudEvents_subject", "order-7"),
        ("cloudEvents_source", "/khronos/khronos"),
        ("cloudEvents_time", &since.to_string()),
        ("cloudEvents_expirytime", &since.plus(60_000).to_string()),
        ("cloudEvents_correlationid", "order 7"),
        ("tenant", "a"),
    ] {
        assert_eq!(text(&published, name), wanted, "{name}");
    }
    assert_eq!(running.store.balance(), balance(0, 0, 1));
    running.answer(published.token, CONFIRMED).await;
    running.becomes(balance(1, 0, 0)).await;
    assert_eq!(running.stop().await.unanswered, 0);
}

#[tokio::test]
async fn what_got_no_answer_is_sent_again_with_the_same_id_and_what_is_refused_too_often_is_parked() {
    let mut running = start(&Memory::default(), &DelayedMemory::default()).await;
    running.ask(put("a", 0, |_| ())).await;
    let first = running.published().await;
    running.answer(first.token, PublishOutcome::Lost).await;
    let second = running.published().await;
    let id = |one: &Publishing| text(one, "cloudEvents_id").to_owned();
    assert_eq!((id(&first), &first.message.body), (id(&second), &second.message.body));
    assert_ne!(first.token, second.token);
    running.answer(second.token, PublishOutcome::Nacked).await;
    let third = running.published().await;
    assert_eq!(id(&third), id(&first));
    running.answer(third.token, PublishOutcome::Nacked).await;
    running.becomes(balance(1, 0, 0)).await;
    let parked = running.store.read_by(|reader| reader.parked(0, 9)).await.unwrap();
    assert_eq!(parked.len(), 1);
}

#[tokio::test]
async fn a_task_goes_to_its_queue_alone_and_is_parked_where_that_is_missing() {
    let mut running = start(&Memory::default(), &DelayedMemory::default()).await;
    let is_task = |event: &mut DelayedEvent| event.head.queue = Some("docker.cleanup".into());
    running.ask(put("a", 0, is_task)).await;
    let task = running.published().await;
    assert_eq!((&*task.exchange, &*task.message.routing_key), ("tasks", "docker.cleanup"));
    // It could not be declared at first, which counts as a refusal.
    assert_eq!(running.declared.load(Ordering::Relaxed), 2);
    running.answer(task.token, PublishOutcome::Confirmed { returned: true }).await;
    running.becomes(balance(1, 0, 0)).await;
    let parked = running.store.read_by(|reader| reader.parked(0, 9)).await.unwrap();
    assert_eq!(parked.len(), 1);
}

#[tokio::test]
async fn what_was_taken_back_is_never_sent_and_what_may_have_been_sent_is_not_taken_back() {
    let mut running = start(&Memory::default(), &DelayedMemory::default()).await;
    running.ask(put("later", 60_000, |_| ())).await;
    let delete = |name: &str| DelayedChange::Delete { name: name.into(), expect: Expect::Any };
    assert!(matches!(running.ask(delete("later")).await, Verdict::Deleted { .. }));
    assert_eq!(running.ask(delete("later")).await, Verdict::GoneAlready);
    running.ask(put("now", 0, |_| ())).await;
    let published = running.published().await;
    let refused = running.ask(delete("now")).await;
    assert!(matches!(refused, Verdict::Refused(Refusal::MayHaveBeenSent { .. })), "{refused:?}");
    // A delay that is asked for again while its event is being sent.
    assert_eq!(running.ask(put("now", 50, |_| ())).await, Verdict::Unchanged { creation: 2, revision: 1 });
    running.answer(published.token, CONFIRMED).await;
    running.becomes(balance(1, 1, 0)).await;
    let again = running.ask(delete("now")).await;
    assert!(matches!(again, Verdict::Refused(Refusal::AlreadySettled { .. })), "{again:?}");
}

#[tokio::test]
async fn what_waits_is_sent_after_a_restart_and_numbers_go_on() {
    let (memory, delayed) = (Memory::default(), DelayedMemory::default());
    let running = start(&memory, &delayed).await;
    assert!(matches!(running.ask(put("a", 2_000, |_| ())).await, Verdict::Created { creation: 1, .. }));
    running.stop().await;
    let mut running = start(&memory, &delayed).await;
    assert!(matches!(running.ask(put("b", 60_000, |_| ())).await, Verdict::Created { creation: 2, .. }));
    let published = running.published().await;
    assert_eq!(text(&published, "cloudEvents_subject"), "a");
    running.answer(published.token, CONFIRMED).await;
    running.becomes(balance(1, 0, 1)).await;
}

#[tokio::test]
async fn nothing_goes_out_while_everything_is_paused_or_the_link_is_down() {
    let mut running = start(&Memory::default(), &DelayedMemory::default()).await;
    let pause = PauseFor { scope: Scope::All, by: "ann".into(), note: "upgrade".into(), end: None };
    running.decide(|reply| Command::Pause(pause, reply)).await.unwrap();
    running.ask(put("paused", 0, |_| ())).await;
    assert!(timeout(Duration::from_millis(300), running.broker.submitted.recv()).await.is_err());
    // What was given to the clock to send is none of what a resume may skip.
    running.decide(|reply| Command::Resume(Scope::All, OnResume::Skip, reply)).await.unwrap();
    let published = running.published().await;
    running.answer(published.token, CONFIRMED).await;
    running.becomes(balance(1, 0, 0)).await;
    running.broker.link.send_replace(Link::Down { attempts: 1, error: None });
    running.handle.status.wait_for(|status| !matches!(status.link, Link::Up { .. })).await.unwrap();
    running.ask(put("a", 0, |_| ())).await;
    assert!(timeout(Duration::from_millis(300), running.broker.submitted.recv()).await.is_err());
    running.broker.link.send_replace(Link::Up { generation: 2, broker: "a test".into(), user: None });
    let published = running.published().await;
    running.answer(published.token, CONFIRMED).await;
    running.becomes(balance(2, 0, 0)).await;
}

#[tokio::test]
async fn a_parked_event_is_released_under_its_id_and_gone_once_it_is_confirmed_or_parked_again() {
    let (memory, delayed) = (Memory::default(), DelayedMemory::default());
    let mut running = start(&memory, &delayed).await;
    let parked = running.park("a", 1).await;
    running.shows_parked(1).await;
    let said = Decided { done: vec![1], being_sent: vec![] };
    assert_eq!(running.unpark(Unparking::Release, &[1, 7]).await, said);
    let published = running.published().await;
    assert_eq!((text(&published, "cloudEvents_id").to_owned(), published.message.body.to_vec()), parked);
    // It is on its way: it is neither released once more nor dropped.
    let said = Decided { done: vec![], being_sent: vec![1] };
    assert_eq!(running.unpark(Unparking::Drop, &[1]).await, said);
    running.answer(published.token, PublishOutcome::Nacked).await;
    let refused_again = async {
        while running.store.read_by(|reader| reader.parked(0, 9)).await.unwrap()[0].released {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), refused_again).await.unwrap();
    running.unpark(Unparking::Release, &[1]).await;
    let published = running.published().await;
    running.answer(published.token, CONFIRMED).await;
    running.shows_parked(0).await;
    running.stop().await;
    let reader = delayed.clone();
    assert!(delayed::DelayedReader::parked(&reader, 0, 9).unwrap().is_empty());
}

#[tokio::test]
async fn what_was_released_before_a_restart_is_sent_after_it_and_what_is_parked_is_counted() {
    let (memory, delayed) = (Memory::default(), DelayedMemory::default());
    let mut running = start(&memory, &delayed).await;
    let first = running.park("a", 1).await;
    running.park("b", 2).await;
    running.park("c", 3).await;
    running.unpark(Unparking::Drop, &[2]).await;
    running.unpark(Unparking::Release, &[1]).await;
    let published = running.published().await;
    running.answer(published.token, PublishOutcome::Lost).await;
    running.stop().await;
    let mut running = start(&memory, &delayed).await;
    let published = running.published().await;
    assert_eq!(text(&published, "cloudEvents_id"), first.0);
    running.shows_parked(2).await;
    running.answer(published.token, CONFIRMED).await;
    running.shows_parked(1).await;
    let status = running.handle.status.borrow().clone();
    let warned = status.warnings.iter().any(|said| said.contains("1 delayed event parked"));
    assert!(warned, "{:?}", status.warnings);
}

#[tokio::test]
async fn what_is_over_the_ceiling_of_its_domain_goes_out_when_that_lets_it() {
    let ceiling = Ceiling::of_a_second("order.*".into(), "order.#".into(), 10);
    let (memory, delayed) = (Memory::default(), DelayedMemory::default());
    let mut running = start_below(&memory, &delayed, Ceilings::new(vec![ceiling])).await;
    let begun = clock::now();
    for name in ["a", "b", "c"] {
        running.ask(put(name, 0, |_| ())).await;
    }
    for (name, earliest) in [("a", 0), ("b", 100), ("c", 200)] {
        let published = running.published().await;
        assert_eq!(text(&published, "cloudEvents_subject"), name);
        assert!(clock::now().since(begun) >= earliest, "{name} comes early");
        running.answer(published.token, CONFIRMED).await;
    }
    running.becomes(balance(3, 0, 0)).await;
}

#[tokio::test]
async fn a_leader_whose_delayed_events_are_gone_ends_unless_nobody_could_send_them() {
    let damaged = StoreError::Damaged { path: "d".into(), what: "a page".into(), remedy: "".into() };
    for (error, goes_on) in [(damaged, true), (StoreError::Fenced { term: 1, seen: 1 }, false)] {
        let (store, snapshot, events) = delayed::unopened(error);
        let declare_tasks = DeclareTasks(Arc::new(|| Box::pin(async { Ok(()) })));
        let rules = DelayedRules::default();
        let (publisher, _broker) = Publisher::channel(4);
        let mut parts = parts(&Memory::default(), publisher).await;
        parts.delayed = Some(DelayedParts { store, snapshot, events, declare_tasks, rules });
        let trust = watch::channel(i64::MAX).1;
        let (heartbeat, proof) = (Heartbeat::default(), watch::channel(Proof::default()).0);
        parts.lead = Some(Lead { term: 1, trust, heartbeat, proof });
        let (clock_loop, mut handle) = ClockLoop::new(parts);
        let (trigger, stop) = shutdown();
        let running = tokio::spawn(async move { Box::pin(clock_loop.run(stop)).await });
        if goes_on {
            let shown = |status: &Status| status.reasons.iter().any(|said| said.contains("given up on"));
            timeout(Duration::from_secs(60), handle.status.wait_for(shown)).await.unwrap().unwrap();
            trigger.advance();
            trigger.advance();
        }
        let ended = timeout(Duration::from_secs(60), running).await.expect("it ends").unwrap();
        match goes_on {
            true => drop(ended.unwrap()),
            false => assert!(matches!(ended, Err(Failure::Store(StoreError::Fenced { .. }))), "{ended:?}"),
        }
    }
}
