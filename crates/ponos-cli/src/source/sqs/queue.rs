//! Receives the messages of one queue, as many at a time as may be held; while the broker is away, none.
//!
//! What is received is settled by [`lot::settle`], beside the next call. A call that fails is tried again, at longer and longer
//! intervals, for ever: other queues go on meanwhile.

use super::{
    call_error::CallError,
    client::{MOST, Received, Sqs},
    lot,
    metrics::SourceMetrics,
    publishing::Publishing,
    reading::Reader,
    settings::Queue,
};
use crate::said::Said;
use ponos::{
    shutdown::{Shutdown, Stage},
    worker::Backoff,
};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};

/// An answer without messages that comes sooner than this was not waited for: calls are paid for.
const SOON: Duration = Duration::from_millis(500);

/// How long the end may take beyond the wait for a confirm: for what is deleted, or given back.
const END: Duration = Duration::from_secs(20);

/// One queue of SQS, and all that it needs.
pub(super) struct QueueSource {
    pub(super) queue: Queue,
    pub(super) sqs: Sqs,
    pub(super) reader: Reader,
    pub(super) publishing: Arc<Publishing>,
    pub(super) metrics: SourceMetrics,
    pub(super) asked: Shutdown,
    pub(super) said: Said,
    /// That S3 tries whether its messages arrive was said.
    pub(super) is_test_said: AtomicBool,
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(200),
        factor: 2.0,
        longest: Duration::from_secs(30),
        jitter: 0.5,
    };
    BACKOFF.wait(failures.saturating_add(1), fastrand::f64())
}

impl QueueSource {
    /// Until the end that is asked for; what was received by then is settled, or given back.
    pub(super) async fn run(self: Arc<Self>) {
        let mut lots = JoinSet::new();
        tokio::select! {
            () = self.asked.reached(Stage::Draining) => {}
            () = self.poll(&mut lots) => {}
        }
        let all = async {
            while let Some(ended) = lots.join_next().await {
                self.look_at(ended);
            }
        };
        if timeout(self.publishing.confirm() + END, all).await.is_err() {
            let (name, count) = (&self.queue.name, ponos::text::counted(lots.len(), "call"));
            tracing::warn!(
                "what {count} received of the queue '{name}' was not settled in time: SQS shows again what was not deleted"
            );
        }
    }

    /// A lot that ended otherwise than by settling what it has.
    fn look_at(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            let name = &self.queue.name;
            tracing::error!(%error, "messages of the queue '{name}' were not settled: SQS shows them again");
        }
    }

    async fn poll(self: &Arc<Self>, lots: &mut JoinSet<()>) {
        let places = Arc::new(Semaphore::new(self.queue.prefetch));
        let (mut failures, mut trouble) = (0, None);
        loop {
            while let Some(ended) = lots.try_join_next() {
                self.look_at(ended);
            }
            // never closed
            let Ok(mut place) = Arc::clone(&places).acquire_owned().await else { return };
            let more = u32::try_from(places.available_permits().min(MOST - 1)).unwrap_or_default();
            if let Ok(others) = Arc::clone(&places).try_acquire_many_owned(more) {
                place.merge(others);
            }
            let Some((most, mut room)) = self.sqs.room.reserve(place.num_permits()).await else { return };
            drop(place.split(place.num_permits() - most));
            self.publishing.up().await;
            let began = Instant::now();
            match self.sqs.receive(most, self.queue.wait).await {
                Ok(Received { messages, unreadable, bytes }) => {
                    self.metrics.count_call(&self.queue.name, "receive", "done");
                    failures = 0;
                    if trouble.take().is_some() {
                        tracing::info!("messages of the queue '{}' are received again", self.queue.name);
                    }
                    self.leave(&unreadable);
                    if messages.is_empty() {
                        if began.elapsed() < SOON {
                            sleep(SOON).await;
                        }
                        continue;
                    }
                    drop(place.split(most - messages.len()));
                    drop(room.split(room.num_permits().saturating_sub(bytes.div_ceil(1024))));
                    let settled = lot::settle(Arc::clone(self), messages, Instant::now());
                    lots.spawn(async move {
                        settled.await;
                        drop((place, room));
                    });
                }
                Err(error) => {
                    drop((place, room));
                    failures += 1;
                    self.note("receive", &error);
                    if trouble.as_ref() != Some(&error.what) {
                        self.say(&error);
                        trouble = Some(error.what);
                    }
                    sleep(pause(failures)).await;
                }
            }
        }
    }

    /// Says and counts what SQS gave out, and what is no message.
    fn leave(&self, unreadable: &[String]) {
        let Some(why) = unreadable.first() else { return };
        self.metrics.count_messages(&self.queue.name, "unreadable", unreadable.len());
        if self.said.another(Instant::now()).is_some() {
            let (name, count) = (&self.queue.name, ponos::text::counted(unreadable.len(), "message"));
            tracing::warn!("{count} of the queue '{name}' can't be read, and is left to SQS: {why}");
        }
    }

    /// Counts a call that failed.
    pub(super) fn note(&self, call: &'static str, error: &CallError) {
        self.metrics.count_call(&self.queue.name, call, error.kind.word());
    }

    fn say(&self, error: &CallError) {
        let (name, what) = (&self.queue.name, &error.what);
        if error.kind.needs_a_person() {
            tracing::error!("no message of the queue '{name}' is received: {what}; it is tried again");
        } else {
            tracing::warn!("no message of the queue '{name}' is received: {what}; it is tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_waited_for_longer_and_longer_but_not_for_ever() {
        for (failures, longest) in [(1, 200), (2, 400), (3, 800), (9, 30_000), (u32::MAX, 30_000)] {
            let (wait, longest) = (pause(failures), Duration::from_millis(longest));
            assert!(wait <= longest && wait >= longest / 2, "{failures}: {wait:?}");
        }
    }
}
