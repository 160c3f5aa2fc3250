//! A service's client: publishes its events and tasks from anywhere, such as web handlers and programs.
//!
//! What it publishes is held to the same contracts as what a handler publishes (`declared`). A publishing ends in one way:
//! the broker confirmed it, or a [`ClientError`] says what happened, and whether it may have arrived. Nothing waits for longer
//! than its time limit, and no more waits than [`ClientLimits`] allow.
//!
//! Absent: consuming ([`Worker`](crate::worker::Worker)), and declaring: exchanges and queues are the worker's.

mod cancel;
pub(crate) mod clock;
mod connect;
mod control;
mod error;
#[cfg(feature = "postgres")]
mod outbox;
mod outgoing;

pub use cancel::Cancel;
pub use clock::{
    BatchOutcome, ClockClient, ClockError, Command, DelayedEvent, DelayedPage, DelayedState, EventOutcome,
    ItemOutcome, Problem, ProblemError, ScheduleOutcome, SchedulePage, ScheduleState, Triggered,
};
pub use connect::Connect;
pub(crate) use connect::up;
pub use control::{ControlClient, ControlError, Controlled, LONGEST_CONTROL, Until};
pub use error::ClientError;
#[cfg(feature = "postgres")]
pub use outbox::Outbox;
pub use outgoing::{Confirmed, Outgoing};

#[cfg(feature = "postgres")]
use crate::inbox::Inbox;
use crate::{
    broker::{Link, Requester, Transport},
    clock::Clock,
    declared::{Declared, MessageKind},
    event::{EventId, Timestamp},
    inbox::Held,
    names::{NamesEvent, NamesTask},
    worker::{ConfirmingPublisher, FlushError},
};
use serde::Serialize;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

/// Between two attempts of one publishing.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes in one unit of what waits.
const UNIT: usize = 1024;
/// The wait for the broker to take note that the client goes.
const GOODBYE: Duration = Duration::from_secs(2);

/// Publishes events and tasks of a service. Clones are cheap, and share one connection.
///
/// ```
/// use ponos::{Client, prelude::*, testing::Kit, broker::Transport};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
/// #[schemars(crate = "ponos::schemars")]
/// struct Label { order: u64 }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
/// # runtime.block_on(async {
/// # let worker = Worker::new("orders").task("orders.label.print", async |_: Label, _: Context| Ok(Done));
/// # let kit = Kit::start(worker).await;
/// # let broker = Transport::memory(kit.broker().clone());
/// // Client::connect("amqp://user:password@localhost:5672", "orders")
/// let client = Client::connect_on(broker, "orders")
///     .sends_task::<Label>("orders.label.print")
///     .await?;
/// // in a web handler: it returns when the broker has it
/// let id = client.task("orders.label.print", &Label { order: 7 }).correlation("request-1").await?;
/// # kit.settled().await;
/// # assert_eq!(kit.ended(&id), Some(Ended::Done));
/// client.close().await?;
/// # Ok::<(), ponos::client::ClientError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    declared: Declared,
    limits: ClientLimits,
    clock: Clock,
    transport: Transport,
    /// Taken when the client is closed.
    open: Mutex<Option<Open>>,
    link: watch::Receiver<Link>,
    /// With an outbox, or none.
    #[cfg(feature = "postgres")]
    inbox: Inbox,
    /// Places of what waits for its confirm; closed with the client.
    places: Semaphore,
    /// What that takes, in [`UNIT`]s.
    room: Semaphore,
}

/// Its connections.
struct Open {
    publisher: ConfirmingPublisher,
    /// Made for the first command to the clock.
    requester: Option<Requester>,
}

/// Limits of a client. Every one has a default.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// How long connecting, or a publishing with all its attempts, may take (10 s).
    pub timeout: Duration,
    /// How long a command to the clock, with all its attempts, may take (30 s).
    pub answer: Duration,
    /// How many messages and commands may wait for their confirms at a time (1,000) …
    pub waiting: usize,
    /// … and the bytes of their bodies together (64 MiB).
    pub waiting_bytes: usize,
    /// The largest body in bytes: workers read no larger one (16 MiB).
    pub body: usize,
    /// Bodies of at least so many bytes are sent compressed by gzip, where that makes them smaller (`None`: never). Whoever takes
    /// them must read gzip.
    pub compress: Option<usize>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        let (timeout, answer) = (Duration::from_secs(10), Duration::from_secs(30));
        let (waiting, waiting_bytes, body) = (1_000, 64 << 20, 16 << 20);
        Self { timeout, answer, waiting, waiting_bytes, body, compress: None }
    }
}

/// What one publishing holds while it waits.
struct Place<'a>(#[allow(dead_code, reason = "held")] [SemaphorePermit<'a>; 2]);

impl Client {
    /// Connects to the RabbitMQ at `url` (`amqp://user:password@host:5672/vhost`, `amqps://…`; of a cluster several hosts, with
    /// commas between them), for the service of this name.
    /// What it publishes is declared before it is awaited: see [`Connect`].
    pub fn connect(url: &str, service: impl Into<String>) -> Connect {
        Connect::to(url, service.into())
    }

    /// As [`Client::connect`], by this transport: the twin of a [`Kit`](crate::testing::Kit), or an
    /// [`AmqpConfig`](crate::broker::amqp::AmqpConfig) of yours.
    pub fn connect_on(transport: Transport, service: impl Into<String>) -> Connect {
        Connect::on(Ok(transport), service.into())
    }

    /// Publishes a task for this service when it is awaited. It must reach its queue.
    pub fn task<T: Serialize>(&self, name: impl NamesTask<T>, payload: &T) -> Outgoing<'_> {
        Outgoing::new(self, self.0.declared.check(MessageKind::Task, name.text(), payload), Confirmed)
    }

    /// Publishes an event for everybody when it is awaited. That nobody is bound to it is no error.
    pub fn publish<T: Serialize>(&self, name: impl NamesEvent<T>, payload: &T) -> Outgoing<'_> {
        Outgoing::new(self, self.0.declared.check(MessageKind::Event, name.text(), payload), Confirmed)
    }

    /// Asks the clock `khronos` by message: schedules and delayed events.
    pub fn clock(&self) -> ClockClient {
        ClockClient(self.clone())
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.0.declared.service
    }

    /// The state of its connection, for a health check.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.0.link.clone()
    }

    /// Ends the client, and all its clones: nothing more is taken, what waits for its confirm is waited for (each has its own
    /// time limit), and the connection is closed in order. Without it, the connection ends with the last clone, and the broker
    /// notes that nobody said goodbye.
    ///
    /// # Errors
    /// [`ClientError::Unflushed`] where something still waited after the longest time limit; whoever awaits that is told.
    pub async fn close(&self) -> Result<(), ClientError> {
        let shared = &self.0;
        // whoever comes from now on is refused
        let open = self.open().take();
        let asking = open.as_ref().and_then(|open| open.requester.as_ref()).map(Requester::link);
        let all = u32::try_from(shared.limits.waiting).unwrap_or(u32::MAX);
        let flushed = timeout(shared.limits.timeout, shared.places.acquire_many(all)).await;
        let waiting = shared.limits.waiting.saturating_sub(shared.places.available_permits());
        shared.places.close();
        drop(open);
        if flushed.is_err() {
            return Err(ClientError::Unflushed(waiting));
        }
        // whatever comes of it: all is confirmed
        for link in [self.link()].into_iter().chain(asking) {
            let _ = Link::closed(link, GOODBYE).await;
        }
        Ok(())
    }

    /// By which it is connected, for what reads.
    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// The time on its clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// [`ClientLimits::timeout`].
    pub(crate) fn time_limit(&self) -> Duration {
        self.0.limits.timeout
    }

    /// Publishes, again and again while connections are lost, until it is confirmed or refused or the limit is over.
    pub(crate) async fn send(&self, name: &str, held: Held, limit: Duration) -> Result<EventId, ClientError> {
        let publisher = self.open().as_ref().map(|open| open.publisher.clone()).ok_or(ClientError::Closed)?;
        let _place = self.place(name, held.message.body.len())?;
        let (deadline, id) = (Instant::now() + limit, held.id.clone());
        let mut lost: Option<String> = None;
        loop {
            let mut link = publisher.link();
            let up = link.wait_for(|link| matches!(link, Link::Up { .. } | Link::Closed));
            match timeout_at(deadline, up).await {
                Ok(Ok(link)) if matches!(*link, Link::Up { .. }) => {}
                Ok(_) => return Err(ClientError::Closed),
                Err(_) => {
                    let (name, no_link) = (name.to_owned(), no_link(&publisher.link().borrow()));
                    return Err(match lost {
                        None => ClientError::NoConnection { name, limit, why: no_link },
                        Some(why) => ClientError::Unconfirmed { name, id, limit, why },
                    });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match publisher.publish(vec![held.clone()], left).await {
                Ok(()) => return Ok(id),
                Err(FlushError::Lost(why)) => why,
                Err(FlushError::Late(_)) => "the broker is connected, and sends no confirm".to_owned(),
                Err(error) => return Err(ClientError::refused(name, error)),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(ClientError::Unconfirmed { name: name.to_owned(), id, limit, why });
            }
            lost = Some(why);
            sleep(PAUSE).await;
        }
    }

    /// How long an inbox remembers what was done, as far as is known.
    fn remembered(&self) -> Duration {
        #[cfg(feature = "postgres")]
        return self.0.inbox.retention;
        #[cfg(not(feature = "postgres"))]
        crate::inbox::Inbox::none().retention
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        // nothing is left half done within
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By which the clock is asked; `None` once it is closed.
    fn requester(&self) -> Option<Requester> {
        let mut open = self.open();
        let made = &mut open.as_mut()?.requester;
        Some(made.get_or_insert_with(|| self.0.transport.requester()).clone())
    }

    /// A place among those that wait, if there is one.
    fn place(&self, name: &str, bytes: usize) -> Result<Place<'_>, ClientError> {
        let ClientLimits { waiting, waiting_bytes, body, .. } = self.0.limits;
        if bytes > body {
            return Err(ClientError::TooLarge { name: name.to_owned(), bytes, most: body });
        }
        let full = |_| match self.0.places.is_closed() {
            true => ClientError::Closed,
            false => ClientError::Full { name: name.to_owned(), most: waiting, most_bytes: waiting_bytes },
        };
        let place = self.0.places.try_acquire().map_err(full)?;
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Ok(Place([place, self.0.room.try_acquire_many(units).map_err(full)?]))
    }
}

/// Why nothing can be sent.
fn no_link(link: &Link) -> String {
    match link {
        Link::Down { error: Some(error), .. } => error.to_string(),
        Link::Blocked { reason } => format!("the broker accepts no messages: {reason}"),
        Link::Down { .. } | Link::Up { .. } | Link::Closed => "it is being made".to_owned(),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service", &self.0.declared.service).finish_non_exhaustive()
    }
}
