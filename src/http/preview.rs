//! When schedules are due next: `GET /v1/schedules/{name}/next`, and `POST /v1/preview` of a definition that no clock has yet;
//! `GET /v1/forecast` of all of them.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{body::check_json, large, problem::Problem, query::Asked, state::HttpState};
use crate::{
    clock,
    ops::{
        OpsError,
        forecast::{self, Forecast, ForecastQuery},
        next::{self, NextQuery, Preview},
    },
    schedule::Definition,
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::HeaderMap,
};

/// One at a time.
pub(super) async fn in_turn<T: Send + 'static>(
    state: &HttpState,
    work: impl Future<Output = Result<T, OpsError>> + Send + 'static,
) -> Result<Json<T>, Problem> {
    let place = state.previews.clone().acquire_owned().await.map_err(|_| OpsError::Defect)?;
    let (done, _place) = large::keeping(place, work).await?;
    Ok(Json(done?))
}

/// The next occurrences of a schedule
///
/// With local time, offset and fold; with what calendars and changes of the clocks made of them, and what was left out
/// on the way.
#[utoipa::path(
    get, path = "/schedules/{name}/next", tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name"), NextQuery),
    responses(
        (status = 200, description = "The next occurrences", body = Preview),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn next(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
    Asked(wanted): Asked<NextQuery>,
) -> Result<Json<Preview>, Problem> {
    let (asked, name) = (state.clock.clone(), name?.0);
    in_turn(&state, async move { next::of_schedule(asked, &name, &wanted, clock::now()).await }).await
}

/// How many occurrences are coming
///
/// Of all schedules that are neither paused nor finished, up to a day ahead: by spans of time, and the busiest seconds.
#[utoipa::path(
    get, path = "/forecast", tag = "schedules", params(ForecastQuery),
    responses(
        (status = 200, description = "How many, and when", body = Forecast),
        (status = 422, description = "It is too much to be counted for an answer", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn forecast(
    State(state): State<HttpState>,
    Asked(wanted): Asked<ForecastQuery>,
) -> Result<Json<Forecast>, Problem> {
    let asked = state.clock.clone();
    in_turn(&state, async move { forecast::forecast(asked, &wanted, clock::now()).await }).await
}

/// The next occurrences of a definition
///
/// The definition is what a `[[schedule]]` in a file is, as JSON. It is checked as if it were to be taken over, and nothing
/// is changed. All that is wrong with it is in `errors`, each at its pointer.
#[utoipa::path(
    post, path = "/preview", tag = "schedules",
    params(NextQuery),
    request_body(
        content = Definition,
        example = json!({
            "name": "office",
            "event": "office.day.opened",
            "cron": "0 9 * * MON-FRI",
            "time_zone": "Europe/Paris"
        })
    ),
    responses(
        (status = 200, description = "The next occurrences", body = Preview),
        (status = 400, description = "The body is no JSON, has a key twice, or is nested too deep; or a parameter can't be used",
            body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The definition can't run, or would never fire", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn preview(
    State(state): State<HttpState>,
    Asked(wanted): Asked<NextQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Preview>, Problem> {
    check_json(&headers, "a definition")?;
    let (asked, body) = (state.clock.clone(), body?);
    in_turn(&state, async move { next::of_definition(asked, body, &wanted, clock::now()).await }).await
}
