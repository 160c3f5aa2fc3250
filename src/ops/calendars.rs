//! The days that a definition's calendar had when it was accepted. A definition names them by id; a client that
//! evaluates it elsewhere asks for the days once, because they never change.

use super::{CalendarView, Clock, Missing, MissingKind, OpsError, run_blocking};
use crate::schedule::CalendarId;

/// The days of the calendar with this id.
///
/// # Errors
/// [`OpsError::NotFound`].
pub async fn get(clock: impl Into<Clock>, id: &str) -> Result<CalendarView, OpsError> {
    let clock = clock.into();
    let found = id.parse().ok().and_then(|id: CalendarId| Some((id, clock.calendars().days(id)?)));
    let (id, days) = found.ok_or_else(|| {
        let what = format!("there is no calendar '{id}'");
        OpsError::NotFound(Missing { kind: MissingKind::Calendar, what, suggestion: None })
    })?;
    let dates = run_blocking(move || days.to_dates()).await?;
    Ok(CalendarView { id, dates })
}
