//! How many occurrences are coming of all schedules of a running clock, and when most of them.

use super::{OpsError, Pages, RunningClock, run_blocking, schedules};
use crate::{
    engine::ScheduleStatus,
    schedule::{FaultCode, LoadForecast, Peak, Timing},
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Schedules that are looked at, at most.
const SCHEDULES: usize = 200_000;
/// Steps of the count, at most: a second or so.
const STEPS: u64 = 20_000_000;
/// How many of the busiest seconds are given.
const BUSIEST: usize = 10;
const HOUR: i64 = 3_600_000;

/// How far ahead.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ForecastQuery {
    /// How many hours, 1 to 24; 24 if left out.
    #[param(minimum = 1, maximum = 24)]
    pub hours: Option<u32>,
}

/// How many occurrences are coming. What is paused, or has finished, is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Forecast {
    /// What is due after this instant …
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// … through this one.
    #[schema(value_type = String, format = DateTime)]
    pub through: Timestamp,
    /// How many schedules were counted.
    pub schedules: usize,
    /// How many occurrences in all.
    pub occurrences: u64,
    /// The length of each of `rows`.
    pub row_seconds: i64,
    /// By spans of time, one after the other; the first and the last may reach beyond what was counted.
    pub rows: Vec<Load>,
    /// The busiest seconds, the busiest first.
    pub busiest: Vec<Load>,
}

/// How many occurrences in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Load {
    /// Its beginning.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How many.
    pub occurrences: u64,
}

impl From<Peak> for Load {
    fn from(Peak { at, count }: Peak) -> Self {
        Self { at, occurrences: count }
    }
}

/// Schedules by their timing: a million minutely ones are one.
type Groups = HashMap<String, (Timing, u32)>;

/// Counts what is coming from `now` on.
///
/// # Errors
/// [`OpsError::Parameter`]; [`OpsError::Refused`]: it is too much to be counted for an answer; [`OpsError::Unavailable`].
pub async fn forecast(
    clock: RunningClock,
    wanted: &ForecastQuery,
    now: Timestamp,
) -> Result<Forecast, OpsError> {
    let hours = wanted.hours.unwrap_or(24);
    if !(1..=24).contains(&hours) {
        return Err(OpsError::parameter("hours", FaultCode::OutOfRange, "1 to 24"));
    }
    let through = now.plus(i64::from(hours) * HOUR);
    if clock.status().figures.schedules.all() > SCHEDULES {
        return Err(too_many());
    }
    let (mut all, mut groups) = (schedules::all(clock), Groups::new());
    let (mut looked_at, mut counted) = (0, 0);
    loop {
        let page = all.next().await?;
        if page.is_empty() {
            return run_blocking(move || count(groups, counted, now, through)).await?;
        }
        looked_at += page.len();
        if looked_at > SCHEDULES {
            return Err(too_many());
        }
        let page: Vec<ScheduleStatus> = page.into_iter().filter(is_sent).collect();
        counted += page.len();
        groups = run_blocking(move || grouped(groups, page)).await?;
    }
}

fn too_many() -> OpsError {
    OpsError::Refused(format!(
        "more than {SCHEDULES} schedules are too many for an answer: khronos forecast counts them, in the files"
    ))
}

/// Whether something of it is coming.
pub(super) fn is_sent(status: &ScheduleStatus) -> bool {
    status.paused.is_none() && !status.finished && !status.revision.definition.is_paused()
}

fn grouped(mut groups: Groups, page: Vec<ScheduleStatus>) -> Groups {
    for status in page {
        let definition = status.revision.definition.definition();
        let mut key = definition.timing_key();
        if definition.limit.is_some() || definition.jitter.is_some() {
            // Its limit may count from an instant of its own, and its offsets follow from its name.
            key = format!("{key}\n{}", status.revision.name());
        }
        let group = groups.entry(key).or_insert_with(|| (status.revision.timing(), 0));
        group.1 = group.1.saturating_add(1);
    }
    groups
}

fn count(
    groups: Groups,
    schedules: usize,
    from: Timestamp,
    through: Timestamp,
) -> Result<Forecast, OpsError> {
    let (mut load, mut steps) = (LoadForecast::new(from, through), 0);
    let seconds = u64::try_from(load.span() / 1_000).unwrap_or(0);
    for (timing, times) in groups.into_values() {
        steps += timing.count(from, through).min(2 * seconds) + 1;
        if steps > STEPS {
            let what = "so many different schedules come so often that counting them takes too long for an answer: ask for fewer hours, or use khronos forecast";
            return Err(OpsError::Refused(what.to_owned()));
        }
        load.add(&timing, times);
    }
    // Some fifty rows.
    let row_seconds = match seconds {
        ..=3_600 => 60,
        3_601..=21_600 => 600,
        _ => 1_800,
    };
    Ok(Forecast {
        from,
        through,
        schedules,
        occurrences: load.total(),
        row_seconds,
        rows: load.slices(row_seconds).map(Load::from).collect(),
        busiest: load.busiest(BUSIEST).into_iter().map(Load::from).collect(),
    })
}
