//! The schedules as the clock has them: what the running one says, or what its store holds.

use super::{
    Globals,
    reach::{Source, Trouble, Which},
};
use crate::{
    http::client::{Client, ClientError},
    ops::{CalendarView, ScheduleList, ScheduleView},
    schedule::{CalendarId, CalendarStore},
};
use std::collections::BTreeSet;

/// The schedules of a clock.
#[derive(Default)]
pub(super) struct ClockSide {
    /// Whose they are, in words.
    pub(super) title: String,
    pub(super) schedules: Vec<ScheduleView>,
    /// The days of their calendars.
    pub(super) calendars: CalendarStore,
}

pub(super) async fn clock_side(globals: &Globals, which: &Which) -> Result<ClockSide, Trouble> {
    of(which.reach(globals).await?).await
}

/// The same of a clock, or a store, that was reached.
pub(super) async fn of(source: Source) -> Result<ClockSide, Trouble> {
    match source {
        Source::Clock(client) => {
            let ScheduleList { clock, schedules } = client.get::<ScheduleList>("/schedules").await?;
            let calendars = calendars(&client, &schedules).await?;
            Ok(ClockSide { title: format!("the clock '{clock}'"), schedules, calendars })
        }
        Source::Store(kept) => {
            let title = format!("the store of the clock '{}'", kept.clock);
            let (schedules, calendars) = (ScheduleView::stored(&kept.snapshot), kept.calendars.clone());
            kept.close().await?;
            Ok(ClockSide { title, schedules, calendars })
        }
    }
}

/// Asks for the days of the calendars that the clock's definitions name by id.
async fn calendars(client: &Client, views: &[ScheduleView]) -> Result<CalendarStore, Trouble> {
    let named = views.iter().filter_map(|view| view.definition.calendars.as_ref());
    let ids: BTreeSet<CalendarId> = named.flat_map(|ids| ids.values().copied()).collect();
    let calendars = CalendarStore::default();
    for id in &ids {
        let found: CalendarView = client.get(&format!("/calendars/{id}")).await?;
        let Some(days) = found.days().filter(|_| found.id == *id) else {
            let what = format!("its answer for the calendar {id} has the days of another calendar");
            return Err(ClientError::Broken { target: client.target().clone(), what }.into());
        };
        calendars.insert(days);
    }
    Ok(calendars)
}
