//! Publishes everything that a worker sends, and awaits the confirms.
//!
//! Invariant: each message handed in is answered exactly once: confirmed, or with the reason.

use super::reply::{is_reply, note_reply};
use crate::{
    broker::{Link, NO_FRAME, PublishOutcome, Publisher, Publishing, Settlement},
    event::Message,
    inbox::Held,
};
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};

/// The most messages in one batch.
const BATCH: usize = 256;

/// Why a message was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The connection is down, was lost while the confirm was awaited, or no confirm came in time: the message may have
    /// arrived or not.
    #[error("the broker did not confirm it ({0})")]
    Lost(String),
    /// The connection is up, but no confirm came within this time: the message may have arrived or not.
    #[error("the broker did not confirm it within {} s, though it is connected", .0.as_secs_f64())]
    Late(Duration),
    /// A queue refused it.
    #[error("a queue refused it: it is full, or its node is in trouble")]
    Nacked,
    /// The broker closed the channel because of this message.
    #[error("the broker refused it: {0}")]
    Refused(String),
    /// Its exchange does not exist.
    #[error("its exchange does not exist: {0}")]
    Missing(String),
    /// No queue is bound for it, though it must reach one.
    #[error("no queue is bound to the exchange '{exchange}' by the key '{key}'")]
    Unroutable {
        /// Where it was published to.
        exchange: String,
        /// The routing key.
        key: String,
    },
    /// The worker has stopped publishing.
    #[error("the worker no longer publishes, because it has ended")]
    Closed,
}

impl FlushError {
    /// Whether its headers are more than the broker takes.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused(why) if why.contains(NO_FRAME))
    }

    /// Whether something it needs on the broker may be gone: an exchange, or what is bound to it.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Unroutable { .. } | Self::Missing(_) | Self::Refused(_)) && !self.is_too_large()
    }
}

/// A handle for publishing; clones share one publisher.
#[derive(Debug, Clone)]
pub struct ConfirmingPublisher {
    submit: mpsc::Sender<Vec<Publishing>>,
    link: watch::Receiver<Link>,
    waiting: PendingConfirms,
    next: Arc<AtomicU64>,
    /// Counts answers that reached nobody, of a publisher that sends such: to any other, what goes by the default exchange must
    /// reach its queue.
    replies_lost: Option<Counter>,
}

/// By token: who waits for the outcome. Bounded by what is awaited, for it is taken out when that ends.
#[derive(Debug, Clone, Default)]
struct PendingConfirms(Arc<Mutex<HashMap<u64, oneshot::Sender<PublishOutcome>>>>);

impl PendingConfirms {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<PublishOutcome>>> {
        // no change of the map can be left half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its tokens out again when nobody waits any more.
struct Awaited<'a> {
    waiting: &'a PendingConfirms,
    tokens: std::ops::Range<u64>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        for token in self.tokens.clone() {
            waiting.remove(&token);
        }
    }
}

impl ConfirmingPublisher {
    /// On a publisher of its own. Ends with the last handle. Must be called within a tokio runtime.
    pub fn open(publisher: Publisher) -> Self {
        let (submit, settled, link) = publisher.split();
        let waiting = PendingConfirms::default();
        tokio::spawn(answer(settled, waiting.clone()));
        Self { submit, link, waiting, next: Arc::default(), replies_lost: None }
    }

    /// The same, to which what goes by the default exchange is an answer; those that reach nobody are counted there.
    pub(crate) fn counting(self, replies_lost: Counter) -> Self {
        Self { replies_lost: Some(replies_lost), ..self }
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Publishes all, in order, and waits until each is confirmed, for at most `limit`. An event that nobody is bound to is
    /// no error, nor is an answer that reaches nobody or is refused ([`Self::counting`]); anything else is.
    ///
    /// # Errors
    /// The first that went wrong; others may have arrived.
    pub(crate) async fn publish(&self, all: Vec<Held>, limit: Duration) -> Result<(), FlushError> {
        if all.is_empty() {
            return Ok(());
        }
        let before = self.generation();
        match timeout(limit, Box::pin(self.publish_all(all))).await {
            Ok(result) => result,
            Err(_) if before.is_some() && before == self.generation() => Err(FlushError::Late(limit)),
            Err(_) => Err(FlushError::Lost(format!("within {} s", limit.as_secs_f64()))),
        }
    }

    /// Of the connection that is up.
    fn generation(&self) -> Option<u64> {
        match &*self.link.borrow() {
            Link::Up { generation, .. } => Some(*generation),
            _ => None,
        }
    }

    /// Publishes all, in order, and says how each of them ended; `None` where no answer came within `limit`, or the publisher
    /// ended: it may have arrived or not.
    pub async fn outcomes(
        &self,
        exchange: &Arc<str>,
        all: Vec<Message>,
        limit: Duration,
    ) -> Vec<Option<PublishOutcome>> {
        let (until, count) = (Instant::now() + limit, all.len());
        let tokens = self.tokens(count);
        let _awaited = Awaited { waiting: &self.waiting, tokens: tokens.clone() };
        let mut answers = Vec::with_capacity(count);
        let all = all.into_iter().map(|message| (Arc::clone(exchange), message));
        // what was not submitted in time has no answer
        let _ = timeout_at(until, self.submit_all(all, tokens, &mut answers)).await;
        let mut outcomes = Vec::with_capacity(count);
        for answered in answers {
            outcomes.push(timeout_at(until, answered).await.ok().and_then(Result::ok));
        }
        outcomes.resize(count, None);
        outcomes
    }

    /// Numbers for so many.
    fn tokens(&self, count: usize) -> std::ops::Range<u64> {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        first..first + count as u64
    }

    /// Submits all under these numbers. By `answers` each is answered.
    async fn submit_all(
        &self,
        all: impl Iterator<Item = (Arc<str>, Message)>,
        tokens: std::ops::Range<u64>,
        answers: &mut Vec<oneshot::Receiver<PublishOutcome>>,
    ) -> Result<(), FlushError> {
        let mut all = all.zip(tokens);
        loop {
            let mut batch = Vec::new();
            for ((exchange, message), token) in all.by_ref().take(BATCH) {
                let (answer, answered) = oneshot::channel();
                self.waiting.lock().insert(token, answer);
                answers.push(answered);
                batch.push(Publishing { token, lane: 0, exchange, message });
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.submit.send(batch).await.map_err(|_| FlushError::Closed)?;
        }
    }

    async fn publish_all(&self, all: Vec<Held>) -> Result<(), FlushError> {
        let tokens = self.tokens(all.len());
        let _awaited = Awaited { waiting: &self.waiting, tokens: tokens.clone() };
        // for the error alone; events need none
        let place = |held: &Held| {
            (&*held.exchange != "events")
                .then(|| (held.exchange.to_string(), held.message.routing_key.clone()))
        };
        let places: Vec<_> = all.iter().map(place).collect();
        let mut answers = Vec::with_capacity(all.len());
        let all = all.into_iter().map(|held| (held.exchange, held.message));
        self.submit_all(all, tokens, &mut answers).await?;
        for (answered, place) in answers.into_iter().zip(places) {
            let outcome = answered.await.map_err(|_| FlushError::Closed)?;
            if let (Some((exchange, queue)), Some(lost)) = (&place, &self.replies_lost)
                && is_reply(exchange)
                && outcome != PublishOutcome::Lost
            {
                note_reply(&outcome, queue, lost);
                continue;
            }
            match outcome {
                PublishOutcome::Confirmed { returned: false } => {}
                PublishOutcome::Confirmed { returned: true } => {
                    if let Some((exchange, key)) = place {
                        return Err(FlushError::Unroutable { exchange, key });
                    }
                }
                PublishOutcome::Nacked => return Err(FlushError::Nacked),
                PublishOutcome::Refused(why) => return Err(FlushError::Refused(why)),
                PublishOutcome::Missing(why) => return Err(FlushError::Missing(why)),
                PublishOutcome::Lost => return Err(FlushError::Lost(self.trouble())),
            }
        }
        Ok(())
    }

    fn trouble(&self) -> String {
        match &*self.link.borrow() {
            Link::Down { error: Some(error), .. } => error.what.clone(),
            Link::Blocked { reason } => format!("the broker accepts no messages: {reason}"),
            Link::Closed => "the publisher was closed".into(),
            Link::Up { .. } | Link::Down { .. } => {
                "the connection was lost, or the confirm came too late".into()
            }
        }
    }
}

async fn answer(mut settled: mpsc::Receiver<Vec<Settlement>>, waiting: PendingConfirms) {
    while let Some(batch) = settled.recv().await {
        let mut waiting = waiting.lock();
        for Settlement { token, outcome } in batch {
            if let Some(answer) = waiting.remove(&token) {
                // who waited has given up: then nobody wants to know
                let _ = answer.send(outcome);
            }
        }
    }
    // nothing can be answered any more: those who wait see their channel closed
    waiting.lock().clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Vec<Held> {
        let message = Message::default();
        vec![Held { id: "1".parse().unwrap(), exchange: "events".into(), message, due: None }]
    }

    #[tokio::test(start_paused = true)]
    async fn no_confirm_of_a_broker_that_is_there_is_another_thing_than_a_lost_connection() {
        let (inner, task) = Publisher::channel(8);
        let up = |generation| Link::Up { generation, broker: "a broker".into(), user: None };
        task.link.send_replace(up(1));
        let publisher = ConfirmingPublisher::open(inner);
        let limit = Duration::from_secs(30);
        assert_eq!(publisher.publish(held(), limit).await, Err(FlushError::Late(limit)));
        let (lost, ()) = tokio::join!(publisher.publish(held(), limit), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            task.link.send_replace(up(2));
        });
        assert!(matches!(lost, Err(FlushError::Lost(_))), "{lost:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_message_has_an_outcome_of_its_own_or_none_in_time() {
        let (inner, mut task) = Publisher::channel(1);
        let publisher = ConfirmingPublisher::open(inner);
        let answering = async {
            let batch = task.submitted.recv().await.unwrap();
            let outcomes = [PublishOutcome::Nacked, PublishOutcome::Confirmed { returned: true }];
            let settled = batch.iter().zip(outcomes);
            let settled = settled.map(|(one, outcome)| Settlement { token: one.token, outcome });
            task.settled.send(settled.collect()).await.unwrap();
            // the rest is taken by nobody
            std::future::pending::<()>().await;
        };
        let exchange = Arc::from("events");
        let all = vec![Message::default(); BATCH * 3];
        let outcomes = tokio::select! {
            outcomes = publisher.outcomes(&exchange, all, Duration::from_secs(3)) => outcomes,
            () = answering => unreachable!(),
        };
        let known: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(outcomes.len(), BATCH * 3);
        assert_eq!(known, [&PublishOutcome::Nacked, &PublishOutcome::Confirmed { returned: true }]);
        assert!(publisher.waiting.lock().is_empty());
    }
}
