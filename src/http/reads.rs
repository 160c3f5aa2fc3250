//! The routes that read schedules, calendars, zones, the record and parked events.

use super::{large, problem::Problem, state::HttpState};
use crate::{
    clock,
    ops::{
        self, CalendarView, History, OpsError, PauseView, ScheduleView, ZoneView, audit::Window,
        history::HistoryQuery,
    },
};
use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::Response,
};
use ponos::event::Timestamp;
use serde::Deserialize;
use serde_json::Value;

pub(super) async fn schedules(State(state): State<HttpState>) -> Result<Response, Problem> {
    let mut head = state.head();
    if let Some(pause) = state.clock.status().paused {
        let view = serde_json::to_value(PauseView::from(&pause)).map_err(|_| OpsError::Defect)?;
        head.insert("paused".to_owned(), view);
    }
    large::list(head, "schedules", ops::schedules::all(state.clock), None).await
}

pub(super) async fn schedule(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(ops::schedules::get(state.clock, &name?.0).await?))
}

pub(super) async fn calendar(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<CalendarView>, Problem> {
    Ok(Json(ops::calendars::get(state.clock, &id?.0).await?))
}

pub(super) async fn zone(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ZoneView>, Problem> {
    Ok(Json(ops::zones::get(state.clock, &id?.0)?))
}

pub(super) async fn history(
    State(state): State<HttpState>,
    wanted: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    Ok(Json(ops::history::read(state.clock, &wanted?.0).await?))
}

pub(super) async fn parked(State(state): State<HttpState>) -> Result<Response, Problem> {
    large::list(state.head(), "parked", ops::parked::all(state.clock), None).await
}

/// Which schedule, if not all, and which time: (from, to].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    schedule: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

pub(super) async fn audit(
    State(state): State<HttpState>,
    wanted: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let AuditQuery { schedule, from, to } = wanted?.0;
    let window = Window::new(from, to, clock::now())?;
    let Ok(place) = state.audits.clone().try_acquire_owned() else {
        return Err(Problem::unavailable("another audit is running; try again when it is done"));
    };
    // On a task of its own, which keeps the place: arithmetic under way can't be cut off.
    let work =
        tokio::spawn(
            async move { (ops::audit::audit(state.clock, window, schedule.as_deref()).await, place) },
        );
    let (audited, place) = work.await.map_err(|_| OpsError::Defect)?;
    let (report, schedules) = audited?;
    let Ok(Value::Object(mut head)) = serde_json::to_value(report) else {
        return Err(OpsError::Defect.into());
    };
    head.remove("schedules");
    large::list(head, "schedules", schedules, Some(place)).await
}
