//! The dead letters of one work queue, for code.

use super::{DeadError, HeldLetter, Letter, LetterFilter, LetterReader};
use crate::{
    client::{Client, ClientError},
    event::EventId,
    inbox::{Held, Inbox},
    worker::FlushError,
};

/// The dead letters of one work queue ([`Client::dead`]). Each call reads those that are there when it begins, 60,000 at most, and
/// holds them meanwhile: other readers don't see them until it ends. A call that is dropped gives back what it holds.
#[derive(Debug)]
#[must_use = "it does nothing by itself"]
pub struct DeadQueue<'a> {
    client: &'a Client,
    /// Where the letters lie.
    name: String,
    by: String,
    inbox: Option<Inbox>,
}

/// What became of letters that were to be requeued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Their queues have confirmed so many; they are among the dead letters no more.
    pub sent: u64,
    /// So many stayed, because their queue did not take them.
    pub stayed: u64,
    /// Why the last of those stayed.
    pub why: Option<String>,
}

impl Client {
    /// The dead letters of a work queue, `SERVICE.NAME`, of whatever service; `parking` for messages whose queue no longer exists.
    ///
    /// ```
    /// # use ponos::{Client, dead::{DeadError, LetterFilter}};
    /// # use std::time::Duration;
    /// # async fn again(client: Client) -> Result<(), DeadError> {
    /// let dead = client.dead("docker.docker.images.cleanup");
    /// for letter in dead.list(&LetterFilter::all().limit(100)).await? {
    ///     println!("{} {}: {}", letter.id, letter.kind, letter.reason);
    /// }
    /// let again = dead.requeue(&LetterFilter::all().reason("connection refused")).await?;
    /// println!("{} are handled again, {} stayed", again.sent, again.stayed);
    /// let gone = dead.discard(&LetterFilter::all().older(Duration::from_secs(30 * 86_400))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead(&self, queue: &str) -> DeadQueue<'_> {
        let (name, by) = (LetterReader::queue_of(queue), self.service().to_owned());
        DeadQueue { client: self, name, by, inbox: None }
    }
}

impl DeadQueue<'_> {
    /// Says in the header `requeued-by` who requeues them, instead of the client's service.
    pub fn requeued_by(self, by: impl Into<String>) -> Self {
        Self { by: by.into(), ..self }
    }

    /// Makes this inbox forget what is requeued, so that it runs again even if it was handled meanwhile. The handler's name must
    /// be that of its queue without the service, as it is unless queues have a label.
    pub fn forgotten_by(self, inbox: &Inbox) -> Self {
        Self { inbox: Some(inbox.clone()), ..self }
    }

    /// The letters that the filter chooses, oldest first. All stay.
    ///
    /// # Errors
    /// [`DeadError`].
    pub async fn list(&self, filter: &LetterFilter) -> Result<Vec<Letter>, DeadError> {
        let mut letters = Vec::new();
        let mut reader = self.reader(filter).await?;
        let ended = self.list_into(&mut letters, &mut reader, filter).await;
        closed(reader, ended).await.map(|()| letters)
    }

    async fn list_into(
        &self,
        letters: &mut Vec<Letter>,
        reader: &mut LetterReader,
        filter: &LetterFilter,
    ) -> Result<(), DeadError> {
        while (letters.len() as u64) < filter.wanted()
            && let Some(held) = self.next(reader, filter).await?
        {
            letters.push(held.letter);
        }
        Ok(())
    }

    /// Sends the letters that the filter chooses back to their queues, under their own ids and at the first attempt. Each is
    /// removed once its queue has confirmed it; one whose queue does not take it stays.
    ///
    /// # Errors
    /// [`DeadError`]. What was requeued before stays so, and the last one may be in both places; under its id an inbox takes it
    /// once.
    pub async fn requeue(&self, filter: &LetterFilter) -> Result<Requeued, DeadError> {
        let mut done = Requeued::default();
        let mut reader = self.reader(filter).await?;
        let ended = self.requeue_into(&mut done, &mut reader, filter).await;
        closed(reader, ended).await.map(|()| done)
    }

    async fn requeue_into(
        &self,
        done: &mut Requeued,
        reader: &mut LetterReader,
        filter: &LetterFilter,
    ) -> Result<(), DeadError> {
        while done.sent + done.stayed < filter.wanted()
            && let Some(held) = self.next(reader, filter).await?
        {
            match self.sent(&held).await? {
                None => {
                    reader.remove(&held).await?;
                    done.sent += 1;
                }
                Some(why) => {
                    done.stayed += 1;
                    done.why = Some(why);
                }
            }
        }
        Ok(())
    }

    /// Removes the letters that the filter chooses for good, and says how many.
    ///
    /// # Errors
    /// [`DeadError`]. What was removed before may be gone.
    pub async fn discard(&self, filter: &LetterFilter) -> Result<u64, DeadError> {
        let mut gone = 0;
        let mut reader = self.reader(filter).await?;
        let ended = self.discard_into(&mut gone, &mut reader, filter).await;
        closed(reader, ended).await.map(|()| gone)
    }

    async fn discard_into(
        &self,
        gone: &mut u64,
        reader: &mut LetterReader,
        filter: &LetterFilter,
    ) -> Result<(), DeadError> {
        while *gone < filter.wanted()
            && let Some(held) = self.next(reader, filter).await?
        {
            reader.remove(&held).await?;
            *gone += 1;
        }
        Ok(())
    }

    async fn reader(&self, filter: &LetterFilter) -> Result<LetterReader, DeadError> {
        LetterReader::open(self.client.transport(), &self.name, filter.to_read(filter.wanted())).await
    }

    /// The next letter that the filter chooses.
    async fn next(
        &self,
        reader: &mut LetterReader,
        filter: &LetterFilter,
    ) -> Result<Option<HeldLetter>, DeadError> {
        while let Some(held) = reader.next().await? {
            if filter.takes(&held.letter, self.client.now()) {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Publishes a letter to its queue; why it stays where it is, if that does not take it.
    async fn sent(&self, held: &HeldLetter) -> Result<Option<String>, DeadError> {
        if let (Some(inbox), Some(key)) = (&self.inbox, held.inbox_key(None)) {
            inbox.forget(&key).await?;
        }
        let message = held.requeued(&self.by, self.client.now());
        let id = message.properties.message_id.as_deref().unwrap_or_default().parse::<EventId>();
        let id = match id {
            Ok(id) => id,
            Err(why) => return Ok(Some(why)),
        };
        // by the default exchange: its key is the queue's name, and nobody else gets a copy
        let again = Held { id, exchange: "".into(), message, due: None };
        match self.client.send(&held.letter.name, again, self.client.time_limit()).await {
            Ok(_) => Ok(None),
            Err(ClientError::Unrouted { queue, .. }) => {
                Ok(Some(format!("the queue '{queue}' does not exist")))
            }
            Err(ClientError::Refused {
                why: FlushError::Missing(why) | FlushError::Refused(why), ..
            }) => Ok(Some(why)),
            Err(error @ (ClientError::Refused { .. } | ClientError::TooLarge { .. })) => {
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// However it ended: what was removed is to be so for certain, and what was read goes back.
async fn closed(reader: LetterReader, ended: Result<(), DeadError>) -> Result<(), DeadError> {
    let closed = reader.close().await;
    ended?;
    closed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{Transport, memory::Broker},
        event::Message,
        topology::{Queue, Topology},
        worker::ConfirmingPublisher,
    };
    use std::time::Duration;

    const QUEUE: &str = "shop.order.parcel.shipped";

    /// With two dead letters of a queue.
    async fn broker() -> (Broker, Transport) {
        let broker = Broker::new();
        let queues = vec![Queue::classic("shop.order.parcel.shipped.dlq")];
        broker.declare(&Topology { queues, ..Topology::default() }).unwrap();
        let transport = Transport::memory(broker.clone());
        let publisher = ConfirmingPublisher::open(transport.publisher(Topology::default()));
        for id in ["a", "b"] {
            let mut message = Message { routing_key: format!("{QUEUE}.dlq"), ..Message::default() };
            message.properties.message_id = Some(id.into());
            message.properties.persistent = true;
            let held = Held { id: id.parse().unwrap(), exchange: "".into(), message, due: None };
            publisher.publish(vec![held], Duration::from_secs(30)).await.unwrap();
        }
        (broker, transport)
    }

    #[tokio::test]
    async fn letters_whose_queue_is_gone_stay_and_it_is_said_why() {
        let (broker, transport) = broker().await;
        let client = Client::connect_on(transport, "backoffice").await.unwrap();
        let again = client.dead(QUEUE).requeue(&LetterFilter::all()).await.unwrap();
        let why = Some(format!("the queue '{QUEUE}' does not exist"));
        assert_eq!(again, Requeued { sent: 0, stayed: 2, why });
        assert_eq!(broker.queue_depth("shop.order.parcel.shipped.dlq"), Some(2), "letters are lost");
        let queues = vec![Queue::classic(QUEUE)];
        broker.declare(&Topology { queues, ..Topology::default() }).unwrap();
        let again = client.dead(QUEUE).requeue(&LetterFilter::all()).await.unwrap();
        assert_eq!(again, Requeued { sent: 2, ..Requeued::default() });
        assert_eq!(broker.queue_depth(QUEUE), Some(2));
    }
}
