//! Takes what comes from the broker, and looks from time to time at what was not handled in time.

use super::{Heard, ObserverMetrics};
use ponos_broker::{Consumer, Delivery, Link, LinkError, Settle};
use ponos_event::{
    Event, Message, Properties, Timestamp, is_structured,
    reports::{DELIVERIES_REPORTED, HANDLERS_DECLARED, REPORTS},
};
use ponos_observer::{Miss, Observer, SeenEvent};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// How many messages are taken at once.
const AT_ONCE: usize = 50;
/// How often it is looked at what was not handled in time.
const LOOK: Duration = Duration::from_secs(1);
/// How long that waits while more comes than can be taken. Then it is a gap by its length ([`Observer::looks`]).
const BEHIND: Duration = Duration::from_secs(6);
/// The most bytes of a report; larger ones are not read.
const REPORT: usize = 4 << 20;

/// Why nothing is heard any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HearingEnd {
    /// The broker refuses it, and only a person can mend that.
    #[error(transparent)]
    Refused(#[from] LinkError),
    /// The consumer has ended.
    #[error("the connection to the broker was lost")]
    Gone,
}

/// What hears; `now` is the wall clock.
#[derive(Debug)]
pub struct Hearing<N> {
    consumer: Consumer,
    heard: Heard,
    now: N,
    metrics: ObserverMetrics,
    missed: mpsc::Sender<Miss>,
    /// The connection that it hears by.
    generation: Option<u64>,
    /// When it last looked at what was not handled in time.
    looked_at: Instant,
}

impl<N: Fn() -> Timestamp> Hearing<N> {
    /// Of what this consumer gives; `missed` is told what was not handled in time. Must be called within a tokio runtime.
    pub fn new(
        consumer: Consumer,
        heard: Heard,
        metrics: ObserverMetrics,
        missed: mpsc::Sender<Miss>,
        now: N,
    ) -> Self {
        Self { consumer, heard, now, metrics, missed, generation: None, looked_at: Instant::now() }
    }

    /// Hears until the consumer ends, or only a person can mend its connection.
    pub async fn run(mut self) -> HearingEnd {
        let mut link = self.consumer.link();
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                biased;
                changed = link.changed() => {
                    if changed.is_err() {
                        return self.ended(HearingEnd::Gone);
                    }
                    let now = link.borrow_and_update().clone();
                    if let Some(refused) = self.follow(now) {
                        return self.ended(HearingEnd::Refused(refused));
                    }
                }
                // what has come is taken first: it may be the report of what would be missed else
                came = self.consumer.next_many(&mut batch, AT_ONCE) => {
                    if came == 0 {
                        return self.ended(HearingEnd::Gone);
                    }
                    self.take(&batch);
                    for delivery in batch.drain(..) {
                        // an error: the next round ends
                        let _ = self.consumer.settle(delivery.tag, Settle::Ack).await;
                    }
                    let late = if came < AT_ONCE { LOOK } else { BEHIND };
                    if self.looked_at.elapsed() >= late {
                        self.look();
                    }
                }
                () = sleep_until(self.looked_at + LOOK) => self.look(),
            }
        }
    }

    fn ended(&self, why: HearingEnd) -> HearingEnd {
        self.heard.lock().interrupted((self.now)());
        self.metrics.connected.set(0);
        why
    }

    /// The connection changed: what was said while there was none was missed. What only a person can mend is given back.
    fn follow(&mut self, link: Link) -> Option<LinkError> {
        let now = (self.now)();
        let mut observer = self.heard.lock();
        match link {
            Link::Up { generation, broker, .. } => {
                if self.generation.is_some_and(|known| known != generation) {
                    observer.interrupted(now);
                }
                self.generation = Some(generation);
                observer.listening(now);
                tracing::info!("observing {broker}");
            }
            // nothing is sent here that it could refuse
            Link::Blocked { .. } => {}
            Link::Down { error: Some(error), .. } if error.class.needs_a_person() => return Some(error),
            Link::Down { error, .. } => {
                if let Some(error) = error {
                    tracing::warn!(%error, "not observing: what is sent meanwhile is not seen");
                }
                observer.interrupted(now);
            }
            Link::Closed => observer.interrupted(now),
        }
        self.metrics.connected.set(observer.is_listening().into());
        None
    }

    fn take(&self, batch: &[Delivery]) {
        let now = (self.now)();
        let mut observer = self.heard.lock();
        let unread = batch.iter().filter(|delivery| take(&mut observer, now, delivery).is_none()).count();
        self.metrics.unread.inc_by(unread as u64);
    }

    fn look(&mut self) {
        let passed = self.looked_at.elapsed();
        self.looked_at = Instant::now();
        let (missed, counts) = {
            let mut observer = self.heard.lock();
            let now = (self.now)();
            if observer.looks(now, passed) {
                tracing::warn!(
                    "stood still, was behind, or its clock was set: of what was sent before nothing is missed"
                );
            }
            (observer.due(now), observer.counts())
        };
        for miss in missed {
            let Miss { event_id, event, service, handler, due_at, reason, .. } = &miss;
            tracing::warn!(
                id = event_id, name = event, service, handler, due = %due_at, reason = reason.as_deref(),
                "an event was not handled in time"
            );
            self.metrics.missed(service);
            if self.missed.try_send(miss).is_err() {
                tracing::error!("too many events were not handled in time: not all of it is published");
            }
        }
        self.metrics.set(&counts);
    }
}

/// Takes one message; `None` if it can't be read.
pub(crate) fn take(observer: &mut Observer, now: Timestamp, delivery: &Delivery) -> Option<()> {
    if delivery.exchange != REPORTS {
        observer.event(now, SeenEvent::of(&seen(&delivery.message)?));
        return Some(());
    }
    if delivery.message.body.len() > REPORT {
        return None;
    }
    let event = Event::from_message(&delivery.message).ok()?;
    match event.name.as_str() {
        DELIVERIES_REPORTED => observer.report(now, &serde_json::from_slice(&event.data).ok()?),
        HANDLERS_DECLARED => observer.declaration(now, serde_json::from_slice(&event.data).ok()?),
        // of a later version
        _ => {}
    }
    Some(())
}

/// An event as far as it is looked at. In binary mode its attributes are enough: the body may be compressed, as workers read it.
fn seen(message: &Message) -> Option<Event> {
    match Event::from_message(message) {
        Ok(event) => Some(event),
        Err(_) if message.properties.content_encoding.is_some() && !is_structured(message) => {
            let Message { routing_key, properties, headers, .. } = message;
            let properties = Properties { content_encoding: None, ..properties.clone() };
            let (routing_key, headers) = (routing_key.clone(), headers.clone());
            Event::from_message(&Message { routing_key, properties, headers, body: Vec::new() }).ok()
        }
        Err(_) => None,
    }
}
