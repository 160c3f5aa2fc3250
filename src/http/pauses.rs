//! The routes that pause and resume, everything or some schedules.

use super::{body::JsonBody, problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{
        self, ChosenDecision, PauseAsked, PauseDecision, PauseOneAsked, PauseSomeAsked, ResumeAsked,
        ResumeDecision, ResumeOneAsked, ResumeSomeAsked,
    },
};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};

/// Pauses everything
///
/// Nothing is sent until somebody resumes, or `until`. Asked for again, who asks, why and until when are as said then. It takes
/// the role `operate`, and a token of all domains.
#[utoipa::path(
    post, path = "/pause", tag = "clock", request_body = PauseAsked,
    responses((status = 200, description = "The pause", body = PauseDecision))
)]
pub(super) async fn pause(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<PauseAsked>,
) -> Result<Json<PauseDecision>, Problem> {
    Ok(Json(ops::pause::pause(&state.clock, &caller, asked).await?))
}

/// Goes on after a pause
///
/// It takes the role `operate`, and a token of all domains.
#[utoipa::path(
    post, path = "/resume", tag = "clock", request_body = ResumeAsked,
    responses((status = 200, description = "The pause that has ended, if there was one", body = ResumeDecision))
)]
pub(super) async fn resume(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<ResumeAsked>,
) -> Result<Json<ResumeDecision>, Problem> {
    Ok(Json(ops::pause::resume(&state.clock, &caller, asked).await?))
}

/// Pauses one schedule
///
/// Nothing of it is sent until somebody resumes it, or `until`, whatever becomes of its definition meanwhile: the pause is kept
/// by its name, through reloads and restarts. Asked for again, who asks, why and until when are as said then. It takes the
/// role `operate`, and a token of its event's domain.
#[utoipa::path(
    post, path = "/schedules/{name}/pause", tag = "schedules", request_body = PauseOneAsked,
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The pause", body = PauseDecision),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn pause_one(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    JsonBody(asked): JsonBody<PauseOneAsked>,
) -> Result<Json<PauseDecision>, Problem> {
    Ok(Json(ops::pause::pause_one(&state.clock, &caller, &name?.0, asked, None).await?))
}

/// Has one schedule go on after a pause
///
/// It takes the role `operate`, and a token of its event's domain.
#[utoipa::path(
    post, path = "/schedules/{name}/resume", tag = "schedules", request_body = ResumeOneAsked,
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The pause that has ended, if there was one", body = ResumeDecision),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn resume_one(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    JsonBody(asked): JsonBody<ResumeOneAsked>,
) -> Result<Json<ResumeDecision>, Problem> {
    Ok(Json(ops::pause::resume_one(&state.clock, &caller, &name?.0, asked, None).await?))
}

/// Pauses the schedules that a filter chooses
///
/// Those that are there now, each by its name: `dry_run` says which, and with `expect_count` nothing changes unless it is so many.
/// It takes the role `operate`, and a token of the domains of all that are chosen.
#[utoipa::path(
    post, path = "/schedules:pause", tag = "schedules", request_body = PauseSomeAsked,
    responses(
        (status = 200, description = "How many, and the first of them", body = ChosenDecision),
        (status = 412, description = "It is not as many as expected, and nothing changed", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn pause_some(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<PauseSomeAsked>,
) -> Result<Json<ChosenDecision>, Problem> {
    Ok(Json(ops::pause::pause_some(&state.clock, &caller, asked).await?))
}

/// Has the schedules go on that a filter chooses
///
/// Of those it chooses, the ones that are paused by their names. It takes the role `operate`, and a token of the domains of all
/// that are chosen.
#[utoipa::path(
    post, path = "/schedules:resume", tag = "schedules", request_body = ResumeSomeAsked,
    responses(
        (status = 200, description = "How many, and the first of them", body = ChosenDecision),
        (status = 412, description = "It is not as many as expected, and nothing changed", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn resume_some(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<ResumeSomeAsked>,
) -> Result<Json<ChosenDecision>, Problem> {
    Ok(Json(ops::pause::resume_some(&state.clock, &caller, asked).await?))
}
