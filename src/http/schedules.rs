//! The routes by which schedules are created, changed and deleted at run time.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{
    body::{JsonBody, check_json},
    conditions::{expected, expected_of_what_is_there, tag},
    problem::Problem,
    query,
    state::HttpState,
};
use crate::{
    authority::Caller,
    batch::{self, BatchAnswer, BatchAsked},
    clock,
    clock_loop::CHANGES,
    engine::Verdict,
    ops::{self, FilterDecision, PutView, ScheduleFilter, delete_some::Asked},
    schedule::{Definition, file},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// How large a batch may be: a thousand definitions of some kilobytes.
const BATCH: usize = 4 << 20;

/// How large one definition may be.
pub(super) fn one_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(file::LONGEST_JSON)
}

/// How large a batch may be.
pub(super) fn batch_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BATCH)
}

/// Creates or changes a schedule
///
/// The definition is what a `[[schedule]]` in a file is, as JSON; it may leave out its name. The same again changes nothing
/// and is answered with the revision as it was. It takes the role `write`, and a token of the event's domain. A name is its
/// creator's, and one that a file has is changed there.
#[utoipa::path(
    put, path = "/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none of this name"),
    ),
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
        (status = 200, description = "It is changed, or was so already", body = PutView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 201, description = "It is created", body = PutView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 409, description = "A file has this name; or its only event may have been sent, or is settled", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there, or none, or there is one already", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The definition can't run, or would never fire", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_json(&headers, "a definition")?;
    let (name, expect) = (name?.0, expected(&headers)?);
    let (clock, json) = (&state.clock, body?.to_vec());
    let put = ops::put::put(clock, &caller, (Some(&name), json), expect, None).await?;
    let status = match put.verdict {
        Verdict::Created { .. } => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let view = ops::put_view(clock, put, clock::now()).await;
    let tag = tag(view.change.creation, view.change.revision.unwrap_or_default());
    Ok((status, [(header::ETAG, tag)], Json(view)).into_response())
}

/// Deletes a schedule
///
/// One that was created at run time; what of it was due is sent all the same. So it is answered where there is none.
#[utoipa::path(
    delete, path = "/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
    ),
    responses(
        (status = 204, description = "There is none of this name any more; also where a revision was expected and there was none"),
        (status = 409, description = "A file has this name; or its only event may have been sent, or is settled", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there; or none, where any was expected (`*`)", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (name, expect) = (name?.0, expected_of_what_is_there(&headers)?);
    ops::delete::delete(&state.clock, &caller, &name, expect, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a batch is taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    /// All of them or none; else those that can be.
    #[serde(default)]
    atomic: bool,
}

/// Definitions, each with its name: what is wrong with one of them is said of it, and the others are taken.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 1_000)]
#[allow(dead_code, reason = "for the description: each is read by itself")]
pub(super) struct Definitions(Vec<serde_json::Value>);

/// Creates or changes many schedules
///
/// A list of definitions, or one in each line (`application/x-ndjson`): 1 to 1,000, 4 MiB at most. All that is done is durable
/// before the answer, which says of each what became of it: also where some are refused, or with `atomic` all.
#[utoipa::path(
    post, path = "/schedules:batch", tag = "schedules", params(BatchQuery),
    request_body(content = inline(Definitions), example = json!([{ "name": "hour", "event": "office.hour.passed", "every": "1 hour" }])),
    responses(
        (status = 200, description = "What became of each", body = BatchAnswer),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither `application/json` nor `application/x-ndjson`", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn batch(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    query::Asked(wanted): query::Asked<BatchQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<BatchAnswer>, Problem> {
    let atomic = wanted.atomic;
    let lines = is_lines(&headers);
    if !lines {
        check_json(&headers, "a definition")?;
    }
    let definitions = if lines { of_lines(&body?) } else { batch::definitions(&body?)? };
    let asked = BatchAsked { definitions, atomic, message: None };
    Ok(Json(batch::put_all(&state.clock, &caller, asked).await?))
}

pub(super) fn is_lines(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-ndjson")
}

fn of_lines(body: &[u8]) -> Vec<Vec<u8>> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    // One more than are taken is enough to refuse them all.
    lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).take(CHANGES + 1).collect()
}

/// Which schedules are to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteAsked {
    /// Which; some part of it is given.
    filter: ScheduleFilter,
    /// They are counted, and stay.
    #[serde(default)]
    dry_run: bool,
    /// How many there must be: with another number nothing is done.
    #[serde(default)]
    expect_count: Option<usize>,
}

/// Deletes the schedules that pass a filter
///
/// Of those that the caller created at run time; an admin may say whose. `dry_run` counts them, and `expect_count` has nothing
/// done where there are more or fewer. They are deleted in several steps, each as it was when they were counted.
#[utoipa::path(
    post, path = "/schedules:delete", tag = "schedules", request_body = DeleteAsked,
    responses(
        (status = 200, description = "How many there were, and what became of them", body = FilterDecision),
        (status = 412, description = "Another number passes the filter", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_some(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<DeleteAsked>,
) -> Result<Json<FilterDecision>, Problem> {
    let DeleteAsked { filter, dry_run, expect_count } = asked;
    let asked = Asked { filter, dry_run, expect_count };
    Ok(Json(ops::delete_some::delete_some(&state.clock, &caller, asked).await?))
}
