//! Reads a queue without taking anything away, unless told to.

use super::{choice::Filter, letter::Letter};
use crate::{
    connection::{connected, gone},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos::{
    broker::{Consume, Consumer, DeliveryTag, Link, Settle, Transport},
    clock::Clock,
    event::Message,
    topology::Topology,
};
use std::time::Duration;

/// So many letters of a queue are looked at; a prefetch can't be larger.
const MOST: u16 = 60_000;
/// What the queue counted and does not deliver within this, somebody else has.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what was settled to be written.
const FLUSH: Duration = Duration::from_secs(20);

/// One queue that is read from its head on.
pub(super) struct Reader {
    queue: String,
    consumer: Consumer,
    left: u64,
}

/// A letter that was chosen, and is held.
pub(super) struct Chosen {
    pub(super) letter: Letter,
    pub(super) message: Message,
    tag: DeliveryTag,
}

impl Reader {
    /// Begins to read.
    pub(super) async fn open(transport: &Transport, queue: &str) -> Result<Self, Trouble> {
        let Some(state) = transport.inspect(queue).await? else {
            let what = format!(
                "there is no queue '{queue}'; --queue is the whole name of a work queue: SERVICE.NAME, such as docker.time.one-day.passed"
            );
            return Err(Trouble::Words(Exit::AccessRefused, what));
        };
        if state.consumers > 0 {
            output::complain(&format!(
                "note: {} others read '{queue}' now; what they hold is not seen",
                state.consumers
            ));
        }
        if state.ready > u64::from(MOST) {
            output::complain(&format!(
                "note: '{queue}' holds {} letters; the first {MOST} are looked at",
                state.ready
            ));
        }
        let left = state.ready.min(u64::from(MOST));
        let prefetch = u16::try_from(left).unwrap_or(MOST).max(1);
        let consumer = transport.consumer(Topology::default(), Consume::new(queue).prefetch(prefetch));
        connected(consumer.link()).await?;
        Ok(Self { queue: queue.to_owned(), consumer, left })
    }

    /// The next letter that the filter takes; `None` at the end of what was there when it began.
    pub(super) async fn next(&mut self, filter: &Filter) -> Result<Option<Chosen>, Trouble> {
        while self.left > 0 {
            let mut link = self.consumer.link();
            let delivery = tokio::select! {
                biased;
                delivery = tokio::time::timeout(PATIENCE, self.consumer.next()) => delivery,
                _ = link.wait_for(|link| !matches!(link, Link::Up { .. })) => return Err(gone()),
            };
            let delivery = match delivery {
                Ok(Some(delivery)) => delivery,
                Ok(None) => return Err(gone()),
                Err(_) => {
                    self.left = 0;
                    return Ok(None);
                }
            };
            self.left -= 1;
            let letter = Letter::read(&self.queue, &delivery.message);
            if filter.takes(&letter, Clock::system().now()) {
                return Ok(Some(Chosen { letter, message: delivery.message, tag: delivery.tag }));
            }
        }
        Ok(None)
    }

    /// Takes a letter away.
    pub(super) async fn remove(&self, chosen: &Chosen) -> Result<(), Trouble> {
        self.consumer.settle(chosen.tag, Settle::Ack).await.map_err(|_| gone())
    }

    /// Gives back what was not taken away, and waits until all is written. The closed channel does it: all goes back at
    /// once and keeps its order, where single nacks would be delivered to us again in between.
    pub(super) async fn close(self) -> Result<(), Trouble> {
        let consumer = self.consumer;
        let mut link = consumer.link();
        let was_up = matches!(*link.borrow(), Link::Up { .. });
        drop(consumer);
        let closed = async {
            while !matches!(*link.borrow_and_update(), Link::Closed) {
                if link.changed().await.is_err() {
                    break;
                }
            }
        };
        match tokio::time::timeout(FLUSH, closed).await {
            Ok(()) if was_up => Ok(()),
            _ => Err(Trouble::lost(
                "the connection was lost at the end: what was taken away may still be there; look again",
            )),
        }
    }
}
