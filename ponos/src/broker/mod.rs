//! The broker as a port: a [`Publisher`] and a [`Consumer`], each a handle onto one task that owns its channels.
//!
//! Two adapters implement it: [`amqp`] (RabbitMQ through lapin) and [`memory`] (its twin on tokio time). Both are
//! held to `ponos/tests/broker_conformance`. What the port promises:
//!
//! * every publishing that was taken gets exactly one [`Settlement`], whatever happens to the connection;
//! * publishings of one lane are written in the order submitted, on one channel;
//! * the adapter reconnects for ever by itself and declares its [`Topology`](crate::topology::Topology) again; what it
//!   is doing stands in [`Link`].

pub mod amqp;
pub mod memory;

use crate::event::Message;
use std::{fmt, sync::Arc};
use tokio::sync::{mpsc, watch};

/// One message to be published.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The caller's own number, given back in the [`Settlement`].
    pub token: u64,
    /// Publishings of one lane keep their order; lanes are spread over the confirm channels.
    pub lane: u32,
    /// The exchange to publish to.
    pub exchange: Arc<str>,
    /// `message_id` must be set: returned messages are matched by it.
    pub message: Message,
}

/// What became of a [`Publishing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The caller's number.
    pub token: u64,
    /// How it ended.
    pub outcome: PublishOutcome,
}

/// How a publishing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// All routed queues have it.
    Confirmed {
        /// No queue was bound (a return came before the confirm).
        returned: bool,
    },
    /// A queue refused it (full with reject-publish, or an internal error). Other queues may have it.
    Nacked,
    /// The broker closed the channel because of this very message; the reason says why.
    Refused(String),
    /// The connection went, or the time limit passed, before an answer came: it may have arrived or not. Also what was
    /// submitted while the link was not [`Link::Up`], so it is no sign of a fault of the message's own.
    Lost,
}

/// How the connection is, as far as this handle is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not usable; being tried again for ever.
    Down {
        /// How many attempts failed since it was last up.
        attempts: u32,
        /// Why the last one failed; `None` before the first has ended.
        error: Option<LinkError>,
    },
    /// Usable.
    Up {
        /// Counts connections; deliveries of an older generation can't be settled any more.
        generation: u64,
        /// Which broker, such as `RabbitMQ at localhost:5672` (lapin keeps the version to itself).
        broker: String,
        /// The user of the connection, which `user_id` must equal.
        user: Option<String>,
    },
    /// Connected, but the broker accepts no publishing (memory or disk alarm).
    Blocked {
        /// The broker's words.
        reason: String,
    },
    /// The handle was closed.
    Closed,
}

/// Why a connection could not be made or kept. `Display` says what happened, to what, and what to do; no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// Which kind, by which callers decide.
    pub class: LinkErrorClass,
    /// What happened, to what.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Kinds of [`LinkError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkErrorClass {
    /// Nobody answers there (refused, timeout, name not found), or the connection was lost: worth trying again.
    Unreachable,
    /// Wrong user or password.
    AccessRefused,
    /// The vhost does not exist, or the user may not enter it.
    Vhost,
    /// Something exists with other arguments (406).
    Inequivalent,
    /// The user may not do this (403), or the thing does not exist (404).
    Forbidden,
    /// TLS failed: a certificate, or plain text spoken to a TLS port or the other way round.
    Tls,
    /// The URL or the TLS files can't be used.
    Configuration,
}

impl LinkErrorClass {
    /// Whether a person must change something before it can work.
    pub fn needs_a_person(self) -> bool {
        self != Self::Unreachable
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for LinkError {}

/// The handle is closed: its task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker handle is closed")]
pub struct Closed;

/// Submits publishings and yields their settlements. Made by an adapter; dropping it ends the adapter's task.
#[derive(Debug)]
pub struct Publisher {
    submit: mpsc::Sender<Vec<Publishing>>,
    settled: mpsc::Receiver<Vec<Settlement>>,
    link: watch::Receiver<Link>,
}

/// The adapter's side of a [`Publisher`].
#[derive(Debug)]
pub struct PublisherTask {
    /// Batches to publish, in order. Closed when the handle is dropped.
    pub submitted: mpsc::Receiver<Vec<Publishing>>,
    /// Exactly one settlement for each publishing taken.
    pub settled: mpsc::Sender<Vec<Settlement>>,
    /// What the connection is doing.
    pub link: watch::Sender<Link>,
}

impl Publisher {
    /// A handle and the adapter's side of it; `batches` bounds how many batches wait in either direction.
    pub fn channel(batches: usize) -> (Self, PublisherTask) {
        let (submit, submitted) = mpsc::channel(batches);
        let (settled_in, settled) = mpsc::channel(batches);
        let (link_in, link) = watch::channel(Link::Down { attempts: 0, error: None });
        (Self { submit, settled, link }, PublisherTask { submitted, settled: settled_in, link: link_in })
    }

    /// Hands a batch over; waits while too many batches are waiting.
    ///
    /// # Errors
    /// [`Closed`] when the adapter's task has ended.
    pub async fn submit(&self, batch: Vec<Publishing>) -> Result<(), Closed> {
        self.submit.send(batch).await.map_err(|_| Closed)
    }

    /// The next settlements; `None` when the adapter's task has ended. Cancel safe.
    pub async fn settlements(&mut self) -> Option<Vec<Settlement>> {
        self.settled.recv().await
    }

    /// What the connection is doing.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// The two halves, for a caller that submits and listens in different places of one loop.
    pub fn split(
        self,
    ) -> (mpsc::Sender<Vec<Publishing>>, mpsc::Receiver<Vec<Settlement>>, watch::Receiver<Link>) {
        (self.submit, self.settled, self.link)
    }
}

/// One message delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The broker delivered it before, or may have.
    pub redelivered: bool,
    /// By which it is settled.
    pub tag: DeliveryTag,
}

/// Names a delivery for settling: void once its connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryTag {
    /// The connection.
    pub generation: u64,
    /// The broker's number on its channel.
    pub tag: u64,
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Done with.
    Ack,
    /// Back to the queue; it did not fail (nack with requeue).
    Release,
    /// Failed: back to the queue, counted towards the delivery limit (reject with requeue).
    Reject,
    /// To the dead letters (reject without requeue).
    Dead,
}

/// Yields deliveries of one queue and settles them. Made by an adapter; dropping it ends the adapter's task, and what
/// is unsettled goes back to the queue.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    settle: mpsc::Sender<(DeliveryTag, Settle)>,
    link: watch::Receiver<Link>,
}

/// The adapter's side of a [`Consumer`].
#[derive(Debug)]
pub struct ConsumerTask {
    /// Deliveries, in order. Its bound is the prefetch.
    pub deliveries: mpsc::Sender<Delivery>,
    /// Settlements asked for; those of an older generation are void.
    pub settle: mpsc::Receiver<(DeliveryTag, Settle)>,
    /// What the connection is doing.
    pub link: watch::Sender<Link>,
}

impl Consumer {
    /// A handle and the adapter's side of it; `prefetch` bounds the deliveries that wait.
    pub fn channel(prefetch: u16) -> (Self, ConsumerTask) {
        let (deliveries_in, deliveries) = mpsc::channel(usize::from(prefetch.max(1)));
        let (settle, settle_out) = mpsc::channel(usize::from(prefetch.max(1)));
        let (link_in, link) = watch::channel(Link::Down { attempts: 0, error: None });
        let task = ConsumerTask { deliveries: deliveries_in, settle: settle_out, link: link_in };
        (Self { deliveries, settle, link }, task)
    }

    /// The next delivery; `None` when the adapter's task has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Settles a delivery; settling one of an older generation is void (it will be delivered again).
    ///
    /// # Errors
    /// [`Closed`] when the adapter's task has ended.
    pub async fn settle(&self, tag: DeliveryTag, how: Settle) -> Result<(), Closed> {
        self.settle.send((tag, how)).await.map_err(|_| Closed)
    }

    /// What the connection is doing.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}
