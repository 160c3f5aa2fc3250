//! The routes of delayed events: put, read, changed and deleted one by one, sent now, and listed.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{
    body::check_json,
    conditions::{expected, expected_of_what_is_there, tag, trace},
    problem::Problem,
    query,
    state::HttpState,
    triggers,
};
use crate::{
    authority::Caller,
    engine::Verdict,
    ops::{
        self, DelayedEventList, DelayedEventView, EventOutcomeView, TaskAddress,
        delayed::{DelayedQuery, EventOutcome, LONGEST_ITEM},
    },
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
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// How large one item may be.
pub(super) fn one_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(LONGEST_ITEM)
}

/// An event to be published later. It says when: by `at`, or by `in`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description: it is read by its own rules")]
pub(super) struct EventItem {
    /// Its name: under it it is seen, changed and deleted. Made by the clock where it is left out.
    name: Option<String>,
    /// The event's name, `<domain>.<what>.<past-tense verb>`; of a task, the task's.
    event: String,
    /// When it is due: an instant with an offset, of whole milliseconds, up to 2099.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// After how long it is due, as in `10m` or `PT1H`: the clock adds it to its own time.
    #[serde(rename = "in")]
    delay: Option<String>,
    /// Its data: any JSON, at most 256 KiB, kept byte for byte.
    data: Option<Value>,
    /// Data that are no JSON, in base64, at most 256 KiB; with `datacontenttype`.
    data_base64: Option<String>,
    /// What `data_base64` is: a media type.
    datacontenttype: Option<String>,
    /// Headers of the message: texts, whole numbers, true or false; at most 32, and 8 KiB. Names that the clock sets, or the broker acts
    /// by, are reserved.
    headers: Option<Map<String, Value>>,
    /// What it belongs to, at most 255 bytes.
    correlation_id: Option<String>,
    /// How long after its due time it is of use: later it is not sent.
    expires: Option<String>,
    /// What becomes of it where nobody is bound: it is parked, or (the default) nothing.
    unrouted: Option<String>,
    /// It is sent less than so long after its due time: by its name and due time, always as long.
    jitter: Option<String>,
    /// What becomes of a new one whose time is past: it is sent at once (the default), or refused.
    past: Option<String>,
    /// It is a task, and goes to this queue alone, by the exchange `tasks`.
    to: Option<TaskAddress>,
}

/// Puts a delayed event
///
/// New, or instead of the one of its name: so it is moved, or put off. The same again changes nothing; of a delay (`in`) it begins
/// again. What may have been sent is not changed. It goes out in the trace of the request that created it (`traceparent`). It takes the role `write`, and a token of the event's domain, or of the task's queue.
#[utoipa::path(
    put, path = "/events/{name}", tag = "events", operation_id = "put_event",
    params(
        ("name" = String, Path, description = "The event's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is pending, as in `\"17.3\"` (creation and revision), or any: `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none of this name"),
    ),
    request_body(
        content = EventItem,
        example = json!({ "event": "order.reminder.due", "at": "2026-12-24T17:00:00Z", "data": { "order": 7 } })
    ),
    responses(
        (status = 200, description = "It is changed, was so already, or was sent as it is wanted within the last hour",
            body = EventOutcomeView, headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 201, description = "It is created", body = EventOutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 409, description = "It may have been sent, or is settled", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another revision is pending, or none, or there is one already", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The item can't be used: all that is wrong with it", body = Problem,
            content_type = "application/problem+json"),
        (status = 507, description = "The disk has no room for it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_json(&headers, "an event")?;
    let (name, expect) = (name?.0, expected(&headers)?);
    let (clock, json, caller) = (&state.clock, body?.to_vec(), caller.in_trace(trace(&headers)));
    let put = ops::delayed::put(clock, &caller, (Some(&name), json), expect, None).await?;
    Ok(answer(&state, &put).into_response())
}

/// Puts a delayed event that the clock names
///
/// Its answer says the name. With an `Idempotency-Key` the name is made of the owner and the key, so that the same again is the same
/// event: it is not put a second time, and not moved.
#[utoipa::path(
    post, path = "/events", tag = "events", operation_id = "post_event",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Made up by the caller, another one for each event: 1 to 255 bytes"),
    ),
    request_body(
        content = EventItem,
        example = json!({ "event": "order.reminder.due", "in": "10m", "data": { "order": 7 } })
    ),
    responses(
        (status = 200, description = "The same was put under this key before", body = EventOutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"), ("Location" = String, description = "Where it is"))),
        (status = 201, description = "It is created", body = EventOutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"), ("Location" = String, description = "Where it is"))),
        (status = 409, description = "Something else was sent under this key", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The item can't be used: all that is wrong with it; or another one was put under this key", body = Problem,
            content_type = "application/problem+json"),
        (status = 507, description = "The disk has no room for it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_json(&headers, "an event")?;
    let key = triggers::key(&headers)?;
    let caller = caller.in_trace(trace(&headers));
    let posted = ops::delayed::post(&state.clock, &caller, body?.to_vec(), key).await?;
    let place = [(header::LOCATION, format!("/v1/events/{}", posted.name))];
    Ok((place, answer(&state, &posted)).into_response())
}

/// What a put is answered: with its tag.
fn answer(state: &HttpState, put: &EventOutcome) -> impl IntoResponse + use<> {
    let status = match put.verdict {
        Verdict::Created { .. } => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let view = EventOutcomeView::new(&state.clock.name(), put);
    let tag = tag(view.creation, view.revision.unwrap_or_default());
    (status, [(header::ETAG, tag)], Json(view))
}

/// A delayed event
///
/// While it is pending, all of it; for an hour after it was settled what became of it, where its caller chose its name or its key.
#[utoipa::path(
    get, path = "/events/{name}", tag = "events", operation_id = "event",
    params(("name" = String, Path, description = "The event's name")),
    responses(
        (status = 200, description = "The event", body = DelayedEventView,
            headers(("ETag" = String, description = "Its creation and revision: what `If-Match` of a change takes"))),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let view = ops::delayed::get(&state.clock, &name?.0).await?;
    Ok(([(header::ETAG, tag(Some(view.creation), view.revision))], Json(view)).into_response())
}

/// Delayed events that are pending, by name
///
/// Without their content. In pages: `next` says where to go on. A page may have fewer than were asked for, or none, and yet not be
/// the last one: it ends where enough was looked through.
#[utoipa::path(
    get, path = "/events", tag = "events", params(DelayedQuery), operation_id = "events",
    responses((status = 200, description = "A page of events", body = DelayedEventList))
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    query::Asked(wanted): query::Asked<DelayedQuery>,
) -> Result<Json<DelayedEventList>, Problem> {
    Ok(Json(ops::delayed::list(&state.clock, wanted).await?))
}

/// Deletes a delayed event
///
/// What may have been sent is not deleted; what is deleted is never sent. So it is answered where there is none.
#[utoipa::path(
    delete, path = "/events/{name}", tag = "events", operation_id = "delete_event",
    params(
        ("name" = String, Path, description = "The event's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is pending, as in `\"17.3\"` (creation and revision), or any: `*`"),
    ),
    responses(
        (status = 204, description = "There is none of this name any more"),
        (status = 409, description = "It may have been sent, or is settled", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another revision is pending, or none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (name, expect) = (name?.0, expected_of_what_is_there(&headers)?);
    ops::delayed::delete(&state.clock, &caller, &name, expect, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a delayed event now
///
/// As it is; it is due now, and its id is that of now. It takes the role `write`.
#[utoipa::path(
    post, path = "/events/{name}/send-now", tag = "events", operation_id = "send_event_now",
    params(
        ("name" = String, Path, description = "The event's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is pending, as in `\"17.3\"` (creation and revision), or any: `*`"),
    ),
    responses(
        (status = 200, description = "It was sent, or given up, within the last hour", body = EventOutcomeView),
        (status = 202, description = "It is durable, and is sent until the broker has it", body = EventOutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It may have been sent already", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another revision is pending", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk has no room for it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn send_now(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, expect) = (name?.0, expected_of_what_is_there(&headers)?);
    let sent = ops::delayed::send_now(&state.clock, &caller, &name, expect, None).await?;
    let mut response = answer(&state, &sent).into_response();
    if !matches!(sent.verdict, Verdict::Settled { .. }) {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}
