//! The clock's audit of its own record: now and then, in the background, so that a hole raises an alarm though nobody asks.
//! What it finds is said in the log and shown with the metrics.

use super::{OpsError, RunningClock, audit};
use crate::{
    clock,
    engine::audit::{DelayedReport, Report},
    telemetry::Audited,
};
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
                let unread = delayed.and_then(|delayed| delayed.unreadable.as_ref());
                let (missing, more) = delayed.map_or((0, 0), |delayed| {
                    // A balance that is wrong counts as one that is missing, where the count itself is right.
                    let DelayedReport { is_balanced, missing, surplus, .. } = *delayed;
                    let is_wrong = unread.is_none() && !is_balanced && missing + surplus == 0;
                    (missing + u64::from(is_wrong), surplus)
                });
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
                // What is found of schedules counts, whatever can't be read of delayed events; that nothing is found does not then.
                if unread.is_none() || holes + surplus > 0 {
                    clock.counts.audited(Some(Audited { at: clock::now(), holes, surplus }));
                }
                match unread {
                    Some(why) => self.failure(format!("its delayed events: {why}"), clock),
                    None => self.failure = None,
                }
            }
            // Nothing is settled yet since its schedules took effect.
            Err(OpsError::Invalid(_)) => {}
            Err(why) => self.failure(why.to_string(), clock),
        }
    }

    fn failure(&mut self, why: String, clock: &RunningClock) {
        if self.failure.as_ref() != Some(&why) {
            warn!("the clock can't audit its record: {why}");
        }
        self.failure = Some(why);
        clock.counts.audited(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::delayed::tests::clock as delayed_clock;

    #[tokio::test]
    async fn what_can_t_be_read_or_is_no_balance_is_not_said_to_be_right() {
        let (clock, _machine) = delayed_clock().await;
        let found = || clock.counts.last_audit().map(|found| (found.holes, found.surplus));
        let report = |delayed| Ok(Report { delayed: Some(delayed), ..Report::default() });
        let right = DelayedReport { is_balanced: true, ..DelayedReport::default() };
        let unread = DelayedReport { unreadable: Some("it is closed".into()), ..DelayedReport::default() };
        let mut said = Said::default();
        said.result(&report(unread.clone()), &clock);
        assert_eq!((found(), said.failure.is_some()), (None, true));
        said.result(&report(right.clone()), &clock);
        assert_eq!((found(), said.failure.is_some()), (Some((0, 0)), false));
        said.result(&report(DelayedReport { is_balanced: false, ..right.clone() }), &clock);
        assert_eq!(found(), Some((1, 0)));
        said.result(&report(DelayedReport { is_balanced: false, missing: 2, ..right }), &clock);
        assert_eq!(found(), Some((2, 0)));
        let mut holes = Report { delayed: Some(unread), ..Report::default() };
        holes.totals.holes = 3;
        said.result(&Ok(holes), &clock);
        assert_eq!((found(), said.failure.is_some()), (Some((3, 0)), true));
    }
}
