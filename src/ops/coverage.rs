//! Who handles what, and who is silent, as services report it.

use super::{Missing, MissingKind, OpsError, RunningClock, run_blocking};
use ponos_observer::Coverage;

/// What is observed now.
///
/// # Errors
/// [`OpsError::NotFound`]: the clock does not listen to what services report.
pub async fn coverage(clock: &RunningClock) -> Result<Coverage, OpsError> {
    let none = || {
        let what = "this clock does not listen to what services report: set reports.enabled = true in its configuration";
        OpsError::NotFound(Missing { kind: MissingKind::Reports, what: what.to_owned(), suggestion: None })
    };
    let observed = clock.observed().cloned().ok_or_else(none)?;
    run_blocking(move || observed.coverage()).await
}
