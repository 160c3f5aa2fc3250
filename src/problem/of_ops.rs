//! The problem that an error of the operations is.

use super::{Problem, ProblemCode, refusal};
use crate::{authority::Denied, ops::OpsError, store::NO_ROOM};
use axum::http::StatusCode;

impl From<OpsError> for Problem {
    fn from(error: OpsError) -> Self {
        let (status, code) = match &error {
            OpsError::Invalid(_) => (StatusCode::BAD_REQUEST, ProblemCode::InvalidRequest),
            OpsError::Denied(Denied::TooOften { wait, .. }) => {
                return Self::too_often(error.to_string(), *wait);
            }
            OpsError::NoRoom { what, wait } => return Self::too_often(what.clone(), *wait),
            OpsError::Denied(Denied::Domain { .. } | Denied::Tasks { .. }) => {
                (StatusCode::FORBIDDEN, ProblemCode::OutsideDomains)
            }
            OpsError::Denied(_) => (StatusCode::FORBIDDEN, ProblemCode::Forbidden),
            OpsError::Parameter(fault) => return Self::parameter(fault.clone()),
            OpsError::Definition(faults) => return Self::definition(faults.clone()),
            OpsError::NeverDue { faults, .. } => {
                let problem = Self::definition(faults.clone()).code(ProblemCode::NeverDue);
                return Self { detail: error.to_string(), ..problem };
            }
            OpsError::NotFound(missing) => return Self::not_found(missing.clone()),
            OpsError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::Refused),
            OpsError::Conflict(_) => (StatusCode::CONFLICT, ProblemCode::Conflict),
            OpsError::OtherCount { .. } => (StatusCode::PRECONDITION_FAILED, ProblemCode::PreconditionFailed),
            OpsError::Unchanged { refusal, .. }
            | OpsError::CalendarUnchanged { refusal, .. }
            | OpsError::EventUnchanged { refusal, .. } => refusal::status_and_code(refusal),
            OpsError::OutOfDisk(_) => (StatusCode::INSUFFICIENT_STORAGE, ProblemCode::OutOfDisk),
            OpsError::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, ProblemCode::TooManyRequests),
            OpsError::Unknown(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unknown),
            OpsError::Partly { .. } => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::PartlyDone),
            OpsError::TooFragmented(_) => (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::TooFragmented),
            OpsError::Unavailable(what) if what.contains(NO_ROOM) => {
                (StatusCode::INSUFFICIENT_STORAGE, ProblemCode::OutOfDisk)
            }
            OpsError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable),
            OpsError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::RecordUnreadable),
            OpsError::Ending { is_known: true, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable)
            }
            OpsError::Ending { is_known: false, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unknown)
            }
            OpsError::Defect => (StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Defect),
        };
        let of_the_end = matches!(error, OpsError::Ending { .. });
        Self { of_the_end, ..Self::new(status, error.to_string()).code(code) }
    }
}
