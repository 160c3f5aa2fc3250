//! The state that all deliveries of one queue share.

use super::{
    auto_prefetch::Measured, circuit::Circuit, confirming_publisher::ConfirmingPublisher, latest::Latest,
    liveness::Pulse, own_releases::OwnReleases, plan::QueuePlan, promises::Promises, report::QueueReport,
    service::Service, signal::Signal, topology_repair::TopologyRepair,
};
use crate::{
    broker::{DeliveryTag, Link, Requester, Settler, Transport},
    control::{Cancelled, Said, Steered},
    event::Event,
};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// One queue at work.
#[derive(Debug)]
pub(crate) struct QueueContext {
    pub(crate) service: Arc<Service>,
    pub(crate) plan: QueuePlan,
    pub(crate) publisher: ConfirmingPublisher,
    /// The link of the publisher.
    pub(crate) publishing: watch::Receiver<Link>,
    pub(crate) settler: Settler,
    /// The link of the consumer.
    pub(crate) consuming: watch::Receiver<Link>,
    /// One permit for each task that may be at work.
    pub(crate) slots: Arc<Semaphore>,
    /// Raised when nothing more is taken in, and waiting deliveries are to go back.
    pub(crate) drain: Signal,
    /// Raised when running tasks are to be cancelled.
    pub(crate) stop: Signal,
    pub(crate) latest: Latest,
    pub(crate) promises: Promises,
    pub(crate) own_releases: OwnReleases,
    /// Pauses the queue while what its tasks need is unavailable.
    pub(crate) circuit: Arc<Circuit>,
    /// What somebody says of the queue by hand.
    pub(crate) steered: watch::Receiver<Steered>,
    /// The messages that somebody cancelled; `stop` wakes those who wait when there are others.
    pub(crate) cancelled: Arc<Cancelled>,
    pub(crate) report: QueueReport,
    /// How long its tasks took since the last adaptation.
    pub(crate) measured: Mutex<Measured>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) repair: TopologyRepair,
    /// By which the clock is asked; made for the first that asks, and shared by all queues.
    pub(crate) requester: Arc<OnceLock<Requester>>,
    pub(crate) transport: Transport,
}

impl QueueContext {
    /// Whether the delivery can't be settled any more: its channel is gone, and it comes again.
    pub(crate) fn is_void(&self, tag: DeliveryTag) -> bool {
        is_void(&self.consuming.borrow(), tag)
    }

    /// Resolves when the delivery can't be settled any more.
    pub(crate) async fn voided(&self, tag: DeliveryTag) {
        // an error means that the consumer is gone, and with it its channel
        let _ = self.consuming.clone().wait_for(|link| is_void(link, tag)).await;
    }

    /// What was said of this message, if it is cancelled in this queue.
    pub(crate) fn cancelled(&self, event: &Event) -> Option<Arc<Said>> {
        let place = (&*self.plan.name, event.name.as_str());
        self.cancelled.find(event.id.as_str(), place, || self.service.clock.now())
    }

    /// Has those at work look whether they are cancelled, whenever somebody cancels messages. Never returns.
    pub(crate) async fn follow_cancelled(&self) {
        let mut changes = self.cancelled.changes();
        while changes.changed().await.is_ok() {
            self.stop.wake();
        }
        std::future::pending().await
    }

    /// By which the clock is asked.
    pub(crate) fn requester(&self) -> &Requester {
        self.requester.get_or_init(|| self.transport.requester())
    }

    /// Whether somebody wants to know how long deliveries wait here.
    pub(crate) fn is_timed(&self) -> bool {
        self.plan.metrics.is_some() || self.service.traces.is_some()
    }

    /// Whether publishing now may succeed.
    pub(crate) fn can_publish(&self) -> bool {
        matches!(&*self.publishing.borrow(), Link::Up { .. })
    }

    /// A delivery was given back before it reached a handler.
    pub(crate) fn given_back(&self, id: Option<&str>) {
        self.report.given_back(id);
        if let Some(metrics) = &self.plan.metrics {
            metrics.given_back();
        }
    }

    /// A task has ended whose handler ran and answered.
    pub(crate) fn measure(&self, took: Duration) {
        if self.plan.policy.adapts() {
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now(), took);
        }
    }

    /// The measurement, if it is sufficient; then a new one begins.
    pub(crate) fn take_measured(&self) -> Option<Measured> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = measured.is_enough(Instant::now(), self.plan.policy.slots());
        enough.then(|| std::mem::take(&mut *measured))
    }

    /// How many tasks may run at the same time.
    pub(crate) fn most(&self) -> u32 {
        u32::try_from(self.plan.policy.slots()).unwrap_or(u32::MAX)
    }
}

fn is_void(link: &Link, tag: DeliveryTag) -> bool {
    match link {
        Link::Up { generation, .. } => *generation != tag.generation,
        Link::Blocked { .. } => false,
        Link::Down { .. } | Link::Closed => true,
    }
}
