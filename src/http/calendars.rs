//! `GET /calendars/{id}`: the days that a definition's calendar had when it was accepted. A definition names them by id;
//! a client that evaluates it elsewhere asks for the days once, because they never change.

use super::{apart::apart, problem::Problem, site::Site};
use crate::{ops::CalendarView, schedule::CalendarId};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};

pub(super) async fn one(
    State(site): State<Site>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<CalendarView>, Problem> {
    let id = id?.0;
    let found = id.parse().ok().and_then(|id: CalendarId| Some((id, site.calendars.days(id)?)));
    let (id, days) = found.ok_or_else(|| {
        let what =
            format!("there is no calendar '{id}'; GET /schedules lists the ids under definition.calendars");
        Problem::new(StatusCode::NOT_FOUND, what)
    })?;
    let dates = apart(move || days.to_dates()).await?;
    Ok(Json(CalendarView { id, dates }))
}
