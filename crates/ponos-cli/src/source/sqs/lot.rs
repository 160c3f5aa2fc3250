//! Settles what one call received: read, published, confirmed, and only then deleted in SQS.
//!
//! Invariants: a message is deleted after each of its events was confirmed, or because it says that nothing happened. As long as
//! the broker is away, it is held, and SQS is told to show it to nobody else, so that an outage spends none of the receives after
//! which SQS gives it up. What can't be an event, and what the broker refuses, is left: SQS shows it again, or moves it away.
//! In a queue that keeps order, what follows such a message in its group is left with it. Bounds: [`HOLD`], [`DELETIONS`].

use super::{
    call_error::CallError,
    client::{Failed, Message},
    metrics::SourceMetrics,
    publishing::Fate,
    queue::{QueueSource, pause},
    reading::Reading,
};
use crate::output;
use ponos::{event::Event, shutdown::Stage, text::shown};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a message is held: SQS takes it back twelve hours after it was received, whatever it is told.
const HOLD: Duration = Duration::from_secs(10 * 3600);
/// How often a deletion is tried.
const DELETIONS: u32 = 4;
/// The most characters of a reason.
const REASON: usize = 300;

/// A message that is to be published and deleted.
struct Held {
    handle: String,
    message_id: String,
    /// Within which it keeps its order.
    group: Option<String>,
    /// Those that are not confirmed yet.
    events: Vec<Event>,
    /// What is counted once it is deleted.
    outcome: &'static str,
}

/// What one call received.
struct Lot {
    of: Arc<QueueSource>,
    /// The handles of what is held, for whoever extends them.
    ours: Mutex<Vec<String>>,
}

/// Settles these messages, which were received then.
pub(super) async fn settle(of: Arc<QueueSource>, messages: Vec<Message>, received: Instant) {
    let (name, count) = (of.queue.name.clone(), i64::try_from(messages.len()).unwrap_or(i64::MAX));
    let metrics = of.metrics.clone();
    let _counted = Counted::new(&metrics, &name, count);
    let lot = Lot { of, ours: Mutex::default() };
    let (pending, done) = lot.read(messages);
    let handles = pending.iter().chain(&done).map(|held| held.handle.clone());
    *lot.ours() = handles.collect();
    let unpublished = tokio::select! {
        unpublished = lot.work(pending, done) => unpublished,
        () = lot.keep(received) => Vec::new(),
        () = sleep(HOLD) => {
            let held = lot.ours().len();
            tracing::warn!("{held} messages of the queue '{name}' could not be published within ten hours, and are left to SQS");
            metrics.count_messages(&name, "left", held);
            Vec::new()
        }
    };
    // nothing is extended any more by now, which would hide it again
    if !unpublished.is_empty() {
        lot.give_back(&unpublished).await;
    }
}

/// Messages in the gauge of what is held, however it ends.
struct Counted<'a> {
    metrics: &'a SourceMetrics,
    name: &'a str,
    count: i64,
}

impl<'a> Counted<'a> {
    fn new(metrics: &'a SourceMetrics, name: &'a str, count: i64) -> Self {
        metrics.hold(name, count);
        Self { metrics, name, count }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.hold(self.name, -self.count);
    }
}

impl Lot {
    fn ours(&self) -> MutexGuard<'_, Vec<String>> {
        // nothing is left half done that matters
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be published, and what is to be deleted at once.
    fn read(&self, messages: Vec<Message>) -> (Vec<Held>, Vec<Held>) {
        let (mut pending, mut done, mut left) = (Vec::new(), Vec::new(), HashSet::new());
        for message in messages {
            let reading = self.of.reader.read(&message);
            let Message { message_id, receipt_handle: handle, mut attributes, .. } = message;
            let group = attributes.remove("MessageGroupId").filter(|_| self.of.queue.is_fifo());
            let (events, outcome) = match reading {
                _ if group.as_ref().is_some_and(|group| left.contains(group)) => {
                    self.leave("left", &message_id, "a message of its group before it is left");
                    continue;
                }
                Ok(Reading::Events(events)) => (events, "published"),
                Ok(Reading::TestEvent) => {
                    if !self.of.is_test_said.swap(true, Ordering::Relaxed) {
                        let name = &self.of.queue.name;
                        tracing::info!(
                            "S3 sends its notifications to the queue '{name}': its test event is deleted, and is no event here"
                        );
                    }
                    (Vec::new(), "test")
                }
                Err(why) => {
                    self.leave("unreadable", &message_id, &why);
                    left.extend(group);
                    continue;
                }
            };
            let list = if events.is_empty() { &mut done } else { &mut pending };
            list.push(Held { handle, message_id, group, events, outcome });
        }
        (pending, done)
    }

    /// Publishes until nothing is pending, and deletes what is confirmed. At the end that is asked for, what is not published.
    async fn work(&self, mut pending: Vec<Held>, mut done: Vec<Held>) -> Vec<Held> {
        let mut failures = 0;
        loop {
            for group in self.delete(std::mem::take(&mut done)).await {
                self.leave_behind(&group, &mut pending);
            }
            if pending.is_empty() || !self.may_publish(failures).await {
                return pending;
            }
            self.leave_gone(&mut pending);
            if pending.is_empty() {
                return pending;
            }
            // where order counts, nothing is sent before what comes before it has arrived
            let count = if self.of.queue.is_fifo() { 1 } else { pending.len() };
            let now: Vec<Held> = pending.drain(..count).collect();
            let events: Vec<&Event> = now.iter().flat_map(|held| &held.events).collect();
            let mut fates = self.of.publishing.publish(&events).await.into_iter();
            let mut again = Vec::new();
            for mut held in now {
                let own: Vec<Fate> = fates.by_ref().take(held.events.len()).collect();
                match settled(&mut held.events, own) {
                    Fate::Arrived => done.push(held),
                    Fate::Unconfirmed(why) => {
                        tracing::debug!(id = %shown(&held.message_id), "not confirmed: {why}");
                        again.push(held);
                    }
                    Fate::Refused(why) => {
                        self.forget(std::slice::from_ref(&held.handle));
                        self.leave("left", &held.message_id, &why);
                        if let Some(group) = held.group {
                            self.leave_behind(&group, &mut pending);
                        }
                    }
                }
            }
            failures = if again.is_empty() { 0 } else { failures + 1 };
            pending.splice(..0, again);
        }
    }

    /// Waits until it is worthwhile to publish; at the end only what was not tried yet is.
    async fn may_publish(&self, failures: u32) -> bool {
        let (asked, publishing) = (&self.of.asked, &self.of.publishing);
        let waiting = async {
            if failures > 0 {
                sleep(pause(failures)).await;
            }
            publishing.up().await;
        };
        tokio::select! {
            biased;
            () = asked.reached(Stage::Draining) => failures == 0 && publishing.is_up(),
            () = waiting => true,
        }
    }

    /// Leaves what SQS shows to others by now: it comes again, and another instance may be ahead.
    fn leave_gone(&self, pending: &mut Vec<Held>) {
        let ours = self.ours().clone();
        let (kept, gone) =
            std::mem::take(pending).into_iter().partition(|held: &Held| ours.contains(&held.handle));
        *pending = kept;
        for held in gone {
            self.leave("left", &held.message_id, "it was held for so long that SQS shows it to others");
            if let Some(group) = held.group {
                self.leave_behind(&group, pending);
            }
        }
    }

    /// Leaves what follows a message that is left, and keeps the rest.
    fn leave_behind(&self, group: &str, pending: &mut Vec<Held>) {
        pending.retain(|held| {
            let is_behind = held.group.as_deref() == Some(group);
            if is_behind {
                self.forget(std::slice::from_ref(&held.handle));
                self.leave("left", &held.message_id, "a message of its group before it is left");
            }
            !is_behind
        });
    }

    /// Counts and says that a message is left to SQS.
    fn leave(&self, outcome: &'static str, message_id: &str, why: &str) {
        let name = &self.of.queue.name;
        self.of.metrics.count_messages(name, outcome, 1);
        let Some(unsaid) = self.of.said.another(Instant::now()) else { return };
        let (id, why) = (shown(message_id), output::shortened(why, REASON));
        let before = if unsaid > 0 { format!(" ({unsaid} before it were not said)") } else { String::new() };
        tracing::warn!("the message {id} of the queue '{name}' is left to SQS: {why}{before}");
    }

    /// Deletes these in SQS. Gives the groups of those that come again, before which nothing that follows them may be sent.
    async fn delete(&self, done: Vec<Held>) -> Vec<String> {
        let (name, metrics) = (&self.of.queue.name, &self.of.metrics);
        let mut left = done;
        let (mut trouble, mut groups) = (String::new(), Vec::new());
        for attempt in 1..=DELETIONS {
            if left.is_empty() {
                return groups;
            }
            let handles: Vec<String> = left.iter().map(|held| held.handle.clone()).collect();
            match self.of.sqs.delete(&handles).await {
                Ok(failed) => {
                    metrics.count_call(name, "delete", "done");
                    let code = |at: usize| failed.iter().find(|failed| failed.at == at);
                    let mut again = Vec::new();
                    for (at, held) in left.into_iter().enumerate() {
                        match code(at) {
                            None => metrics.count_messages(name, held.outcome, 1),
                            Some(failed) if failed.is_gone() => {
                                self.leave("undeleted", &held.message_id, &undeleted(&failed.code));
                                groups.extend(held.group);
                            }
                            Some(Failed { code, .. }) => {
                                trouble = shown(code);
                                again.push(held);
                                continue;
                            }
                        }
                        self.forget(std::slice::from_ref(&held.handle));
                    }
                    left = again;
                }
                Err(error) => {
                    self.of.note("delete", &error);
                    trouble = error.what;
                }
            }
            // at the end, once: it comes again under the same ids
            let is_last = attempt == DELETIONS || self.of.asked.stage() >= Stage::Draining;
            if is_last {
                break;
            }
            if !left.is_empty() {
                sleep(pause(attempt)).await;
            }
        }
        for held in left {
            self.forget(std::slice::from_ref(&held.handle));
            self.leave("undeleted", &held.message_id, &undeleted(&trouble));
            groups.extend(held.group);
        }
        groups
    }

    /// Extends what is held, until it is dropped: after a third of the time for which SQS hides it. What fails is tried again
    /// soon, twice at least before SQS shows it to others, even where calls hang until their limit.
    async fn keep(&self, received: Instant) {
        let seconds = self.of.queue.visibility;
        let whole = Duration::from_secs(seconds);
        let mut next = received + whole / 3;
        loop {
            sleep_until(next).await;
            let handles = self.ours().clone();
            if handles.is_empty() {
                next = Instant::now() + whole / 3;
                continue;
            }
            // SQS counts from when it hears of it
            next = Instant::now() + whole / 3;
            match self.of.sqs.extend(&handles, seconds).await {
                Ok(failed) => {
                    self.of.metrics.count_call(&self.of.queue.name, "extend", "done");
                    let gone = failed.iter().filter(|failed| failed.is_gone());
                    // not ours any more; it comes again under the same ids
                    let gone: Vec<String> =
                        gone.filter_map(|failed| handles.get(failed.at).cloned()).collect();
                    self.forget(&gone);
                }
                Err(error) => {
                    self.kept_not(&error);
                    next = Instant::now() + whole / 12;
                }
            }
        }
    }

    fn kept_not(&self, error: &CallError) {
        self.of.note("extend", error);
        let name = &self.of.queue.name;
        if let Some(_unsaid) = self.of.said.another(Instant::now()) {
            tracing::warn!("messages of the queue '{name}' that are held may come again: {}", error.what);
        }
    }

    /// At the end: SQS may show these to others at once.
    async fn give_back(&self, pending: &[Held]) {
        let (name, metrics) = (&self.of.queue.name, &self.of.metrics);
        let handles: Vec<String> = pending.iter().map(|held| held.handle.clone()).collect();
        match self.of.sqs.extend(&handles, 0).await {
            Ok(failed) => {
                metrics.count_call(name, "extend", "done");
                metrics.count_messages(name, "given-back", handles.len().saturating_sub(failed.len()));
            }
            // they come again by themselves, later
            Err(error) => self.of.note("extend", &error),
        }
    }

    /// These are not extended any more.
    fn forget(&self, handles: &[String]) {
        self.ours().retain(|known| !handles.contains(known));
    }
}

/// Why a message that is confirmed comes again.
fn undeleted(why: &str) -> String {
    format!(
        "its events are in RabbitMQ, and it could not be deleted ({}): it may come again, with the same ids",
        shown(why)
    )
}

/// What became of a message, whose events each have a fate; those that have arrived are taken out.
fn settled(events: &mut Vec<Event>, fates: Vec<Fate>) -> Fate {
    let (mut all, mut fates) = (Fate::Arrived, fates.into_iter());
    events.retain(|_| {
        // there are as many as events
        let fate = fates.next().unwrap_or_else(|| Fate::Unconfirmed("nothing is known of it".into()));
        let has_arrived = fate == Fate::Arrived;
        if !has_arrived && (all == Fate::Arrived || matches!(fate, Fate::Refused(_))) {
            all = fate;
        }
        !has_arrived
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_with_its_last_event_and_refused_with_one_that_is() {
        let event =
            |id: &str| Event::new(id.parse().unwrap(), "/s", "order.item.placed".parse().unwrap(), "1");
        let (arrived, refused) = (|| Fate::Arrived, || Fate::Refused("no".into()));
        let lost = || Fate::Unconfirmed("away".into());
        for (fates, fate, left) in [
            (vec![arrived(), arrived()], arrived(), vec![]),
            (vec![arrived(), lost()], lost(), vec!["1"]),
            (vec![lost(), refused()], refused(), vec!["0", "1"]),
            (vec![refused(), lost()], refused(), vec!["0", "1"]),
            (vec![refused(), arrived()], refused(), vec!["0"]),
        ] {
            let mut events = vec![event("0"), event("1")];
            assert_eq!(settled(&mut events, fates), fate);
            assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), left);
        }
        let mut events = vec![event("0"), event("1")];
        assert!(matches!(settled(&mut events, vec![arrived()]), Fate::Unconfirmed(_)));
    }
}
