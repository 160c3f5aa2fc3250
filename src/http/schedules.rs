//! `GET /schedules` and `GET /schedules/{name}`.

use super::{
    apart::apart,
    large::{self, Pages},
    problem::Problem,
    site::Site,
};
use crate::{
    clock_loop::{Command, ScheduleStatus},
    diagnostic::nearest,
    ops::ScheduleView,
    schedule::{Packed, is_name},
};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use std::sync::Arc;

/// All by name, each as it is when its page is asked for.
struct Schedules {
    site: Site,
    after: Option<Arc<str>>,
}

impl Pages for Schedules {
    type Item = ScheduleStatus;
    type View<'a> = ScheduleView;

    async fn next(&mut self) -> Result<Vec<ScheduleStatus>, Problem> {
        let after = self.after.clone();
        let page = self.site.ask(|reply| Command::Schedules(after, reply)).await?;
        self.after = page.last().map(|status| status.revision.name().into());
        Ok(page)
    }

    fn view(status: &ScheduleStatus) -> ScheduleView {
        ScheduleView::running(status)
    }
}

/// Where all names are, for who asks over HTTP; on the command line it is said otherwise.
pub(crate) const LISTED: &str = "GET /schedules lists them all";

pub(super) async fn all(State(site): State<Site>) -> Result<Response, Problem> {
    let head = site.head();
    large::list(head, "schedules", Schedules { site, after: None }).await
}

pub(super) async fn one(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ScheduleView>, Problem> {
    let name = name?.0;
    let missing = |what| Err(Problem::new(StatusCode::NOT_FOUND, what));
    if !is_name(&name) {
        return missing(format!(
            "this is not the name of a schedule: names are up to 128 of a-z, 0-9 and inner '.', '_', '-'; {LISTED}"
        ));
    }
    let asked: Arc<str> = name.as_str().into();
    if let Some(status) = site.ask(|reply| Command::Schedule(asked.clone(), reply)).await? {
        return Ok(Json(ScheduleView::running(&status)));
    }
    let known = site.ask(|reply| Command::Neighbours(asked, reply)).await?;
    let answer = apart(move || {
        let near = nearest(&name, known.iter().map(Packed::name));
        let hint = near.map(|near| format!("did you mean '{near}'?"));
        let hint = hint.unwrap_or_else(|| LISTED.to_owned());
        format!("there is no schedule '{name}'; {hint}")
    });
    missing(answer.await?)
}
