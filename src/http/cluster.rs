//! `GET /v1/cluster`: the clocks of one name on one Postgres. Each of them answers it itself, also while none leads.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{problem::Problem, state::HttpState};
use crate::ops::cluster::ClusterView;
use axum::{Json, extract::State, http::StatusCode};

/// The clocks of this name
///
/// Which of them leads, since when and under which term, and who follows. The answer is at most a second old.
#[utoipa::path(
    get, path = "/cluster", tag = "clock",
    responses(
        (status = 200, description = "The clocks, as their database says", body = ClusterView),
        (status = 404, description = "This clock has a store of its own, and is alone", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn cluster(State(state): State<HttpState>) -> Result<Json<ClusterView>, Problem> {
    match &state.cluster {
        Some(reader) => Ok(Json(reader.read().await?)),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "this clock has a store of its own, and is alone; several clocks need one on Postgres (store.path)",
        )),
    }
}
