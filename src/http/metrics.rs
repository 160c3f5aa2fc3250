//! `GET /metrics`: what the clock counts and measures, for Prometheus and whatever else scrapes.

use super::{problem::Problem, state::HttpState};
use crate::ops::{self, OpsError, run_blocking};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use ponos::metrics::{Exposition, accepted, expose};
use prometheus_client::registry::Registry;

/// Counters and gauges, for Prometheus
///
/// In OpenMetrics where `Accept` asks for it.
#[utoipa::path(
    get, path = "/metrics", tag = "clock",
    responses((status = 200, description = "What the clock counts and measures", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    )))
)]
pub(super) async fn metrics(State(state): State<HttpState>, headers: HeaderMap) -> Result<Response, Problem> {
    expose_as_accepted(ops::metrics::read(&state.clock).await?, &headers).await
}

/// Written in the form that is asked for.
pub(super) async fn expose_as_accepted(registry: Registry, headers: &HeaderMap) -> Result<Response, Problem> {
    let accept = accepted(headers);
    let exposed = run_blocking(move || expose(&registry, Some(&accept))).await?;
    let Exposition { content_type, text } = exposed.map_err(|_| OpsError::Defect)?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
