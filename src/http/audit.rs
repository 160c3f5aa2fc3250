//! `GET /audit`: the record against the arithmetic.

use super::{
    apart::{Defect, apart},
    large::{self, Pages},
    problem::Problem,
    record::Record,
    site::Site,
};
use crate::{
    clock,
    clock_loop::Command,
    engine::{
        Snapshot,
        audit::{Auditor, Report, ScheduleReport, TooFragmented},
    },
    store::StoreError,
};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use ponos::event::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Rows read at once.
const PAGE: usize = 1000;
/// Schedules of a report that are made at once.
const SCHEDULES: usize = 100;
/// A hole younger than this may be a row that is still being written …
const YOUNG: i64 = 60_000;
/// … and is looked at again so often, …
const LOOKS: u32 = 10;
/// … each time after new rows came, or this long.
const PAUSE: Duration = Duration::from_millis(500);

/// Which time: (from, to].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// Why an audit gave no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The record can't be read.
    #[error("the record can't be read: {0}")]
    Store(#[from] StoreError),
    /// It can't be held.
    #[error(transparent)]
    TooFragmented(#[from] TooFragmented),
    /// A defect.
    #[error("the audit ended unexpectedly; this is a defect, please report it")]
    Defect,
}

/// Whether there can be anything to audit after `from` through `to`; the error says why not.
///
/// # Errors
/// The window is empty, or begins in the future: "they agree" would be true of it, and mean nothing.
pub fn check_window(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(format!("from ({from}) must be before to ({to})")),
        (Some(from), _) if from >= now => {
            Err(format!("from ({from}) is in the future (it is {now}): nothing is recorded after it yet"))
        }
        _ => Ok(()),
    }
}

/// Whether the clock, whose first definition took effect at `since`, knows what was due before `to`.
///
/// # Errors
/// All that it knows took effect later.
pub fn check_known(since: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), String> {
    match (since, to) {
        (Some(since), Some(to)) if to <= since => {
            Err(format!("to ({to}) is before the clock's first schedule, which took effect at {since}"))
        }
        _ => Ok(()),
    }
}

pub(super) async fn audit(
    State(site): State<Site>,
    query: Result<Query<Bounds>, QueryRejection>,
) -> Result<Response, Problem> {
    let Bounds { from, to } = query?.0;
    check_window(from, to, clock::now()).map_err(Problem::bad)?;
    let Ok(place) = site.audits.clone().try_acquire_owned() else {
        return Err(Problem::unavailable("another audit is running; try again when it is done"));
    };
    let (auditor, since) = kept(&site, from, to).await?;
    check_known(since, to).map_err(Problem::bad)?;
    // On a task of its own, which keeps the place: arithmetic under way can't be cut off.
    let work = tokio::spawn(async move {
        let walked = walk(&site.record, auditor, Some(site.clock.recorded.clone())).await;
        walked.map(|(auditor, report)| {
            (report, Schedules { auditor: Some(auditor), after: None, _place: place })
        })
    });
    match work.await {
        Ok(Ok((report, schedules))) => {
            let Ok(Value::Object(mut head)) = serde_json::to_value(report) else {
                return Err(Defect.into());
            };
            head.remove("schedules");
            large::list(head, "schedules", schedules).await
        }
        Ok(Err(AuditError::TooFragmented(error))) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
        }
        Ok(Err(error)) => Err(Problem::unavailable(error.to_string())),
        Err(_) => Err(Defect.into()),
    }
}

/// An auditor that knows what the clock keeps, asked for page by page: the loop does other things in between. And when
/// the first of the definitions took effect.
async fn kept(
    site: &Site,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<(Auditor, Option<Timestamp>), Problem> {
    let mut since = None;
    let mut auditor = Auditor::new(*site.clock.recorded.borrow(), from, to);
    let mut after = None;
    loop {
        let page = site.ask(|reply| Command::Kept(after, reply)).await?;
        after = page.revisions.last().map(|last| (last.name().into(), last.number));
        since = page.revisions.iter().map(|revision| revision.effective_from).chain(since).min();
        auditor = with(auditor, move |auditor| auditor.keep(page)).await?;
        if after.is_none() {
            break;
        }
    }
    let mut after = None;
    loop {
        let page = site.ask(|reply| Command::Parked(after, reply)).await?;
        after = page.last().map(|(number, _)| *number);
        if after.is_none() {
            break;
        }
        auditor = with(auditor, move |auditor| auditor.park(&page)).await?;
    }
    // What the pages speak of may still wait to be written: seconds, where nobody waits for it.
    let written = site.ask(Command::Write).await?;
    written.map_err(|why| Problem::unavailable(format!("the record can't be completed: {why}")))?;
    Ok((auditor, since))
}

async fn with(
    mut auditor: Auditor,
    work: impl FnOnce(&mut Auditor) + Send + 'static,
) -> Result<Auditor, Defect> {
    let work = move || {
        work(&mut auditor);
        auditor
    };
    apart(work).await
}

/// The schedules of a report, made as they are written: of a million they would take a lot of room.
struct Schedules {
    /// There but while it is at work.
    auditor: Option<Auditor>,
    after: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Pages for Schedules {
    type Item = ScheduleReport;
    type View<'a> = &'a ScheduleReport;

    async fn next(&mut self) -> Result<Vec<ScheduleReport>, Problem> {
        let (auditor, after) = (self.auditor.take().ok_or(Defect)?, self.after.take());
        let work = move || {
            let page = auditor.schedules_after(after.as_deref(), SCHEDULES);
            (auditor, page)
        };
        let (auditor, page) = apart(work).await?;
        self.auditor = Some(auditor);
        self.after = page.last().map(|last| last.schedule.clone());
        Ok(page)
    }

    fn view(schedule: &ScheduleReport) -> &ScheduleReport {
        schedule
    }
}

/// Audits the record of a clock that does not run over (from, to].
///
/// # Errors
/// [`AuditError`].
pub async fn run(
    record: &Record,
    snapshot: Snapshot,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Report, AuditError> {
    let auditor = apart(move || Auditor::of(&snapshot, from, to)).await?;
    let (auditor, _) = walk(record, auditor, None).await?;
    Ok(apart(move || auditor.report()).await?)
}

/// The auditor that has seen the record, and its report without the schedules. `recorded` is given for a clock that runs:
/// what it has settled may not be in the record yet, so that a young hole is looked at again.
async fn walk(
    record: &Record,
    mut auditor: Auditor,
    mut recorded: Option<watch::Receiver<u64>>,
) -> Result<(Auditor, Report), AuditError> {
    let settled = auditor.settled();
    let mut looks = 0;
    loop {
        if let Some(recorded) = &mut recorded {
            recorded.borrow_and_update();
        }
        loop {
            let page = record.read(auditor.last_sequence(), PAGE).await?;
            if page.rows.is_empty() {
                break;
            }
            auditor = apart(move || -> Result<Auditor, TooFragmented> {
                page.rows.iter().try_for_each(|row| auditor.row(row))?;
                Ok(auditor)
            })
            .await??;
        }
        let report;
        (auditor, report) = apart(move || {
            let report = auditor.summary(drop);
            (auditor, report)
        })
        .await?;
        let young = report.last_hole.is_some_and(|hole| settled.since(hole) < YOUNG);
        let Some(recorded) = recorded.as_mut().filter(|_| young && looks < LOOKS) else {
            return Ok((auditor, report));
        };
        looks += 1;
        // Both ends of the wait are fine: new rows, or none for a while.
        let _ = tokio::time::timeout(PAUSE, recorded.changed()).await;
    }
}

impl From<Defect> for AuditError {
    fn from(_: Defect) -> Self {
        Self::Defect
    }
}
