//! Back to the queue, for a reason of ours: the worker stops, or something that it stands on is not there.
//!
//! The broker counts each return as it counts a crash, and what came back five times is poison. Within this process the
//! returns that are ours are remembered ([`Releases`]); the next process knows nothing of them. So what has come back
//! often already is sent anew instead, by way of `retry.return` and at the same attempt, which begins its count again (and
//! puts it behind what waits).
//!
//! [`Releases`]: crate::worker::tally::Releases

use super::{Task, needs_to_be_alone};
use crate::{
    broker::{Delivery, DeliveryTag, Settle},
    event::Message,
    inbox::Held,
    topology::worker::RETURN,
    worker::{line::Line, retry},
};
use std::{sync::Arc, time::Duration};

/// For the confirm, before it is released after all.
const CONFIRM: Duration = Duration::from_secs(5);

/// How one that was begun is to be settled.
pub(super) async fn begun(task: &mut Task<'_>) -> Settle {
    let line = task.line;
    let Some(event) = task.event.clone() else { return Settle::Release };
    if needs_to_be_alone(Some(task.count)) && task.has_message() && may_send(line, task.tag) {
        let message = retry::again(task.taken(), &line.stream.queue, &event, &task.attempt);
        if anew(line, message).await {
            return Settle::Ack;
        }
    }
    if !task.noted {
        task.noted = true;
        line.released.note(event.id.as_str());
    }
    Settle::Release
}

/// Gives back one that was not begun. `confirms`: whether the broker has confirmed so far, for all that wait would wait in
/// vain after the first one.
pub(in crate::worker) async fn waiting(line: &Line, delivery: Delivery, confirms: &mut bool) {
    line.tally.given_back(delivery.message.properties.message_id.as_deref());
    let mut how = Settle::Release;
    if *confirms && needs_to_be_alone(delivery.delivery_count()) && may_send(line, delivery.tag) {
        let message = retry::unread(delivery.message, &line.stream.queue);
        *confirms = anew(line, message).await;
        if *confirms {
            how = Settle::Ack;
        }
    }
    // an error: the consumer has ended, and it goes back without being asked to
    let _ = line.settler.settle(delivery.tag, how).await;
    line.pulse.settled();
}

fn may_send(line: &Line, tag: DeliveryTag) -> bool {
    line.can_publish() && !line.is_void(tag)
}

async fn anew(line: &Line, message: Message) -> bool {
    let id = message.properties.message_id.as_deref().unwrap_or_default().parse();
    let Ok(id) = id else { return false };
    let held = Held { id, exchange: Arc::from(RETURN), message };
    match line.desk.publish(vec![held], CONFIRM).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, queue = %line.stream.queue, "not sent anew; it is released, and its count goes on");
            false
        }
    }
}
