//! Has a message wait for its next attempt in the inbox's database, where it can be seen, hurried, moved and dropped. Where that
//! can't be, it goes by the ladder.

use super::InProgress;
use crate::{
    event::{Event, Message, Timestamp},
    inbox::{InboxKey, postgres::KeptRetry},
    worker::retry::Attempt,
};
use futures_util::FutureExt;
use std::{sync::Arc, time::Duration};

/// Whether it waits there, so that the delivery may be acked.
pub(super) async fn keep(
    task: &InProgress<'_>,
    event: &Event,
    (next, due, now): (&Attempt, Timestamp, Timestamp),
    message: &Message,
) -> bool {
    let queue = task.queue;
    let Some(route) = &task.route else { return false };
    if queue.is_void(task.tag) {
        // it comes again, whatever becomes of this
        return false;
    }
    let retry = KeptRetry {
        key: InboxKey::of(Arc::clone(&queue.plan.name), Arc::clone(&route.pattern), event),
        time: event.time,
        attempt: next.number,
        waits: next.waits.map_or(0, |waits| waits.count),
        requeued: event.extensions.int("requeued-count").unwrap_or(0),
        came_back: task.count > 0,
        wait: Duration::from_millis(u64::try_from(due.since(now)).unwrap_or(0)),
        name: event.name.as_str(),
        reason: message.headers.text("retry-reason").unwrap_or_default(),
        message,
    };
    let kept = tokio::select! {
        biased;
        kept = queue.service.inbox.keep_retry(&retry).boxed() => kept,
        // the broker is nearer
        () = queue.stop.raised() => return false,
    };
    kept.unwrap_or_else(|error| {
        let _span = task.span.enter();
        tracing::warn!(%error, queue = %queue.plan.name, id = task.id(), "a retry could not be kept in the inbox's database; it waits on the broker");
        false
    })
}
