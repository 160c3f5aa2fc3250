//! Takes what comes from the broker, and looks from time to time at what was not handled in time.

use super::{Shared, metrics::ObserverMetrics};
use crate::{
    connection::{fatal, gone},
    trouble::Trouble,
};
use ponos::{
    broker::{Consumer, Delivery, Link, Settle},
    clock::Clock,
    compression,
    event::{
        Event, Timestamp,
        reports::{DELIVERIES_REPORTED, HANDLERS_DECLARED, REPORTS},
    },
    worker::Limits,
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

/// What hears.
pub(super) struct Hearing {
    consumer: Consumer,
    shared: Shared,
    clock: Clock,
    metrics: ObserverMetrics,
    missed: mpsc::Sender<Miss>,
    /// The connection that it hears by.
    generation: Option<u64>,
    /// When it last looked at what was not handled in time.
    looked_at: Instant,
}

impl Hearing {
    pub(super) fn new(
        consumer: Consumer,
        shared: Shared,
        metrics: ObserverMetrics,
        missed: mpsc::Sender<Miss>,
        clock: Clock,
    ) -> Self {
        Self { consumer, shared, clock, metrics, missed, generation: None, looked_at: Instant::now() }
    }

    /// Hears until the consumer ends, or only a person can mend its connection.
    pub(super) async fn run(mut self) -> Result<(), Trouble> {
        let mut link = self.consumer.link();
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                biased;
                changed = link.changed() => {
                    changed.map_err(|_| gone())?;
                    let now = link.borrow_and_update().clone();
                    self.follow(now)?;
                }
                // what has come is taken first: it may be the report of what would be missed else
                came = self.consumer.next_many(&mut batch, AT_ONCE) => {
                    if came == 0 {
                        return Err(gone());
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

    /// The connection changed: what was said while there was none was missed.
    fn follow(&mut self, link: Link) -> Result<(), Trouble> {
        if let Some(error) = fatal(&link) {
            return Err(error.clone().into());
        }
        let now = self.clock.now();
        let mut observer = self.shared.lock();
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
            Link::Down { .. } | Link::Closed => {
                if let Link::Down { error: Some(error), .. } = &link {
                    tracing::warn!(%error, "not observing: what is sent meanwhile is not seen");
                }
                observer.interrupted(now);
            }
        }
        self.metrics.connected.set(observer.is_listening().into());
        Ok(())
    }

    fn take(&self, batch: &[Delivery]) {
        let now = self.clock.now();
        let mut observer = self.shared.lock();
        let unread = batch.iter().filter(|delivery| take(&mut observer, now, delivery).is_none()).count();
        self.metrics.unread.inc_by(unread as u64);
    }

    fn look(&mut self) {
        let passed = self.looked_at.elapsed();
        self.looked_at = Instant::now();
        let (missed, counts) = {
            let mut observer = self.shared.lock();
            let now = self.clock.now();
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
pub(super) fn take(observer: &mut Observer, now: Timestamp, delivery: &Delivery) -> Option<()> {
    if delivery.exchange != REPORTS {
        let event = compression::event(&delivery.message, Limits::default().body).ok()?;
        observer.event(now, SeenEvent::of(&event));
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
