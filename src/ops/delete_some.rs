//! All schedules that pass a filter are deleted, of those that were created at run time; or they are only counted.

use super::{
    Clock, OpsError, RunningClock, Tag,
    change::{Wanted, change_paid},
    schedules::{self, ScheduleQuery, page},
    views::{FilterDecision, OutcomeView, ScheduleFilter},
};
use crate::{
    authority::{Caller, Role},
    clock_loop::CHANGES,
    engine::{Revision, ScheduleStatus, Verdict},
    schedule::FaultCode,
};
use std::collections::BTreeSet;
use tokio::time::Instant;
use tracing::info;

/// Schedules in one request, at most.
const MOST: usize = 100_000;
/// Names in one request, at most: each is looked up.
const MOST_NAMES: usize = 1_000;
/// Names, and refusals, in the answer.
const SHOWN: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Which; some part of it must be given.
    pub filter: ScheduleFilter,
    /// They are counted, and stay.
    pub dry_run: bool,
    /// How many there must be: with another number nothing is done.
    pub expect_count: Option<usize>,
}

/// Deletes the caller's schedules that pass the filter, each as it was when they were counted; who may change what others
/// created may say whose. Of names, those that are not there are gone already. Done when that is durable, whether or not
/// somebody waits for it.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Parameter`]; [`OpsError::OtherCount`]; as [`change`](super::change::change): none is
/// deleted; [`OpsError::Partly`]: some are.
pub async fn delete_some(
    clock: &RunningClock,
    caller: &Caller,
    asked: Asked,
) -> Result<FilterDecision, OpsError> {
    caller.may(Role::Write, "delete schedules")?;
    let Asked { filter, dry_run, expect_count } = asked;
    if filter.names.len() > MOST_NAMES {
        let what = format!("names: there are {}; {MOST_NAMES} are taken at once", filter.names.len());
        return Err(OpsError::parameter("filter", FaultCode::OutOfRange, what));
    }
    // Also who only counts has many looked at.
    let now = Instant::now();
    caller.take_puts(1, now)?;
    let found = match (filter.names.is_empty(), filter.says_more_than_names()) {
        (true, false) => {
            let what = format!("give names, or at least one of {}", ScheduleFilter::PARTS);
            return Err(OpsError::parameter("filter", FaultCode::MissingKey, what));
        }
        (false, true) => {
            let what = format!("names exclude {}", ScheduleFilter::PARTS);
            return Err(OpsError::parameter("filter", FaultCode::Conflict, what));
        }
        (false, false) => named(clock, filter.names).await?,
        (true, true) => {
            let own = || caller.owner().to_string();
            let mut query = filter.query();
            if query.origin.as_deref() == Some("file") {
                let what = "origin: a schedule of a file is deleted in its file";
                return Err(OpsError::parameter("filter", FaultCode::Conflict, what));
            }
            query.origin.get_or_insert_with(|| "client".to_owned());
            if !caller.is_admin() {
                query.owner.get_or_insert_with(own);
            }
            find(clock, query).await?
        }
    };
    let matched = found.len();
    if expect_count.is_some_and(|expected| expected != matched) {
        return Err(OpsError::OtherCount { found: matched, expected: expect_count.unwrap_or_default() });
    }
    let names = found.iter().take(SHOWN).map(|(name, _)| name.clone()).collect();
    let decision = FilterDecision { dry_run, matched, names, ..FilterDecision::default() };
    if dry_run {
        return Ok(decision);
    }
    // It is one request: what more it takes is earned before the next one.
    caller.owe_puts(u32::try_from(matched.saturating_sub(1)).unwrap_or(u32::MAX), now);
    // On a task of its own: who asked may go away, or be given up, and what is begun is done to the end.
    let work = piece_by_piece(clock.clone(), caller.clone(), found, decision);
    tokio::spawn(work).await.map_err(|_| OpsError::Defect)?
}

async fn piece_by_piece(
    clock: RunningClock,
    caller: Caller,
    found: Vec<(String, Tag)>,
    mut decision: FilterDecision,
) -> Result<FilterDecision, OpsError> {
    for some in found.chunks(CHANGES) {
        let wanted =
            some.iter().map(|(name, tag)| Wanted::Delete { name: name.clone(), expect: (*tag).into() });
        let outcomes = change_paid(&clock, &caller, wanted.collect()).await;
        let outcomes = outcomes.map_err(|why| match decision.done + decision.refused {
            0 => why,
            _ => OpsError::Partly { done: decision.done, of: decision.matched, why: Box::new(why) },
        })?;
        for outcome in outcomes {
            match (&outcome.verdict, outcome.refused()) {
                (Verdict::Deleted { .. }, _) => decision.done += 1,
                (_, None) => {}
                // It went, or is another one, since it was counted; or it is none of his.
                (_, Some(why)) => {
                    decision.refused += 1;
                    if decision.refusals.len() < SHOWN {
                        let view = OutcomeView::new(&outcome.name, &outcome.verdict, Vec::new());
                        decision.refusals.push((view.name, why).into());
                    }
                }
            }
        }
    }
    info!("{caller} asked to delete schedules: {} of {} are deleted", decision.done, decision.matched);
    Ok(decision)
}

fn tag(status: &ScheduleStatus) -> Tag {
    let Revision { number, definition, .. } = &status.revision;
    Tag { creation: definition.creation(), revision: *number }
}

/// Names and revisions of those that are named and there.
async fn named(clock: &RunningClock, names: Vec<String>) -> Result<Vec<(String, Tag)>, OpsError> {
    let clock = Clock::from(clock.clone());
    let mut found = Vec::with_capacity(names.len());
    for name in names.into_iter().collect::<BTreeSet<String>>() {
        match schedules::find(&clock, &name).await {
            Ok(status) => found.push((name, tag(&status))),
            Err(OpsError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Names and revisions of those that pass.
async fn find(clock: &RunningClock, mut query: ScheduleQuery) -> Result<Vec<(String, Tag)>, OpsError> {
    let mut found = Vec::new();
    loop {
        let some = page(clock.clone(), &query).await?;
        found.extend(some.list.iter().map(|one| (one.revision.name().to_owned(), tag(one))));
        if found.len() > MOST {
            let what = format!("more than {MOST} schedules pass it; narrow it");
            return Err(OpsError::parameter("filter", FaultCode::OutOfRange, what));
        }
        match some.next {
            Some(next) => query.page = Some(next),
            None => return Ok(found),
        }
    }
}
