//! `GET /healthz`: the process lives and its loop turns. `GET /readyz`: events can go out; who shows no token where one is
//! wanted is told whether, and not why not.

use super::{problem::Problem, state::HttpState};
use crate::{
    authority::Caller,
    ops::{self, Alive, Readiness},
};
use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// How ready the clock is, for whoever asks.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ReadinessAnswer {
    /// For who may read the clock.
    Known(Box<Readiness>),
    /// For who shows no token where one is wanted.
    Unknown(BriefReadiness),
}

/// Whether events can go out, and not why not.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BriefReadiness {
    /// There is no reason why not.
    ready: bool,
    /// The clock's name.
    clock: String,
    /// That the reasons are told with a token; empty if there are none.
    reasons: Vec<String>,
}

/// Whether the clock's loop is running
#[utoipa::path(
    get, path = "/healthz", tag = "clock",
    responses((status = 200, description = "It is", body = Alive))
)]
pub(super) async fn live(State(state): State<HttpState>) -> Result<Json<Alive>, Problem> {
    Ok(Json(ops::status::alive(&state.clock).await?))
}

/// Whether events can go out, and if not, why
///
/// A probe needs no token. Without one, where one is wanted, the answer has `ready` and `clock`, and in `reasons` not why.
#[utoipa::path(
    get, path = "/readyz", tag = "clock",
    responses(
        (status = 200, description = "They can", body = ReadinessAnswer),
        (status = 503, description = "They can not, for these reasons; or the clock does not even tell", content(
            (ReadinessAnswer = "application/json"), (Problem = "application/problem+json"),
        )),
    )
)]
pub(super) async fn ready(
    State(state): State<HttpState>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<ReadinessAnswer>) {
    let mut readiness = ops::status::readiness(&state.clock).await;
    readiness.warnings.extend(state.warnings());
    answer(readiness, caller.is_some())
}

/// How ready it is, for who may know and for who may not.
pub(super) fn answer(readiness: Readiness, is_known: bool) -> (StatusCode, Json<ReadinessAnswer>) {
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = match is_known {
        true => ReadinessAnswer::Known(Box::new(readiness)),
        false => {
            let why = (!readiness.ready).then(|| "ask with a token to see why".to_owned());
            let (ready, clock) = (readiness.ready, readiness.clock);
            ReadinessAnswer::Unknown(BriefReadiness { ready, clock, reasons: why.into_iter().collect() })
        }
    };
    (code, Json(answer))
}
