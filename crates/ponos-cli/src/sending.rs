//! Publishes one message after the other, each confirmed before the next.

use crate::{
    connection::{connected, gone},
    trouble::Trouble,
};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Publishing, Settlement, Transport},
    event::Message,
    topology::Topology,
};
use std::time::Duration;

/// The time limit for closing the connection; everything is confirmed by then.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connected publisher.
pub(crate) struct Sender {
    publisher: Publisher,
    sent: u64,
}

/// Why no confirm comes, as far as the connection shows.
#[derive(Debug, Clone)]
enum Silence {
    /// An alarm; the broker's words.
    Blocked(String),
    /// The connection is gone.
    Lost,
}

impl Silence {
    /// Adds a state of the link to what was seen. An alarm says more than a lost connection, which may follow from it.
    fn with(seen: Option<Self>, link: &Link) -> Option<Self> {
        match (link, seen) {
            (Link::Blocked { reason }, _) => Some(Self::Blocked(reason.clone())),
            (Link::Down { .. } | Link::Closed, None) => Some(Self::Lost),
            (_, seen) => seen,
        }
    }
}

/// The outcome of a publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All queues that are bound have it.
    Arrived,
    /// No queue is bound.
    Nowhere,
    /// A queue, or the broker, did not take it; why.
    Refused(String),
}

impl Sender {
    /// Connects. Nothing is declared.
    pub(crate) async fn open(transport: &Transport) -> Result<Self, Trouble> {
        let publisher = transport.publisher(Topology::default());
        connected(publisher.link()).await?;
        Ok(Self { publisher, sent: 0 })
    }

    /// Closes the connection in order; the broker would log an abrupt end otherwise.
    pub(crate) async fn close(self) {
        let link = self.publisher.link();
        drop(self.publisher);
        // whatever comes of it, nothing is lost
        let _ = Link::closed(link, GOODBYE).await;
    }

    /// Publishes and waits for the confirm, as long as the adapter allows.
    ///
    /// # Errors
    /// When no answer came: it may have arrived or not.
    pub(crate) async fn send(&mut self, exchange: &str, message: Message) -> Result<Sent, Trouble> {
        self.sent += 1;
        let publishing = Publishing { token: self.sent, lane: 0, exchange: exchange.into(), message };
        self.publisher.submit(vec![publishing]).await.map_err(|_| gone())?;
        let (settled, trouble) = self.settled().await;
        let settled = settled.ok_or_else(gone)?;
        match settled.into_iter().next().map(|settlement| settlement.outcome) {
            Some(PublishOutcome::Confirmed { returned: false }) => Ok(Sent::Arrived),
            Some(PublishOutcome::Confirmed { returned: true }) => Ok(Sent::Nowhere),
            Some(PublishOutcome::Nacked) => {
                Ok(Sent::Refused("a queue refused it: it is full, or its node is in trouble".into()))
            }
            Some(PublishOutcome::Refused(why) | PublishOutcome::Missing(why)) => Ok(Sent::Refused(why)),
            Some(PublishOutcome::Lost) | None => Err(Trouble::lost(match trouble {
                Some(Silence::Blocked(reason)) => format!(
                    "the broker accepts no messages at present ({reason}): the message was not confirmed within the limit, and may arrive \
                     yet or not; free memory or disk space on the broker, then try again: under the same id it is handled once"
                ),
                Some(Silence::Lost) => {
                    "the connection was lost before the broker confirmed: the message may have arrived or not".into()
                }
                None => "the broker did not confirm within the limit: the message may have arrived or not; check whether the broker is overloaded"
                    .into(),
            })),
        }
    }

    /// The settlements of what was submitted, and what the connection did meanwhile.
    async fn settled(&mut self) -> (Option<Vec<Settlement>>, Option<Silence>) {
        let mut link = self.publisher.link();
        let mut seen = Silence::with(None, &link.borrow_and_update());
        loop {
            tokio::select! {
                biased;
                settled = self.publisher.settlements() => {
                    // what happened last may not have been looked at yet
                    return (settled, Silence::with(seen, &link.borrow()));
                }
                Ok(()) = link.changed() => seen = Silence::with(seen, &link.borrow_and_update()),
            }
        }
    }
}
