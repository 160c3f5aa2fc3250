//! Back to the queue, for a reason of ours: the worker stops, or something that it stands on is not there.
//!
//! The broker counts each return as it counts a crash, and what came back five times is poison. Within this process the
//! returns that are ours are remembered ([`OwnReleases`]); the next process knows nothing of them. So what has come back
//! often already is sent anew instead, by way of `retry.return` and at the same attempt, which begins its count again (and
//! puts it behind what waits).
//!
//! [`OwnReleases`]: crate::worker::own_releases::OwnReleases

use super::{Task, needs_to_be_alone};
use crate::{
    broker::{Delivery, DeliveryTag, Settle},
    event::Message,
    inbox::Held,
    topology::worker::RETURN,
    worker::{queue_context::QueueContext, retry},
};
use std::{sync::Arc, time::Duration};

/// For the confirm, before it is released after all.
const CONFIRM: Duration = Duration::from_secs(5);

/// How one that was begun is to be settled.
pub(super) async fn begun(task: &mut Task<'_>) -> Settle {
    let queue = task.queue;
    let Some(event) = task.event.clone() else { return Settle::Release };
    if needs_to_be_alone(Some(task.count)) && task.has_message() && may_send(queue, task.tag) {
        let message = retry::again(task.taken(), &queue.plan.name, &event, &task.attempt);
        if anew(queue, message).await {
            return Settle::Ack;
        }
    }
    if !task.noted {
        task.noted = true;
        queue.own_releases.note(event.id.as_str());
    }
    Settle::Release
}

/// Gives back one that was not begun. `confirms`: whether the broker has confirmed so far, for all that wait would wait in
/// vain after the first one.
pub(in crate::worker) async fn waiting(queue: &QueueContext, delivery: Delivery, confirms: &mut bool) {
    queue.report.given_back(delivery.message.properties.message_id.as_deref());
    let mut how = Settle::Release;
    if *confirms && needs_to_be_alone(delivery.delivery_count()) && may_send(queue, delivery.tag) {
        let message = retry::unread(delivery.message, &queue.plan.name);
        *confirms = anew(queue, message).await;
        if *confirms {
            how = Settle::Ack;
        }
    }
    // an error: the consumer has ended, and it goes back without being asked to
    let _ = queue.settler.settle(delivery.tag, how).await;
    queue.pulse.settled();
}

fn may_send(queue: &QueueContext, tag: DeliveryTag) -> bool {
    queue.can_publish() && !queue.is_void(tag)
}

async fn anew(queue: &QueueContext, message: Message) -> bool {
    let id = message.properties.message_id.as_deref().unwrap_or_default().parse();
    let Ok(id) = id else { return false };
    let held = Held { id, exchange: Arc::from(RETURN), message };
    match queue.publisher.publish(vec![held], CONFIRM).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, queue = %queue.plan.name, "not sent anew; it is released, and its count goes on");
            false
        }
    }
}
