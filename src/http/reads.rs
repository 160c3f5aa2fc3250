//! The routes that read schedules, zones, the record and parked events.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{conditions::tag, large, problem::Problem, query::Asked, shares::Whose, state::HttpState};
use crate::{
    clock,
    engine::audit::Report,
    ops::{
        self, History, OpsError, ParkedList, PauseView, ScheduleList, ScheduleView, ZoneView,
        audit::Window,
        history::HistoryQuery,
        parked::ParkedPageQuery,
        schedules::{DueQuery, ScheduleQuery},
    },
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use ponos::event::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// What has an id by its content is the same for ever; to be kept by who asked alone, who may have shown a token.
const FOR_EVER: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "private, max-age=31536000, immutable")];

/// Schedules, by name
///
/// In pages: `next` says where to go on. A page may have fewer than were asked for, or none, and yet not be the last one: it
/// ends where enough was looked through.
#[utoipa::path(
    get, path = "/schedules", tag = "schedules", params(ScheduleQuery),
    responses((status = 200, description = "A page of schedules", body = ScheduleList))
)]
pub(super) async fn schedules(
    State(state): State<HttpState>,
    Asked(wanted): Asked<ScheduleQuery>,
) -> Result<Response, Problem> {
    let mut head = head(&state)?;
    let page = ops::schedules::page(state.clock, &wanted).await?;
    head.insert("next".into(), page.next.clone().into());
    large::list(head, "schedules", page).await
}

/// Schedules that are due next
///
/// The soonest first, by when their next occurrences are sent. What is paused or finished is not among them, nor is what waits
/// for the broker's answer.
#[utoipa::path(
    get, path = "/schedules:due", tag = "schedules", params(DueQuery),
    responses((status = 200, description = "The schedules", body = ScheduleList))
)]
pub(super) async fn due(
    State(state): State<HttpState>,
    Asked(wanted): Asked<DueQuery>,
) -> Result<Response, Problem> {
    let head = head(&state)?;
    large::list(head, "schedules", ops::schedules::due(state.clock, &wanted).await?).await
}

/// All schedules at once
#[utoipa::path(
    get, path = "/schedules", tag = "schedules",
    responses((status = 200, description = "All schedules", body = ScheduleList))
)]
pub(super) async fn all_schedules(State(state): State<HttpState>) -> Result<Response, Problem> {
    large::list(head(&state)?, "schedules", ops::schedules::all(state.clock)).await
}

/// What a list of schedules begins with.
fn head(state: &HttpState) -> Result<Map<String, Value>, Problem> {
    let mut head = state.head();
    if let Some(pause) = state.clock.status().paused {
        let view = serde_json::to_value(PauseView::from(&pause)).map_err(|_| OpsError::Defect)?;
        head.insert("paused".to_owned(), view);
    }
    Ok(head)
}

/// One schedule
#[utoipa::path(
    get, path = "/schedules/{name}", tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The schedule as it runs", body = ScheduleView,
            headers(("ETag" = String, description = "Its creation and revision: what `If-Match` of a change takes"))),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn schedule(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<([(HeaderName, String); 1], Json<ScheduleView>), Problem> {
    let view = ops::schedules::get(state.clock, &name?.0).await?;
    Ok(([(header::ETAG, tag(view.creation, view.revision))], Json(view)))
}

/// The rules of a time zone
///
/// They never change: newer data has other rules under another id.
#[utoipa::path(
    get, path = "/zones/{id}", tag = "schedules",
    params(("id" = String, Path, description = "An id under `definition.zones` of a schedule")),
    responses(
        (status = 200, description = "The rules", body = ZoneView),
        (status = 404, description = "There are none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn zone(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    Ok((FOR_EVER, Json(ops::zones::get(state.clock, &id?.0)?)))
}

/// How occurrences ended
///
/// Rows of the record, newest first; oldest first with `after`.
#[utoipa::path(
    get, path = "/history", tag = "record", params(HistoryQuery),
    responses((status = 200, description = "Rows, and where to go on", body = History))
)]
pub(super) async fn history(
    State(state): State<HttpState>,
    Asked(wanted): Asked<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    Ok(Json(ops::history::read(state.clock, &wanted).await?))
}

/// Events that were given up on
///
/// By number: all of them, or with `limit` in pages, of which `next` says where to go on.
#[utoipa::path(
    get, path = "/parked", tag = "parked", params(ParkedPageQuery),
    responses((status = 200, description = "The parked events, or a page of them", body = ParkedList))
)]
pub(super) async fn parked(
    State(state): State<HttpState>,
    Asked(wanted): Asked<ParkedPageQuery>,
) -> Result<Response, Problem> {
    let mut head = state.head();
    let page = ops::parked::page(state.clock, &wanted).await?;
    head.insert("next".into(), page.next.clone().into());
    large::list(head, "parked", page).await
}

/// Which schedule, if not all, and which time: (from, to].
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Only this schedule.
    schedule: Option<String>,
    /// Only due times after this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only due times up to this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// The record against the arithmetic
///
/// Of what is due after `from` up to `to`: what was sent, skipped, parked or is missing. One audit runs at a time.
#[utoipa::path(
    get, path = "/audit", tag = "record", params(AuditQuery),
    responses(
        (status = 200, description = "What was found", body = Report),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The record can't be audited in one go", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn audit(
    State(state): State<HttpState>,
    whose: Whose,
    Asked(wanted): Asked<AuditQuery>,
) -> Result<Response, Problem> {
    let AuditQuery { schedule, from, to } = wanted;
    let window = Window::new(from, to, clock::now())?;
    let audits = state.audits.clone();
    let place = audits.take(&whose)?;
    let audit = async move { ops::audit::audit(state.clock, window, schedule.as_deref()).await };
    let (audited, place) = large::keeping(place, audit).await?;
    let (report, schedules) = audited?;
    let Ok(Value::Object(mut head)) = serde_json::to_value(report) else {
        return Err(OpsError::Defect.into());
    };
    head.remove("schedules");
    let response = large::list(head, "schedules", schedules).await?;
    Ok(response.map(|body| Body::new(audits.hold(body, place))))
}
