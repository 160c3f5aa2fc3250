//! The kit for tests of workers: an in-memory twin of RabbitMQ, and a clock that the test moves by hand.
//!
//! ```
//! use ponos::{prelude::*, testing::Kit};
//! use serde_json::{Value, json};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! // in a test: #[tokio::test(start_paused = true)]
//! let worker = Worker::new("mail")
//!     .on::<Value>("time.one-day.passed", |_, ctx| async move {
//!         ctx.task("mail.digest.send", &json!({ "to": "all" }))?;
//!         Ok(Done)
//!     })
//!     .task("mail.digest.send", async |_: Value, _: Context| Ok(Done));
//! let mut kit = Kit::start(worker).await;
//! let id = kit.publish("time.one-day.passed", &json!({})).await;
//! kit.settled().await;
//! assert_eq!(kit.ended(&id), Some(Ended::Done));
//! assert_eq!(kit.published("mail.digest.send"), [json!({ "to": "all" })]);
//! # });
//! ```
//!
//! Everything runs on tokio's paused time: nothing waits in real time, and a retry that is due in an hour comes as soon as
//! [`Kit::advance`] has moved the clock by an hour. The kit panics where a test should fail.
//!
//! A handler with a real database needs real time ([`Kit::start_in_real_time`]): a paused clock jumps ahead while it waits.
#![allow(clippy::panic)] // it serves tests alone: a panic is its error

mod batches;
use crate::{
    broker::{Delivery, Transport, memory::Broker},
    clock::{Clock, is_paused},
    compression,
    event::{Event, EventId, EventName, Message, Timestamp},
    inbox::Held,
    shutdown::{Trigger, shutdown},
    topology::{
        Binding, Queue, Topology,
        worker::{DEAD, EVENTS, LADDER, PARKING, TASKS, dead_letters},
    },
    worker::{ConfirmingPublisher, Ended, Observed, Report, Worker, WorkerError},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};

/// The time that a kit's clock shows at its start by default.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_796_115_600_000);
/// How long [`Kit::settled`] waits, on the clock of the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often [`Kit::settled`] looks.
const LOOK: Duration = Duration::from_millis(1);
/// How many times other tasks may run before the clock is moved.
const TURNS: usize = 200;
/// The queue that gets a copy of everything published.
const TAP: &str = "testing.tap";

/// A running worker, with a broker and a clock of its own.
#[derive(Debug)]
pub struct Kit {
    broker: Broker,
    publisher: ConfirmingPublisher,
    clock: Clock,
    source: String,
    queues: Vec<String>,
    seen: Observations,
    trigger: Trigger,
    worker: JoinHandle<Result<Report, WorkerError>>,
    #[cfg(feature = "postgres")]
    inbox: crate::inbox::Inbox,
    /// The prefix of all ids.
    run: String,
    sent: u64,
}

/// What the worker's observer reported, in order.
#[derive(Debug, Clone, Default)]
struct Observations(Arc<Mutex<Vec<Observed>>>);

/// A message in a dead-letter queue.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The work queue in which it died.
    pub queue: String,
    /// `dead-kind`: `schema`, `attempts`, …
    pub kind: String,
    /// `dead-reason`, for people.
    pub reason: String,
    /// The message as it lies there.
    pub message: Message,
}

impl Kit {
    /// Starts the worker, with the clock at [`BEGINNING`].
    ///
    /// # Panics
    /// If the worker can't run, if tokio's time is not paused (`#[tokio::test(start_paused = true)]`), or if the inbox is
    /// on Postgres, which needs [`Kit::start_in_real_time`].
    pub async fn start(worker: Worker) -> Self {
        Self::start_at(BEGINNING, worker).await
    }

    /// Starts the worker, with the clock at `beginning`.
    ///
    /// # Panics
    /// As [`Kit::start`].
    pub async fn start_at(beginning: Timestamp, worker: Worker) -> Self {
        assert!(
            is_paused(),
            "Kit::start needs a paused clock: write #[tokio::test(start_paused = true)], or start the worker with Kit::start_in_real_time"
        );
        Self::begin(Clock::starting_at(beginning), "test".into(), worker)
    }

    /// Starts the worker on the system's clock, for handlers that use something real, such as an inbox on Postgres. Retries
    /// then take their time, and [`Kit::advance`] waits. Ids are random, because a database remembers those of the last run.
    ///
    /// Tests that share a database and run at the same time must not share an outbox: give each service, or the
    /// `schema` of its `PostgresOptions`, another name.
    ///
    /// # Panics
    /// If the worker can't run, or tokio's time is paused.
    pub async fn start_in_real_time(worker: Worker) -> Self {
        assert!(
            !is_paused(),
            "Kit::start_in_real_time needs a running clock: write #[tokio::test] without start_paused"
        );
        Self::begin(Clock::system(), format!("test-{:032x}", fastrand::u128(..)), worker)
    }

    fn begin(clock: Clock, run: String, worker: Worker) -> Self {
        let seen = Observations::default();
        let (told, service) = (seen.clone(), worker.service().to_owned());
        let worker = worker.clock(clock).observe(move |observed| told.lock().push(observed.clone()));
        let ready = match worker.checked() {
            Ok(ready) => ready,
            Err(why) => panic!("{why}"),
        };
        #[cfg(feature = "postgres")]
        let inbox = ready.inbox().clone();
        assert!(
            !(is_paused() && ready.inbox().is_shared()),
            "an inbox on Postgres needs a running clock: Kit::start_in_real_time in a #[tokio::test] without start_paused"
        );
        let broker = Broker::new();
        let tap = tap(ready.topology());
        let shared: Vec<&str> = LADDER.iter().map(|(rung, _)| *rung).chain([PARKING]).collect();
        let work = ready.topology().bindings.iter().filter(|binding| binding.source == DEAD);
        let queues: Vec<String> = work.map(|binding| binding.routing_key.clone()).collect();
        debug_assert!(queues.iter().all(|queue| !shared.contains(&queue.as_str())));
        if let Err(why) = broker.declare(ready.topology()).and_then(|()| broker.declare(&tap)) {
            panic!("{why}");
        }
        let publisher = ConfirmingPublisher::open(broker.publisher(Topology::default()));
        let (trigger, shutdown) = shutdown();
        let transport = Transport::memory(broker.clone());
        let worker = tokio::spawn(async move { Box::pin(ready.run_on(transport, shutdown)).await });
        let source = format!("/{service}");
        Self {
            broker,
            publisher,
            clock,
            source,
            queues,
            seen,
            trigger,
            worker,
            #[cfg(feature = "postgres")]
            inbox,
            run,
            sent: 0,
        }
    }

    /// The in-memory broker, which a test can cut off, block or inspect.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The time on the worker's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Publishes an event with this data; returns its id.
    ///
    /// # Panics
    /// If the name is not valid, or the data can't be written as JSON.
    pub async fn publish(&mut self, name: &str, data: &impl Serialize) -> EventId {
        let event = self.event(name, data);
        self.publish_event(event).await
    }

    /// Publishes an event unchanged; returns its id.
    pub async fn publish_event(&mut self, event: Event) -> EventId {
        let id = event.id.clone();
        self.publish_message(EVENTS, event.into_message()).await;
        id
    }

    /// Sends a task to the worker's service; returns its id.
    ///
    /// # Panics
    /// If the name is not valid, the data can't be written as JSON, or the service has no such task.
    pub async fn task(&mut self, name: &str, data: &impl Serialize) -> EventId {
        if let Err(why) = EventName::of_task(name) {
            panic!("'{name}': {why}");
        }
        let event = self.event(name, data);
        let id = event.id.clone();
        let mut message = event.into_message();
        message.routing_key = format!("{}.{name}", self.source.trim_start_matches('/'));
        self.publish_message(TASKS, message).await;
        id
    }

    /// Publishes any message, malformed ones included.
    ///
    /// # Panics
    /// If the message is not confirmed.
    pub async fn publish_message(&mut self, exchange: &str, message: Message) {
        self.sent += 1;
        let mut message = message;
        let made_up = format!("{}-message-{}", self.run, self.sent);
        let id = message.properties.message_id.get_or_insert_with(|| made_up.clone());
        // an empty one is bad, and sent as it is
        let id = if id.is_empty() { made_up.parse() } else { id.parse() };
        let id = id.unwrap_or_else(|why| panic!("{why}"));
        let held = Held { id, exchange: Arc::from(exchange), message, due: None };
        if let Err(why) = self.publisher.publish(vec![held], PATIENCE).await {
            panic!("nothing was published: {why}");
        }
    }

    /// An event as another service would send it now.
    ///
    /// # Panics
    /// If the name is not valid, or the data can't be written as JSON.
    pub fn event(&mut self, name: &str, data: &impl Serialize) -> Event {
        self.sent += 1;
        let name: EventName = name.parse().unwrap_or_else(|why| panic!("'{name}': {why}"));
        let id: EventId = format!("{}-{}", self.run, self.sent).parse().unwrap_or_else(|why| panic!("{why}"));
        let data = serde_json::to_vec(data).unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut event = Event::new(id, "/testing", name, data);
        event.time = Some(self.now());
        event
    }

    /// Waits until the worker has nothing to do: its queues are empty, no handler runs, and its outbox is empty. Retries may
    /// still wait; [`Kit::advance`] brings them.
    ///
    /// # Panics
    /// If a minute, on the clock of the test, is not enough, or if a handler blocked its thread beyond its timeout.
    pub async fn settled(&self) {
        for _ in 0..TURNS {
            if self.is_settled().await.is_ok() {
                return self.refuse_blocked();
            }
            yield_now().await;
        }
        let began = Instant::now();
        while let Err(busy) = self.is_settled().await {
            self.refuse_blocked();
            assert!(began.elapsed() < PATIENCE, "after a minute there is still work in {busy}");
            sleep(LOOK).await;
        }
        self.refuse_blocked();
    }

    /// Moves the clock by `by`; everything that comes due happens in its order. Then waits as [`Kit::settled`] does. In real
    /// time it waits for that long instead.
    pub async fn advance(&self, by: Duration) {
        sleep(by).await;
        self.settled().await;
    }

    /// The error says where there still is work.
    async fn is_settled(&self) -> Result<(), String> {
        let ends = self.seen.lock().len();
        self.is_idle()?;
        #[cfg(feature = "postgres")]
        match self.inbox.outbox().await {
            Ok(Some(outbox)) if outbox.waiting > 0 => {
                return Err(format!(
                    "the outbox: {} messages wait, {} of them were refused",
                    outbox.waiting, outbox.failing
                ));
            }
            Ok(_) => {}
            Err(why) => return Err(format!("the outbox, which can't be inspected: {why}")),
        }
        // what was in the outbox may have been relayed and handled since
        self.is_idle()?;
        if ends == self.seen.lock().len() { Ok(()) } else { Err("its queues".into()) }
    }

    fn is_idle(&self) -> Result<(), String> {
        let at_work = |queue: &&String| {
            let status = self.broker.queue_status(queue);
            status.is_none_or(|status| status.ready + status.unacked > 0 || status.consumers == 0)
        };
        let busy: Vec<&String> = self.queues.iter().filter(at_work).collect();
        if busy.is_empty() { Ok(()) } else { Err(format!("{busy:?}")) }
    }

    fn refuse_blocked(&self) {
        let blocked = self.seen.lock().iter().find_map(|observed| match observed {
            Observed::Blocked { queue, id, name, held, timeout } => Some(format!(
                "the handler of '{name}' in {queue} blocked its thread for {held:?} ({id}), beyond its timeout of {timeout:?}: await instead of blocking, or give such work to ctx.blocking"
            )),
            _ => None,
        });
        assert!(blocked.is_none(), "{}", blocked.unwrap_or_default());
    }

    /// Everything that the worker's observer reported so far, in order.
    pub fn observed(&self) -> Vec<Observed> {
        self.seen.lock().clone()
    }

    /// How the last delivery of that id ended.
    pub fn ended(&self, id: &EventId) -> Option<Ended> {
        self.seen.lock().iter().rev().find_map(|observed| match observed {
            Observed::Ended { id: Some(ended_id), ended, .. } if ended_id == id => Some(ended.clone()),
            _ => None,
        })
    }

    /// The data of all events and tasks of that name that the worker has published, in order.
    pub fn published(&self, name: &str) -> Vec<Value> {
        let data = |event: Event| serde_json::from_slice(&event.data).unwrap_or(Value::Null);
        self.published_events(name).into_iter().map(data).collect()
    }

    /// All events and tasks of that name that the worker has published, in order.
    pub fn published_events(&self, name: &str) -> Vec<Event> {
        let tapped = self.broker.peek(TAP).into_iter();
        let events = tapped.filter_map(|delivery| compression::event(&delivery.message, usize::MAX).ok());
        events.filter(|event| event.source == self.source && event.name.as_str() == name).collect()
    }

    /// All messages in the worker's dead-letter queues.
    pub fn dead(&self) -> Vec<DeadLetter> {
        let letters = self.queues.iter().flat_map(|queue| {
            self.broker.peek(&dead_letters(queue)).into_iter().map(|letter| dead_letter(queue, letter))
        });
        letters.collect()
    }

    /// Asks the worker to stop, waits for its end, and returns its report.
    ///
    /// # Panics
    /// If the worker ended with an error, or a handler blocked its thread beyond its timeout.
    pub async fn stop(mut self) -> Report {
        self.trigger.advance();
        let report = match (&mut self.worker).await {
            Ok(Ok(report)) => report,
            Ok(Err(why)) => panic!("{why}"),
            Err(why) => panic!("the worker ended with a panic: {why}"),
        };
        self.refuse_blocked();
        report
    }
}

impl Observations {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Observed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dead_letter(queue: &str, letter: Delivery) -> DeadLetter {
    let text = |name| letter.message.headers.text(name).unwrap_or_default().to_owned();
    DeadLetter {
        queue: queue.to_owned(),
        kind: text("dead-kind"),
        reason: text("dead-reason"),
        message: letter.message.clone(),
    }
}

/// A queue that gets a copy of every event, and of every task of the worker.
fn tap(topology: &Topology) -> Topology {
    let mut tap = Topology {
        queues: vec![Queue::classic(TAP)],
        bindings: vec![Binding::queue(EVENTS, TAP, "#")],
        ..Topology::default()
    };
    let tasks = topology.bindings.iter().filter(|binding| binding.source == TASKS);
    tap.bindings.extend(tasks.map(|binding| Binding::queue(TASKS, TAP, binding.routing_key.clone())));
    tap
}
