//! The routes of operations: backfills are begun, operations are watched and ended.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{body::JsonBody, problem::Problem, query, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, BackfillAsked, BackfillDecision, OperationList, OperationView, operations::OperationQuery},
};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
};

/// Sends occurrences of the past
///
/// Made from the schedule's present definition, beside and behind all that is due, at a rate of its own. With `dry_run` it says
/// how many, and with `expect_count` nothing begins unless it is so many. The key names the operation: asked for again, the same one is answered, and something else is refused under it. Of a
/// schedule one runs at a time. It takes the role `operate`, and a token
/// of its event's domain; to a queue that is named, one of all domains.
#[utoipa::path(
    post, path = "/schedules/{name}/backfill", tag = "operations", request_body = BackfillAsked,
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Made up by the caller, another one for each operation: letters, digits, '-' and '_', 64 at most. Only a dry run needs none"),
    ),
    responses(
        (status = 200, description = "How many it would be", body = BackfillDecision),
        (status = 202, description = "It is durable, and its events are sent", body = BackfillDecision),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another operation of the schedule runs", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not as many as expected, and nothing was begun", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn backfill(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(asked): JsonBody<BackfillAsked>,
) -> Result<(StatusCode, Json<BackfillDecision>), Problem> {
    let key = headers.get("idempotency-key").map(|key| key.to_str()).transpose();
    let key = key.map_err(|_| Problem::bad("Idempotency-Key: it has characters other than visible ASCII"))?;
    let answer = ops::backfill::backfill(&state.clock, &caller, &name?.0, key, asked).await?;
    let status = if answer.operation.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(answer)))
}

/// Operations
///
/// Those that run, and those that ended within a day.
#[utoipa::path(
    get, path = "/operations", tag = "operations", params(OperationQuery),
    responses((status = 200, description = "A page of those that are known, by their ids", body = OperationList))
)]
pub(super) async fn all(
    State(state): State<HttpState>,
    query::Asked(wanted): query::Asked<OperationQuery>,
) -> Result<Json<OperationList>, Problem> {
    Ok(Json(ops::operations::page(&state.clock, &wanted).await?))
}

/// One operation
#[utoipa::path(
    get, path = "/operations/{id}", tag = "operations",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The operation", body = OperationView),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<OperationView>, Problem> {
    Ok(Json(ops::operations::get(&state.clock, &id?.0).await?))
}

/// Cancels an operation
///
/// It sends no more than what is on its way. One that has ended stays as it is. It takes the role `operate`, and a token of the
/// domain of its schedule's event.
#[utoipa::path(
    delete, path = "/operations/{id}", tag = "operations",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The operation as it ended", body = OperationView),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<OperationView>, Problem> {
    Ok(Json(ops::operations::cancel(&state.clock, &caller, &id?.0).await?))
}
