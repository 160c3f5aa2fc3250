//! The relay publishes the outbox, oldest first, and removes confirmed messages.
//!
//! Invariant: a message leaves the outbox only after its confirm; so it may be published twice, with the same id, and
//! is never lost. Relays of one service take turns (an advisory lock), so what one handler's run published goes out in
//! its order. A message that the broker refuses is put off and lets those behind it pass; one that reaches no queue for an
//! hour is parked; one that is due later is not taken before. Retries are published as the ladder returns them. Between runs there is no order: they commit as they come.

use super::{
    outbox::{self, FailedMessage, OutboxMessage, Portion},
    store::Store,
};
use crate::{
    broker::{Link, PublishOutcome, Publisher, Publishing},
    inbox::InboxError,
    shutdown::{Shutdown, Stage},
    worker::{is_reply, note_reply},
};
use prometheus_client::metrics::counter::Counter;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Messages in one turn.
const BATCH: i64 = 500;
/// Bytes of their bodies, beyond the first message.
const BYTES: i64 = 16 << 20;
/// How long the outbox is left alone when it was empty; a handler of this process wakes the relay earlier.
const POLL: Duration = Duration::from_secs(1);
/// Beyond the instant at which something is due: the database compares what is not rounded.
const TICK: Duration = Duration::from_millis(1);
/// The same while another replica's relay is at work.
const TURN: Duration = Duration::from_millis(200);
/// After a failure of the database, doubled with each, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long the confirms of one turn may take, beyond the adapter's own limits.
const CONFIRMS: Duration = Duration::from_secs(90);
/// The exchange of events.
const FACTS: &str = "events";

/// Publishes the outbox of one service. [`Self::run`] it beside the worker.
#[derive(Debug)]
pub struct Relay {
    store: Arc<Store>,
    publisher: Publisher,
    token: u64,
    /// Counts answers that reached nobody.
    replies_lost: Counter,
    /// The last message to be sent, once it drains: other replicas go on inserting.
    last: Option<i64>,
    /// Leaves retries and answers to the service's workers.
    sends_only: bool,
}

/// What has to become of a message.
enum Need {
    /// It need not reach a queue.
    Event,
    /// It must reach a queue.
    Queue,
    /// An answer to this queue, which need not reach it: its loss is noted.
    Reply(String),
}

enum Turn {
    Sent,
    /// There was nothing to be sent; in how long there will be, as far as is known.
    Idle(Option<Duration>),
    /// Some were not settled: the link is gone.
    Lost,
    Others,
}

impl Relay {
    pub(super) fn new(store: Arc<Store>, publisher: Publisher) -> Self {
        Self { store, publisher, token: 0, replies_lost: Counter::default(), last: None, sends_only: false }
    }

    /// For a publisher that need not be allowed more than to publish events and tasks.
    pub(crate) fn sends_only(self) -> Self {
        Self { sends_only: true, ..self }
    }

    /// The same, which counts answers that reach nobody there.
    pub(crate) fn counting(self, replies_lost: Counter) -> Self {
        Self { replies_lost, ..self }
    }

    /// Runs until the shutdown: at [`Stage::Draining`], for which the worker's handlers should have ended, it publishes
    /// what is there, as far as broker and database work, and returns; at [`Stage::Stopping`] at once. What is left
    /// stays in the outbox.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let stopping = shutdown.reached(Stage::Stopping);
        tokio::select! {
            () = self.relay(shutdown) => {}
            () = stopping => {}
        }
    }

    async fn relay(&mut self, shutdown: &Shutdown) {
        let mut failures = 0;
        loop {
            let mut link = self.publisher.link();
            tokio::select! {
                biased; // told to drain, it still sends what it can
                up = link.wait_for(|link| matches!(link, Link::Up { .. } | Link::Closed)) => match up.as_deref() {
                    Ok(Link::Up { .. }) => {}
                    _ => return tracing::error!("the relay's publisher is closed; the outbox waits for the next start"),
                },
                () = shutdown.reached(Stage::Draining) => return,
            }
            let draining = shutdown.stage() >= Stage::Draining;
            let pause = match self.turn(draining).await {
                Ok(Turn::Idle(_)) if draining => return,
                Ok(Turn::Idle(next)) => {
                    failures = 0;
                    match next {
                        Some(next) if next < POLL * 2 => {
                            // exactly then, and not by chance
                            tokio::select! {
                                () = self.store.put.notified() => {}
                                () = tokio::time::sleep(next.min(POLL) + TICK) => {}
                                () = shutdown.reached(Stage::Draining) => {}
                            }
                            continue;
                        }
                        _ => POLL,
                    }
                }
                Ok(Turn::Sent) => {
                    failures = 0;
                    continue;
                }
                Ok(Turn::Others | Turn::Lost) => TURN,
                Err(error) => {
                    if failures == 0 {
                        tracing::error!(%error, "the outbox could not be relayed; it is tried again");
                    }
                    failures += 1;
                    PAUSES.0.saturating_mul(1 << failures.min(10)).min(PAUSES.1)
                }
            };
            tokio::select! {
                () = self.store.put.notified(), if failures == 0 => {}
                () = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())) => {}
                () = shutdown.reached(Stage::Draining), if shutdown.stage() == Stage::Running => {}
            }
            if failures > 0 && shutdown.stage() >= Stage::Draining {
                return;
            }
        }
    }

    /// One batch, in one transaction that holds it.
    async fn turn(&mut self, draining: bool) -> Result<Turn, InboxError> {
        let store = self.store.clone();
        if draining && self.last.is_none() {
            self.last = Some(outbox::last(&store).await?);
        }
        let (last, sends_only) = (self.last.unwrap_or(i64::MAX), self.sends_only);
        let portion = Portion { count: BATCH, bytes: BYTES, last, sends_only };
        let mut transaction = store.call("relaying the outbox", Box::pin(store.side.begin())).await?;
        let next = outbox::next(&mut transaction, &store, portion);
        let Some(waiting) = store.call("reading the outbox", next).await? else { return Ok(Turn::Others) };
        if waiting.is_empty() {
            drop(transaction);
            let next = if draining { None } else { outbox::soonest(&store).await? };
            return Ok(Turn::Idle(next));
        }
        let count = waiting.len();
        let (confirmed, failed) = self.publish(waiting).await;
        let lost = confirmed.len() + failed.len() < count;
        if let Some(first) = failed.first() {
            tracing::warn!(
                count = failed.len(),
                first = first.why,
                "messages of the outbox could not be published; they are tried again"
            );
        }
        let settle = outbox::settle(&mut transaction, &store, &confirmed, &failed);
        let parked = store.call("settling the outbox", settle).await?;
        store.call("settling the outbox", transaction.commit()).await?;
        if parked > 0 {
            tracing::error!(
                parked,
                "messages of the outbox are parked and no longer tried: see last_error in the table ponos_outbox, and set parked to null once the cause is mended"
            );
        }
        Ok(if lost { Turn::Lost } else { Turn::Sent })
    }

    /// Publishes; returns the confirmed messages, and the refused ones with the reason. Those in neither were lost with the link.
    async fn publish(&mut self, waiting: Vec<OutboxMessage>) -> (Vec<i64>, Vec<FailedMessage>) {
        let (mut confirmed, mut failed) = (Vec::new(), Vec::new());
        let stays = |seq, why, lasting| FailedMessage { seq, why, lasting };
        let mut pending = HashMap::new();
        let mut batch = Vec::new();
        for OutboxMessage { seq, id, exchange, message } in waiting {
            match message {
                Ok(message) => {
                    self.token += 1;
                    let need = if is_reply(&exchange) {
                        Need::Reply(message.routing_key.clone())
                    } else if &*exchange == FACTS {
                        Need::Event
                    } else {
                        Need::Queue
                    };
                    pending.insert(self.token, (seq, id, need));
                    batch.push(Publishing { token: self.token, lane: 0, exchange, message });
                }
                Err(why) => {
                    failed.push(stays(seq, format!("{id} can't be read from the outbox: {why}"), true));
                }
            }
        }
        let until = Instant::now() + CONFIRMS;
        let submitted = tokio::time::timeout_at(until, self.publisher.submit(batch)).await;
        if !matches!(submitted, Ok(Ok(()))) {
            return (confirmed, failed);
        }
        while !pending.is_empty() {
            let Ok(Some(settled)) = tokio::time::timeout_at(until, self.publisher.settlements()).await else {
                break;
            };
            for settlement in settled {
                // One of an earlier turn, which was not waited for, says nothing here.
                let Some((seq, id, need)) = pending.remove(&settlement.token) else { continue };
                match (settlement.outcome, need) {
                    (PublishOutcome::Lost, _) => {}
                    (outcome, Need::Reply(queue)) => {
                        note_reply(&outcome, &queue, &self.replies_lost);
                        confirmed.push(seq);
                    }
                    (PublishOutcome::Confirmed { returned: true }, Need::Queue) => {
                        failed.push(stays(seq, format!("{id} reached no queue"), true));
                    }
                    (PublishOutcome::Confirmed { .. }, _) => confirmed.push(seq),
                    (PublishOutcome::Nacked, _) => {
                        failed.push(stays(seq, format!("{id} was nacked: a queue is full"), false));
                    }
                    (PublishOutcome::Refused(why), _) => {
                        failed.push(stays(seq, format!("{id} was refused: {why}"), true));
                    }
                    (PublishOutcome::Missing(why), _) => {
                        failed.push(stays(seq, format!("the exchange of {id} does not exist: {why}"), false));
                    }
                }
            }
        }
        (confirmed, failed)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("address", &self.address).finish_non_exhaustive()
    }
}
