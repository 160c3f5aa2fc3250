//! The end in two stages: finish what is begun, or stop at once; in both the exact progress is written.

use super::{ClockLoop, Failure, Report, delayed::Delayed};
use crate::{clock::Alarm, delayed::DelayedInput, engine::Input};
use ponos::shutdown::{Shutdown, Stage};
use std::time::Duration;
use tracing::error;

/// How long the last write and the closing of the store may take at the end.
const LAST_WRITE: Duration = Duration::from_secs(10);

impl ClockLoop {
    /// Takes nothing new in, waits for unanswered publishings, writes the exact progress, closes the store. Returns the first
    /// failure, of the loop or of this drain; no failure keeps the progress from being written.
    pub(super) async fn drain(&mut self, alarm: &Alarm, shutdown: &Shutdown) -> Result<Report, Failure> {
        let before = self.failure.take();
        self.step(Input::Drain);
        self.step_delayed(DelayedInput::Drain);
        let grace = self.grace;
        let wait = async {
            while self.in_flight() > 0 && self.failure.is_none() {
                self.turn(alarm).await;
            }
        };
        let stop = shutdown.reached(Stage::Stopping);
        tokio::select! {
            biased;
            () = stop => {}
            _ = tokio::time::timeout(grace, wait) => {}
        }
        let before = before.or(self.failure.take());
        self.step(Input::Flush);
        let write = async {
            while !self.is_written() && self.failure.is_none() {
                tokio::select! {
                    biased;
                    event = self.store_events.recv() => match event {
                        Some(event) => self.on_store(event),
                        None => break,
                    },
                    told = Delayed::next(&mut self.delayed) => self.on_delayed(told),
                }
            }
            let delayed = async {
                match &self.delayed {
                    Some(delayed) => delayed.store().close().await,
                    None => Ok(()),
                }
            };
            // Neither waits for the other.
            let (delayed, closed) = tokio::join!(delayed, self.store.close());
            if let Err(error) = delayed {
                error!(%error, "the store of delayed events could not be closed; a restart sends the unwritten ones again");
            }
            if let Err(error) = closed {
                error!(%error, "the store could not be closed; a restart sends the unwritten events again");
            }
        };
        if tokio::time::timeout(LAST_WRITE, write).await.is_err() {
            error!("the last write took too long; a restart sends the unwritten events again");
        }
        let report = Report {
            confirmed: self.counters.confirmed,
            unanswered: self.in_flight(),
            outstanding: self.engine.outstanding(),
        };
        before.or(self.failure.take()).map_or(Ok(report), Err)
    }

    fn in_flight(&self) -> usize {
        self.engine.in_flight() + self.delayed.as_ref().map_or(0, Delayed::unanswered)
    }

    /// Whether all that was decided is durable, but for delayed events whose store can't be written.
    fn is_written(&self) -> bool {
        let is_written = |delayed: &Delayed| delayed.is_written() || delayed.failing().is_some();
        self.engine.is_written() && self.delayed.as_ref().is_none_or(is_written)
    }
}
