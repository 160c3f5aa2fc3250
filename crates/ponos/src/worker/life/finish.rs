//! What follows from a handler that is done: what it published is confirmed, then the inbox told.
//!
//! The handler has had its effect, so it is not run again for what may pass: the same messages, with the same ids, are sent
//! again, and the same key recorded again, with the slot held, until that is worth an attempt of its own.

use super::{
    Task, Verdict, inbox,
    pause::{Pauses, Woke},
};
use crate::{
    inbox::{Entry, Held, InboxErrorClass},
    worker::confirming_publisher::FlushError,
};

/// Why an end can't be reached.
pub(super) enum Hindered {
    /// Nothing more can be done for it here: back to the queue.
    Passing(String),
    /// A failure of this attempt.
    Lasting(String),
    /// The worker stops.
    Stopped,
}

/// Publishes what was held, and tells the inbox.
pub(super) async fn finish(task: &Task<'_>, held: Vec<Held>, entry: Entry) -> Result<(), Hindered> {
    if task.queue.service.inbox.takes_publishes() {
        return commit(task, held, entry).await;
    }
    publish(task, held).await?;
    let mut pauses = Pauses::new(task.queue);
    loop {
        let Err(error) = entry.record().await else { return Ok(()) };
        if error.class == InboxErrorClass::Refused {
            return Err(Hindered::Lasting(error.to_string()));
        }
        wait(task, &mut pauses, error).await?;
    }
}

/// Publishes, and again while the connection comes and goes.
async fn publish(task: &Task<'_>, held: Vec<Held>) -> Result<(), Hindered> {
    if held.is_empty() {
        return Ok(());
    }
    let queue = task.queue;
    let mut pauses = Pauses::new(queue);
    loop {
        let Err(error) = queue.publisher.publish(held.clone(), queue.service.limits.flush).await else {
            return Ok(());
        };
        if error.is_missing() {
            // for the next attempt
            queue.repair.redeclare().await;
        }
        match error {
            FlushError::Lost(_) | FlushError::Missing(_) => wait(task, &mut pauses, error).await?,
            FlushError::Closed => return Err(Hindered::Passing(error.to_string())),
            _ => {
                return Err(Hindered::Lasting(format!("what it published could not be sent: {error}")));
            }
        }
        while !queue.can_publish() {
            wait(task, &mut pauses, "the broker can't be published to").await?;
        }
    }
}

/// Until it is worth another try.
async fn wait(task: &Task<'_>, pauses: &mut Pauses, why: impl std::fmt::Display) -> Result<(), Hindered> {
    let queue = task.queue;
    if pauses.is_first() {
        let id = task.event.as_ref().map(|event| event.id.as_str());
        tracing::warn!(%why, queue = %queue.plan.name, id, "the handler is done, what follows is hindered; the task waits");
    }
    let woke = if queue.service.inbox.is_none() {
        pauses.next(queue, task.tag).await
    } else {
        // it comes again, and then the inbox must know it
        pauses.next_even_void(queue).await
    };
    match woke {
        Woke::Time => Ok(()),
        Woke::Stopped => Err(Hindered::Stopped),
        Woke::Void => Err(Hindered::Passing(format!("the connection of its delivery was lost: {why}"))),
        Woke::Enough => {
            Err(Hindered::Lasting(format!("its handler is done, but what follows can't be had: {why}")))
        }
    }
}

/// With the handler's own transaction. A commit that gets no answer may have happened: the inbox knows.
async fn commit(task: &Task<'_>, held: Vec<Held>, entry: Entry) -> Result<(), Hindered> {
    let key = entry.key();
    let Err(error) = entry.done(held).await else { return Ok(()) };
    let lasting = || Hindered::Lasting(error.to_string());
    let (InboxErrorClass::Unavailable, Some(key)) = (error.class, key) else {
        return Err(lasting());
    };
    match inbox::begin(task, &key).await {
        Err(Verdict::HandledAlready) => Ok(()),
        Err(Verdict::Stopped) => Err(Hindered::Stopped),
        Err(_) => Err(Hindered::Passing(error.to_string())),
        Ok(entry) => {
            // what the handler wrote was rolled back
            entry.abandon().await;
            Err(lasting())
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{inbox::Inbox, prelude::*, testing::Kit};
    use serde_json::{Value, json};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    const NAME: &str = "order.parcel.shipped";

    fn counting(inbox: Inbox) -> (Worker, Arc<AtomicUsize>) {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let handler = move |_: Value, _: Context| {
            count.fetch_add(1, SeqCst);
            async { Ok(Done) }
        };
        (Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1))).inbox(inbox), runs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_fails_is_tried_again_without_running_the_handler() {
        let (worker, runs) = counting(Inbox::failing(3));
        let mut kit = Kit::start(worker).await;
        let id = kit.publish(NAME, &json!({})).await;
        kit.settled().await;
        assert_eq!((kit.ended(&id), runs.load(SeqCst)), (Some(Ended::Done), 1));
        assert_eq!(kit.stop().await.released, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_cannot_be_had_is_a_failed_attempt_with_the_reason() {
        let (worker, runs) = counting(Inbox::failing(u32::MAX));
        let mut kit = Kit::start(worker).await;
        kit.publish(NAME, &json!({})).await;
        kit.advance(Duration::from_secs(660)).await;
        assert_eq!((kit.dead()[0].kind.as_str(), runs.load(SeqCst)), ("attempts", 1));
        assert!(kit.dead()[0].reason.contains("no space left"), "{}", kit.dead()[0].reason);
    }
}
