//! The routes of the control socket alone: a copy of the clock's state, which is written where the clock's own user may write.

use super::{body::JsonBody, problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{
        self,
        backup::{BackupAsked, BackupView},
    },
};
use axum::{Extension, Json, Router, extract::State, routing::post};

pub(super) fn router(state: HttpState) -> Router {
    Router::new().route("/v1/store/backup", post(begin).get(last)).with_state(state)
}

async fn begin(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<BackupAsked>,
) -> Result<Json<BackupView>, Problem> {
    Ok(Json(ops::backup::begin(&state.clock, &caller, asked).await?))
}

async fn last(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<BackupView>, Problem> {
    Ok(Json(ops::backup::last(&state.clock, &caller)?))
}
