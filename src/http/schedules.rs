//! `GET /schedules` and `GET /schedules/{name}`.

use super::{problem::Problem, site::Site, view::ScheduleView};
use crate::{diagnostic::nearest, service::Command};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

pub(super) async fn all(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    let mut statuses = site.ask(Command::Schedules).await?;
    statuses.sort_by(|a, b| a.revision.name().cmp(b.revision.name()));
    let views: Vec<ScheduleView> = statuses.iter().map(ScheduleView::running).collect();
    Ok(Json(json!({ "clock": site.status().clock, "schedules": views })))
}

pub(super) async fn one(
    State(site): State<Site>,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Problem> {
    let asked = name.as_str().into();
    if let Some(status) = site.ask(|reply| Command::Schedule(asked, reply)).await? {
        return Ok(Json(ScheduleView::running(&status)));
    }
    let known = site.ask(Command::Schedules).await?;
    let near = nearest(&name, known.iter().map(|status| status.revision.name()));
    let hint = near.map_or("GET /schedules lists them all".into(), |near| format!("did you mean '{near}'?"));
    Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no schedule '{name}'; {hint}")))
}
