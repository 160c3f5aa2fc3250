//! Reads the stream: all that it has, then what comes.
//!
//! Where a stream ends, no reader is told. So a second consumer begins with its last message, and what that one has is the end; what
//! an empty stream would not say, a first record does (`CONTROL_OPENED`), which whoever may write there writes.

use super::fold::{Fold, Record, place};
use crate::{
    broker::{Consume, Consumer, Delivery, Link, LinkError, Settle, StreamStart, Transport},
    clock::Clock,
    declared::random_id,
    event::{
        Event,
        control::{CONTROL, CONTROL_OPENED},
    },
    inbox::Held,
    topology::Topology,
    worker::ConfirmingPublisher,
};
use futures_util::FutureExt;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// How many records may be on their way.
const PREFETCH: u16 = 200;
/// How long an end that may not be there is waited for.
const QUIET: Duration = Duration::from_secs(1);
/// How long the first record of a stream may take.
const OPENING: Duration = Duration::from_secs(2);
/// How long looking for the end may take; then it is looked for again, for the stream may be another by now.
const ENDING: Duration = Duration::from_secs(30);

/// Why nothing can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    /// The broker refuses it.
    #[error("{0}")]
    Refused(#[from] LinkError),
    /// The consumer ended, which none does by itself.
    #[error("its consumer has ended")]
    Ended,
}

/// What a reader meets.
#[derive(Debug)]
pub(crate) enum Came {
    /// The next record.
    Record(Record),
    /// It reads from the beginning, for the first time or again: what it met before comes once more.
    Anew,
}

/// Reads the stream from its beginning, and again after each loss.
#[derive(Debug)]
pub(crate) struct Reader {
    transport: Transport,
    consumer: Consumer,
    link: watch::Receiver<Link>,
    /// Which subscription it reads: the generation, and how often that was made again.
    era: Option<(u64, u64)>,
    /// Where the last record of this era stood.
    place: Option<u64>,
    /// Came, and is not taken in yet.
    held: Option<Delivery>,
}

impl Reader {
    /// Reads the stream, which is declared by this topology. Must be called within a tokio runtime.
    pub(crate) fn open(transport: &Transport, topology: Topology) -> Self {
        let consumer = transport.consumer(topology, options(StreamStart::First));
        let (transport, link) = (transport.clone(), consumer.link());
        Self { transport, consumer, link, era: None, place: None, held: None }
    }

    /// The next thing that it meets. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Came, Unread> {
        loop {
            if let Some(tag) = self.held.as_ref().map(|delivery| delivery.tag) {
                if self.is_new((tag.generation, self.consumer.cancellations())) {
                    return Ok(Came::Anew);
                }
                // an error: it has ended, and that is seen next
                let _ = self.consumer.settle(tag, Settle::Ack).await;
                let Some(delivery) = self.held.take() else { continue };
                self.place = place(&delivery).or(self.place);
                return Ok(Came::Record(Record::of(&delivery)));
            }
            tokio::select! {
                biased;
                changed = self.link.changed() => {
                    changed.map_err(|_| Unread::Ended)?;
                    let link = self.link.borrow_and_update().clone();
                    match link {
                        Link::Up { generation, .. } if self.is_new((generation, self.consumer.cancellations())) => {
                            return Ok(Came::Anew);
                        }
                        Link::Down { error: Some(error), .. } if error.class.needs_a_person() && self.era.is_none() => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                delivery = self.consumer.next() => {
                    let delivery = delivery.ok_or(Unread::Ended)?;
                    // those of before come again
                    self.held = Some(delivery).filter(|new| self.era.is_none_or(|(era, _)| new.tag.generation >= era));
                }
            }
        }
    }

    fn is_new(&mut self, era: (u64, u64)) -> bool {
        let is_new = self.era != Some(era);
        if is_new {
            (self.era, self.place) = (Some(era), None);
        }
        is_new
    }

    /// Reads until it has all that there was when this began, or when its connection was made again. What is given up halfway is
    /// gone on with. `opener` writes the first record of an empty stream.
    pub(crate) async fn catch_up(
        &mut self,
        fold: &mut Fold,
        clock: Clock,
        opener: Option<&Opener>,
    ) -> Result<(), Unread> {
        let mut end = None;
        loop {
            if self.era.is_some() {
                if end.is_none() {
                    let Ok(found) = timeout(ENDING, self.end(opener)).await else { continue };
                    end = found?;
                }
                if end.is_none() || self.place >= end {
                    return Ok(());
                }
            }
            match self.next().await? {
                Came::Record(record) => {
                    fold.take(record, clock.now());
                }
                Came::Anew => (*fold, end) = (fold.anew(), None),
            }
        }
    }

    /// Where its last message stands; `None` if it has none.
    async fn end(&self, opener: Option<&Opener>) -> Result<Option<u64>, Unread> {
        // the count lags behind
        let has_some = matches!(self.transport.inspect(CONTROL).await, Ok(Some(state)) if state.ready > 0);
        let is_certain = has_some
            || match opener {
                Some(opener) => opener.open().await,
                None => false,
            };
        let mut last = self.transport.consumer(Topology::default(), options(StreamStart::Last));
        let mut link = last.link();
        link.wait_for(|link| matches!(link, Link::Up { .. })).await.map_err(|_| Unread::Ended)?;
        let mut next = match is_certain {
            true => last.next().await,
            false => match timeout(QUIET, last.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(None),
            },
        };
        let mut end = None;
        while let Some(delivery) = next {
            end = end.max(place(&delivery));
            let _ = last.settle(delivery.tag, Settle::Ack).await;
            next = match last.next().now_or_never() {
                Some(next) => next,
                // what was stored together with it comes right behind it
                None if last.arrivals().are_complete().await => last.next().now_or_never().flatten(),
                None => None,
            };
        }
        Ok(end)
    }
}

fn options(start: StreamStart) -> Consume {
    Consume::new(CONTROL).prefetch(PREFETCH).reading(start)
}

/// Writes the first record of a stream.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) publisher: ConfirmingPublisher,
    pub(crate) source: String,
    pub(crate) clock: Clock,
}

impl Opener {
    /// Whether there is a record now.
    async fn open(&self) -> bool {
        let Ok(name) = CONTROL_OPENED.parse() else { return false };
        let id = random_id();
        let mut event = Event::new(id.clone(), self.source.clone(), name, b"{}".to_vec());
        event.time = Some(self.clock.now());
        let held = Held { id, exchange: Arc::from(CONTROL), message: event.into_message(), due: None };
        let opened = self.publisher.publish(vec![held], OPENING).await;
        if let Err(error) = &opened {
            tracing::debug!(%error, "no record could be written to the control stream");
        }
        opened.is_ok()
    }
}
