//! Reads a queue without removing anything, unless asked to.

use super::{
    choice::{Filter, SeenLetters},
    letter::Letter,
};
use crate::{
    connection::{connected, gone},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos::{
    broker::{Consume, Consumer, Delivery, DeliveryTag, Link, LinkErrorClass, Settle, Transport},
    clock::Clock,
    event::Message,
    topology::Topology,
};
use std::time::Duration;
use tokio::time::{error::Elapsed, timeout};

/// The most letters read of a queue: the largest prefetch.
const MOST: u16 = 60_000;
/// Letters that the queue counted but does not deliver within this are held by another consumer, …
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// … unless they are on their way: what is large or nested takes the broker and us so long at most.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// How long writing the settlements may take.
const FLUSH: Duration = Duration::from_secs(20);

/// One queue that is read from its head on.
pub(super) struct LetterReader {
    queue: String,
    consumer: Consumer,
    /// The channel it was opened on. On another one everything is delivered again, and earlier deliveries can't be settled.
    generation: u64,
    left: u64,
    /// The ids and names among the letters read.
    pub(super) seen: SeenLetters,
}

/// A letter that the filter chose; it is held unsettled.
pub(super) struct Chosen {
    pub(super) letter: Letter,
    pub(super) message: Message,
    tag: DeliveryTag,
}

impl LetterReader {
    /// Begins to read a queue; holds at most `most` letters.
    pub(super) async fn open(transport: &Transport, queue: &str, most: u64) -> Result<Self, Trouble> {
        let Some(state) = transport.inspect(queue).await? else {
            let what = format!(
                "there is no queue '{queue}'; --queue is the whole name of a work queue: SERVICE.NAME, such as docker.time.one-day.passed"
            );
            return Err(Trouble::Words(Exit::AccessRefused, what));
        };
        if state.consumers > 0 {
            let (others, read, they) = if state.consumers == 1 {
                ("one other", "reads", "it holds")
            } else {
                ("others", "read", "they hold")
            };
            output::complain(&format!(
                "note: {others} {read} '{queue}' now; the letters that {they} are not shown"
            ));
        }
        if state.ready.min(most) > u64::from(MOST) {
            output::complain(&format!(
                "note: '{queue}' holds {} letters; only the first {MOST} are read",
                state.ready
            ));
        }
        let left = state.ready.min(most).min(u64::from(MOST));
        let prefetch = u16::try_from(left).unwrap_or(MOST).max(1);
        let consumer = transport.consumer(Topology::default(), Consume::new(queue).prefetch(prefetch));
        connected(consumer.link()).await?;
        let generation = generation(queue, &consumer)?;
        Ok(Self { queue: queue.to_owned(), consumer, generation, left, seen: SeenLetters::default() })
    }

    /// The next letter that the filter chooses; `None` after the letters that were there when it began.
    pub(super) async fn next(&mut self, filter: &Filter) -> Result<Option<Chosen>, Trouble> {
        while self.left > 0 {
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
            self.seen.note(filter, &letter);
            if filter.takes(&letter, Clock::system().now()) {
                return Ok(Some(Chosen { letter, message: delivery.message, tag: delivery.tag }));
            }
        }
        Ok(None)
    }

    /// Removes a letter; that is certain once [`Self::close`] returns.
    pub(super) async fn remove(&self, chosen: &Chosen) -> Result<(), Trouble> {
        self.same()?;
        self.consumer.settle(chosen.tag, Settle::Ack).await.map_err(|_| gone())
    }

    /// Checks that the connection and the subscription are still those it was opened on.
    fn same(&self) -> Result<(), Trouble> {
        let is_up = is_up(&self.consumer.link().borrow(), self.generation);
        if is_up && self.consumer.cancellations() == 0 { Ok(()) } else { Err(self.lost()) }
    }

    fn lost(&self) -> Trouble {
        lost(&self.queue, &self.consumer)
    }

    /// Gives back the letters that were not removed, and waits until everything is written. Closing the channel does it: all go
    /// back at once and keep their order, where single nacks would be delivered to us again in between.
    pub(super) async fn close(self) -> Result<(), Trouble> {
        let same = self.same();
        let link = self.consumer.link();
        drop(self.consumer);
        match Link::closed(link, FLUSH).await {
            Ok(()) if same.is_ok() => Ok(()),
            _ => Err(Trouble::lost(
                "the connection was lost at the end: removed letters may still be there; list them again",
            )),
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

/// The channel that a consumer has. It may have lost already the one that [`connected`] saw, by the first letter.
fn generation(queue: &str, consumer: &Consumer) -> Result<u64, Trouble> {
    match *consumer.link().borrow() {
        Link::Up { generation, .. } => Ok(generation),
        _ => Err(lost(queue, consumer)),
    }
}

/// Why the subscription was lost, though it may be connected again; an unreadable letter would end it each time.
fn lost(queue: &str, consumer: &Consumer) -> Trouble {
    match &consumer.losses().borrow().last {
        Some(error) if error.class == LinkErrorClass::TooLarge => {
            let what = format!(
                "a letter in '{queue}' can't be read, nor what lies behind it: {}; raise frame_max, of the URL if that names \
                 one, else of the broker (frame_max = 262144 in rabbitmq.conf, then restart it), and try again",
                error.what
            );
            Trouble::Words(Exit::Configuration, what)
        }
        _ => gone(),
    }
}

fn is_up(link: &Link, wanted: u64) -> bool {
    matches!(link, Link::Up { generation, .. } if *generation == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{
        broker::{LinkError, memory::Broker},
        topology::Queue,
    };

    async fn with_letters(count: u64) -> (Broker, Transport) {
        let broker = Broker::new();
        let queues = vec![Queue::classic("q.dlq")];
        broker.declare(&Topology { queues, ..Topology::default() }).unwrap();
        let transport = Transport::memory(broker.clone());
        let mut sender = crate::sending::Sender::open(&transport).await.unwrap();
        for _ in 0..count {
            let mut message = Message { routing_key: "q.dlq".into(), ..Message::default() };
            message.properties.message_id = Some("a".into());
            message.properties.persistent = true;
            sender.send("", message).await.unwrap();
        }
        (broker, transport)
    }

    #[tokio::test]
    async fn what_was_read_before_a_connection_was_lost_is_not_taken_away_after_it() {
        let (broker, transport) = with_letters(3).await;
        let mut reader = LetterReader::open(&transport, "q.dlq", u64::MAX).await.unwrap();
        let chosen = reader.next(&Filter::default()).await.unwrap().unwrap();
        broker.stop();
        broker.start();
        let mut link = reader.consumer.link();
        link.wait_for(|link| matches!(link, Link::Up { generation, .. } if *generation > reader.generation))
            .await
            .unwrap();
        assert!(reader.remove(&chosen).await.is_err(), "it counts as taken away, and lies there");
        assert!(reader.next(&Filter::default()).await.is_err(), "it is read a second time");
        assert!(reader.close().await.is_err());
        assert_eq!(broker.queue_depth("q.dlq"), Some(3));
    }

    #[test]
    fn a_first_letter_that_cannot_be_read_is_told_from_a_lost_connection() {
        let (consumer, task) = Consumer::channel(&Consume::new("q.dlq"));
        let code = |trouble| match trouble {
            Err(Trouble::Words(code, _)) => Some(code),
            _ => None,
        };
        assert_ne!(code(generation("q.dlq", &consumer)), Some(Exit::Configuration));
        // noted before the link shows it
        let error = LinkError {
            class: LinkErrorClass::TooLarge,
            what: "a frame is too large".into(),
            remedy: String::new(),
        };
        task.losses.send_modify(|losses| losses.last = Some(error.clone()));
        task.link.send_replace(Link::Down { attempts: 1, error: Some(error) });
        assert_eq!(code(generation("q.dlq", &consumer)), Some(Exit::Configuration));
    }

    #[tokio::test]
    async fn no_more_is_held_than_was_asked_for() {
        let (broker, transport) = with_letters(3).await;
        let mut reader = LetterReader::open(&transport, "q.dlq", 2).await.unwrap();
        assert!(reader.next(&Filter::default()).await.unwrap().is_some());
        assert!(reader.next(&Filter::default()).await.unwrap().is_some());
        assert!(broker.get("q.dlq").is_some(), "the third is free");
        assert!(reader.next(&Filter::default()).await.unwrap().is_none());
        reader.close().await.unwrap();
    }
}
