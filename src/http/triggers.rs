//! The route that triggers an event.

use super::{conditions::trace, problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, TriggerDecision},
};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
};

/// The header with the command's id.
const KEY: &str = "idempotency-key";

/// Sends an event of a schedule now
///
/// Beside its occurrences, made from its present definition, also while it is paused. The key is part of the event's id: the same
/// key again gets the same answer, for 24 hours, and sends nothing more. Its trace is linked to that of the request (`traceparent`).
/// It takes the role `operate`, and a token of its event's domain.
#[utoipa::path(
    post, path = "/schedules/{name}/trigger", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("Idempotency-Key" = String, Header, description = "Made up by the caller, another one for each event: 1 to 255 bytes"),
    ),
    responses(
        (status = 202, description = "It is durable, and is sent until the broker has it", body = TriggerDecision),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn trigger(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<TriggerDecision>), Problem> {
    let what = "Idempotency-Key: name the command with a key of your own, so that it can be asked for again without a second event";
    let key = key(&headers)?.ok_or_else(|| Problem::bad(what))?;
    let caller = caller.in_trace(trace(&headers));
    let answer = ops::trigger::trigger(&state.clock, &caller, &name?.0, key, None).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The key by which a request may come again.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let (key, more) = (given.next(), given.next());
    if more.is_some() {
        return Err(Problem::bad("a request has one Idempotency-Key at most"));
    }
    let unreadable = |_| Problem::bad("Idempotency-Key: it has characters other than visible ASCII");
    key.map(|key| key.to_str().map_err(unreadable)).transpose()
}
