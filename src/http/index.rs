//! `GET /`: the page for people who come with a browser; for programs the paths, with what they give.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{page, state::HttpState};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Paths with what they give.
pub(super) const INDEX: &[(&str, &str)] = &[
    (
        "/v1/feed",
        "events as they are sent, as server-sent events; ?match=time.# (several allowed), ?after=POSITION or Last-Event-ID",
    ),
    (
        "/v1/schedules",
        "schedules with their next due time; ?prefix= ?domain= ?owner= ?origin= ?state= ?label= ?limit= ?page=",
    ),
    ("/v1/schedules:due", "schedules that are due next, the soonest first; ?limit="),
    (
        "/v1/schedules/{name}",
        "one schedule; PUT and DELETE: creates, changes or deletes it; If-Match, If-None-Match",
    ),
    ("/v1/schedules:batch", "POST [DEFINITION, ...]: creates or changes many; ?atomic="),
    (
        "/v1/schedules:delete",
        "POST {\"filter\": {...}, \"dry_run\": ..., \"expect_count\": ...}: deletes many",
    ),
    (
        "/v1/events",
        "delayed events that are pending; ?prefix= ?domain= ?owner= ?due_after= ?due_before= ?limit= ?page=; POST an event: the clock names it; Idempotency-Key",
    ),
    (
        "/v1/events/{name}",
        "one delayed event; PUT and DELETE: creates, changes or deletes it; If-Match, If-None-Match",
    ),
    ("/v1/events:batch", "POST [EVENT, ...]: puts many; ?atomic="),
    ("/v1/events/{name}/send-now", "POST: sends one now"),
    (
        "/v1/events:history",
        "how delayed events ended; ?name= ?domain= ?owner= ?outcome= ?from= ?to= ?late= ?after= ?before= ?limit=",
    ),
    (
        "/v1/events:changes",
        "which delayed events were changed, and by whom; ?name= ?by= ?after= ?before= ?limit=",
    ),
    (
        "/v1/changes",
        "what was changed at run time, and by whom; ?schedule= ?calendar= ?by= ?after= ?before= ?limit=",
    ),
    ("/v1/export", "calendars and schedules that were created at run time, to be put again; ?format="),
    ("/v1/schedules/{name}/next", "its next occurrences; ?from= ?count="),
    ("/v1/forecast", "how many occurrences are coming, and when most of them; ?hours="),
    ("/v1/preview", "POST a definition as JSON: its next occurrences; ?from= ?count="),
    ("/v1/calendars", "calendars that a definition may name; ?limit= ?page="),
    (
        "/v1/calendars/{name}",
        "one calendar, or by its id the days that a schedule's definition names; PUT and DELETE: creates, changes or deletes it",
    ),
    ("/v1/zones/{id}", "the rules of a time zone that a schedule's definition names"),
    (
        "/v1/history",
        "how occurrences ended; ?schedule= ?kind= ?outcome= ?from= ?to= ?late= ?after= ?before= ?limit=",
    ),
    (
        "/v1/timeline",
        "what was due and is coming, counted in columns of time; ?from= ?to= ?columns= ?late= ?time_zone= ?before= ?prefix= ?domain= ?owner= ?origin= ?state= ?label= ?limit= ?page=",
    ),
    (
        "/v1/why/{id}",
        "why an event was sent, or was not, and what came of it: by its id, that of a task or a trace, or schedule@due",
    ),
    ("/v1/coverage", "who handles what, and who is silent, as services report it"),
    ("/v1/audit", "compares the record with the arithmetic; ?schedule= ?from= ?to="),
    ("/v1/parked", "events that were given up on; ?limit= ?page="),
    ("/v1/parked/release", "POST {\"ids\": [NUMBER, ...]}: sends parked events again"),
    ("/v1/parked/drop", "POST {\"ids\": [NUMBER, ...]}: drops parked events for good"),
    ("/v1/parked-events", "delayed events that were given up on; ?limit= ?page="),
    ("/v1/parked-events/release", "POST {\"creations\": [NUMBER, ...]}: sends parked delayed events again"),
    ("/v1/parked-events/drop", "POST {\"creations\": [NUMBER, ...]}: drops parked delayed events for good"),
    (
        "/v1/pause",
        "POST {\"all\": true, \"by\": NAME, \"note\": TEXT, ...}: sends nothing until it is resumed",
    ),
    ("/v1/resume", "POST {\"all\": true, \"on_resume\": \"catch-up\" or \"skip\"}: goes on after a pause"),
    (
        "/v1/schedules/{name}/pause",
        "POST {\"note\": TEXT, ...}: sends nothing of one schedule until it is resumed",
    ),
    (
        "/v1/schedules/{name}/resume",
        "POST {\"on_resume\": \"catch-up\" or \"skip\"}: goes on after a pause of one schedule",
    ),
    (
        "/v1/schedules:pause",
        "POST {\"filter\": {\"domain\": WORDS, ...}, \"note\": TEXT, ...}: the same of those that are chosen",
    ),
    (
        "/v1/schedules:resume",
        "POST {\"filter\": {...}, \"on_resume\": ...}: the same of those that are chosen",
    ),
    (
        "/v1/schedules/{name}/backfill",
        "POST {\"from\": INSTANT, \"to\": INSTANT, ...}: sends occurrences of the past",
    ),
    ("/v1/operations", "backfills that run, or ended within a day; ?limit= ?page="),
    ("/v1/operations/{id}", "one of them; DELETE: cancels it"),
    ("/v1/schedules/{name}/trigger", "POST with Idempotency-Key: KEY: sends an event of one schedule now"),
    ("/v1/reload", "POST: reads the schedules again"),
    ("/v1/cluster", "the clocks of this name on one database: which one leads, since when, and who follows"),
    ("/v1/caller", "who asks, and what he may change"),
    ("/v1/openapi.json", "all of this for programs (OpenAPI 3.1)"),
    ("/healthz", "whether the clock's loop is running"),
    ("/metrics", "counters and gauges for Prometheus, as OpenMetrics where it asks for it"),
    ("/readyz", "whether events go out, and if not, why"),
];

/// The page, or what is served where
#[utoipa::path(
    get, path = "/", tag = "clock",
    responses((status = 200, description = "The clock's name and version, and paths with what they give; as a text for who asks for one, and the page for who asks for HTML",
        content((serde_json::Value = "application/json"), (String = "text/plain"), (String = "text/html"))))
)]
pub(super) async fn index(State(state): State<HttpState>, headers: HeaderMap) -> Response {
    if page::wants_html(&headers) {
        return page::document(&headers);
    }
    let version = env!("CARGO_PKG_VERSION");
    let zones = state.clock.zone_data().to_string();
    let clock = state.clock.name();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let asked = |kind| accept.find(kind).unwrap_or(usize::MAX);
    // Many clients name JSON first, and a text at the end.
    if asked("text/plain") < asked("application/json") {
        let lines: Vec<String> = INDEX.iter().map(|(path, what)| format!("{path:<26} {what}")).collect();
        return format!("khronos {version}, clock '{clock}', time zones {zones}\n\n{}\n", lines.join("\n"))
            .into_response();
    }
    let paths: serde_json::Map<_, _> =
        INDEX.iter().map(|(path, what)| ((*path).into(), (*what).into())).collect();
    Json(json!({ "service": "khronos", "version": version, "tzdb": zones, "clock": clock, "paths": paths }))
        .into_response()
}
