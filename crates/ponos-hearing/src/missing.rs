//! Publishes what was not handled in time, as events.

use ponos_broker::{Link, PublishOutcome, Publisher, Publishing, Settlement, Transport};
use ponos_event::{
    Event, EventName, Message,
    reports::HANDLING_MISSED,
    topology::{Topology, worker::EVENTS},
};
use ponos_observer::Miss;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// How many wait to be published; further ones are logged alone.
const WAITING: usize = 10_000;
/// How many are published at once.
const AT_ONCE: usize = 100;
/// How long their confirms may take.
const CONFIRM: Duration = Duration::from_secs(30);
/// The wait before what was not confirmed is sent again.
const AGAIN: Duration = Duration::from_secs(5);
/// How many times it is sent in all.
const TIMES: usize = 100;
/// The source of what is published.
const SOURCE: &str = "/ponos/observer";

/// What publishes misses.
#[derive(Debug)]
pub struct Missing<P> {
    missed: mpsc::Receiver<Miss>,
    publisher: Publisher,
    publishes: P,
    /// The number of the next publishing.
    next: u64,
}

impl<P: Fn() -> bool> Missing<P> {
    /// And where it is told of them; they are published as long as `publishes` says so: of several clocks one does. Must be called
    /// within a tokio runtime.
    pub fn new(transport: &Transport, publishes: P) -> (Self, mpsc::Sender<Miss>) {
        let (told, missed) = mpsc::channel(WAITING);
        (Self { missed, publisher: transport.publisher(Topology::default()), publishes, next: 0 }, told)
    }

    /// Publishes until nobody tells of any more.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.missed.recv_many(&mut batch, AT_ONCE).await > 0 {
            let mut left: Vec<Message> = batch.drain(..).filter_map(|miss| message(&miss)).collect();
            for _ in 0..TIMES {
                if left.is_empty() || !(self.publishes)() {
                    break;
                }
                left = self.publish(left).await;
                if !left.is_empty() {
                    sleep(AGAIN).await;
                }
            }
            if !left.is_empty() && (self.publishes)() {
                tracing::error!("{} events '{HANDLING_MISSED}' could not be published", left.len());
            }
        }
    }

    /// Publishes all, and gives back what is to be sent again, in its order.
    async fn publish(&mut self, all: Vec<Message>) -> Vec<Message> {
        let first = self.next;
        let mut waiting: BTreeMap<u64, Message> = (first..).zip(all).collect();
        self.next = first.saturating_add(waiting.len() as u64);
        let exchange: Arc<str> = EVENTS.into();
        let publishing = |(token, message): (&u64, &Message)| Publishing {
            token: *token,
            lane: 0,
            exchange: exchange.clone(),
            message: message.clone(),
        };
        let publishings = waiting.iter().map(publishing).collect();
        let mut again = BTreeMap::new();
        let answered = async {
            // an error: it has ended
            let _ = self.publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await;
            if self.publisher.submit(publishings).await.is_err() {
                return;
            }
            while !waiting.is_empty() {
                let Some(settled) = self.publisher.settlements().await else { return };
                for Settlement { token, outcome } in settled {
                    // else it is the answer to one that was sent before, and came too late
                    if let Some(message) = waiting.remove(&token).filter(|_| is_open(outcome)) {
                        again.insert(token, message);
                    }
                }
            }
        };
        // what has no answer by then may have arrived: its id is the same
        let _ = timeout(CONFIRM, answered).await;
        again.append(&mut waiting);
        again.into_values().collect()
    }
}

/// Whether what ended so is to be sent again.
fn is_open(outcome: PublishOutcome) -> bool {
    match outcome {
        PublishOutcome::Confirmed { .. } => false,
        PublishOutcome::Refused(why) => {
            tracing::error!(why, "an event '{HANDLING_MISSED}' was refused");
            false
        }
        PublishOutcome::Nacked | PublishOutcome::Missing(_) | PublishOutcome::Lost => true,
    }
}

/// The event of a miss, which follows from what was missed.
pub(crate) fn message(miss: &Miss) -> Option<Message> {
    let name: EventName = HANDLING_MISSED.parse().ok()?;
    let data = serde_json::to_vec(miss).ok()?;
    let mut event = Event::new(miss.id(), SOURCE, name, data);
    event.time = Some(miss.due_at);
    event.subject = Some(miss.service.clone());
    event.correlation_id = Some(miss.event_id.clone());
    event.causation_id = Some(miss.event_id.clone());
    Some(event.into_message())
}
