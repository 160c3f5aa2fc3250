//! Error answers: problem documents (RFC 9457), the same over HTTP and by message. Their codes are for programs, and stay as
//! they are.

mod of_ops;
mod refusal;

use crate::{
    ops::{Missing, MissingKind, ParameterFault},
    schedule::{
        FaultCode,
        file::{FieldFault, FieldFaults},
    },
};
use axum::http::StatusCode;
use ponos::text::shortened;
use serde::Serialize;
use std::{fmt, time::Duration};
use utoipa::ToSchema;

/// What happened, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProblemCode {
    /// 400: the request contradicts itself, or a parameter of it can't be used.
    InvalidRequest,
    /// 400: the body is not what it says it is: no JSON, a key twice, nested too deep.
    Malformed,
    /// 401: nobody says who asks.
    Unauthenticated,
    /// 403: who asks may not.
    Forbidden,
    /// 403: its event is outside of the domains of who asks.
    OutsideDomains,
    /// 403: its event is one of the clock's own.
    ReservedEvent,
    /// 403: somebody else has created a schedule of this name.
    NameTaken,
    /// 403: its owner has as many schedules as he may.
    TooManySchedules,
    /// 403: its owner has as many calendars as he leaves to others.
    TooManyCalendars,
    /// 403: the calendars of its owner are as long as he leaves to others.
    TooManyCalendarBytes,
    /// 403: the clock has as many schedules as it may (`limits.schedules`).
    TooManyInAll,
    /// 403: all schedules of the clock together would be due more often than they may (`limits.rate`).
    TooOftenInAll,
    /// 403: as many delayed events of its owner are pending as he may have.
    TooManyDelayedEvents,
    /// 404: there is no such thing.
    NotFound,
    /// 404: the clock does not listen to what services report.
    NotObserved,
    /// 405: that can't be done to it.
    MethodNotAllowed,
    /// 409: it is in another state than that takes.
    Conflict,
    /// 409: the name is that of a file's schedule.
    FileOwned,
    /// 409: what it is about may have been sent already.
    MayHaveBeenSent,
    /// 409: what it is about is due once, and that is settled.
    AlreadySettled,
    /// 409: schedules use it.
    InUse,
    /// 409: by the calendar that is wanted nothing would be due any more of schedules that use it.
    LeavesNothingDue,
    /// 409: another change of the request, which is all or nothing, was refused.
    AnotherRefused,
    /// 412: it is not what it was said to be.
    PreconditionFailed,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is of another type.
    UnsupportedMediaType,
    /// 422: the body is well-formed, and can't be accepted.
    Invalid,
    /// 422: it would never be due.
    NeverDue,
    /// 422: a calendar that it names went a moment ago.
    NoSuchCalendar,
    /// 422: a name occurs twice in a request that is all or nothing.
    NameTwice,
    /// 422: something else was asked for under this message id.
    MessageIdUsed,
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
    /// 503: whether it is done is not known, or not for good: see what is there, and ask again.
    Unknown,
    /// 503: it is done to some of those that it was asked for: ask again.
    PartlyDone,
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
pub(crate) struct Problem {
    /// The status phrase: the same for all problems of one status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened, for programs.
    code: ProblemCode,
    /// What happened, to what, and what to do: for people.
    pub(crate) detail: String,
    /// What the clock does not have, where that is the problem: a client may have another place to look in than `detail`
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Box<Missing>>,
    /// What is wrong with the request, each by its place: all that was found, a hundred at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemError>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    more_errors: usize,
    /// Seconds until it is worth asking again.
    #[serde(skip)]
    pub(crate) retry_after: u64,
    /// The clock ended before it answered.
    #[serde(skip)]
    of_the_end: bool,
}

/// Seconds until it is worth asking again, where nothing better is known.
const RETRY_AFTER: u64 = 2;

/// What is wrong at one place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemError {
    /// Where in the body: a JSON pointer (RFC 6901). Of a key that is missing, where it belongs; empty for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Which parameter of the address, or property of the message.
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
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
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
            of_the_end: false,
        }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    fn not_found(missing: Missing) -> Self {
        let detail = missing.message(match missing.kind {
            MissingKind::Schedule | MissingKind::FormerSchedule => "GET /v1/schedules lists them all",
            MissingKind::Calendar => "GET /v1/schedules lists the ids under definition.calendars",
            MissingKind::NamedCalendar => "GET /v1/calendars lists them all",
            MissingKind::DelayedEvent => "GET /v1/events lists those that are pending",
            MissingKind::Operation => "GET /v1/operations lists those that are known",
            MissingKind::Event => "GET /v1/history lists what the record has",
            MissingKind::Reports => "see docs/reports.md",
            MissingKind::Zone => "GET /v1/schedules lists the ids under definition.zones",
        });
        let code = match missing.kind {
            MissingKind::Reports => ProblemCode::NotObserved,
            _ => ProblemCode::NotFound,
        };
        Self { missing: Some(Box::new(missing)), ..Self::new(StatusCode::NOT_FOUND, detail) }.code(code)
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

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::bad(detail).code(ProblemCode::Malformed)
    }

    /// Parameters that can't be used.
    pub(crate) fn parameters(mut errors: Vec<ProblemError>) -> Self {
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
    pub(crate) fn parameters_named(&self) -> impl Iterator<Item = (&str, FaultCode)> {
        self.errors.iter().filter_map(|error| Some((error.parameter.as_deref()?, error.code)))
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    pub(crate) fn code(self, code: ProblemCode) -> Self {
        Self { code, ..self }
    }

    /// The same of a message, whose parameters are keys of its body.
    pub(crate) fn in_body(mut self) -> Self {
        for error in &mut self.errors {
            if let Some(key) = error.parameter.take() {
                error.pointer = Some(format!("/{key}"));
            }
        }
        self
    }

    /// The same, with at most so many of its errors: the others are counted.
    pub(crate) fn with_fewer_errors(mut self, most: usize) -> Self {
        self.more_errors += self.errors.len().saturating_sub(most);
        self.errors.truncate(most);
        self
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// What happened, in a word.
    pub(crate) fn word(&self) -> String {
        // The words stand in what serde derives, and nowhere else.
        serde_json::to_value(self.code)
            .ok()
            .and_then(|word| word.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// In how many seconds it is worth asking again, where it is by itself.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        matches!(
            self.code,
            ProblemCode::Unavailable
                | ProblemCode::Unknown
                | ProblemCode::PartlyDone
                | ProblemCode::RecordUnreadable
                | ProblemCode::TooManyRequests
                | ProblemCode::OutOfDisk
        )
        .then_some(self.retry_after)
    }

    /// Too often; in so long it is worth asking again.
    pub(crate) fn too_often(detail: impl Into<String>, wait: Duration) -> Self {
        let retry_after = wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(1);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// Whether it is refused as things are at present, or nothing is known of it: the same request may be done later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS.as_u16() || self.status >= 500
    }

    /// Whether the clock that was asked has ended, so that another one is to answer.
    pub(crate) fn is_of_the_end(&self) -> bool {
        self.of_the_end
    }

    /// Whether the request itself is what is wrong: nobody says who asks, or what is asked for makes no sense. Whether something
    /// would ever be due is a matter of the time.
    pub(crate) fn is_of_the_request(&self) -> bool {
        matches!(self.status, 400 | 401 | 413 | 415 | 422) && self.code != ProblemCode::NeverDue
    }
}

impl ProblemError {
    /// What is wrong with a parameter; of one that is unknown, no more of its name than can be shown.
    pub(crate) fn parameter(name: &str, code: FaultCode, detail: String, suggestion: Option<String>) -> Self {
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
