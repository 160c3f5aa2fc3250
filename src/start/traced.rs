//! Traces of a clock, from its start to its end.

use super::RunError;
use crate::{config::Config, telemetry::Tracing};
use ponos::shutdown::{Trigger, shutdown};
use tokio::task::JoinHandle;

/// What sends the clock's spans, while it does.
pub(super) struct Traced {
    /// Where they are recorded, and which.
    pub(super) of_clock: Tracing,
    sending: Option<(Trigger, JoinHandle<()>)>,
}

impl Traced {
    /// Begins to send them, if there is a collector.
    ///
    /// # Errors
    /// [`RunError::Traces`].
    pub(super) fn begin(config: &Config) -> Result<Self, RunError> {
        let sampling = config.traces.sampling;
        let opened = config.traces.collector.clone().map(|collector| collector.open(&config.clock.name));
        let (traces, export) = opened.transpose().map_err(RunError::Traces)?.unzip();
        let sending = export.map(|export| {
            let (end, ending) = shutdown();
            (end, tokio::spawn(export.run(ending)))
        });
        Ok(Self { of_clock: Tracing { traces, sampling }, sending })
    }

    /// Sends the last ones: for two seconds at most.
    pub(super) async fn end(self) {
        if let Some((end, sending)) = self.sending {
            end.advance();
            // A panic was logged.
            let _ = sending.await;
        }
    }
}
