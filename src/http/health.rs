//! `GET /healthz`: the process lives and its loop turns. `GET /readyz`: events go out.

use super::{problem::Problem, site::Site};
use crate::ops::{self, Alive, Readiness};
use axum::{Json, extract::State, http::StatusCode};

pub(super) async fn live(State(site): State<Site>) -> Result<Json<Alive>, Problem> {
    Ok(Json(ops::status::alive(&site.clock).await?))
}

pub(super) async fn ready(State(site): State<Site>) -> (StatusCode, Json<Readiness>) {
    let readiness = ops::status::readiness(&site.clock).await;
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}
