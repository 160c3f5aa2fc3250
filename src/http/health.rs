//! `GET /healthz`: the process lives and its loop turns. `GET /readyz`: events go out; who shows no token where one is
//! wanted is told whether, and not why not.

use super::{problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, Alive},
};
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub(super) async fn live(State(state): State<HttpState>) -> Result<Json<Alive>, Problem> {
    Ok(Json(ops::status::alive(&state.clock).await?))
}

pub(super) async fn ready(State(state): State<HttpState>, caller: Option<Extension<Caller>>) -> Response {
    let readiness = ops::status::readiness(&state.clock).await;
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if caller.is_some() {
        return (code, Json(readiness)).into_response();
    }
    let reasons: &[&str] = if readiness.ready { &[] } else { &["ask with a token to see why"] };
    (code, Json(json!({ "ready": readiness.ready, "clock": readiness.clock, "reasons": reasons })))
        .into_response()
}
