//! What is left of a batch if its task fails outside of its handler.

use crate::{
    broker::{Delivery, DeliveryTag},
    event::EventId,
    worker::{batch::Arrived, queue_context::QueueContext},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The deliveries of a batch that are not settled yet.
#[derive(Debug)]
pub(in crate::worker) struct Unsettled(Mutex<HashMap<DeliveryTag, Option<EventId>>>);

impl Unsettled {
    /// All of them, which are in progress from now on.
    pub(in crate::worker) fn of(queue: &QueueContext, deliveries: &[Arrived]) -> Self {
        let each = deliveries.iter().map(|(delivery, _)| (delivery.tag, claimed_id(delivery)));
        if let Some(metrics) = &queue.plan.metrics {
            metrics.in_progress.inc_by(i64::try_from(deliveries.len()).unwrap_or(0));
        }
        Self(Mutex::new(each.collect()))
    }

    /// One of them is settled.
    pub(in crate::worker) fn settled(&self, queue: &QueueContext, tag: DeliveryTag) {
        if self.lock().remove(&tag).is_none() {
            return;
        }
        queue.pulse.settled();
        if let Some(metrics) = &queue.plan.metrics {
            metrics.in_progress.dec();
        }
    }

    /// Those that are left.
    pub(in crate::worker) fn all(&self) -> Vec<(DeliveryTag, Option<EventId>)> {
        self.lock().iter().map(|(tag, id)| (*tag, id.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeliveryTag, Option<EventId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn claimed_id(delivery: &Delivery) -> Option<EventId> {
    delivery.message.properties.message_id.as_deref().and_then(|id| id.parse().ok())
}
