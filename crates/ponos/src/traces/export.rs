//! What takes spans from the queue to the collector, in batches, in a task of its own.
//!
//! Invariant: each span that was recorded is counted once, as sent or as dropped with the reason. A collector that is gone, refuses
//! or hangs costs spans and nothing else: who records never waits, a batch is given up after a few attempts, each with a time
//! limit, and so is what is left at the end.

use super::{
    client::{HttpClient, Sent},
    counts::SpanCounts,
    otlp::Envelope,
};
use crate::shutdown::{Shutdown, Stage};
use hyper::body::Bytes;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// The most spans of a request.
const BATCH: usize = 512;
/// How long a span waits for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);
/// Attempts to send a batch.
const ATTEMPTS: u32 = 3;
/// Between two of them, more or less, unless the collector says how long; the second pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that a collector is waited for. One that asks to be left alone for longer is, and loses the batch.
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last spans may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// Sends the spans of one [`Traces`](super::Traces). Nothing is sent unless [`Export::run`] runs.
#[must_use = "spans are sent while it runs"]
pub struct Export {
    spans: mpsc::Receiver<Vec<u8>>,
    batch: Vec<Vec<u8>>,
    client: HttpClient,
    counts: Arc<SpanCounts>,
    envelope: Envelope,
    /// Said in the log.
    is_failing: bool,
}

impl Export {
    pub(super) fn new(
        spans: mpsc::Receiver<Vec<u8>>,
        client: HttpClient,
        counts: Arc<SpanCounts>,
        envelope: Envelope,
    ) -> Self {
        Self { spans, batch: Vec::new(), client, counts, envelope, is_failing: false }
    }

    /// Sends what is recorded until `ending` reaches its first stage; then what waits, within two seconds.
    pub async fn run(mut self, ending: Shutdown) {
        tracing::info!("traces are sent to {}", self.client.place());
        tokio::select! {
            biased;
            () = ending.reached(Stage::Draining) => {}
            () = self.work(ATTEMPTS) => {}
        }
        self.spans.close();
        // what is not sent by then is counted below
        let _ = timeout(LAST, self.work(1)).await;
        let mut left = self.batch.len() as u64;
        while self.spans.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 {
            self.counts.stopped.inc_by(left);
            tracing::warn!(spans = left, "the last spans could not be sent in time");
        }
    }

    /// Works until no more can come. A batch leaves it only when that is decided, so this may be dropped at any time.
    async fn work(&mut self, attempts: u32) {
        while self.gather().await {
            self.deliver(attempts).await;
        }
    }

    /// Waits for spans, and then a moment for more. `false`: none will come any more.
    async fn gather(&mut self) -> bool {
        let Self { spans, batch, .. } = self;
        if batch.is_empty() && spans.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        let more =
            async { while batch.len() < BATCH && spans.recv_many(batch, BATCH - batch.len()).await > 0 {} };
        // as many as came
        let _ = timeout(DELAY, more).await;
        true
    }

    async fn deliver(&mut self, attempts: u32) {
        let (body, count) = (Bytes::from(self.envelope.around(&self.batch)), self.batch.len() as u64);
        for attempt in 1..=attempts {
            match self.client.send(body.clone()).await {
                Sent::Taken { rejected } => {
                    let rejected = rejected.min(count);
                    self.counts.sent.inc_by(count - rejected);
                    self.counts.refused.inc_by(rejected);
                    if rejected > 0 {
                        self.fail(&format!("it rejected {rejected} of {count}"));
                    } else if std::mem::take(&mut self.is_failing) {
                        tracing::info!("traces are sent again");
                    }
                    break;
                }
                Sent::Refused(why) => {
                    self.counts.refused.inc_by(count);
                    self.fail(&why);
                    break;
                }
                Sent::Later { after, why } => match pause(attempt, after).filter(|_| attempt < attempts) {
                    Some(pause) => sleep(pause).await,
                    None => {
                        self.counts.unreachable.inc_by(count);
                        self.fail(&why);
                        break;
                    }
                },
            }
        }
        self.batch.clear();
    }

    /// Says so, once for each time that it begins.
    fn fail(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let place = self.client.place();
            tracing::warn!("spans are dropped, and nothing else is: the collector at {place}: {why}");
        }
    }
}

/// How long to wait after this attempt; `None`: it is not to be waited for.
fn pause(attempt: u32, after: Option<Duration>) -> Option<Duration> {
    match after {
        Some(after) => Some(after).filter(|after| *after <= MOST_PAUSE),
        // not all workers of a service at the same time
        None => Some((PAUSE * attempt).mul_f64(0.5 + fastrand::f64())),
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("place", &self.client.place()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
