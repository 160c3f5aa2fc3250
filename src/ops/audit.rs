//! The record against the arithmetic.

use super::{Clock, OpsError, Pages, RecordReader, RunningClock, run_blocking, schedules};
use crate::{
    clock_loop::Command,
    engine::audit::{Auditor, Report, ScheduleReport, TooFragmented},
};
use ponos::event::Timestamp;

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

impl Window {
    /// # Errors
    /// [`OpsError::Invalid`]: it is empty, or begins in the future: "they agree" would be true of it, and mean nothing.
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Self, OpsError> {
        match (from, to) {
            (Some(from), Some(to)) if from >= to => {
                Err(OpsError::Invalid(format!("from ({from}) must be before to ({to})")))
            }
            (Some(from), _) if from >= now => Err(OpsError::Invalid(format!(
                "from ({from}) is in the future (it is {now}): nothing is recorded after it yet"
            ))),
            _ => Ok(Self { from, to }),
        }
    }

    /// The instants that were given, by their names.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, Timestamp)> {
        [("from", self.from), ("to", self.to)].into_iter().filter_map(|(name, at)| Some((name, at?)))
    }

    /// Whether the clock, whose first definition took effect at `since`, knows what was due in it.
    fn check_known(&self, since: Option<Timestamp>) -> Result<(), OpsError> {
        match (since, self.to) {
            (Some(since), Some(to)) if to <= since => Err(OpsError::Invalid(format!(
                "to ({to}) is before the clock's first schedule, which took effect at {since}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Audits the record of a clock, of one schedule if a name is given: a report without its schedules, and these in pages.
///
/// # Errors
/// [`OpsError`]: [`OpsError::Invalid`] where all that the clock knows took effect after the window,
/// [`OpsError::NotFound`] where neither a definition nor a row of that name is kept.
pub async fn audit(
    clock: impl Into<Clock>,
    window: Window,
    only: Option<&str>,
) -> Result<(Report, AuditedSchedules), OpsError> {
    let clock = clock.into();
    let auditor = match &clock {
        Clock::Running(clock) => kept(clock, window, only).await?,
        Clock::Stopped(clock) => {
            window
                .check_known(clock.snapshot.revisions.iter().map(|revision| revision.effective_from).min())?;
            let (snapshot, only) = (clock.snapshot.clone(), only.map(str::to_owned));
            run_blocking(move || Auditor::of(&snapshot, window.from, window.to, only.as_deref())).await?
        }
    };
    let (auditor, report) = walk(clock.record(), auditor).await?;
    if let Some(name) = only
        && auditor.schedules_after(None, 1).is_empty()
    {
        schedules::get(clock.clone(), name).await?;
    }
    Ok((report, AuditedSchedules { auditor: Some(auditor), after: None }))
}

/// An auditor that knows what the clock keeps, asked for page by page: the loop does other things in between.
async fn kept(clock: &RunningClock, window: Window, only: Option<&str>) -> Result<Auditor, OpsError> {
    let mut since = None;
    let mut auditor = Auditor::new(*clock.handle.recorded.borrow(), window.from, window.to).only(only);
    let mut after = None;
    loop {
        let page = clock.ask(|reply| Command::Kept(after, reply)).await?;
        after = page.revisions.last().map(|last| (last.name().into(), last.number));
        since = page.revisions.iter().map(|revision| revision.effective_from).chain(since).min();
        auditor = with(auditor, move |auditor| auditor.keep(page)).await?;
        if after.is_none() {
            break;
        }
    }
    window.check_known(since)?;
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
