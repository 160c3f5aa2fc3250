//! The asking half of the port: a message whose answer comes back on the channel that it went out on
//! ([direct reply-to](https://www.rabbitmq.com/docs/direct-reply-to)). Nothing is declared for it.

use super::{Closed, Link, PublishOutcome};
use ponos_event::Message;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{mpsc, oneshot, watch};

/// Pass this as `reply_to`, and consume it: the broker makes a name of it that leads back to the channel.
pub const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";

/// Sends requests and awaits their answers. Made by an adapter; the adapter's task ends with the last clone.
#[derive(Debug, Clone)]
pub struct Requester {
    submit: mpsc::Sender<Request>,
    link: watch::Receiver<Link>,
    next: Arc<AtomicU64>,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// The exchange to publish to.
    pub exchange: Arc<str>,
    /// The message; its `correlation_id` is unique among all requests of this requester, and the answer has the same.
    pub message: Message,
    /// Where its end is told; closed when nobody waits any more.
    pub end: oneshot::Sender<RequestEnd>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestEnd {
    /// It was answered.
    Answered(Box<Message>),
    /// It will not be answered: no queue was bound (`Confirmed { returned: true }`), it was refused, or the connection was lost
    /// before the answer came ([`PublishOutcome::Lost`]; also what was asked while the link was not [`Link::Up`]).
    Unanswered(PublishOutcome),
}

/// The adapter's side of a [`Requester`].
#[derive(Debug)]
pub struct RequesterTask {
    /// Requests, in order. Closed when the last handle is dropped.
    pub submitted: mpsc::Receiver<Request>,
    /// The state of the connection.
    pub link: watch::Sender<Link>,
}

impl Requester {
    /// A handle and the adapter's side of it; `bound` is how many requests wait to be taken.
    pub fn channel(bound: usize) -> (Self, RequesterTask) {
        let (submit, submitted) = mpsc::channel(bound);
        let (link_in, link) = watch::channel(Link::Down { attempts: 0, error: None });
        (Self { submit, link, next: Arc::default() }, RequesterTask { submitted, link: link_in })
    }

    /// Asks, and waits for the end: it has no time limit of its own, and may be dropped. The message's `correlation_id` and
    /// `reply_to` are set.
    ///
    /// # Errors
    /// [`Closed`] when the adapter's task has ended.
    pub async fn ask(
        &self,
        exchange: impl Into<Arc<str>>,
        mut message: Message,
    ) -> Result<RequestEnd, Closed> {
        let (end, ended) = oneshot::channel();
        message.properties.correlation_id = Some(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let request = Request { exchange: exchange.into(), message, end };
        self.submit.send(request).await.map_err(|_| Closed)?;
        ended.await.map_err(|_| Closed)
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

/// Requests that wait for their answers, by correlation id. Bounded: see [`PendingRequests::has_room`].
#[derive(Debug, Default)]
pub(super) struct PendingRequests(std::collections::HashMap<String, oneshot::Sender<RequestEnd>>);

impl PendingRequests {
    /// The most that wait.
    const MOST: usize = 4_096;

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < Self::MOST
    }

    pub(super) fn add(&mut self, id: String, end: oneshot::Sender<RequestEnd>) {
        self.0.insert(id, end);
    }

    /// Ends one, if it waits.
    pub(super) fn end(&mut self, id: &str, end: RequestEnd) {
        if let Some(waits) = self.0.remove(id) {
            // who asked may have given up
            let _ = waits.send(end);
        }
    }

    /// An answer came.
    pub(super) fn answer(&mut self, answer: Message) {
        let id = answer.properties.correlation_id.clone().unwrap_or_default();
        self.end(&id, RequestEnd::Answered(Box::new(answer)));
    }

    /// Forgets those that nobody waits for any more.
    pub(super) fn tidy(&mut self) {
        self.0.retain(|_, end| !end.is_closed());
    }

    /// Ends all: their answers can't come any more.
    pub(super) fn lose(&mut self) {
        for (_, end) in self.0.drain() {
            let _ = end.send(RequestEnd::Unanswered(PublishOutcome::Lost));
        }
    }
}

impl Request {
    /// Ends it unsent.
    pub(super) fn lose(self) {
        let _ = self.end.send(RequestEnd::Unanswered(PublishOutcome::Lost));
    }
}
