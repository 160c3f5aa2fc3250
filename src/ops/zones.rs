//! The rules that a definition's zone had when it was accepted. A definition names them by id; a client that evaluates it
//! elsewhere asks for them once, because they never change.

use super::{Clock, Missing, MissingKind, OpsError, ZoneView};
use crate::schedule::ZoneId;

/// The rules of the zone with this id.
///
/// # Errors
/// [`OpsError::NotFound`].
pub fn get(clock: impl Into<Clock>, id: &str) -> Result<ZoneView, OpsError> {
    let clock = clock.into();
    let found = id.parse().ok().and_then(|id: ZoneId| clock.calendars().zones().rules(id));
    found.map(|rules| ZoneView::new(&rules)).ok_or_else(|| {
        let what = format!("there are no rules of a time zone '{id}'");
        OpsError::NotFound(Missing { kind: MissingKind::Zone, what, suggestion: None })
    })
}
