//! The end in two stages: finish what is begun, or stop at once; in both the exact progress is written.

use super::{ClockLoop, Failure, Report};
use crate::{clock::Alarm, engine::Input};
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
        let grace = self.grace;
        let wait = async {
            while self.engine.in_flight() > 0 && self.failure.is_none() {
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
            while !self.engine.is_written() && self.failure.is_none() {
                match self.store_events.recv().await {
                    Some(event) => self.on_store(event),
                    None => break,
                }
            }
            if let Err(error) = self.store.close().await {
                error!(%error, "the store could not be closed; a restart sends the unwritten events again");
            }
        };
        if tokio::time::timeout(LAST_WRITE, write).await.is_err() {
            error!("the last write took too long; a restart sends the unwritten events again");
        }
        let report = Report {
            confirmed: self.counters.confirmed,
            unanswered: self.engine.in_flight(),
            outstanding: self.engine.outstanding(),
        };
        before.or(self.failure.take()).map_or(Ok(report), Err)
    }
}
