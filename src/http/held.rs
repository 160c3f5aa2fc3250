//! What a clock answers whose store is held: how it is, and why; and to its operator, by the control socket, what was decided.

use super::{
    body::JsonBody,
    health::{self, ReadinessAnswer},
    problem::Problem,
    routes,
    state::HttpState,
};
use crate::{
    authority::Caller,
    clock,
    copying::{AcceptAsked, Acceptance, Accepted},
    ops::{Alive, Readiness},
};
use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Who waits for what becomes of a decision.
pub(crate) type Decided = (Acceptance, oneshot::Sender<Result<Accepted, String>>);

/// A store that is held: why, and whom a decision is told.
#[derive(Debug, Clone)]
pub(crate) struct HeldStore {
    pub(crate) why: Arc<str>,
    pub(crate) decisions: mpsc::Sender<Decided>,
}

#[derive(Clone)]
struct Door {
    state: HttpState,
    held: HeldStore,
}

/// On TCP.
pub(super) fn public(state: HttpState, held: HeldStore) -> Router {
    routes::guarded(router().with_state(Door { state: state.clone(), held }), state)
}

/// On the control socket.
pub(super) fn control(state: HttpState, held: HeldStore) -> Router {
    let router = router().route("/v1/store/accept", post(accept)).with_state(Door { state, held });
    router.layer(Extension(Caller::operator()))
}

fn router() -> Router<Door> {
    let router = Router::new().route("/", get(index)).route("/healthz", get(live));
    router.route("/readyz", get(ready)).fallback(refuse)
}

/// By which a client finds out whether somebody answers.
async fn index(State(door): State<Door>) -> Json<Value> {
    Json(json!({ "held": *door.held.why, "paths": ["/healthz", "/readyz"] }))
}

async fn live(State(door): State<Door>) -> Json<Alive> {
    Json(Alive { status: "alive".into(), clock: door.state.clock.name(), now: clock::now() })
}

async fn ready(
    State(Door { state, held }): State<Door>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<ReadinessAnswer>) {
    let mut status = state.clock.status();
    status.now = clock::now();
    status.reasons = vec![held.why.to_string()];
    health::answer(Readiness::new(status, &state.clock.zone_data()), caller.is_some())
}

async fn refuse(State(door): State<Door>) -> Problem {
    Problem::unavailable(&*door.held.why)
}

async fn accept(
    State(door): State<Door>,
    JsonBody(asked): JsonBody<AcceptAsked>,
) -> Result<Json<Accepted>, Problem> {
    let (reply, answer) = oneshot::channel();
    let gone = || Problem::unavailable("the clock is stopping, or goes on already: ask again");
    door.held.decisions.try_send((asked.what, reply)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?.map(Json).map_err(Problem::unavailable)
}
