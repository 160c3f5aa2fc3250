//! The routes that change something, on the control socket only.

use super::{problem::Problem, state::HttpState};
use crate::ops::{self, ParkedDecision, ParkedIds, Reloaded};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};

pub(super) async fn release(
    State(state): State<HttpState>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::release(&state.clock, named(ids)?).await?))
}

pub(super) async fn discard(
    State(state): State<HttpState>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::discard(&state.clock, named(ids)?).await?))
}

pub(super) async fn reload(State(state): State<HttpState>) -> Result<Json<Reloaded>, Problem> {
    Ok(Json(Reloaded { reloaded: ops::status::reload(&state.clock).await? }))
}

fn named(ids: Result<Json<ParkedIds>, JsonRejection>) -> Result<Vec<u64>, Problem> {
    let ids = ids?.0.ids;
    if ids.is_empty() {
        return Err(Problem::bad("ids: name at least one parked event; GET /parked lists them"));
    }
    Ok(ids)
}
