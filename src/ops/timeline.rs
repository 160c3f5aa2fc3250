//! All schedules on one axis: what became of what was due, by the record, and what is coming, by the timings. In columns of time and
//! pages of schedules, so that a day of a million schedules is as much to answer as an hour of ten.

mod cells;
mod columns;
mod coming;
mod past;

pub use cells::TimelineCell;
pub use past::{RecordPart, UnknownSpan};

use self::{
    columns::Columns,
    past::{Lane, Recorded},
};
use super::{
    OpsError, RunningClock, ScheduleView,
    audit::check_order,
    history::late_of,
    run_blocking,
    schedules::{self, ScheduleQuery},
};
use crate::{
    engine::{Revision, ScheduleStatus},
    position::Position,
    schedule::{FaultCode, Local, Zone},
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Columns in one answer, at most.
pub const MOST_COLUMNS: usize = 400;
/// Schedules in one answer, at most.
pub const MOST_SCHEDULES: usize = 100;
const COLUMNS: usize = 120;
const SCHEDULES: usize = 50;
const HOUR: i64 = 3_600_000;
/// The longest span, in days.
const DAYS: i64 = 92;
/// What is sent later is late, in milliseconds, unless something else is said.
const LATE: i64 = 1_000;
/// Earlier revisions that the clock is asked for, at most.
const REVISIONS: usize = 100;

/// Which span, in how many columns; of which schedules.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    /// What is due from this instant on; an hour ago, if left out.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// What is due before this instant, 92 days later at most; in an hour, if left out.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// In so many columns at most; 120 if left out.
    #[param(minimum = 1, maximum = 400)]
    pub columns: Option<usize>,
    /// What is sent later than this after its time is late, `5s`; 1 s, if left out.
    pub late: Option<String>,
    /// Of this zone the changes of the clocks are said: an IANA name.
    pub time_zone: Option<String>,
    /// Only what the record has before this position: `record.earlier` of an answer before, with the same `from`, `to` and `columns`.
    /// What is coming, and what waits, is not counted again then.
    #[param(value_type = Option<String>)]
    pub before: Option<Position>,
    /// Only schedules whose names begin so.
    pub prefix: Option<String>,
    /// Only schedules whose events are of this domain, as in the list of schedules.
    pub domain: Option<String>,
    /// Only schedules in this state: `active`, `paused`, `finished`, `catching-up` or `refused`.
    pub state: Option<String>,
    /// Only schedules that this owner created at run time.
    pub owner: Option<String>,
    /// Only schedules from there: `file`, or `client` (created at run time).
    pub origin: Option<String>,
    /// Only schedules with this label, `team:billing`; with any value of it, `team`; with several, `team:billing,stage`.
    pub label: Option<String>,
    /// At most so many schedules; 50 if left out. A page may have fewer, or none, and yet not be the last one.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<usize>,
    /// Where to go on with schedules: `next` of the page before.
    pub page: Option<String>,
}

/// What was due and will be, by columns of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Timeline {
    /// When this was worked out: what is to be sent later is coming. A clock that follows answers from what was written a moment before.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// What is due from this instant on …
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// … and before this one.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// How many columns there are. The first begins at `from`; the last one ends at `to`, and may be shorter than the others.
    pub columns: usize,
    /// How long a column is, in milliseconds.
    pub column_ms: i64,
    /// When the clocks of the zone change that was asked for.
    pub clock_changes: Vec<ClockChange>,
    /// What the record has of the span, of whatever schedule: also of those that are on other pages, or are gone.
    pub recorded: Vec<TimelineCell>,
    /// Spans of which the record does not know what was sent; a hundred of them at most.
    pub unknown: Vec<UnknownSpan>,
    /// Which part of the record was looked through.
    pub record: RecordPart,
    /// The schedules of this page, by name.
    pub schedules: Vec<TimelineRow>,
    /// The next value of `page`; null at the end.
    pub next: Option<String>,
}

/// When the clocks of a zone change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClockChange {
    /// The first instant with the new offset.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The offset before it: `+01:00`.
    pub before: String,
    /// The offset from then on.
    pub after: String,
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelineRow {
    /// Its name.
    pub name: String,
    /// What it publishes.
    pub event: Option<String>,
    /// When, in a few words.
    pub timing: String,
    /// The zone in which that is read; of several timings that of the schedule.
    pub time_zone: String,
    /// As in the list of schedules.
    pub state: String,
    /// Next due time; null when there is none any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_due_at: Option<Timestamp>,
    /// Not all that is coming of it, or waits, is in `cells`: to count what its timings share takes too long for an answer, or a revision
    /// of which something waits could not be asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// Its columns, by number; those that have nothing are left out.
    pub cells: Vec<TimelineCell>,
}

/// What was due in a span, and will be, of one page of schedules. Arithmetic under way holds `place` also when nobody waits for the
/// answer any more: it can't be cut off, and would pile up.
///
/// # Errors
/// [`OpsError::Parameter`]; [`OpsError::Unavailable`].
pub async fn timeline(
    clock: RunningClock,
    wanted: &TimelineQuery,
    now: Timestamp,
    place: impl Clone + Send + 'static,
) -> Result<Timeline, OpsError> {
    let columns = columns_of(wanted, now)?;
    let late = wanted.late.as_deref().map_or(Ok(LATE), late_of)?;
    let zone = wanted.time_zone.as_deref().map(|name| clock.zone_data().zone_under("time_zone", name));
    let clock_changes = zone.transpose()?.map_or_else(Vec::new, |zone| clock_changes(&zone, columns));
    let page = schedules::page(clock.clone(), &wanted.schedules()?).await?;
    let named =
        |status: &ScheduleStatus| (status.revision.name().into(), status.revision.definition.creation());
    let names = page.list.iter().map(named).collect();
    let asked = past::RecordAsked { columns, late, before: wanted.before, names, now };
    // After the schedules: what of them was settled in between is known by its row, and counts once.
    let mut recorded = past::read(&clock.record, asked, &place).await?;
    let (mut rows, mut revisions) = (Vec::with_capacity(page.list.len()), REVISIONS);
    for status in page.list {
        let earlier = match wanted.before {
            None => coming::earlier_revisions(&clock, &status, &mut revisions).await?,
            Some(_) => Vec::new(),
        };
        let lane = recorded.by_name.remove(status.revision.name()).unwrap_or_default();
        rows.push((status, lane, earlier));
    }
    let Recorded { all, unknown, record, .. } = recorded;
    let is_first = wanted.before.is_none();
    let lined = run_blocking(move || {
        let lines = lines(rows, columns, now, is_first);
        drop(place);
        lines
    });
    let schedules = lined.await?;
    Ok(Timeline {
        now,
        from: columns.from,
        to: columns.to,
        columns: columns.count,
        column_ms: columns.length,
        clock_changes,
        recorded: all.into_list(),
        unknown,
        record,
        schedules,
        next: page.next,
    })
}

fn columns_of(wanted: &TimelineQuery, now: Timestamp) -> Result<Columns, OpsError> {
    let count = wanted.columns.unwrap_or(COLUMNS);
    if !(1..=MOST_COLUMNS).contains(&count) {
        return Err(OpsError::parameter("columns", FaultCode::OutOfRange, format!("1 to {MOST_COLUMNS}")));
    }
    if wanted.before.is_some() && (wanted.from.is_none() || wanted.to.is_none()) {
        let what = "with from and to, as the answer has them that it is added to";
        return Err(OpsError::parameter("before", FaultCode::Conflict, what));
    }
    let from = wanted.from.unwrap_or(now.plus(-HOUR));
    let to = wanted.to.unwrap_or(now.plus(HOUR));
    check_order(Some(from), Some(to))?;
    if to.since(from) > DAYS * 24 * HOUR {
        return Err(OpsError::parameter(
            "to",
            FaultCode::OutOfRange,
            format!("{DAYS} days after from at most"),
        ));
    }
    Ok(Columns::new(from, to, count))
}

fn clock_changes(zone: &Zone, columns: Columns) -> Vec<ClockChange> {
    let offset = |at| Local::of(zone, at).unwrap_or_default().offset;
    let change = |at: Timestamp| ClockChange { at, before: offset(at.plus(-1)), after: offset(at) };
    zone.changes(columns.from, columns.to).map(change).collect()
}

/// `is_first`: with what waits and what is coming.
fn lines(
    rows: Vec<(ScheduleStatus, Lane, Vec<Revision>)>,
    columns: Columns,
    now: Timestamp,
    is_first: bool,
) -> Vec<TimelineRow> {
    let mut steps = coming::Steps::default();
    let line = |(status, lane, earlier): (ScheduleStatus, Lane, Vec<Revision>)| {
        let Lane { mut cells, settled, .. } = lane;
        let to_count = coming::of_schedule(&status, &earlier, columns, now);
        let (time_zone, mut uncounted) = (to_count.timing.zone().name().to_owned(), false);
        if is_first {
            uncounted = !to_count.is_all;
            for due in &to_count.due {
                uncounted |= !due.count(columns, &mut cells, &settled, &mut steps);
            }
        }
        let ScheduleView { name, event, timing, state, next_due_at, .. } = ScheduleView::new(&status, None);
        TimelineRow {
            name,
            event,
            timing,
            time_zone,
            state,
            next_due_at,
            uncounted,
            cells: cells.into_list(),
        }
    };
    rows.into_iter().map(line).collect()
}

impl TimelineQuery {
    /// Which schedules.
    fn schedules(&self) -> Result<ScheduleQuery, OpsError> {
        let limit = self.limit.unwrap_or(SCHEDULES);
        if !(1..=MOST_SCHEDULES).contains(&limit) {
            return Err(OpsError::parameter(
                "limit",
                FaultCode::OutOfRange,
                format!("1 to {MOST_SCHEDULES}"),
            ));
        }
        let Self { prefix, domain, state, owner, origin, label, page, .. } = self.clone();
        Ok(ScheduleQuery { prefix, domain, state, owner, origin, label, limit: Some(limit), page })
    }
}
