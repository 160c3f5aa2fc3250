//! The routes that read schedules, calendars, the record and parked events.

use super::{large, problem::Problem, site::Site};
use crate::{
    clock,
    ops::{self, CalendarView, History, OpsError, ScheduleView, audit::Window, history::Wanted},
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

pub(super) async fn schedules(State(site): State<Site>) -> Result<Response, Problem> {
    large::list(site.head(), "schedules", ops::schedules::all(site.clock), None).await
}

pub(super) async fn schedule(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(ops::schedules::get(site.clock, &name?.0).await?))
}

pub(super) async fn calendar(
    State(site): State<Site>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<CalendarView>, Problem> {
    Ok(Json(ops::calendars::get(site.clock, &id?.0).await?))
}

pub(super) async fn history(
    State(site): State<Site>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    Ok(Json(ops::history::read(site.clock, &wanted?.0).await?))
}

pub(super) async fn parked(State(site): State<Site>) -> Result<Response, Problem> {
    large::list(site.head(), "parked", ops::parked::all(site.clock), None).await
}

/// Which time: (from, to].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

pub(super) async fn audit(
    State(site): State<Site>,
    bounds: Result<Query<Bounds>, QueryRejection>,
) -> Result<Response, Problem> {
    let Bounds { from, to } = bounds?.0;
    let window = Window::new(from, to, clock::now())?;
    let Ok(place) = site.audits.clone().try_acquire_owned() else {
        return Err(Problem::unavailable("another audit is running; try again when it is done"));
    };
    // On a task of its own, which keeps the place: arithmetic under way can't be cut off.
    let work = tokio::spawn(async move { (ops::audit::audit(site.clock, window).await, place) });
    let (audited, place) = work.await.map_err(|_| OpsError::Defect)?;
    let (report, schedules) = audited?;
    let Ok(Value::Object(mut head)) = serde_json::to_value(report) else {
        return Err(OpsError::Defect.into());
    };
    head.remove("schedules");
    large::list(head, "schedules", schedules, Some(place)).await
}
