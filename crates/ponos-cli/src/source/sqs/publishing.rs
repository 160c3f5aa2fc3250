//! Publishes events, and says of each what the broker made of it.
//!
//! As the gateway's: mandatory, confirmed, one attempt each. Unlike there, a broker that is away is waited for, by who calls: the
//! message stays in SQS meanwhile.

use super::metrics::SourceMetrics;
use crate::gateway::{
    publisher::{DENIED, topology},
    settings::Unroutable,
};
use ponos::{
    broker::{Link, PublishOutcome, Transport},
    event::Event,
    topology::worker::EVENTS,
    worker::ConfirmingPublisher,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// In what the broker says when the permission that is missing is one for a routing key.
const TOPIC: &str = "access to topic '";

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The broker has it.
    Arrived,
    /// It will not take it, and why.
    Refused(String),
    /// Nobody knows, or the broker is away: it may have arrived or not.
    Unconfirmed(String),
}

/// Publishes events.
pub(super) struct Publishing {
    publisher: ConfirmingPublisher,
    link: watch::Receiver<Link>,
    exchange: Arc<str>,
    confirm: Duration,
    unroutable: Unroutable,
    metrics: SourceMetrics,
    /// The broker denied the last publishing, and that was logged.
    is_denied: AtomicBool,
}

impl Publishing {
    /// On this broker.
    pub(super) fn new(
        transport: &Transport,
        is_passive: bool,
        confirm: Duration,
        unroutable: Unroutable,
        metrics: SourceMetrics,
    ) -> Self {
        let publisher = ConfirmingPublisher::open(transport.publisher(topology(is_passive)));
        let (link, exchange) = (publisher.link(), Arc::from(EVENTS));
        Self { publisher, link, exchange, confirm, unroutable, metrics, is_denied: AtomicBool::new(false) }
    }

    /// The state of the connection.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// How long a confirm is waited for.
    pub(super) fn confirm(&self) -> Duration {
        self.confirm
    }

    /// Whether the broker takes events.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up { .. })
    }

    /// Waits until the broker takes events.
    pub(super) async fn up(&self) {
        if self.link().wait_for(|link| matches!(link, Link::Up { .. })).await.is_err() {
            // it ended, which only the end of the program brings about
            std::future::pending::<()>().await;
        }
    }

    /// Publishes all in their order, and waits for the confirms.
    pub(super) async fn publish(&self, events: &[&Event]) -> Vec<Fate> {
        let began = Instant::now();
        let messages = events.iter().map(|event| event.to_message()).collect();
        let outcomes = self.publisher.outcomes(&self.exchange, messages, self.confirm).await;
        self.metrics.confirm.observe(began.elapsed().as_secs_f64());
        outcomes.into_iter().zip(events).map(|(outcome, event)| self.fate(outcome, event)).collect()
    }

    fn fate(&self, outcome: Option<PublishOutcome>, event: &Event) -> Fate {
        let (counted, fate) = match outcome {
            Some(PublishOutcome::Confirmed { returned: true }) if self.unroutable == Unroutable::Refuse => {
                ("unroutable", Fate::Refused(format!("no queue is bound to '{}'", event.name)))
            }
            Some(PublishOutcome::Confirmed { .. }) => {
                self.is_denied.store(false, Ordering::Relaxed);
                ("accepted", Fate::Arrived)
            }
            Some(PublishOutcome::Nacked) => {
                // it passes: SQS is not to give up a backlog for that, and nothing more is received once all places are held
                let what = "a queue refused it: it is full, or its node is in trouble";
                ("refused", Fate::Unconfirmed(what.into()))
            }
            // by the routing key, which whoever sends a CloudEvent chooses: others are not to wait for it
            Some(PublishOutcome::Refused(why)) if why.contains(DENIED) && why.contains(TOPIC) => (
                "refused",
                Fate::Refused(format!("the broker's user may not publish '{}': {why}", event.name)),
            ),
            // the operator's slip, not the event's fault: SQS is not to give it up for that
            Some(PublishOutcome::Refused(why)) if why.contains(DENIED) => {
                if !self.is_denied.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        "the broker's user may not publish: {why}; see write and topic permissions"
                    );
                }
                ("refused", Fate::Unconfirmed(why))
            }
            Some(PublishOutcome::Refused(why)) => {
                ("refused", Fate::Refused(format!("the broker refused it: {why}")))
            }
            Some(PublishOutcome::Missing(why)) => ("refused", Fate::Unconfirmed(why)),
            Some(PublishOutcome::Lost) | None => {
                let why = match &*self.link.borrow() {
                    Link::Blocked { reason } => {
                        format!("the broker accepts no messages at present ({reason})")
                    }
                    Link::Up { .. } => "no confirm came in time".to_owned(),
                    Link::Down { .. } | Link::Closed => "the connection to the broker was lost".to_owned(),
                };
                ("unconfirmed", Fate::Unconfirmed(why))
            }
        };
        self.metrics.count_event(counted);
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{broker::memory::Broker, metrics::Metrics};

    #[tokio::test]
    async fn only_what_is_the_event_s_fault_is_a_refusal() {
        let counted = SourceMetrics::register(&Metrics::new());
        let transport = Transport::memory(Broker::new());
        let of = |unroutable| {
            Publishing::new(&transport, false, Duration::from_secs(1), unroutable, counted.clone())
        };
        let (strict, lenient) = (of(Unroutable::Refuse), of(Unroutable::Accept));
        let event = Event::new("1".parse().unwrap(), "/s", "order.item.placed".parse().unwrap(), "1");
        let fate = |outcome| strict.fate(outcome, &event);
        let denied = "ACCESS_REFUSED - write access to exchange 'events' in vhost '/' refused for user 'u'";
        let topic = "ACCESS_REFUSED - access to topic 'order.item.placed' in exchange 'events' in vhost '/' refused for user 'u'";
        let nowhere = || Some(PublishOutcome::Confirmed { returned: true });
        assert_eq!(fate(Some(PublishOutcome::Confirmed { returned: false })), Fate::Arrived);
        assert!(matches!(fate(nowhere()), Fate::Refused(why) if why.contains("order.item.placed")));
        assert_eq!(lenient.fate(nowhere(), &event), Fate::Arrived);
        assert!(matches!(
            fate(Some(PublishOutcome::Refused("PRECONDITION_FAILED".into()))),
            Fate::Refused(_)
        ));
        assert!(matches!(
            fate(Some(PublishOutcome::Refused(topic.into()))),
            Fate::Refused(why) if why.contains("may not publish 'order.item.placed'")
        ));
        for away in [
            PublishOutcome::Refused(denied.into()),
            PublishOutcome::Missing("m".into()),
            PublishOutcome::Lost,
            PublishOutcome::Nacked,
        ] {
            assert!(matches!(fate(Some(away.clone())), Fate::Unconfirmed(_)), "{away:?}");
        }
        assert!(matches!(fate(None), Fate::Unconfirmed(_)));
    }
}
