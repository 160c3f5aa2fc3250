//! The routes of parked delayed events.

use super::{body::JsonBody, problem::Problem, query, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, ParkedCreations, ParkedDecision, ParkedEventList, delayed::ParkedQuery},
};
use axum::{Extension, Json, extract::State};

/// Parked delayed events, by creation
///
/// What the broker refused too often, or what reached nobody where somebody must be bound. Without their content. In pages: `next` says
/// where to go on.
#[utoipa::path(
    get, path = "/parked-events", tag = "parked", params(ParkedQuery), operation_id = "parked_events",
    responses((status = 200, description = "A page of parked events", body = ParkedEventList))
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    query::Asked(wanted): query::Asked<ParkedQuery>,
) -> Result<Json<ParkedEventList>, Problem> {
    Ok(Json(ops::delayed::parked(&state.clock, wanted).await?))
}

/// Sends parked delayed events again
///
/// Under the ids that they had. What is refused again stays parked. It takes the role `operate`, and a token of the domains, or the
/// queues of tasks, of all these events.
#[utoipa::path(
    post, path = "/parked-events/release", tag = "parked", operation_id = "release_events",
    request_body = ParkedCreations,
    responses((status = 200, description = "What was done to which", body = ParkedDecision))
)]
pub(super) async fn release(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<ParkedCreations>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::delayed::release(&state.clock, &caller, asked.creations).await?))
}

/// Drops parked delayed events for good
///
/// It takes the role `operate`, and a token of the domains, or the queues of tasks, of all these events.
#[utoipa::path(
    post, path = "/parked-events/drop", tag = "parked", operation_id = "drop_events",
    request_body = ParkedCreations,
    responses((status = 200, description = "What was done to which", body = ParkedDecision))
)]
pub(super) async fn discard(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<ParkedCreations>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::delayed::discard(&state.clock, &caller, asked.creations).await?))
}
