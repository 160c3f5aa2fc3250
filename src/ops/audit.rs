//! The record against the arithmetic.

use super::{Clock, OpsError, Pages, RecordReader, RunningClock, delayed, run_blocking, schedules};
use crate::{
    clock_loop::Command,
    engine::audit::{Auditor, Report, ScheduleReport, TooFragmented},
    schedule::FaultCode,
};
use ponos::event::Timestamp;
use std::sync::Arc;

/// Rows read at once.
const PAGE: usize = 1000;
/// Schedules of a report that are made at once.
const SCHEDULES: usize = 100;
/// Which due times are audited: (from, to]; without an end, all that is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// Refuses bounds between which nothing lies.
pub(super) fn check_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), OpsError> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => {
            let what = format!("{from} must be before to ({to})");
            Err(OpsError::parameter("from", FaultCode::Conflict, what))
        }
        _ => Ok(()),
    }
}

impl Window {
    /// # Errors
    /// [`OpsError::Parameter`]: it is empty, or begins in the future: "they agree" would be true of it, and mean nothing.
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Self, OpsError> {
        check_order(from, to)?;
        match from {
            Some(from) if from >= now => {
                let what = format!("{from} is in the future (it is {now}): nothing is recorded after it yet");
                Err(OpsError::parameter("from", FaultCode::OutOfRange, what))
            }
            _ => Ok(Self { from, to }),
        }
    }

    /// The instants that were given, by their names.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, Timestamp)> {
        [("from", self.from), ("to", self.to)].into_iter().filter_map(|(name, at)| Some((name, at?)))
    }

    /// Refuses it where it ends before what is audited begins, as far as definitions and W tell: once these are known.
    fn check(&self, auditor: &Auditor, only: Option<&str>) -> Result<(), OpsError> {
        let settled = auditor.settled();
        let whose =
            || only.map_or("the clock's first schedule".to_owned(), |name| format!("the schedule '{name}'"));
        let why = match (self.from, self.to, auditor.created()) {
            (_, Some(to), Some(since)) if to <= since => {
                format!("to ({to}) is before {}, which took effect at {since}", whose())
            }
            (Some(from), ..) if from >= settled => {
                format!(
                    "from ({from}) is not before {settled}, up to which all is settled: nothing after that is audited yet"
                )
            }
            (.., Some(since)) if since > settled => {
                format!(
                    "{} took effect at {since}, and all is settled up to {settled}: nothing of it is audited yet",
                    whose()
                )
            }
            _ => return Ok(()),
        };
        Err(OpsError::Invalid(why))
    }
}

/// Audits the record of a clock, of one schedule if a name is given: a report without its schedules, and these in pages.
///
/// # Errors
/// [`OpsError`]: [`OpsError::Invalid`] where all that is wanted took effect after the window, or nothing in it is settled,
/// [`OpsError::NotFound`] where neither a definition nor a row of that name is kept.
pub async fn audit(
    clock: impl Into<Clock>,
    window: Window,
    only: Option<&str>,
) -> Result<(Report, AuditedSchedules), OpsError> {
    only.map_or(Ok(()), schedules::check_name)?;
    let clock = clock.into();
    let auditor = match &clock {
        Clock::Running(clock) => kept(clock, window, only).await?,
        Clock::Stopped(clock) => {
            let (snapshot, name) = (clock.snapshot.clone(), only.map(str::to_owned));
            let of = move || Auditor::of(&snapshot, window.from, window.to, name.as_deref());
            let auditor = run_blocking(of).await?;
            window.check(&auditor, only)?;
            auditor
        }
    };
    let (auditor, mut report) = walk(clock.record(), auditor).await?;
    if let Some(name) = only
        && !auditor.knows_it()
    {
        schedules::get(clock.clone(), name).await?;
    }
    if only.is_none() {
        report.delayed = delayed::audit(&clock).await;
    }
    Ok((report, AuditedSchedules { auditor: Some(auditor), after: None }))
}

/// An auditor that knows what the clock keeps, of all schedules or of one, asked for page by page: the loop does other
/// things in between.
async fn kept(clock: &RunningClock, window: Window, only: Option<&str>) -> Result<Auditor, OpsError> {
    let mut auditor = Auditor::new(*clock.handle.recorded.borrow(), window.from, window.to).only(only);
    let mut after = only.map(|name| (Arc::from(name), 0));
    loop {
        let page = clock.ask(|reply| Command::Kept(after, reply)).await?;
        after = page.revisions.last().map(|last| (last.name().into(), last.number));
        auditor = with(auditor, move |auditor| auditor.keep(page)).await?;
        // What comes behind the wanted name is not wanted.
        if after.as_ref().is_none_or(|(last, _)| only.is_some_and(|name| **last != *name)) {
            break;
        }
    }
    window.check(&auditor, only)?;
    let mut after = None;
    loop {
        let page = clock.ask(|reply| Command::Parked(after, reply)).await?;
        after = page.last().map(|(number, ..)| *number);
        if after.is_none() {
            break;
        }
        let page: Vec<_> = page.into_iter().map(|(number, parked, _)| (number, parked)).collect();
        auditor = with(auditor, move |auditor| auditor.park(&page)).await?;
    }
    // What the pages speak of may still wait to be written: seconds, where nobody waits for it.
    let written = clock.ask(Command::Write).await?;
    written.map_err(|why| OpsError::Unavailable(format!("the record can't be completed: {why}")))?;
    Ok(auditor)
}

async fn with(
    mut auditor: Auditor,
    work: impl FnOnce(&mut Auditor) + Send + 'static,
) -> Result<Auditor, OpsError> {
    let work = move || {
        work(&mut auditor);
        auditor
    };
    run_blocking(work).await
}

/// The schedules of a report, made as they are read: of a million they would take a lot of room.
#[derive(Debug)]
pub struct AuditedSchedules {
    /// There but while it is at work.
    auditor: Option<Auditor>,
    after: Option<String>,
}

impl Pages for AuditedSchedules {
    type Item = ScheduleReport;
    type View<'a> = &'a ScheduleReport;

    async fn next(&mut self) -> Result<Vec<ScheduleReport>, OpsError> {
        let (auditor, after) = (self.auditor.take().ok_or(OpsError::Defect)?, self.after.take());
        let work = move || {
            let page = auditor.schedules_after(after.as_deref(), SCHEDULES);
            (auditor, page)
        };
        let (auditor, page) = run_blocking(work).await?;
        self.auditor = Some(auditor);
        self.after = page.last().map(|last| last.schedule.clone());
        Ok(page)
    }

    fn view<'a>(&self, schedule: &'a ScheduleReport) -> &'a ScheduleReport {
        schedule
    }
}

/// The auditor that has seen the record, and its report without the schedules.
async fn walk(record: &RecordReader, mut auditor: Auditor) -> Result<(Auditor, Report), OpsError> {
    loop {
        let page = record.read(auditor.last_sequence(), PAGE).await?;
        if page.rows.is_empty() {
            break;
        }
        auditor = run_blocking(move || -> Result<Auditor, TooFragmented> {
            page.rows.iter().try_for_each(|row| auditor.row(row))?;
            Ok(auditor)
        })
        .await??;
    }
    run_blocking(move || {
        let report = auditor.summary(drop);
        (auditor, report)
    })
    .await
}
