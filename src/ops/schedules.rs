//! Schedules as the clock has them: all of them, or those of a prefix, a domain or a state in pages; or one by its name.

mod labels;
mod page;

pub use page::{DueQuery, MOST_OF_A_PAGE, SchedulePage, ScheduleQuery, due, page};
pub(super) use page::{mark, marked, name_of};

use super::{Clock, Missing, MissingKind, OpsError, Pages, ScheduleView, run_blocking};
use crate::{
    clock_loop::{Command, PAGE},
    diagnostic::nearest,
    engine::{Revision, ScheduleStatus},
    schedule::{Packed, is_name},
};
use std::sync::Arc;

/// All schedules by name, each as it is when its page is read.
#[derive(Debug)]
pub struct Schedules {
    clock: Clock,
    after: Option<Arc<str>>,
}

/// All schedules of a clock.
pub fn all(clock: impl Into<Clock>) -> Schedules {
    Schedules { clock: clock.into(), after: None }
}

impl Pages for Schedules {
    type Item = ScheduleStatus;
    type View<'a> = ScheduleView;

    async fn next(&mut self) -> Result<Vec<ScheduleStatus>, OpsError> {
        let after = self.after.clone();
        let page = match &self.clock {
            Clock::Running(clock) => clock.ask(|reply| Command::Schedules(after, reply)).await?,
            Clock::Stopped(clock) => {
                let page = clock.live_after(after.as_deref()).take(PAGE);
                page.map(|revision| clock.status(revision)).collect()
            }
        };
        self.after = page.last().map(|status| status.revision.name().into());
        Ok(page)
    }

    fn view(&self, status: &ScheduleStatus) -> ScheduleView {
        self.clock.view(status)
    }
}

/// Refuses what no schedule can be called, before anybody is asked.
pub(super) fn check_name(name: &str) -> Result<(), OpsError> {
    if is_name(name) {
        return Ok(());
    }
    let what = "this is not the name of a schedule: names are up to 128 of a-z, 0-9 and inner '.', '_', '-'";
    Err(OpsError::NotFound(Missing { kind: MissingKind::Schedule, what: what.to_owned(), suggestion: None }))
}

/// Whether there is a schedule of this name.
pub(super) async fn has(clock: &Clock, name: &Arc<str>) -> Result<bool, OpsError> {
    Ok(match clock {
        Clock::Running(clock) => clock.ask(|reply| Command::Schedule(name.clone(), reply)).await?.is_some(),
        Clock::Stopped(clock) => clock.schedule(name).is_some(),
    })
}

/// The schedule of this name.
///
/// # Errors
/// [`OpsError::NotFound`], with the name that is nearest to it.
pub async fn get(clock: impl Into<Clock>, name: &str) -> Result<ScheduleView, OpsError> {
    let clock = clock.into();
    Ok(clock.view(&find(&clock, name).await?))
}

/// The same, as the clock has it.
pub(super) async fn find(clock: &Clock, name: &str) -> Result<ScheduleStatus, OpsError> {
    check_name(name)?;
    let missing = |kind, what, suggestion| Err(OpsError::NotFound(Missing { kind, what, suggestion }));
    let asked: Arc<str> = name.into();
    let found = match clock {
        Clock::Running(clock) => clock.ask(|reply| Command::Schedule(asked.clone(), reply)).await?,
        Clock::Stopped(clock) => clock.schedule(name),
    };
    if let Some(status) = found {
        return Ok(status);
    }
    if let Some(former) = newest(clock, &asked).await? {
        let what = match former.ended {
            Some(_) => format!("there is no schedule '{name}' any more"),
            None => {
                format!("the schedule '{name}' does not run: this version does not understand its definition")
            }
        };
        return missing(MissingKind::FormerSchedule, what, None);
    }
    let near = match clock {
        Clock::Running(clock) => {
            let known = clock.ask(|reply| Command::Neighbours(asked.clone(), reply)).await?;
            run_blocking(move || owned(nearest(&asked, known.iter().map(Packed::name)))).await?
        }
        Clock::Stopped(clock) => {
            let clock = clock.clone();
            run_blocking(move || owned(nearest(&asked, clock.live_after(None).map(Revision::name)))).await?
        }
    };
    missing(MissingKind::Schedule, format!("there is no schedule '{name}'"), near)
}

/// The last definition of this name that is kept: of a schedule that was removed, too, while something refers to it.
async fn newest(clock: &Clock, name: &Arc<str>) -> Result<Option<Revision>, OpsError> {
    Ok(match clock {
        Clock::Running(clock) => {
            let kept = clock.ask(|reply| Command::Kept(Some((name.clone(), 0)), reply)).await?;
            kept.revisions.into_iter().take_while(|revision| *revision.name() == **name).last()
        }
        Clock::Stopped(clock) => clock.newest(name).cloned(),
    })
}

fn owned(name: Option<&str>) -> Option<String> {
    name.map(str::to_owned)
}
