//! Publishes what was not handled in time, as events.

use ponos::{
    broker::{Link, PublishOutcome, Transport},
    event::{Event, EventName, Message, reports::HANDLING_MISSED},
    topology::{Topology, worker::EVENTS},
    worker::ConfirmingPublisher,
};
use ponos_observer::Miss;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};

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
pub(super) struct Missing {
    missed: mpsc::Receiver<Miss>,
    publisher: ConfirmingPublisher,
}

impl Missing {
    /// And where it is told of them.
    pub(super) fn new(transport: &Transport) -> (Self, mpsc::Sender<Miss>) {
        let (told, missed) = mpsc::channel(WAITING);
        let publisher = ConfirmingPublisher::open(transport.publisher(Topology::default()));
        (Self { missed, publisher }, told)
    }

    /// Publishes until nobody tells of any more.
    pub(super) async fn run(mut self) {
        let exchange = Arc::from(EVENTS);
        let mut batch = Vec::new();
        while self.missed.recv_many(&mut batch, AT_ONCE).await > 0 {
            let mut left: Vec<Message> = batch.drain(..).filter_map(|miss| message(&miss)).collect();
            for _ in 0..TIMES {
                // an error: it has ended
                let _ = self.publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await;
                let outcomes = self.publisher.outcomes(&exchange, left.clone(), CONFIRM).await;
                left = left.into_iter().zip(outcomes).filter_map(unconfirmed).collect();
                if left.is_empty() {
                    break;
                }
                sleep(AGAIN).await;
            }
            if !left.is_empty() {
                tracing::error!("{} events '{HANDLING_MISSED}' could not be published", left.len());
            }
        }
    }
}

/// What is to be sent again.
fn unconfirmed((message, outcome): (Message, Option<PublishOutcome>)) -> Option<Message> {
    match outcome {
        Some(PublishOutcome::Confirmed { .. }) => None,
        Some(PublishOutcome::Refused(why)) => {
            tracing::error!(why, "an event '{HANDLING_MISSED}' was refused");
            None
        }
        Some(PublishOutcome::Nacked | PublishOutcome::Missing(_) | PublishOutcome::Lost) | None => {
            Some(message)
        }
    }
}

/// The event of a miss, which follows from what was missed.
pub(super) fn message(miss: &Miss) -> Option<Message> {
    let name: EventName = HANDLING_MISSED.parse().ok()?;
    let data = serde_json::to_vec(miss).ok()?;
    let mut event = Event::new(miss.id(), SOURCE, name, data);
    event.time = Some(miss.due_at);
    event.subject = Some(miss.service.clone());
    event.correlation_id = Some(miss.event_id.clone());
    event.causation_id = Some(miss.event_id.clone());
    Some(event.into_message())
}
