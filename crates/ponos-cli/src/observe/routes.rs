//! The routes: what is asked, and what is answered.

use super::Shared;
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
use serde_json::json as object;

/// How long what was missed is a warning, in milliseconds.
const WARNED: i64 = 3_600_000;

type Answer = Result<Response<Full<Bytes>>, Problem>;

/// What answers.
pub(super) struct Answering {
    shared: Shared,
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
    pub(super) fn new(shared: Shared, token: Option<String>, clock: Clock) -> Self {
        Self { shared, token, clock }
    }

    fn routed(&self, request: &Request<Incoming>) -> Answer {
        http::let_in(request.headers(), true, self.token.as_deref())?;
        self.asked(request.method(), request.uri().path())
    }

    pub(super) fn asked(&self, method: &Method, path: &str) -> Answer {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let answer = match &words[..] {
            ["v1", "why", id] => self.why(id),
            ["v1", "coverage"] => {
                let coverage = self.shared.lock().coverage(self.clock.now());
                Ok(json(StatusCode::OK, &coverage))
            }
            ["readyz"] => Ok(self.ready()),
            ["healthz"] => Ok(json(StatusCode::OK, &object!({ "alive": true }))),
            _ => {
                let what = "there are /v1/why/{id}, /v1/coverage, /readyz and /healthz";
                Err(Problem::new(StatusCode::NOT_FOUND, "no-such-route", what))
            }
        };
        if answer.is_ok() && method != Method::GET {
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "see Allow").allows("GET"));
        }
        answer
    }

    fn why(&self, id: &str) -> Answer {
        let id = String::from_utf8_lossy(&percent_decoded(id)).into_owned();
        let now = self.clock.now();
        let (why, since) = {
            let observer = self.shared.lock();
            (observer.why(now, &id), observer.since())
        };
        let since = since.map_or_else(
            || "nothing is observed yet".into(),
            |since| format!("it is observed since {since}"),
        );
        let unknown = || {
            let what = format!(
                "nothing is known of this event or trace: {since}; what is older, or went for want of room, is not kept"
            );
            Problem::new(StatusCode::NOT_FOUND, "unknown", what)
        };
        Ok(json(StatusCode::OK, &why.ok_or_else(unknown)?))
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let now = self.clock.now();
        let observer = self.shared.lock();
        let is_ready = observer.is_listening();
        let mut warnings = Vec::new();
        if !is_ready {
            warnings.push("not connected: what is sent now is not seen".to_owned());
        }
        let recent: Vec<_> = observer.missed().filter(|miss| now.since(miss.due_at) <= WARNED).collect();
        if let Some(newest) = recent.first() {
            warnings.push(format!(
                "{} not handled in time in the last hour; the latest: {} by {} ({})",
                ponos::text::counted(recent.len(), "event"),
                newest.event,
                newest.service,
                newest.event_id
            ));
        }
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &object!({ "ready": is_ready, "warnings": warnings }))
    }
}
