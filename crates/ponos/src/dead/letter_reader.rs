//! Reads a queue without removing anything, unless asked to.

use super::{DeadError, Letter, letter};
use crate::{
    broker::{Consume, Consumer, Delivery, DeliveryTag, Link, LinkErrorClass, QueueState, Settle, Transport},
    client::{ClientError, up},
    compression,
    event::{Message, Timestamp},
    inbox::InboxKey,
    topology::{
        Topology,
        worker::{PARKING, dead_letters},
    },
    worker::Limits,
};
use std::time::Duration;
use tokio::time::{error::Elapsed, timeout};

/// The time limit for connecting, once the broker has answered.
const CONNECTING: Duration = Duration::from_secs(30);
/// Letters that the queue counted but does not deliver within this are held by another consumer, …
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// … unless they are on their way: what is large or nested takes the broker and us so long at most.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// How long writing the settlements may take.
const FLUSH: Duration = Duration::from_secs(20);

/// One queue that is read from its head on. What was read is held until it is closed, or dropped: then all that was not removed
/// goes back.
#[derive(Debug)]
pub struct LetterReader {
    queue: String,
    consumer: Consumer,
    /// The channel it was opened on. On another one everything is delivered again, and earlier deliveries can't be settled.
    generation: u64,
    state: QueueState,
    left: u64,
}

/// A letter that was read; it is held unsettled.
#[derive(Debug)]
pub struct HeldLetter {
    /// What is known about it.
    pub letter: Letter,
    /// The message as it lies there.
    pub message: Message,
    tag: DeliveryTag,
}

impl HeldLetter {
    /// The message for its queue: as it came, without retry and dead-letter headers, and with those of the requeue.
    pub fn requeued(&self, by: &str, now: Timestamp) -> Message {
        letter::requeue_message(&self.message, &self.letter, by, now)
    }

    /// Its row in the inbox of the worker whose handler has this name or pattern, by default that of its queue without the
    /// service. `None` where it can't be read, and so was never handled.
    pub fn inbox_key(&self, handler: Option<&str>) -> Option<InboxKey> {
        let event = compression::event(&self.message, Limits::default().body).ok()?;
        let queue = self.letter.queue.as_str();
        let own = queue.split_once('.').map_or(queue, |(_, name)| name);
        Some(InboxKey::of(queue, handler.unwrap_or(own), &event))
    }
}

impl LetterReader {
    /// The most letters read of a queue: the largest prefetch.
    pub const MOST: u16 = 60_000;

    /// The queue in which the dead letters of a work queue lie; `parking`, and what is such a queue itself, as it is.
    pub fn queue_of(queue: &str) -> String {
        if queue == PARKING || queue.ends_with(".dlq") { queue.to_owned() } else { dead_letters(queue) }
    }

    /// Begins to read the queue of this name (`<work queue>.dlq`, `parking`); holds at most `most` letters.
    ///
    /// # Errors
    /// [`DeadError`]: there is no such queue, or the broker can't be reached.
    pub async fn open(transport: &Transport, queue: &str, most: u64) -> Result<Self, DeadError> {
        let Some(state) = transport.inspect(queue).await? else {
            return Err(DeadError::Missing { queue: queue.to_owned() });
        };
        let left = state.ready.min(most).min(u64::from(Self::MOST));
        let prefetch = u16::try_from(left).unwrap_or(Self::MOST).max(1);
        let consumer = transport.consumer(Topology::default(), Consume::new(queue).prefetch(prefetch));
        up(consumer.link(), CONNECTING).await.map_err(|error| match error {
            ClientError::Broker(error) => DeadError::Broker(error),
            ClientError::Unreachable { .. } => DeadError::Unanswered,
            _ => DeadError::Lost,
        })?;
        let generation = generation(queue, &consumer)?;
        Ok(Self { queue: queue.to_owned(), consumer, generation, state, left })
    }

    /// The queue as it was found: how many letters it had, and how many others read it.
    pub fn found(&self) -> QueueState {
        self.state
    }

    /// The next letter; `None` after those that were there when it began.
    ///
    /// # Errors
    /// [`DeadError::Lost`], [`DeadError::Unreadable`].
    pub async fn next(&mut self) -> Result<Option<HeldLetter>, DeadError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.same()?;
        let (mut link, generation) = (self.consumer.link(), self.generation);
        let delivery = tokio::select! {
            biased;
            delivery = coming(&mut self.consumer) => delivery,
            _ = link.wait_for(|link| !is_up(link, generation)) => return Err(self.lost()),
        };
        let delivery = match delivery {
            Ok(Some(delivery)) if delivery.tag.generation != generation => return Err(self.lost()),
            Ok(Some(delivery)) => delivery,
            Ok(None) => return Err(self.lost()),
            Err(_) => {
                self.left = 0;
                return Ok(None);
            }
        };
        self.left -= 1;
        let letter = Letter::read(&self.queue, &delivery.message);
        Ok(Some(HeldLetter { letter, message: delivery.message, tag: delivery.tag }))
    }

    /// Removes a letter; that is certain once [`Self::close`] returns.
    ///
    /// # Errors
    /// [`DeadError::Lost`]: it may still be there.
    pub async fn remove(&self, held: &HeldLetter) -> Result<(), DeadError> {
        self.same()?;
        self.consumer.settle(held.tag, Settle::Ack).await.map_err(|_| DeadError::Lost)
    }

    /// Checks that the connection and the subscription are still those it was opened on.
    fn same(&self) -> Result<(), DeadError> {
        let is_up = is_up(&self.consumer.link().borrow(), self.generation);
        if is_up && self.consumer.cancellations() == 0 { Ok(()) } else { Err(self.lost()) }
    }

    fn lost(&self) -> DeadError {
        lost(&self.queue, &self.consumer)
    }

    /// Gives back the letters that were not removed, and waits until everything is written. Closing the channel does it: all go
    /// back at once and keep their order, where single nacks would be delivered to us again in between.
    ///
    /// # Errors
    /// [`DeadError::Unfinished`].
    pub async fn close(self) -> Result<(), DeadError> {
        let same = self.same();
        let link = self.consumer.link();
        drop(self.consumer);
        match Link::closed(link, FLUSH).await {
            Ok(()) if same.is_ok() => Ok(()),
            _ => Err(DeadError::Unfinished),
        }
    }
}

/// The next delivery; an error once nothing comes any more.
async fn coming(consumer: &mut Consumer) -> Result<Option<Delivery>, Elapsed> {
    if let Ok(delivery) = timeout(LONGEST_WAIT, consumer.next()).await {
        return Ok(delivery);
    }
    let arrivals = consumer.arrivals();
    // without an answer nothing is known, and what has come counts
    let _ = timeout(ON_ITS_WAY, arrivals.are_complete()).await;
    timeout(Duration::ZERO, consumer.next()).await
}

/// The channel that a consumer has. It may have lost already the one that [`up`] saw, by the first letter.
fn generation(queue: &str, consumer: &Consumer) -> Result<u64, DeadError> {
    match *consumer.link().borrow() {
        Link::Up { generation, .. } => Ok(generation),
        _ => Err(lost(queue, consumer)),
    }
}

/// Why the subscription was lost, though it may be connected again; an unreadable letter would end it each time.
fn lost(queue: &str, consumer: &Consumer) -> DeadError {
    match &consumer.losses().borrow().last {
        Some(error) if error.class == LinkErrorClass::TooLarge => {
            DeadError::Unreadable { queue: queue.to_owned(), what: error.what.clone() }
        }
        _ => DeadError::Lost,
    }
}

fn is_up(link: &Link, wanted: u64) -> bool {
    matches!(link, Link::Up { generation, .. } if *generation == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{LinkError, memory::Broker},
        inbox::Held,
        topology::Queue,
        worker::ConfirmingPublisher,
    };

    async fn with_letters(count: u64) -> (Broker, Transport) {
        let broker = Broker::new();
        let queues = vec![Queue::classic("q.dlq")];
        broker.declare(&Topology { queues, ..Topology::default() }).unwrap();
        let transport = Transport::memory(broker.clone());
        let publisher = ConfirmingPublisher::open(transport.publisher(Topology::default()));
        for _ in 0..count {
            let mut message = Message { routing_key: "q.dlq".into(), ..Message::default() };
            message.properties.message_id = Some("a".into());
            message.properties.persistent = true;
            let held = Held { id: "a".parse().unwrap(), exchange: "".into(), message, due: None };
            publisher.publish(vec![held], CONNECTING).await.unwrap();
        }
        (broker, transport)
    }

    #[tokio::test]
    async fn what_was_read_before_a_connection_was_lost_is_not_taken_away_after_it() {
        let (broker, transport) = with_letters(3).await;
        let mut reader = LetterReader::open(&transport, "q.dlq", u64::MAX).await.unwrap();
        let chosen = reader.next().await.unwrap().unwrap();
        broker.stop();
        broker.start();
        let mut link = reader.consumer.link();
        link.wait_for(|link| matches!(link, Link::Up { generation, .. } if *generation > reader.generation))
            .await
            .unwrap();
        assert!(reader.remove(&chosen).await.is_err(), "it counts as taken away, and lies there");
        assert!(reader.next().await.is_err(), "it is read a second time");
        assert!(reader.close().await.is_err());
        assert_eq!(broker.queue_depth("q.dlq"), Some(3));
    }

    #[test]
    fn a_first_letter_that_cannot_be_read_is_told_from_a_lost_connection() {
        let (consumer, task) = Consumer::channel(&Consume::new("q.dlq"));
        assert!(matches!(generation("q.dlq", &consumer), Err(DeadError::Lost)));
        // noted before the link shows it
        let error = LinkError {
            class: LinkErrorClass::TooLarge,
            what: "a frame is too large".into(),
            remedy: String::new(),
        };
        task.losses.send_modify(|losses| losses.last = Some(error.clone()));
        task.link.send_replace(Link::Down { attempts: 1, error: Some(error) });
        assert!(matches!(generation("q.dlq", &consumer), Err(DeadError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn no_more_is_held_than_was_asked_for() {
        let (broker, transport) = with_letters(3).await;
        let mut reader = LetterReader::open(&transport, "q.dlq", 2).await.unwrap();
        assert!(reader.next().await.unwrap().is_some());
        assert!(reader.next().await.unwrap().is_some());
        assert!(broker.get("q.dlq").is_some(), "the third is free");
        assert!(reader.next().await.unwrap().is_none());
        reader.close().await.unwrap();
    }
}
