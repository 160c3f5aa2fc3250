//! What changed, and what there is to be put again: `GET /v1/changes` and `GET /v1/export`.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{large, problem::Problem, query::Asked, state::HttpState};
use crate::ops::{
    self,
    changes::{ChangeList, ChangesQuery},
    export,
};
use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Changes of schedules
///
/// What was created, changed and deleted at run time, paused, resumed, triggered and backfilled, which parked events were
/// released or dropped, and when files were read again: by whom, by which door, when, and how it was before and after. The newest
/// first; with `after` the oldest. Payloads are shown as digests.
#[utoipa::path(
    get, path = "/changes", tag = "record", params(ChangesQuery),
    responses((status = 200, description = "Changes, and where to go on", body = ChangeList))
)]
pub(super) async fn changes(
    State(state): State<HttpState>,
    Asked(wanted): Asked<ChangesQuery>,
) -> Result<Json<ChangeList>, Problem> {
    Ok(Json(ops::changes::read(state.clock, &wanted).await?))
}

/// As what definitions are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportFormat {
    /// As a schedule file has them, and calendars besides.
    #[default]
    Toml,
    /// As `POST /v1/schedules:batch` and `PUT /v1/calendars/{name}` take them.
    Json,
}

/// As what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    /// `toml`, if left out; `json` is of one object with the lists `calendars` and `schedules`.
    #[serde(default)]
    #[param(inline, required = false)]
    format: ExportFormat,
}

/// What was created at run time, as JSON.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "for the description: it is written piece by piece")]
pub(super) struct Exported {
    /// All calendars, by name: put them first.
    calendars: Vec<export::ExportedCalendar>,
    /// The definitions of all schedules, by name.
    schedules: Vec<crate::schedule::Definition>,
}

/// What was created at run time, to be put again
///
/// Calendars, and the definitions of schedules. A schedule file with the same definitions has other schedules: those of a file, whose
/// events have other ids. A definition whose data TOML can't say (null) is left out of it, with a line that says so.
#[utoipa::path(
    get, path = "/export", tag = "schedules", params(ExportQuery),
    responses((status = 200, description = "Calendars and definitions", content(
        (String = "application/toml"),
        (Exported = "application/json"),
    )))
)]
pub(super) async fn export(
    State(state): State<HttpState>,
    Asked(wanted): Asked<ExportQuery>,
) -> Result<Response, Problem> {
    let (calendars, all) = (export::calendars(state.clock.clone()), export::export(state.clock));
    match wanted.format {
        ExportFormat::Json => large::lists(("calendars", calendars), ("schedules", all)).await,
        ExportFormat::Toml => {
            let calendars = (calendars, export::toml_of_calendar as fn(&_) -> String);
            let all = (all, export::toml_of as fn(&_) -> String);
            large::text("application/toml", export::head(), calendars, all).await
        }
    }
}
