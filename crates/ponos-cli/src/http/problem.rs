//! What is answered where something can't be done: a problem document (RFC 9457), as the clock's.

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The most faults that one answer shows.
pub(crate) const FAULTS: usize = 100;

/// Why a request was refused. `code` is for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The HTTP status.
    status: u16,
    /// What kind of problem it is.
    code: &'static str,
    /// What happened, to what, and what to do.
    detail: String,
    /// What is wrong with the body, part by part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<BodyFault>,
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    allow: Option<&'static str>,
    #[serde(skip)]
    asks_for_token: bool,
}

/// What is wrong with a part of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BodyFault {
    /// The part, as a JSON pointer.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (status, detail) = (status.as_u16(), ponos::redact::redact(&detail.into()).into_owned());
        let (errors, retry_after, allow) = (Vec::new(), None, None);
        Self { status, code, detail, errors, retry_after, allow, asks_for_token: false }
    }

    /// The body is not what the route takes.
    pub(crate) fn of_body(errors: Vec<BodyFault>) -> Self {
        Self::of_parts(StatusCode::UNPROCESSABLE_ENTITY, errors)
    }

    /// The same with another status; of many faults the first.
    pub(crate) fn of_parts(status: StatusCode, mut errors: Vec<BodyFault>) -> Self {
        errors.truncate(FAULTS);
        let each: Vec<String> =
            errors.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
        let problem = Self::new(status, "invalid", format!("the body can't be used: {}", each.join("; ")));
        Self { errors, ..problem }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same of another kind.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// The same in other words.
    pub(crate) fn instead(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    /// It may work in so many seconds.
    pub(crate) fn again_in(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The route takes these methods.
    pub(crate) fn allows(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// A token is to be shown (RFC 9110, section 15.5.2).
    pub(crate) fn asks_for_token(self) -> Self {
        Self { asks_for_token: true, ..self }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        self.respond(&self)
    }

    /// An answer of this status, with a document that says more.
    pub(crate) fn respond(&self, document: &impl Serialize) -> Response<Full<Bytes>> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, document);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.asks_for_token {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl BodyFault {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// An answer with this body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    // what is written are our own forms, which can be
    let text = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
