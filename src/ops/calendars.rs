//! Calendars: those that definitions may name, files' and others, by name; and the days that a definition's calendar had when it
//! was accepted, by id. A client that evaluates a definition elsewhere asks for these once, because they never change.

use super::{
    CalendarList, CalendarView, Clock, FoundCalendar, Missing, MissingKind, NamedCalendarView, OpsError,
    RunningClock, run_blocking,
    schedules::{mark, name_of},
};
use crate::{
    clock_loop::{CalendarStatus, Command},
    diagnostic::nearest,
    schedule::{CalendarId, FaultCode, is_name},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Calendars in one answer, at most.
const MOST: usize = 1_000;

/// Which calendars.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CalendarQuery {
    /// At most so many, 1 to 1,000; 100 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// The calendar of this name; or the days of one, where it is their id.
///
/// # Errors
/// [`OpsError::NotFound`].
pub async fn find(clock: impl Into<Clock>, name: &str) -> Result<FoundCalendar, OpsError> {
    match (name.parse::<CalendarId>(), clock.into()) {
        (Err(_), Clock::Running(clock)) => Ok(FoundCalendar::Named(Box::new(get(&clock, name).await?))),
        (_, clock) => days(clock, name).await.map(FoundCalendar::Days),
    }
}

/// The calendar of this name, with its text where it was created at run time.
///
/// # Errors
/// [`OpsError::NotFound`].
pub async fn get(clock: &RunningClock, name: &str) -> Result<NamedCalendarView, OpsError> {
    if let Some(status) = created(clock, name).await? {
        return Ok(NamedCalendarView::whole(&status));
    }
    let named = clock.named_calendars().unwrap_or_default();
    if named.has(name) {
        return Ok(NamedCalendarView::of_file(name));
    }
    let suggestion = nearest(name, named.names()).map(str::to_owned);
    let what = format!("there is no calendar '{name}'");
    Err(OpsError::NotFound(Missing { kind: MissingKind::NamedCalendar, what, suggestion }))
}

/// The one of this name, if it was created at run time.
pub(super) async fn created(clock: &RunningClock, name: &str) -> Result<Option<CalendarStatus>, OpsError> {
    // What can't be a name is none's.
    if !is_name(name) {
        return Ok(None);
    }
    clock.ask(|reply| Command::Calendar(name.to_owned(), reply)).await
}

/// A page of the calendars that there are, by name.
///
/// # Errors
/// [`OpsError::Parameter`].
pub async fn page(clock: &RunningClock, wanted: &CalendarQuery) -> Result<CalendarList, OpsError> {
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST}")));
    }
    let after = wanted.page.as_deref().map(name_of).transpose()?.unwrap_or_default();
    let mut all = Vec::new();
    // What every name begins with that comes behind it.
    let mut from = if after.is_empty() { after.clone() } else { format!("{after}\0") };
    while all.len() <= limit {
        let start = from.clone();
        let found = clock.ask(|reply| Command::Calendars(start, reply)).await?;
        let Some(last) = found.last() else { break };
        from = format!("{}\0", last.calendar.name);
        all.extend(found.iter().map(NamedCalendarView::of_client));
    }
    // Beyond what was looked at, all are on a later page.
    let reached = (all.len() > limit).then(|| from.trim_end_matches('\0').to_owned());
    let files = clock.named_calendars().unwrap_or_default();
    let is_here = |name: &&str| **name > *after && reached.as_deref().is_none_or(|reached| **name < *reached);
    let of_files = files.names().filter(is_here).map(NamedCalendarView::of_file).take(limit + 1);
    all.extend(of_files);
    // Of one name, what was created comes first: that is what a schedule gets.
    all.sort_by(|a, b| (&a.name, &a.origin).cmp(&(&b.name, &b.origin)));
    all.dedup_by(|later, first| later.name == first.name);
    let next = (all.len() > limit).then(|| all.get(limit - 1).map(|last| mark(&last.name))).flatten();
    all.truncate(limit);
    Ok(CalendarList { calendars: all, next })
}

/// The days of the calendar with this id.
///
/// # Errors
/// [`OpsError::NotFound`].
pub async fn days(clock: impl Into<Clock>, id: &str) -> Result<CalendarView, OpsError> {
    let clock = clock.into();
    let found = id.parse().ok().and_then(|id: CalendarId| Some((id, clock.calendars().days(id)?)));
    let (id, days) = found.ok_or_else(|| {
        let what = format!("there is no calendar '{id}'");
        OpsError::NotFound(Missing { kind: MissingKind::Calendar, what, suggestion: None })
    })?;
    let dates = run_blocking(move || days.to_dates()).await?;
    Ok(CalendarView { id, dates })
}
