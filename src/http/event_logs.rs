//! What became of delayed events: how they ended, and who changed them.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{problem::Problem, query::Asked, state::HttpState};
use crate::ops::{
    self, DelayedChangeList, DelayedHistory,
    delayed::{DelayedChangesQuery, DelayedHistoryQuery},
};
use axum::{Json, extract::State};

/// How delayed events ended
///
/// Rows of their record, newest first; oldest first with `after`. Its numbers and positions are its own: those of `/v1/history` are of
/// another record. What was taken back has no row here, and stands in `/v1/events:changes`.
#[utoipa::path(
    get, path = "/events:history", tag = "events", params(DelayedHistoryQuery), operation_id = "events_history",
    responses((status = 200, description = "Rows, and where to go on", body = DelayedHistory))
)]
pub(super) async fn history(
    State(state): State<HttpState>,
    Asked(wanted): Asked<DelayedHistoryQuery>,
) -> Result<Json<DelayedHistory>, Problem> {
    Ok(Json(ops::delayed::history(state.clock, wanted).await?))
}

/// Changes of delayed events
///
/// Which were created, changed and deleted, and which parked ones were released and dropped: by whom, by which door and when; what is
/// done by one request is one entry for each of the five. The newest first; with `after` the oldest. Numbers and positions are of
/// this log alone. Content is shown as a digest.
#[utoipa::path(
    get, path = "/events:changes", tag = "events", params(DelayedChangesQuery), operation_id = "events_changes",
    responses((status = 200, description = "Changes, and where to go on", body = DelayedChangeList))
)]
pub(super) async fn changes(
    State(state): State<HttpState>,
    Asked(wanted): Asked<DelayedChangesQuery>,
) -> Result<Json<DelayedChangeList>, Problem> {
    Ok(Json(ops::delayed::changes(state.clock, wanted).await?))
}
