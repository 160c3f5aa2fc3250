//! Schedules as the clock has them: all in pages, or one by its name.

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
        ScheduleView::new(status)
    }
}

/// The schedule of this name.
///
/// # Errors
/// [`OpsError::NotFound`], with the name that is nearest to it.
pub async fn get(clock: impl Into<Clock>, name: &str) -> Result<ScheduleView, OpsError> {
    let missing = |what: String, suggestion| {
        Err(OpsError::NotFound(Missing { kind: MissingKind::Schedule, what, suggestion }))
    };
    if !is_name(name) {
        let what =
            "this is not the name of a schedule: names are up to 128 of a-z, 0-9 and inner '.', '_', '-'";
        return missing(what.to_owned(), None);
    }
    let (clock, asked): (Clock, Arc<str>) = (clock.into(), name.into());
    let found = match &clock {
        Clock::Running(clock) => clock.ask(|reply| Command::Schedule(asked.clone(), reply)).await?,
        Clock::Stopped(clock) => clock.schedule(name),
    };
    if let Some(status) = found {
        return Ok(ScheduleView::new(&status));
    }
    let near = match clock {
        Clock::Running(clock) => {
            let known = clock.ask(|reply| Command::Neighbours(asked.clone(), reply)).await?;
            run_blocking(move || owned(nearest(&asked, known.iter().map(Packed::name)))).await?
        }
        Clock::Stopped(clock) => {
            run_blocking(move || owned(nearest(&asked, clock.live_after(None).map(Revision::name)))).await?
        }
    };
    missing(format!("there is no schedule '{name}'"), near)
}

fn owned(name: Option<&str>) -> Option<String> {
    name.map(str::to_owned)
}
