//! Error answers: problem documents (RFC 9457).

use crate::ops::{Missing, MissingKind, OpsError};
use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A problem document: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// The status phrase: the same for all problems of one status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened, to what, and what to do.
    pub(super) detail: String,
    /// What the clock does not have, where that is the problem: a client may have another place to look in than `detail`
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Missing>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").into();
        Self { title, status: status.as_u16(), detail: detail.into(), missing: None }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    fn not_found(missing: Missing) -> Self {
        let detail = missing.message(match missing.kind {
            MissingKind::Schedule | MissingKind::FormerSchedule => "GET /schedules lists them all",
            MissingKind::Calendar => "GET /schedules lists the ids under definition.calendars",
            MissingKind::Zone => "GET /schedules lists the ids under definition.zones",
        });
        Self { missing: Some(missing), ..Self::new(StatusCode::NOT_FOUND, detail) }
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
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
        let status = match &error {
            OpsError::Invalid(_) => StatusCode::BAD_REQUEST,
            OpsError::Denied(_) => StatusCode::FORBIDDEN,
            OpsError::NotFound(missing) => return Self::not_found(missing.clone()),
            OpsError::Refused(_) | OpsError::TooFragmented(_) => StatusCode::UNPROCESSABLE_ENTITY,
            OpsError::Unavailable(_) | OpsError::Record(_) => StatusCode::SERVICE_UNAVAILABLE,
            OpsError::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}
