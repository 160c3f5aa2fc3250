//! `GET /v1/timeline`: what was due and will be, of all schedules on one axis.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{problem::Problem, query::Asked, state::HttpState};
use crate::{
    clock,
    ops::{
        OpsError,
        timeline::{self, Timeline, TimelineQuery},
    },
};
use axum::{Json, extract::State};
use std::sync::Arc;

/// What was due, what became of it, and what is coming
///
/// Counts of due times in columns of time: of the past by the record, of the future by the timings of schedules that are neither
/// paused nor finished. Schedules come in pages, by name, as in their list. At most 20,000 rows of the record are looked through for one
/// answer, the last ones first: `record` says which part that was, and where to go on.
#[utoipa::path(
    get, path = "/timeline", tag = "record", params(TimelineQuery),
    responses((status = 200, description = "The columns of a page of schedules", body = Timeline))
)]
pub(super) async fn timeline(
    State(state): State<HttpState>,
    Asked(wanted): Asked<TimelineQuery>,
) -> Result<Json<Timeline>, Problem> {
    // A turn of its own: a store that is slow must not keep previews waiting. Reads end with the request.
    let place = state.timelines.clone().acquire_owned().await.map_err(|_| OpsError::Defect)?;
    Ok(Json(timeline::timeline(state.clock.clone(), &wanted, clock::now(), Arc::new(place)).await?))
}
