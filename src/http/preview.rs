//! When schedules are due next: `GET /v1/schedules/{name}/next`, and `POST /v1/preview` of a definition that no clock has yet.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{problem::Problem, state::HttpState};
use crate::{
    clock,
    ops::next::{self, NextQuery, Preview},
    schedule::{Definition, file},
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
};

/// How large a definition may be.
pub(super) fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(file::LONGEST_JSON)
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
    wanted: Result<Query<NextQuery>, QueryRejection>,
) -> Result<Json<Preview>, Problem> {
    Ok(Json(next::of_schedule(state.clock, &name?.0, &wanted?.0, clock::now()).await?))
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
    wanted: Result<Query<NextQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Preview>, Problem> {
    check_json(&headers)?;
    Ok(Json(next::of_definition(state.clock, body?, &wanted?.0, clock::now()).await?))
}

/// A page of another site can send nothing of this type without asking first.
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = "the body of a definition is JSON: send the header Content-Type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what))
}
