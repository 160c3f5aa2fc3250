//! The schedules as the clock has them: what the running one says, or what its store holds.

use super::{
    Globals,
    reach::{Source, Trouble, Which},
};
use crate::{
    http::{
        ScheduleView,
        calendars::CalendarView,
        client::{Client, ClientError},
    },
    schedule::{CalendarId, Pins},
};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct All {
    clock: String,
    schedules: Vec<ScheduleView>,
}

/// Whose they are, in words, and the schedules; the days of their calendars are known from then on.
pub(super) async fn clock_side(
    globals: &Globals,
    which: &Which,
) -> Result<(String, Vec<ScheduleView>), Trouble> {
    views(which.reach(globals).await?).await
}

/// The same of a clock, or a store, that was reached.
pub(super) async fn views(source: Source) -> Result<(String, Vec<ScheduleView>), Trouble> {
    match source {
        Source::Clock(client) => {
            let All { clock, mut schedules } = client.get::<All>("/schedules").await?;
            learn(&client, &mut schedules).await?;
            Ok((format!("the clock '{clock}'"), schedules))
        }
        Source::Store(kept) => {
            let (clock, views) = (kept.clock.clone(), ScheduleView::stored(&kept.snapshot));
            kept.close().await?;
            Ok((format!("the store of the clock '{clock}'"), views))
        }
    }
}

/// Asks for the days of the calendars that the clock's definitions name by id.
async fn learn(client: &Client, views: &mut [ScheduleView]) -> Result<(), Trouble> {
    let pins = views.iter().filter_map(|view| view.definition.calendars.as_ref());
    let missing: BTreeSet<CalendarId> = pins.flat_map(Pins::missing).collect();
    for id in &missing {
        let found: CalendarView = client.get(&format!("/calendars/{id}")).await?;
        let Some(days) = found.days().filter(|_| found.id == *id) else {
            let what = format!("what it gives as the calendar {id} has other days");
            return Err(ClientError::Broken { target: client.target().clone(), what }.into());
        };
        Pins::learn(days);
    }
    if !missing.is_empty() {
        let pins = views.iter_mut().filter_map(|view| view.definition.calendars.as_mut());
        pins.for_each(|pins| *pins = pins.resolved());
    }
    Ok(())
}
