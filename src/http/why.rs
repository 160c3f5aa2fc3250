//! `GET /v1/why/{id}` and `GET /v1/coverage`: what became of an event, and who handles what.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{problem::Problem, state::HttpState};
use crate::{
    clock,
    ops::{self, why::WhyView},
};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use ponos_observer::Coverage;

/// Why an event was sent, or was not, and what came of it
///
/// What the record and the arithmetic say of an occurrence, and, where the clock listens to what services report (`[reports]`), who
/// handled its event, what they published, and what came of that. For an id at most the 50,000 newest rows of the record are looked
/// through, for a due time 20,000 from that time on; `note` says where it was looked.
#[utoipa::path(
    get, path = "/why/{id}", tag = "record",
    params(("id" = String, Path, description = "The id of an event, a task or a trace; or a due time of a schedule: `one-day@2026-12-01T00:00:00Z`")),
    responses(
        (status = 200, description = "What is known of it", body = WhyView),
        (status = 404, description = "Nothing is known of it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn why(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<WhyView>, Problem> {
    Ok(Json(ops::why::why(state.clock, &id?.0, clock::now()).await?))
}

/// Who handles what, and who is silent
///
/// As services report it. Each clock of several listens by itself.
#[utoipa::path(
    get, path = "/coverage", tag = "record",
    responses(
        (status = 200, description = "Events, services, and the latest that was not handled in time", body = Coverage),
        (status = 404, description = "The clock does not listen to what services report", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn coverage(State(state): State<HttpState>) -> Result<Json<Coverage>, Problem> {
    Ok(Json(ops::coverage::coverage(&state.clock).await?))
}
