//! Error answers: problem documents (RFC 9457). Their codes are for programs, and stay as they are.

use super::shares::NoShare;
use crate::{
    authority::Denied,
    ops::{Missing, MissingKind, OpsError, ParameterFault},
    schedule::{
        FaultCode,
        file::{FieldFault, FieldFaults},
    },
};
use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ponos::text::shortened;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// What happened, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProblemCode {
    /// 400: the request contradicts itself, or a parameter of it can't be used.
    InvalidRequest,
    /// 400: the body is not what it says it is: no JSON, a key twice, nested too deep.
    Malformed,
    /// 401: nobody says who asks.
    Unauthenticated,
    /// 403: who asks may not.
    Forbidden,
    /// 404: there is no such thing.
    NotFound,
    /// 405: that can't be done to it.
    MethodNotAllowed,
    /// 409: it is in another state than that takes.
    Conflict,
    /// 412: it is not what it was said to be.
    PreconditionFailed,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is of another type.
    UnsupportedMediaType,
    /// 422: the body is well-formed, and can't be accepted.
    Invalid,
    /// 422: the clock refused the change.
    Refused,
    /// 422: the record can't be audited in one go.
    TooFragmented,
    /// 429: too often.
    TooManyRequests,
    /// 500: a defect of the clock.
    Defect,
    /// 503: the clock does not answer at present; `Retry-After` says when to ask again.
    Unavailable,
    /// 503: the record can't be read.
    RecordUnreadable,
    /// 507: the disk is full.
    OutOfDisk,
    /// Something else; the status says more.
    Other,
}

impl From<StatusCode> for ProblemCode {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::InvalidRequest,
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            409 => Self::Conflict,
            412 => Self::PreconditionFailed,
            413 => Self::TooLarge,
            415 => Self::UnsupportedMediaType,
            422 => Self::Invalid,
            429 => Self::TooManyRequests,
            500 => Self::Defect,
            503 => Self::Unavailable,
            507 => Self::OutOfDisk,
            _ => Self::Other,
        }
    }
}

/// A problem document: `application/problem+json`. Its `type` is left out, which means `about:blank`: `code` says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The status phrase: the same for all problems of one status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened, for programs.
    code: ProblemCode,
    /// What happened, to what, and what to do: for people.
    pub(super) detail: String,
    /// What the clock does not have, where that is the problem: a client may have another place to look in than `detail`
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Box<Missing>>,
    /// What is wrong with the request, each by its place: all that was found, a hundred at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemError>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    more_errors: usize,
    /// Seconds until it is worth asking again.
    #[serde(skip)]
    retry_after: u64,
}

/// Seconds until it is worth asking again, where nothing better is known.
const RETRY_AFTER: u64 = 2;

/// What is wrong at one place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ProblemError {
    /// Where in the body: a JSON pointer (RFC 6901). Of a key that is missing, where it belongs; empty for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Which parameter of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What kind of fault it is, for programs.
    code: FaultCode,
    /// What was found there, for people.
    detail: String,
    /// What is allowed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What to write instead, where it can be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
}

/// Faults that are listed; the others are counted.
const MOST: usize = 100;
/// Characters of the name of a parameter.
const LONGEST_NAME: usize = 200;

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").into();
        Self {
            title,
            status: status.as_u16(),
            code: status.into(),
            detail: detail.into(),
            missing: None,
            errors: Vec::new(),
            more_errors: 0,
            retry_after: RETRY_AFTER,
        }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    fn not_found(missing: Missing) -> Self {
        let detail = missing.message(match missing.kind {
            MissingKind::Schedule | MissingKind::FormerSchedule => "GET /v1/schedules lists them all",
            MissingKind::Calendar => "GET /v1/schedules lists the ids under definition.calendars",
            MissingKind::Zone => "GET /v1/schedules lists the ids under definition.zones",
        });
        Self { missing: Some(Box::new(missing)), ..Self::new(StatusCode::NOT_FOUND, detail) }
    }

    /// A body that is malformed, or says what can't be accepted.
    fn definition(faults: FieldFaults) -> Self {
        let (status, code) = match faults.is_malformed() {
            true => (StatusCode::BAD_REQUEST, ProblemCode::Malformed),
            false => (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::Invalid),
        };
        let detail = faults.to_string();
        let errors = faults.list.into_iter().map(ProblemError::from).collect();
        Self { code, errors, more_errors: faults.more, ..Self::new(status, detail) }
    }

    fn parameter(fault: ParameterFault) -> Self {
        let detail = fault.to_string();
        Self { errors: vec![fault.into()], ..Self::bad(detail) }
    }

    /// Parameters that can't be used.
    pub(super) fn parameters(mut errors: Vec<ProblemError>) -> Self {
        let mut detail = errors.first().map_or(String::new(), ToString::to_string);
        if errors.len() > 1 {
            detail.push_str(&format!(" (and {} more)", errors.len() - 1));
        }
        let more_errors = errors.len().saturating_sub(MOST);
        errors.truncate(MOST);
        Self { errors, more_errors, ..Self::bad(detail) }
    }

    /// The parameters that it blames.
    #[cfg(test)]
    pub(super) fn parameters_named(&self) -> impl Iterator<Item = (&str, FaultCode)> {
        self.errors.iter().filter_map(|error| Some((error.parameter.as_deref()?, error.code)))
    }

    /// There is no more of it for him at present.
    pub(super) fn no_share(why: NoShare, what: &str) -> Self {
        let status = match why {
            NoShare::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            NoShare::Owner(_) | NoShare::Address(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        Self::new(status, format!("{} {what} {why}; try again later", why.count()))
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    fn code(self, code: ProblemCode) -> Self {
        Self { code, ..self }
    }
}

impl ProblemError {
    /// What is wrong with a parameter; of one that is unknown, no more of its name than can be shown.
    pub(super) fn parameter(name: &str, code: FaultCode, detail: String, suggestion: Option<String>) -> Self {
        let parameter = Some(shortened(name, LONGEST_NAME));
        Self { pointer: None, parameter, code, detail, expected: None, suggestion }
    }
}

impl fmt::Display for ProblemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter}: ")?;
        }
        f.write_str(&self.detail)?;
        self.suggestion.as_ref().map_or(Ok(()), |suggestion| write!(f, "; {suggestion}"))
    }
}

impl From<FieldFault> for ProblemError {
    fn from(fault: FieldFault) -> Self {
        let FieldFault { pointer, code, detail, expected, suggestion } = fault;
        Self { pointer: Some(pointer), parameter: None, code, detail, expected, suggestion }
    }
}

impl From<ParameterFault> for ProblemError {
    fn from(fault: ParameterFault) -> Self {
        let ParameterFault { name, code, what, help } = fault;
        let parameter = Some(name.to_owned());
        Self { pointer: None, parameter, code, detail: what, expected: None, suggestion: help }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, retry_after.into());
            }
            StatusCode::UNAUTHORIZED => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"khronos\""));
            }
            _ => {}
        }
        response
    }
}

impl From<OpsError> for Problem {
    fn from(error: OpsError) -> Self {
        let (status, code) = match &error {
            OpsError::Invalid(_) => (StatusCode::BAD_REQUEST, ProblemCode::InvalidRequest),
            OpsError::Denied(Denied::TooOften { wait, .. }) => {
                let retry_after = wait.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX);
                return Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()) };
            }
            OpsError::Denied(_) => (StatusCode::FORBIDDEN, ProblemCode::Forbidden),
            OpsError::Parameter(fault) => return Self::parameter(fault.clone()),
            OpsError::Definition(faults) => return Self::definition(faults.clone()),
            OpsError::NotFound(missing) => return Self::not_found(missing.clone()),
            OpsError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::Refused),
            OpsError::TooFragmented(_) => (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::TooFragmented),
            OpsError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable),
            OpsError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::RecordUnreadable),
            OpsError::Defect => (StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Defect),
        };
        Self::new(status, error.to_string()).code(code)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let problem = Self::new(rejection.status(), rejection.body_text());
        match rejection {
            JsonRejection::JsonSyntaxError(_) => problem.code(ProblemCode::Malformed),
            _ => problem,
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nobody_is_told_to_come_back_at_once() {
        for (wait, after, said) in [
            (Duration::ZERO, "1", "in 1 ms"),
            (Duration::from_micros(300), "1", "in 1 ms"),
            (Duration::from_millis(1_001), "2", "in 1001 ms"),
        ] {
            let problem = Problem::from(OpsError::from(Denied::TooOften { owner: "ann".into(), wait }));
            assert!(problem.detail.contains(said), "{}", problem.detail);
            assert_eq!(problem.into_response().headers()[header::RETRY_AFTER], after);
        }
    }
}
