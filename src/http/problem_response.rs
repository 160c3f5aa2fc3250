//! Problems as answers of HTTP: with their headers, and of what HTTP itself refuses.

use super::shares::NoShare;
use crate::problem::{Problem, ProblemCode};
use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

impl Problem {
    /// There is no more of it for him at present.
    pub(super) fn no_share(why: NoShare, what: &str) -> Self {
        let status = match why {
            NoShare::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            NoShare::Owner(_) | NoShare::Address(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        Self::new(status, format!("{} {what} {why}; try again later", why.count()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INSUFFICIENT_STORAGE => {
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
    use crate::{authority::Denied, ops::OpsError};
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
