//! The routes that change something, for callers who may.

use super::{body::JsonBody, problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, ParkedDecision, ParkedIds, Reloaded},
};
use axum::{Extension, Json, extract::State};

/// Sends parked events again
///
/// It takes the role `operate`, and a token of the domains of all these events.
#[utoipa::path(
    post, path = "/parked/release", tag = "parked", request_body = ParkedIds,
    responses((status = 200, description = "What was done to which", body = ParkedDecision))
)]
pub(super) async fn release(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(ids): JsonBody<ParkedIds>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::release(&state.clock, &caller, ids.ids).await?))
}

/// Drops parked events for ever
///
/// It takes the role `operate`, and a token of the domains of all these events.
#[utoipa::path(
    post, path = "/parked/drop", tag = "parked", request_body = ParkedIds,
    responses((status = 200, description = "What was done to which", body = ParkedDecision))
)]
pub(super) async fn discard(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(ids): JsonBody<ParkedIds>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::discard(&state.clock, &caller, ids.ids).await?))
}

/// Reads the schedule files again
///
/// It takes the role `operate`, and a token of all domains.
#[utoipa::path(
    post, path = "/reload", tag = "clock",
    responses(
        (status = 200, description = "What came of it; also which schedules of the files were left out, for their names exist at run time", body = Reloaded),
        (status = 422, description = "They are wrong, and nothing has changed", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn reload(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Reloaded>, Problem> {
    Ok(Json(Reloaded { reloaded: ops::status::reload(&state.clock, &caller).await? }))
}
