//! The routes that change something, on the control socket only.

use super::{
    large::{self, Pages},
    problem::Problem,
    site::Site,
};
use crate::{
    clock_loop::{Command, Decided},
    engine::Parked,
    ops::{ParkedDecision, ParkedIds, ParkedView},
};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All parked events by number.
struct ParkedEvents {
    site: Site,
    after: Option<u64>,
}

impl Pages for ParkedEvents {
    type Item = (u64, Parked);
    type View<'a> = ParkedView;

    async fn next(&mut self) -> Result<Vec<(u64, Parked)>, Problem> {
        let after = self.after;
        let page = self.site.ask(|reply| Command::Parked(after, reply)).await?;
        self.after = page.last().map(|(number, _)| *number);
        Ok(page)
    }

    fn view((number, parked): &(u64, Parked)) -> ParkedView {
        ParkedView::new(*number, parked)
    }
}

pub(super) async fn parked(State(site): State<Site>) -> Result<Response, Problem> {
    let head = site.head();
    large::list(head, "parked", ParkedEvents { site, after: None }).await
}

pub(super) async fn release(
    State(site): State<Site>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    let ids = named(ids)?;
    let decided = site.ask(|reply| Command::Release(ids.clone(), reply)).await?;
    Ok(outcome(&ids, decided))
}

pub(super) async fn discard(
    State(site): State<Site>,
    ids: Result<Json<ParkedIds>, JsonRejection>,
) -> Result<Json<ParkedDecision>, Problem> {
    let ids = named(ids)?;
    let decided = site.ask(|reply| Command::Drop(ids.clone(), reply)).await?;
    Ok(outcome(&ids, decided))
}

pub(super) async fn reload(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    match site.ask(Command::Reload).await? {
        Ok(said) => Ok(Json(json!({ "reloaded": said }))),
        Err(refused) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refused)),
    }
}

fn named(ids: Result<Json<ParkedIds>, JsonRejection>) -> Result<Vec<u64>, Problem> {
    let mut ids = ids?.0.ids;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err(Problem::bad("ids: name at least one parked event; GET /parked lists them"));
    }
    Ok(ids)
}

fn outcome(ids: &[u64], decided: Decided) -> Json<ParkedDecision> {
    let Decided { done, being_sent } = decided;
    let known: BTreeSet<&u64> = done.iter().chain(&being_sent).collect();
    let unknown = ids.iter().filter(|id| !known.contains(id)).copied().collect();
    Json(ParkedDecision { done, being_sent, unknown })
}
