//! Sends what a delivery becomes (a retry, a dead letter), and does not let go of it before that is confirmed.

use super::{
    Task,
    pause::{Pauses, Woke},
};
use crate::{
    event::Message,
    inbox::Held,
    topology::worker::{DEAD, dead_letters},
    worker::retry,
};
use std::sync::Arc;

/// Why it could not be sent.
pub(super) enum Unsent {
    /// For the log.
    Why(String),
    /// Its headers leave no room for ours, and it can't do without any of them: the message again, and the reason.
    TooLarge(Box<Message>, String),
    /// The worker stops.
    Stopped,
}

/// Publishes until it is confirmed. While that fails the slot waits: see [`Pauses`].
pub(super) async fn confirmed(task: &Task<'_>, exchange: &str, message: Message) -> Result<(), Unsent> {
    let queue = task.queue;
    let id = message.properties.message_id.as_deref().unwrap_or_default();
    let id = id.parse().map_err(Unsent::Why)?;
    let mut held = Held { id, exchange: Arc::from(exchange), message };
    let mut pauses = Pauses::new(queue);
    loop {
        if queue.is_void(task.tag) {
            // it comes again, whatever becomes of this
            return Err(Unsent::Why("the connection of its delivery was lost".into()));
        }
        if exchange == DEAD {
            // without it, the exchange would send the letter to the parked ones
            queue.repair.ensure_queue(&dead_letters(&queue.plan.name)).await;
        }
        let sent = queue.publisher.publish(vec![held.clone()], queue.service.limits.flush).await;
        let Err(error) = sent else { return Ok(()) };
        if error.is_too_large() {
            if retry::smaller(&mut held.message) {
                continue;
            }
            return Err(Unsent::TooLarge(Box::new(held.message), error.to_string()));
        }
        if pauses.is_first() {
            tracing::warn!(%error, exchange, queue = %queue.plan.name, id = %held.id, "not sent; the task waits");
        }
        if error.is_missing() {
            queue.repair.redeclare().await;
        }
        match pauses.next(queue, task.tag).await {
            Woke::Time => {}
            Woke::Stopped => return Err(Unsent::Stopped),
            Woke::Void | Woke::Enough => {
                return Err(Unsent::Why(format!("it could not be sent to '{exchange}': {error}")));
            }
        }
    }
}
