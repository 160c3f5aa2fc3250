//! `GET /healthz`: the process lives and its loop turns. `GET /readyz`: events go out.

use super::{problem::Problem, site::Site};
use crate::clock_loop::Command;
use axum::{Json, extract::State, http::StatusCode};
use ponos::{broker::Link, redact::redact};
use serde_json::{Value, json};
use std::sync::Arc;

/// Asks the loop something small: an answer proves that it turns, with no clock to compare.
pub(super) async fn live(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    site.ask(|reply| Command::Schedule(Arc::from(""), reply)).await?;
    let status = site.status();
    Ok(Json(json!({ "status": "alive", "clock": status.clock, "now": status.now })))
}

pub(super) async fn ready(State(site): State<Site>) -> (StatusCode, Json<Value>) {
    let status = site.status();
    let mut reasons = status.reasons.clone();
    if let Err(problem) = site.ask(|reply| Command::Schedule(Arc::from(""), reply)).await {
        reasons.push(problem.detail);
    }
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let shown = |all: &[String]| all.iter().map(|one| redact(one).into_owned()).collect::<Vec<_>>();
    let body = json!({
        "ready": ready,
        "reasons": shown(&reasons),
        "warnings": shown(&status.warnings),
        "clock": status.clock,
        "now": status.now,
        "settled": status.settled,
        "broker": link(&status.link),
        "confirmed": status.confirmed,
        "returned": status.returned,
        "parked": status.parked,
        "outstanding": status.outstanding,
    });
    (code, Json(body))
}

fn link(link: &Link) -> Value {
    match link {
        Link::Up { broker, .. } => json!({ "link": "up", "broker": broker }),
        Link::Blocked { reason } => json!({ "link": "blocked", "reason": reason }),
        Link::Down { attempts, error } => {
            let error = error.as_ref().map(ToString::to_string);
            json!({ "link": "down", "attempts": attempts, "error": error })
        }
        Link::Closed => json!({ "link": "closed" }),
    }
}
