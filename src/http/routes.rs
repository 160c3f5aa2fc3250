//! The HTTP routes.

use super::{
    access::authenticate, control, feed, guard, health, large, metrics, problem::Problem, reads,
    state::HttpState,
};
use crate::{
    authority::{Caller, Role},
    ops::OpsError,
};
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ponos::shutdown::Shutdown;
use serde_json::json;
use std::time::Duration;

/// Requests that change something are small.
const BODY: usize = 64 * 1024;

/// Paths with what they give.
const INDEX: &[(&str, &str)] = &[
    (
        "/feed",
        "events as they are sent, as server-sent events; ?match=time.# (several allowed), ?after=POSITION or Last-Event-ID",
    ),
    ("/schedules", "all schedules with their next due time"),
    ("/schedules/{name}", "one schedule"),
    ("/calendars/{id}", "the days of a calendar that a schedule's definition names"),
    ("/zones/{id}", "the rules of a time zone that a schedule's definition names"),
    (
        "/history",
        "how occurrences ended; ?schedule= ?kind= ?outcome= ?from= ?to= ?late= ?after= ?before= ?limit=",
    ),
    ("/audit", "compares the record with the arithmetic; ?schedule= ?from= ?to="),
    ("/parked", "events that were given up on"),
    ("/parked/release", "POST {\"ids\": [NUMBER, ...]}: sends parked events again"),
    ("/parked/drop", "POST {\"ids\": [NUMBER, ...]}: drops parked events for good"),
    ("/pause", "POST {\"all\": true, \"by\": NAME, \"note\": TEXT, ...}: sends nothing until it is resumed"),
    ("/resume", "POST {\"all\": true, \"on_resume\": \"catch-up\" or \"skip\"}: goes on after a pause"),
    ("/reload", "POST: reads the schedules again"),
    ("/healthz", "whether the clock's loop is running"),
    ("/metrics", "counters and gauges for Prometheus, as OpenMetrics where it asks for it"),
    ("/readyz", "whether events go out, and if not, why"),
];

/// All routes, behind the guard, for whoever shows who he is.
pub(super) fn public(state: HttpState, shutdown: Shutdown) -> Router {
    guarded(all(&state, shutdown), state)
}

/// All routes, for users who may open the control socket.
pub(super) fn control(state: HttpState, shutdown: Shutdown) -> Router {
    all(&state, shutdown).layer(Extension(Caller::operator()))
}

fn guarded(router: Router, state: HttpState) -> Router {
    let known = middleware::from_fn_with_state(state.clone(), authenticate);
    router.layer(known).layer(middleware::from_fn_with_state(state, guard::guard))
}

fn all(state: &HttpState, shutdown: Shutdown) -> Router {
    finish(reads(state, shutdown).merge(changes(state)))
}

/// The routes that change something. Each operation asks the caller itself; that all of them take a role is asked here,
/// before anything of a request's body is read.
fn changes(state: &HttpState) -> Router {
    Router::new()
        .route("/parked/release", post(control::release))
        .route("/parked/drop", post(control::discard))
        .route("/pause", post(control::pause))
        .route("/resume", post(control::resume))
        .route("/reload", post(control::reload))
        .layer(middleware::from_fn(operators))
        .layer(middleware::from_fn(guard::same_origin))
        .layer(middleware::from_fn_with_state(state.limits.answer.saturating_mul(2), in_time))
        .with_state(state.clone())
}

async fn operators(Extension(caller): Extension<Caller>, request: Request, next: Next) -> Response {
    match caller.may(Role::Operate, "change something") {
        Ok(()) => next.run(request).await,
        Err(denied) => Problem::from(OpsError::from(denied)).into_response(),
    }
}

/// The routes served when all ordinary connections are taken, behind the guard.
pub(super) fn crowded(state: HttpState) -> Router {
    let most = state.limits.connections;
    let full = move || async move {
        Problem::unavailable(format!("{most} connections are open, which is the limit; try again later"))
    };
    let prompt = middleware::from_fn_with_state(state.limits.answer.saturating_mul(2), in_time);
    let router = health()
        .layer(prompt)
        .fallback(full)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::map_response(headers))
        .with_state(state.clone());
    guarded(router, state)
}

/// What a connection is told that is not encrypted where it should be.
pub(super) fn clear() -> Router {
    let told = |asked: HeaderMap| async move {
        let token = if asked.contains_key(header::AUTHORIZATION) {
            ". The token of this request came in the clear, and may have been read on its way: replace it (khronos token new)"
        } else {
            ""
        };
        Problem::bad(format!("this port speaks HTTPS: ask it with https://{token}"))
    };
    Router::new().fallback(told).layer(middleware::map_response(headers))
}

fn reads(state: &HttpState, shutdown: Shutdown) -> Router {
    let limits = state.limits;
    // Twice the loop's own limit, so that its more precise message comes first.
    let prompt = middleware::from_fn_with_state(limits.answer.saturating_mul(2), in_time);
    let short = Router::new()
        .route("/", get(index))
        .route("/schedules/{name}", get(reads::schedule))
        .route("/zones/{id}", get(reads::zone))
        .merge(health())
        .layer(prompt.clone());
    let long = Router::new()
        .route("/schedules", get(reads::schedules))
        .route("/calendars/{id}", get(reads::calendar))
        .route("/history", get(reads::history))
        .route("/parked", get(reads::parked))
        .route("/metrics", get(metrics::metrics))
        .layer(prompt);
    let audit = Router::new()
        .route("/audit", get(reads::audit))
        .layer(middleware::from_fn_with_state(limits.audit, in_time));
    let long = long.merge(audit).layer(middleware::from_fn_with_state(state.clone(), large::limit_answers));
    let feed = Router::new().route("/feed", get(feed::feed)).with_state((state.clone(), shutdown));
    let dear = long.with_state(state.clone()).merge(feed).layer(middleware::from_fn(guard::same_origin));
    short.with_state(state.clone()).merge(dear)
}

fn health() -> Router<HttpState> {
    Router::new().route("/healthz", get(health::live)).route("/readyz", get(health::ready))
}

fn finish(router: Router) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::map_response(headers))
}

async fn index(State(state): State<HttpState>, headers: HeaderMap) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let zones = state.clock.zone_data().to_string();
    let clock = state.clock.name();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") || accept.contains("text/plain") {
        let lines: Vec<String> = INDEX.iter().map(|(path, what)| format!("{path:<20} {what}")).collect();
        return format!("khronos {version}, clock '{clock}', time zones {zones}\n\n{}\n", lines.join("\n"))
            .into_response();
    }
    let paths: serde_json::Map<_, _> =
        INDEX.iter().map(|(path, what)| ((*path).into(), (*what).into())).collect();
    Json(json!({ "service": "khronos", "version": version, "tzdb": zones, "clock": clock, "paths": paths }))
        .into_response()
}

async fn not_found(uri: Uri) -> Problem {
    let path = uri.path();
    let near = crate::diagnostic::nearest(path, INDEX.iter().map(|(path, _)| *path));
    let hint = near.map_or("GET / lists all paths".into(), |near| format!("did you mean {near}?"));
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}; {hint}"))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed at {}", uri.path()))
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(format!("no answer within {} s", limit.as_secs())).into_response(),
    }
}

async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
