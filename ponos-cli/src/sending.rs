//! Publishes one message after the other, each confirmed before the next.

use crate::{
    connection::{connected, gone},
    trouble::Trouble,
};
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Publishing, Transport},
    event::Message,
    topology::Topology,
};
use std::time::Duration;

/// For saying goodbye; all is confirmed by then.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connected publisher.
pub(crate) struct Sender {
    publisher: Publisher,
    sent: u64,
}

/// What became of a message.
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

    /// Says goodbye to the broker, which else notes a client that went without a word.
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
        let settled = self.publisher.settlements().await.ok_or_else(gone)?;
        match settled.into_iter().next().map(|settlement| settlement.outcome) {
            Some(PublishOutcome::Confirmed { returned: false }) => Ok(Sent::Arrived),
            Some(PublishOutcome::Confirmed { returned: true }) => Ok(Sent::Nowhere),
            Some(PublishOutcome::Nacked) => {
                Ok(Sent::Refused("a queue refused it: it is full, or its node is in trouble".into()))
            }
            Some(PublishOutcome::Refused(why) | PublishOutcome::Missing(why)) => Ok(Sent::Refused(why)),
            Some(PublishOutcome::Lost) | None => Err(Trouble::lost(
                "the connection was lost before the broker confirmed: the message may have arrived or not",
            )),
        }
    }
}
