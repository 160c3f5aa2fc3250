//! Makes a handler's result durable before the delivery is settled: the broker confirms what was published, and the inbox
//! records the key.
//!
//! While that fails, the slot is held. A handler that is done has had its effect, so a passing fault does not run it again:
//! the same messages, with the same ids, are sent again, and the same key is recorded again. Only a lasting one is a failed
//! attempt.

use super::{
    InProgress, Verdict,
    hold_and_retry::{Failed, Hold, Unmet, hold_and_retry},
};
use crate::{
    client::{
        ClientError, ClockError,
        clock::{Ask, ask, item_of},
    },
    event::Message,
    inbox::{Begun, Entry, Held, InboxError, InboxErrorClass, InboxKey},
    topology::worker::{DEAD, dead_letters},
    traces::Span,
    worker::{confirming_publisher::FlushError, retry},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::sync::Arc;

/// Asks the inbox whether the key was handled already; returns the entry to run under.
pub(super) async fn begin_entry(task: &InProgress<'_>, key: &InboxKey) -> Result<Entry, Verdict> {
    match ask_inbox(task, || task.queue.service.inbox.begin(key)).await? {
        Begun::Run(entry) => Ok(entry),
        Begun::Handled => Err(Verdict::HandledAlready),
    }
}

/// Asks the inbox, again and again while it can't be read. The error is the verdict of all that it was asked about.
pub(super) async fn ask_inbox<T, A>(task: &InProgress<'_>, ask: impl Fn() -> A) -> Result<T, Verdict>
where
    A: Future<Output = Result<T, InboxError>>,
{
    let queue = task.queue;
    let asked = hold_and_retry(task, Hold::because("the inbox could not be read"), || async {
        let begun = tokio::select! {
            biased;
            begun = ask() => begun,
            // nothing has run yet
            () = queue.stop.raised() => return Err(Failed::Final(Verdict::Stopped)),
        };
        begun.map_err(|error| Failed::Again(error.to_string()))
    });
    asked.await.map_err(|unmet| match unmet {
        Unmet::Final(verdict) => verdict,
        Unmet::Stopped => Verdict::Stopped,
        Unmet::Void(_) => {
            Verdict::Release("the connection was lost while the inbox could not be read".into())
        }
        Unmet::Enough(why) => Verdict::Release(format!("the inbox could not be read: {why}")),
    })
}

/// Why a handler's result could not be made durable.
pub(super) enum NotDone {
    /// A fault that passes: the delivery goes back to its queue.
    Passing(String),
    /// A fault that lasts: this attempt has failed.
    Lasting(String),
    /// The worker stops.
    Stopped,
}

/// Commands to the clock that one delivery has under way.
const AT_ONCE: usize = 8;
/// The log line while a commit waits.
const DONE: &str = "the handler is done, but its result can't be committed yet";

impl From<Unmet<NotDone>> for NotDone {
    fn from(unmet: Unmet<NotDone>) -> Self {
        match unmet {
            Unmet::Final(not_done) => not_done,
            Unmet::Stopped => Self::Stopped,
            Unmet::Void(why) => Self::Passing(format!("the connection of its delivery was lost: {why}")),
            Unmet::Enough(why) => {
                Self::Lasting(format!("its handler is done, but its result could not be committed: {why}"))
            }
        }
    }
}

/// The spans of what is about to be sent, or kept to be sent later; recorded once that is [`sent`].
fn sending(task: &InProgress<'_>, held: &[Held], is_kept: bool) -> Vec<Span> {
    task.trace.as_ref().map(|trace| trace.sending(held, is_kept)).unwrap_or_default()
}

fn sent(task: &InProgress<'_>, spans: Vec<Span>) {
    if let Some(trace) = &task.trace {
        trace.sent(spans);
    }
}

/// Publishes the messages held, and records the key in the inbox.
pub(super) async fn commit(task: &InProgress<'_>, held: Vec<Held>, entry: Entry) -> Result<(), NotDone> {
    let inbox = &task.queue.service.inbox;
    if inbox.takes_publishes() {
        let spans = sending(task, &held, true);
        commit_transaction(task, held, entry).await?;
        sent(task, spans);
        return Ok(());
    }
    // with an inbox: it comes again, and then the inbox must know it
    let hold = Hold { even_void: !inbox.is_none(), ..Hold::because(DONE) };
    let (later, held): (Vec<Held>, Vec<Held>) = held.into_iter().partition(|held| held.due.is_some());
    // the clock may refuse: then nothing was sent
    let spans = sending(task, &later, true);
    put_later(task, hold, later).await?;
    sent(task, spans);
    let spans = sending(task, &held, false);
    publish_held(task, hold, held).await?;
    sent(task, spans);
    let entry = &entry;
    let recorded = hold_and_retry(task, hold, || async move {
        entry.record().await.map_err(|error| match error.class {
            InboxErrorClass::Refused => Failed::Final(NotDone::Lasting(error.to_string())),
            _ => Failed::Again(error.to_string()),
        })
    });
    Ok(recorded.await?)
}

/// Puts what is for later to the clock. Ids derive from the delivery, so that the clock takes each once.
async fn put_later(task: &InProgress<'_>, hold: Hold, later: Vec<Held>) -> Result<(), NotDone> {
    let puts = later.into_iter().map(|held| put_one(task, hold, held));
    stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
}

async fn put_one(task: &InProgress<'_>, hold: Hold, held: Held) -> Result<(), NotDone> {
    let queue = task.queue;
    let lasting = |error: &ClockError| {
        NotDone::Lasting(format!("what it published for later could not be put: {error}"))
    };
    let Some(due) = held.due else { return Ok(()) };
    let item = item_of(&held, due).map_err(|error| lasting(&error))?;
    let traceparent = held.message.headers.text("traceparent").map(str::to_owned);
    let body = json!({ "item": item }).to_string().into_bytes();
    let command = &Ask { kind: "event.put", id: held.id.to_string(), body, traceparent };
    let put = hold_and_retry(task, hold, || async move {
        let Err(error) = ask(queue.requester(), command, queue.service.limits.flush).await else {
            return Ok(());
        };
        Err(match &error {
            // an attempt before this one put it, with other data
            ClockError::Problem { problem, .. } if problem.code == "message-id-used" => return Ok(()),
            ClockError::Problem { problem, .. } if problem.is_for_now() => Failed::Again(error.to_string()),
            ClockError::NoAnswer { .. } | ClockError::Client(ClientError::NoConnection { .. }) => {
                Failed::Again(error.to_string())
            }
            ClockError::Client(ClientError::Closed) => Failed::Final(NotDone::Passing(error.to_string())),
            _ => Failed::Final(lasting(&error)),
        })
    });
    Ok(put.await?)
}

/// Publishes the messages held, again and again while the connection is lost.
async fn publish_held(task: &InProgress<'_>, hold: Hold, held: Vec<Held>) -> Result<(), NotDone> {
    if held.is_empty() {
        return Ok(());
    }
    let queue = task.queue;
    let mut is_first = true;
    let published = hold_and_retry(task, hold, || {
        // not into a link that is down, but for the first time: that tells why
        let held = (std::mem::take(&mut is_first) || queue.can_publish()).then(|| held.clone());
        async move {
            let Some(held) = held else {
                let why = "there is no connection to publish on, or the broker accepts no messages";
                return Err(Failed::Again(why.into()));
            };
            let Err(error) = queue.publisher.publish(held, queue.service.limits.flush).await else {
                return Ok(());
            };
            if error.is_missing() {
                // for the next attempt
                queue.repair.redeclare().await;
            }
            Err(match error {
                FlushError::Lost(_) | FlushError::Missing(_) => Failed::Again(error.to_string()),
                FlushError::Closed => Failed::Final(NotDone::Passing(error.to_string())),
                _ => Failed::Final(NotDone::Lasting(format!("what it published could not be sent: {error}"))),
            })
        }
    });
    Ok(published.await?)
}

/// Commits the handler's own transaction. A commit without an answer may have happened: the inbox knows.
async fn commit_transaction(task: &InProgress<'_>, held: Vec<Held>, entry: Entry) -> Result<(), NotDone> {
    let key = entry.key();
    let Err(error) = entry.done(held).await else { return Ok(()) };
    let lasting = || NotDone::Lasting(error.to_string());
    let (InboxErrorClass::Unavailable, Some(key)) = (error.class, key) else {
        return Err(lasting());
    };
    match begin_entry(task, &key).await {
        Err(Verdict::HandledAlready) => Ok(()),
        Err(Verdict::Stopped) => Err(NotDone::Stopped),
        Err(_) => Err(NotDone::Passing(error.to_string())),
        Ok(entry) => {
            // what the handler wrote was rolled back
            entry.abandon().await;
            Err(lasting())
        }
    }
}

/// Why a delivery could not be sent on.
pub(super) enum Unsent {
    /// For the log.
    Why(String),
    /// Its headers leave no room for ours, and none of them can be dropped: the message again, and the reason.
    TooLarge(Box<Message>, String),
    /// The worker stops.
    Stopped,
}

/// Why sending it again is useless.
enum Undeliverable {
    Void,
    TooLarge(String),
}

/// Publishes what a delivery becomes (a retry, a dead letter), and returns once that is confirmed.
pub(super) async fn send_confirmed(
    task: &InProgress<'_>,
    exchange: &str,
    message: Message,
) -> Result<(), Unsent> {
    let queue = task.queue;
    let id = message.properties.message_id.as_deref().unwrap_or_default();
    let id = id.parse().map_err(Unsent::Why)?;
    let mut held = Held { id, exchange: Arc::from(exchange), message, due: None };
    loop {
        let sent =
            hold_and_retry(task, Hold::because("its retry or dead letter could not be published"), || {
                let held = vec![held.clone()];
                async move {
                    if queue.is_void(task.tag) {
                        // it comes again, whatever becomes of this
                        return Err(Failed::Final(Undeliverable::Void));
                    }
                    if exchange == DEAD {
                        // without it, the exchange would send the letter to the parked ones
                        queue.repair.ensure_queue(&dead_letters(&queue.plan.name)).await;
                    }
                    let Err(error) = queue.publisher.publish(held, queue.service.limits.flush).await else {
                        return Ok(());
                    };
                    if error.is_too_large() {
                        return Err(Failed::Final(Undeliverable::TooLarge(error.to_string())));
                    }
                    if error.is_missing() {
                        queue.repair.redeclare().await;
                    }
                    Err(Failed::Again(error.to_string()))
                }
            });
        return match sent.await {
            Ok(()) => Ok(()),
            Err(Unmet::Final(Undeliverable::TooLarge(why))) => {
                if retry::smaller(&mut held.message) {
                    continue;
                }
                Err(Unsent::TooLarge(Box::new(held.message), why))
            }
            Err(Unmet::Final(Undeliverable::Void)) => {
                Err(Unsent::Why("the connection of its delivery was lost".into()))
            }
            Err(Unmet::Stopped) => Err(Unsent::Stopped),
            Err(Unmet::Void(why) | Unmet::Enough(why)) => {
                Err(Unsent::Why(format!("it could not be published to '{exchange}': {why}")))
            }
        };
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
