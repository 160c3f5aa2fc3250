//! `GET /healthz`: the process lives and its loop turns. `GET /readyz`: events go out.

use super::{problem::Problem, state::HttpState};
use crate::ops::{self, Alive, Readiness};
use axum::{Json, extract::State, http::StatusCode};

pub(super) async fn live(State(state): State<HttpState>) -> Result<Json<Alive>, Problem> {
    Ok(Json(ops::status::alive(&state.clock).await?))
}

pub(super) async fn ready(State(state): State<HttpState>) -> (StatusCode, Json<Readiness>) {
    let readiness = ops::status::readiness(&state.clock).await;
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}
