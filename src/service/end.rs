//! The end in two stages: finish what is begun, or stop at once; in both the exact progress is written.

use super::{Report, Service};
use crate::{clock::Alarm, engine::Input};
use ponos::shutdown::{Shutdown, Stage};
use std::time::Duration;
use tracing::error;

/// How long the last write and the closing of the store may take at the end.
const LAST_WRITE: Duration = Duration::from_secs(10);
impl Service {
    /// Takes nothing new in, waits for what is unanswered, writes the exact progress, closes the store.
    pub(super) async fn drain(&mut self, alarm: &Alarm, shutdown: &Shutdown) -> Report {
        self.step(Input::Drain);
        let grace = self.grace;
        let wait = async {
            while self.engine.in_flight() > 0 && self.failure.is_none() {
                if self.turn(alarm).await.is_err() {
                    break;
                }
            }
        };
        let stop = shutdown.reached(Stage::Stopping);
        tokio::select! {
            biased;
            () = stop => {}
            _ = tokio::time::timeout(grace, wait) => {}
        }
        self.step(Input::Flush);
        let write = async {
            while !self.engine.is_written() && self.failure.is_none() {
                match self.store_events.recv().await {
                    Some(event) => self.on_store(event),
                    None => break,
                }
            }
            if let Err(error) = self.store.close().await {
                error!(%error, "the store could not be closed; a restart sends what is not written again");
            }
        };
        if tokio::time::timeout(LAST_WRITE, write).await.is_err() {
            error!("the last write took too long; a restart sends what is not written again");
        }
        Report {
            confirmed: self.confirmed,
            unanswered: self.engine.in_flight(),
            outstanding: self.engine.outstanding(),
        }
    }
}
