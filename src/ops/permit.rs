//! Whether a caller may change how the clock runs now. Changes of schedules have a rate of their own (`change.rs`).

use super::OpsError;
use crate::authority::{Caller, Role};
use tokio::time::Instant;

/// By his role, and by the rate of his owner. His domains are asked where it is known what he changes.
///
/// # Errors
/// [`OpsError::Denied`].
pub(super) fn permit(caller: &Caller, needed: Role, what: &'static str) -> Result<(), OpsError> {
    caller.may(needed, what)?;
    Ok(caller.take_change(Instant::now())?)
}
