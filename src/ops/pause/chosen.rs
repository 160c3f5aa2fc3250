//! Which schedules a filter chooses, of those that are the caller's to change.

use crate::{
    authority::Caller,
    engine::ScheduleStatus,
    ops::{
        Clock, OpsError, RunningClock, ScheduleFilter,
        schedules::{self, ScheduleQuery},
    },
};
use std::{collections::BTreeSet, sync::Arc};

/// Schedules that one request chooses at most.
const MOST: usize = 100_000;
/// Names in one request at most: each is looked up.
const MOST_NAMES: usize = 1_000;

/// A schedule that is chosen.
pub(super) struct Chosen {
    pub(super) name: Arc<str>,
    pub(super) is_paused: bool,
}

impl Chosen {
    fn new(status: &ScheduleStatus) -> Self {
        Self { name: status.revision.name().into(), is_paused: status.paused.is_some() }
    }
}

/// Those that are chosen and `wanted`, by name.
///
/// # Errors
/// [`OpsError::Invalid`] where the filter says nothing, or chooses too many; [`OpsError::NotFound`] where a name is not there;
/// [`OpsError::Denied`] where one is outside of the caller's domains.
pub(super) async fn choose(
    clock: &RunningClock,
    caller: &Caller,
    filter: ScheduleFilter,
    wanted: fn(&Chosen) -> bool,
) -> Result<Vec<Chosen>, OpsError> {
    match (filter.names.is_empty(), filter.says_more_than_names()) {
        (true, false) => Err(OpsError::Invalid(format!(
            "filter: say names, or one of {}; /v1/pause with \"all\": true is everything",
            ScheduleFilter::PARTS
        ))),
        (false, true) => Err(OpsError::Invalid(format!("filter: names exclude {}", ScheduleFilter::PARTS))),
        (false, false) => named(clock, caller, filter.names, wanted).await,
        (true, true) => filtered(clock, caller, filter.query(), wanted).await,
    }
}

async fn named(
    clock: &RunningClock,
    caller: &Caller,
    names: Vec<String>,
    wanted: fn(&Chosen) -> bool,
) -> Result<Vec<Chosen>, OpsError> {
    if names.len() > MOST_NAMES {
        let what = format!("filter: it names {} schedules; {MOST_NAMES} are taken at once", names.len());
        return Err(OpsError::Invalid(what));
    }
    let mut chosen = Vec::with_capacity(names.len());
    for name in names.into_iter().collect::<BTreeSet<String>>() {
        let status = schedules::find(&Clock::from(clock.clone()), &name).await?;
        caller.may_change(status.revision.definition.event())?;
        chosen.extend(Some(Chosen::new(&status)).filter(wanted));
    }
    Ok(chosen)
}

async fn filtered(
    clock: &RunningClock,
    caller: &Caller,
    mut query: ScheduleQuery,
    wanted: fn(&Chosen) -> bool,
) -> Result<Vec<Chosen>, OpsError> {
    let mut chosen = Vec::new();
    loop {
        let page = schedules::page(clock.clone(), &query).await?;
        for status in &page.list {
            let Some(one) = Some(Chosen::new(status)).filter(wanted) else { continue };
            caller.may_change(status.revision.definition.event())?;
            chosen.push(one);
        }
        if chosen.len() > MOST {
            let what =
                format!("filter: it chooses more than {MOST} schedules; narrow it, and ask several times");
            return Err(OpsError::Invalid(what));
        }
        match page.next {
            None => return Ok(chosen),
            next => query.page = next,
        }
    }
}
