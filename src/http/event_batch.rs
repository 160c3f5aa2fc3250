//! The route by which many delayed events are put at once.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{
    body::check_json, conditions::trace, problem::Problem, query, schedules::is_lines, state::HttpState,
};
use crate::{
    authority::Caller,
    event_batch::{EventBatchAnswer, put_events},
    ops::delayed::{EventBatch, NamesOf, WantedEvents},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::HeaderMap,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// How large a batch may be.
pub(super) const LARGEST: usize = 16 << 20;

/// How large a batch may be.
pub(super) fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(LARGEST)
}

/// How a batch of events is taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventBatchQuery {
    /// All of them or none; else those that can be.
    #[serde(default)]
    atomic: bool,
}

/// Items, each with its name or without: what is wrong with one of them is said of it, and the others are taken.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 10_000)]
#[allow(dead_code, reason = "for the description: each is read by itself")]
pub(super) struct EventItems(Vec<serde_json::Value>);

/// Puts many delayed events
///
/// A list of items, or one in each line (`application/x-ndjson`): 1 to 10,000, 16 MiB at most. All that is done is durable before
/// the answer, which says of each what became of it: also where some are refused, or with `atomic` all. Each counts as one of the
/// puts of its owner.
#[utoipa::path(
    post, path = "/events:batch", tag = "events", params(EventBatchQuery), operation_id = "put_events",
    request_body(
        content = inline(EventItems),
        example = json!([{ "name": "reminder-7", "event": "order.reminder.due", "in": "10m", "data": { "order": 7 } }])
    ),
    responses(
        (status = 200, description = "What became of each", body = EventBatchAnswer),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither `application/json` nor `application/x-ndjson`", body = Problem,
            content_type = "application/problem+json"),
        (status = 507, description = "The disk has no room for it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn batch(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    query::Asked(asked): query::Asked<EventBatchQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<EventBatchAnswer>, Problem> {
    let lines = is_lines(&headers);
    if !lines {
        check_json(&headers, "a list of events")?;
    }
    let text = Vec::from(body?);
    let wanted = if lines { WantedEvents::Lines(text) } else { WantedEvents::List(text) };
    let names = NamesOf::random()?;
    let batch = EventBatch { wanted, atomic: asked.atomic, message: None, names };
    let caller = caller.in_trace(trace(&headers));
    Ok(Json(put_events(&state.clock, &caller, batch).await?))
}
