//! The routes: what is asked, and what is answered.

use super::openapi;
use crate::http::{
    self, Answers, percent_decoded,
    problem::{Problem, json},
};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
};
use ponos::clock::Clock;
use ponos_hearing::Heard;
use ponos_observer::{Coverage, Why};
use serde::Serialize;
use serde_json::json as object;
use utoipa::ToSchema;

type Answer = Result<Response<Full<Bytes>>, Problem>;

/// What answers.
pub(super) struct Answering {
    heard: Heard,
    token: Option<String>,
    clock: Clock,
}

impl Answers for Answering {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.routed(&request).unwrap_or_else(Problem::into_response)
    }
}

impl Answering {
    /// With that token, if questions must show one.
    pub(super) fn new(heard: Heard, token: Option<String>, clock: Clock) -> Self {
        Self { heard, token, clock }
    }

    fn routed(&self, request: &Request<Incoming>) -> Answer {
        http::let_in(request.headers(), true, self.token.as_deref())?;
        self.asked(request.method(), request.uri().path())
    }

    pub(super) fn asked(&self, method: &Method, path: &str) -> Answer {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let answer = match &words[..] {
            ["v1", "why", id] => why(self, id),
            ["v1", "coverage"] => Ok(coverage(self)),
            ["v1", "openapi.json"] => Ok(openapi::document()),
            ["readyz"] => Ok(readyz(self)),
            ["healthz"] => Ok(healthz()),
            _ => {
                let what = "there are /v1/why/{id}, /v1/coverage, /v1/openapi.json, /readyz and /healthz";
                Err(Problem::new(StatusCode::NOT_FOUND, "no-such-route", what))
            }
        };
        if answer.is_ok() && method != Method::GET {
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "see Allow").allows("GET"));
        }
        answer
    }
}

/// What came of an event, a task or a trace
///
/// What it follows from, who handled it, attempt by attempt, what they published, and what came of that: 1,000 events at most.
#[utoipa::path(
    get, path = "/v1/why/{id}", params(("id" = String, Path, description = "The id of an event, a task or a trace")),
    responses(
        (status = 200, description = "What is known of it", body = Why),
        (status = 404, description = "Nothing is known of it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn why(answering: &Answering, id: &str) -> Answer {
    let id = String::from_utf8_lossy(&percent_decoded(id)).into_owned();
    let why = answering.heard.why(answering.clock.now(), &id);
    let why = why.map_err(|nothing| Problem::new(StatusCode::NOT_FOUND, "unknown", nothing))?;
    Ok(json(StatusCode::OK, &why))
}

/// Who handles what, and who is silent
#[utoipa::path(
    get, path = "/v1/coverage",
    responses((status = 200, description = "Events, services, and the latest that was not handled in time", body = Coverage))
)]
pub(super) fn coverage(answering: &Answering) -> Response<Full<Bytes>> {
    json(StatusCode::OK, &answering.heard.coverage(answering.clock.now()))
}

/// Whether it listens.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// It does.
    ready: bool,
    /// That it does not, and what was not handled in time in the last hour.
    warnings: Vec<String>,
}

/// Whether it listens
#[utoipa::path(
    get, path = "/readyz",
    responses(
        (status = 200, description = "It does", body = Ready),
        (status = 503, description = "It has no connection: what is sent now is not seen", body = Ready),
    )
)]
pub(super) fn readyz(answering: &Answering) -> Response<Full<Bytes>> {
    let ready = answering.heard.is_listening();
    let away = (!ready).then(|| "not connected: what is sent now is not seen".to_owned());
    let warnings = away.into_iter().chain(answering.heard.missed_lately(answering.clock.now())).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &Ready { ready, warnings })
}

/// Whether it lives
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does")))]
pub(super) fn healthz() -> Response<Full<Bytes>> {
    json(StatusCode::OK, &object!({ "alive": true }))
}
