//! The publishing half of the port.

use super::{Closed, Link};
use ponos_event::Message;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// In the reason of a [`PublishOutcome::Refused`] for headers that no frame of the broker's holds.
pub const NO_FRAME: &str = "a frame of the broker holds";

/// The reason of a [`PublishOutcome::Refused`] for headers deeper than [`Headers::DEEPEST`](ponos_event::Headers::DEEPEST).
pub const TOO_DEEP: &str = "its headers are nested too deep; 32 levels are the most";

/// One message to be published.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The caller's own number, given back in the [`Settlement`].
    pub token: u64,
    /// Publishings of one lane keep their order; lanes are spread over the confirm channels. What goes where the broker refused
    /// one before keeps its order too, apart from its lane.
    pub lane: u32,
    /// The exchange to publish to.
    pub exchange: Arc<str>,
    /// `message_id` must be set: returned messages are matched by it, with exchange and routing key.
    pub message: Message,
}

/// The outcome of a [`Publishing`].
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
    /// Every queue that it was routed to has it.
    Confirmed {
        /// No queue was bound (a return came before the confirm).
        returned: bool,
    },
    /// A queue refused it (full with reject-publish, or an internal error). Other queues may have it.
    Nacked,
    /// The broker closed the channel because of this very message; the reason says why. Sent again it is refused again.
    Refused(String),
    /// Its exchange does not exist (404), and is not one that this publisher declares, or looks up, itself: the reason
    /// says which. The topology's fault, never the message's: an outage of that exchange. Sent again once somebody has
    /// declared the exchange, it goes out.
    Missing(String),
    /// The connection went, or the time limit passed, or the channel stood still, before an answer came: it may have arrived or not. Also what was
    /// submitted while the link was not [`Link::Up`], so it is no sign of a fault of the message's own. Where the connection is
    /// the reason, the link has shown that before: it is [`Link::Down`], or up with a newer generation. Also when an exchange
    /// of the publisher's own topology is gone or another than declared: the link is [`Link::Down`] then, with the reason,
    /// until it is declared again.
    Lost,
}

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
    /// The state of the connection.
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

    /// Another way to hand batches over, which does not keep the adapter's task alive. What comes of them is given to whoever takes
    /// the settlements.
    pub fn submitter(&self) -> mpsc::WeakSender<Vec<Publishing>> {
        self.submit.downgrade()
    }

    /// The next settlements; `None` when the adapter's task has ended. Cancel safe.
    pub async fn settlements(&mut self) -> Option<Vec<Settlement>> {
        self.settled.recv().await
    }

    /// The state of the connection.
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
