//! The routes of calendars: those that definitions may name, created, changed and deleted at run time; and the days of one by its
//! id.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{
    body::of_json,
    conditions::{expected, expected_of_what_is_there, tag},
    problem::Problem,
    query::Asked,
    state::HttpState,
};
use crate::{
    authority::Caller,
    engine::Verdict,
    ops::{
        self, CalendarList, FoundCalendar, OpsError, OutcomeView,
        calendars::CalendarQuery,
        change_calendar::{CalendarChange, change},
    },
    schedule::{CalendarForm, CalendarText, calendar::ics},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// How a body is written.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// As the text of this form.
    As(CalendarForm),
    /// As JSON, with the text in it.
    Json,
}

/// By its type.
const TYPES: [(&str, Written); 3] = [
    ("application/toml", Written::As(CalendarForm::Toml)),
    ("text/calendar", Written::As(CalendarForm::Ics)),
    ("application/json", Written::Json),
];

/// A calendar in JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarBody {
    /// In which form its text is.
    form: CalendarForm,
    /// The text.
    text: String,
}

/// What has an id by its content is the same for ever; to be kept by who asked alone, who may have shown a token.
const FOR_EVER: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "private, max-age=31536000, immutable")];

/// How large a calendar may be.
pub(super) fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(CalendarText::LONGEST)
}

/// Calendars, by name
///
/// Those that a schedule may name that is created at run time: those of the folder, of which no more is said than their names,
/// and those that were created at run time. In pages: `next` says where to go on.
#[utoipa::path(
    get, path = "/calendars", tag = "calendars", params(CalendarQuery), operation_id = "calendars",
    responses((status = 200, description = "A page of calendars", body = CalendarList))
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    Asked(wanted): Asked<CalendarQuery>,
) -> Result<Json<CalendarList>, Problem> {
    Ok(Json(ops::calendars::page(&state.clock, &wanted).await?))
}

/// A calendar, or the days of one
///
/// By its name: whose it is and, where it was created at run time, its text. By an id under `definition.calendars` of a schedule:
/// the days that it had when that was accepted, which never change.
#[utoipa::path(
    get, path = "/calendars/{name}", tag = "calendars", operation_id = "calendar",
    params(("name" = String, Path, description = "The calendar's name, or an id under `definition.calendars` of a schedule")),
    responses(
        (status = 200, description = "The calendar, or the days", body = FoundCalendar,
            headers(("ETag" = String, description = "Of one that was created at run time, its creation and revision"))),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let found = ops::calendars::find(state.clock, &name?.0).await?;
    Ok(match &found {
        FoundCalendar::Days(_) => (FOR_EVER, Json(found)).into_response(),
        FoundCalendar::Named(view) => match view.revision {
            Some(revision) => ([(header::ETAG, tag(view.creation, revision))], Json(found)).into_response(),
            None => Json(found).into_response(),
        },
    })
}

/// Creates or changes a calendar
///
/// The text is what a calendar file may be: TOML, or iCalendar. The same again changes nothing. Schedules that name it, and were
/// created at run time, are due by it from now on; those of files name the calendars of the folder alone. It takes the role
/// `write`. A name is its creator's, and one that the folder has is changed there.
#[utoipa::path(
    put, path = "/calendars/{name}", tag = "calendars", operation_id = "put_calendar",
    params(
        ("name" = String, Path, description = "The calendar's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none of this name"),
    ),
    request_body(
        content((String = "application/toml"), (String = "text/calendar"), (CalendarBody = "application/json")),
        description = "The text, or a JSON object with it; 4 MiB at most"
    ),
    responses(
        (status = 200, description = "It is changed, or was so already", body = OutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 201, description = "It is created", body = OutcomeView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 409, description = "The folder of calendars has this name", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there, or none, or there is one already", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither `application/toml` nor `text/calendar` nor `application/json`", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The text can't be used: all that is wrong with it, by line and column", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let how = how_written(&headers)?;
    let (name, expect) = (name?.0, expected(&headers)?);
    let text = written(how, &body?)?;
    let place = if matches!(how, Written::Json) { "/text" } else { "" };
    let asked = CalendarChange { name: name.clone(), wanted: Some(text), expect, message: None };
    let changed = change(&state.clock, &caller, asked).await;
    let (verdict, remarks) = changed.map_err(|error| error.below(place))?;
    let status = match verdict {
        Verdict::Created { .. } => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let view = OutcomeView::new(&name, &verdict, remarks);
    let tag = tag(view.creation, view.revision.unwrap_or_default());
    Ok((status, [(header::ETAG, tag)], Json(view)).into_response())
}

/// Deletes a calendar
///
/// One that was created at run time, and that no schedule uses. So it is answered where there is none.
#[utoipa::path(
    delete, path = "/calendars/{name}", tag = "calendars", operation_id = "delete_calendar",
    params(
        ("name" = String, Path, description = "The calendar's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
    ),
    responses(
        (status = 204, description = "There is none of this name any more"),
        (status = 409, description = "Schedules use it; or the folder of calendars has this name", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there; or none, where any was expected", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (name, expect) = (name?.0, expected_of_what_is_there(&headers)?);
    change(&state.clock, &caller, CalendarChange { name, wanted: None, expect, message: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How the body is written. A page of another site can send none of these without asking first.
fn how_written(headers: &HeaderMap) -> Result<Written, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let known = TYPES.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name));
    known.map(|(_, how)| *how).ok_or_else(|| {
        let what = "a calendar is TOML or iCalendar: send the header Content-Type: application/toml, or text/calendar";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what)
    })
}

/// A body, whose text is read as a file of its form would be.
fn written(how: Written, body: &Bytes) -> Result<CalendarText, Problem> {
    let (form, text) = match how {
        Written::Json => {
            let CalendarBody { form, text } = of_json(body).map_err(OpsError::Definition)?;
            (form, text)
        }
        Written::As(form @ CalendarForm::Ics) => (form, ics::decoded(body.to_vec())),
        Written::As(form @ CalendarForm::Toml) => {
            let text = String::from_utf8(body.to_vec()).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                Problem::malformed(format!("the body is no UTF-8 text: byte {at} is wrong"))
            })?;
            (form, text)
        }
    };
    Ok(CalendarText { form, text: text.into() })
}
