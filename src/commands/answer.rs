//! The answer to a command: what HTTP answers to the same request, with its status beside it.

use crate::{ops::OpsError, problem::Problem};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An answer, as its message says it.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// The HTTP status.
    status: u16,
    /// What HTTP has in its body; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    /// In how many seconds it is worth asking again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Answer {
    /// It was done; what there is to say of it.
    pub(super) fn of(status: u16, body: &impl Serialize) -> Result<Self, OpsError> {
        let body = to_raw_value(body).map_err(|_| OpsError::Defect)?;
        Ok(Self { status, body: Some(body), retry_after: None })
    }

    /// It was done, and there is nothing to say of it.
    pub(super) fn of_nothing(status: u16) -> Self {
        Self { status, body: None, retry_after: None }
    }

    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// As it is sent.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Numbers, and what was JSON before: nothing that could be refused.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl From<&Problem> for Answer {
    fn from(problem: &Problem) -> Self {
        let body = to_raw_value(problem).ok();
        Self { status: problem.status(), body, retry_after: problem.retry_after() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NO_ROOM;
    use std::time::Duration;

    #[test]
    fn what_may_be_asked_again_says_when_that_is_worth_it() {
        let full = || OpsError::NoRoom { what: "full".into(), wait: Duration::from_secs(90) };
        for (error, status, retry_after) in [
            (full(), 429, Some(90)),
            (OpsError::TooMany("too many wait".into()), 429, Some(2)),
            (OpsError::Unavailable(format!("no space left{NO_ROOM}")), 507, Some(2)),
            (OpsError::Unknown("the disk fails".into()), 503, Some(2)),
            (OpsError::Conflict("another one runs".into()), 409, None),
        ] {
            let answer = Answer::from(&Problem::from(error));
            assert_eq!((answer.status, answer.retry_after), (status, retry_after));
        }
    }
}
