//! Schedules that are due no more.

use crate::schedule::Timing;
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// That a schedule is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FinishedView {
    /// Its last due time, however that occurrence ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_due_at: Option<Timestamp>,
    /// What ended it: `its limit of 12 is reached`.
    pub reason: String,
}

impl FinishedView {
    pub(super) fn new(timing: &Timing) -> Self {
        Self { last_due_at: timing.last(), reason: timing.ending().to_string() }
    }
}

impl fmt::Display for FinishedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { last_due_at, reason } = self;
        write!(f, "finished: {reason}")?;
        last_due_at.map_or(Ok(()), |last| write!(f, ", last due at {last}"))
    }
}
