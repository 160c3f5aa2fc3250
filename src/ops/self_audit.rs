//! The clock's audit of its own record: now and then, in the background, so that a hole raises an alarm though nobody asks.
//! What it finds is said in the log and shown with the metrics.

use super::{OpsError, RunningClock, audit};
use crate::{clock, engine::audit::Report, telemetry::Audited};
use ponos::shutdown::{Shutdown, Stage};
use std::time::Duration;
use tracing::{error, info, warn};

/// The first audit comes no later after the start.
const FIRST: Duration = Duration::from_secs(300);
/// With more schedules an audit takes more memory than the rest of the clock.
const MOST: usize = 20_000;

/// Audits the record as often as is configured, until the shutdown drains.
pub async fn run(clock: RunningClock, shutdown: Shutdown) {
    let every = clock.counts.config().audit_every;
    let mut wait = every.min(FIRST);
    let mut said = Said::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.reached(Stage::Draining) => return,
        }
        wait = every;
        if clock.status().figures.schedules.all() > MOST {
            said.too_many();
            clock.counts.forget_audit();
            continue;
        }
        tokio::select! {
            audited = audit::audit(clock.clone(), audit::Window::default(), None) => {
                said.result(&audited.map(|(report, _)| report), &clock);
            }
            () = shutdown.reached(Stage::Draining) => return,
        }
    }
}

/// What was said last: the same is not said again.
#[derive(Debug, Default)]
struct Said {
    too_many: bool,
    found: (u64, u64),
    failure: Option<String>,
}

impl Said {
    fn too_many(&mut self) {
        if !std::mem::replace(&mut self.too_many, true) {
            info!("the clock audits its record by itself with up to {MOST} schedules; use `khronos audit`");
        }
    }

    fn result(&mut self, audited: &Result<Report, OpsError>, clock: &RunningClock) {
        match audited {
            Ok(report) => {
                let delayed = report.delayed.as_ref();
                let (missing, more) = delayed.map_or((0, 0), |delayed| (delayed.missing, delayed.surplus));
                let (holes, surplus) = (report.totals.holes + missing, report.totals.surplus + more);
                if std::mem::replace(&mut self.found, (holes, surplus)) != (holes, surplus)
                    && holes + surplus > 0
                {
                    error!(
                        holes,
                        surplus,
                        "the record does not agree with what the schedules call for, or delayed events with what was taken; `khronos audit` shows where"
                    );
                }
                self.failure = None;
                clock.counts.audited(Some(Audited { at: clock::now(), holes, surplus }));
            }
            // Nothing is settled yet since its schedules took effect.
            Err(OpsError::Invalid(_)) => {}
            Err(why) => {
                let why = why.to_string();
                if self.failure.as_ref() != Some(&why) {
                    warn!("the clock can't audit its record: {why}");
                }
                self.failure = Some(why);
                clock.counts.audited(None);
            }
        }
    }
}
