//! The routes that change something, for callers who may.

use super::{problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{
        self, ParkedDecision, ParkedIds, PauseAsked, PauseDecision, Reloaded, ResumeAsked, ResumeDecision,
    },
};
use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};

pub(super) async fn release(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::release(&state.clock, &caller, ids?.0.ids).await?))
}

pub(super) async fn discard(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    Ok(Json(ops::parked::discard(&state.clock, &caller, ids?.0.ids).await?))
}

pub(super) async fn pause(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    asked: Result<Json<PauseAsked>, JsonRejection>,
) -> Result<Json<PauseDecision>, Problem> {
    Ok(Json(ops::pause::pause(&state.clock, &caller, asked?.0).await?))
}

pub(super) async fn resume(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    asked: Result<Json<ResumeAsked>, JsonRejection>,
) -> Result<Json<ResumeDecision>, Problem> {
    Ok(Json(ops::pause::resume(&state.clock, &caller, asked?.0).await?))
}

pub(super) async fn reload(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Reloaded>, Problem> {
    Ok(Json(Reloaded { reloaded: ops::status::reload(&state.clock, &caller).await? }))
}
