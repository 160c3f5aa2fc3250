//! The schedules as the clock has them: what the running one says, or what its store holds.

use super::{Globals, error::CliError, reach::ClockArgs, source::ClockSource};
use crate::{
    ops::{ScheduleList, ScheduleView},
    schedule::CalendarStore,
};

/// The schedules of a clock.
#[derive(Default)]
pub(super) struct ClockSide {
    /// Whose they are, in words.
    pub(super) title: String,
    /// The clock's name.
    pub(super) clock: String,
    pub(super) schedules: Vec<ScheduleView>,
    /// The days of their calendars.
    pub(super) calendars: CalendarStore,
}

pub(super) async fn clock_side(globals: &Globals, clock: &ClockArgs) -> Result<ClockSide, CliError> {
    of(clock.reach(globals).await?).await
}

/// The same of a clock, or a store, that was reached.
pub(super) async fn of(source: ClockSource) -> Result<ClockSide, CliError> {
    let ScheduleList { clock, schedules, .. } = source.schedules().await?;
    let calendars = source.calendars(&schedules).await?;
    let title = match &source {
        ClockSource::Running(_) => format!("the clock '{clock}'"),
        ClockSource::Stopped(_) => format!("the store of the clock '{clock}'"),
    };
    source.close().await?;
    Ok(ClockSide { title, clock, schedules, calendars })
}
