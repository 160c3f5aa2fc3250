//! When schedules are due next; why then, or not at all: of a schedule that the clock has, of a definition that it does not
//! have yet, and of whatever else has a timing.

mod why;

pub(crate) use why::weekday_of;
pub use why::{Entry, Fold, reason, wall};

use super::{
    Clock, OpsError,
    judge::Judge,
    run_blocking,
    schedules::{find, has},
};
use crate::schedule::{
    ClockFate, Explained, FaultCode, Local, Past, Timing, file::FieldFault, parse_instant_with,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};
use utoipa::{IntoParams, ToSchema};

/// Occurrences in one answer, at most.
pub const MOST: u32 = 1_000;
/// Schedules at most that are said to be finished.
const FINISHED: usize = 20;

/// From when on, and how many.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NextQuery {
    /// What is due after this instant (exclusive), which has an offset: `2026-12-01T09:00:00Z`. Now, if left out.
    pub from: Option<String>,
    /// How many occurrences, at most 1,000; 10 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub count: Option<u32>,
}

/// The next occurrences, and what was left out on the way to them, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// What is due after this instant.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The occurrences; fewer than were asked for where it ends.
    pub occurrences: Vec<OccurrenceView>,
    /// What may surprise: that it is finished, that a calendar runs out meanwhile, that more was left out than is listed.
    pub notes: Vec<String>,
    /// What can run and was seldom meant; of a definition only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<FieldFault>,
}

/// One occurrence, or what was left out on one day for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OccurrenceView {
    /// The schedule, if it has a name.
    pub schedule: Option<String>,
    /// What is published.
    pub event: Option<String>,
    /// Null where it is left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// When it is sent, with jitter only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub send_at: Option<Timestamp>,
    /// On the schedule's wall clock: `2026-12-01T09:00:00`; of what is left out, on that of the timing that names it.
    pub local_time: String,
    /// `+01:00`; null of a time that the clocks skip.
    pub utc_offset: Option<String>,
    /// The zone of that clock.
    pub time_zone: String,
    /// 1 in the second pass of a repeated hour, else 0.
    pub fold: u8,
    /// Its occurrences are skipped.
    pub paused: bool,
    /// How many were left out with this reason on this local day; 1 for an occurrence.
    pub times: u64,
    /// What the calendars and the changes of the clocks made of it; empty where nothing.
    pub why: Vec<Explained>,
}

/// Something with a timing.
#[derive(Debug, Clone)]
pub struct Timed {
    /// The schedule's name, if it has one.
    pub name: Option<Arc<str>>,
    /// What it publishes.
    pub event: Option<String>,
    /// When.
    pub timing: Timing,
    /// Its occurrences are skipped.
    pub paused: bool,
}

/// What is due next.
#[derive(Debug)]
pub struct Coming<'a> {
    /// Occurrences and what was left out, in their order.
    pub entries: Vec<Entry<'a>>,
    /// How many of them are occurrences.
    pub due: usize,
    /// More was left out than is among them.
    pub is_cut: bool,
    /// Calendars that have run out, or do so meanwhile.
    pub ends: Vec<String>,
}

/// The next occurrences of a schedule that the clock has.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::Parameter`].
pub async fn of_schedule(
    clock: impl Into<Clock>,
    name: &str,
    wanted: &NextQuery,
    now: Timestamp,
) -> Result<Preview, OpsError> {
    let clock = clock.into();
    let (from, count) = bounds(&clock, wanted, now)?;
    let status = find(&clock, name).await?;
    let definition = &status.revision.definition;
    let timed = Timed {
        name: Some(definition.name().into()),
        event: Some(definition.event().to_owned()).filter(|event| !event.is_empty()),
        timing: status.revision.timing(),
        paused: definition.is_paused(),
    };
    run_blocking(move || preview(&[timed], from, count)).await
}

/// The next occurrences of a definition as JSON, as if the clock took it over `now`; whether there is room for it beside all
/// others is not asked. Nothing is changed.
///
/// # Errors
/// [`OpsError::Definition`] with all that is wrong with it, [`OpsError::Parameter`].
pub async fn of_definition(
    clock: impl Into<Clock>,
    json: impl AsRef<[u8]> + Send + 'static,
    wanted: &NextQuery,
    now: Timestamp,
) -> Result<Preview, OpsError> {
    let clock = clock.into();
    let (from, count) = bounds(&clock, wanted, now)?;
    let judge = Judge::of(&clock);
    let judged = move || {
        let read = judge.read(json.as_ref(), now)?;
        judge.judge(&read, now)?;
        Ok::<_, OpsError>(read)
    };
    let read = run_blocking(judged).await??;
    let mut notes = Vec::new();
    if has(&clock, &read.schedule.name).await? {
        let name = &read.schedule.name;
        notes.push(format!("the clock has a schedule '{name}' already: take another name for a new one"));
    }
    let work = move || {
        let schedule = read.schedule.counting_since(now);
        match schedule.timing.last().filter(|last| *last <= now) {
            Some(last) if schedule.past == Past::Send => {
                notes.push(format!("it was due at {last}, which is past, and would be sent at once"));
            }
            _ if from < now => {
                notes.push(format!("what is due up to {now} would not be sent: the clock would begin then"));
            }
            _ => {}
        }
        let timed = Timed {
            name: Some(schedule.name),
            event: Some(schedule.event.to_string()),
            timing: schedule.timing,
            paused: schedule.paused,
        };
        let shown = preview(&[timed], from, count);
        notes.extend(shown.notes);
        Preview { notes, remarks: read.remarks, ..shown }
    };
    run_blocking(work).await
}

fn bounds(clock: &Clock, wanted: &NextQuery, now: Timestamp) -> Result<(Timestamp, u32), OpsError> {
    let count = wanted.count.unwrap_or(10);
    if !(1..=MOST).contains(&count) {
        return Err(OpsError::parameter("count", FaultCode::OutOfRange, format!("1 to {MOST}")));
    }
    let zones = clock.calendars().zones();
    let from = wanted.from.as_deref().map(|text| parse_instant_with(text, None, "from", None, zones));
    Ok((from.transpose()?.unwrap_or(now), count))
}

fn preview(rows: &[Timed], from: Timestamp, count: u32) -> Preview {
    let Coming { entries, is_cut, ends, .. } = coming(rows, from, count, Fold::Days);
    let cut = is_cut.then(|| {
        let said =
            "more was left out than is listed, and of what lies behind it is not said why it is due then";
        if count > 1 { format!("{said}; ask for fewer occurrences") } else { said.to_owned() }
    });
    let notes = cut.into_iter().chain(finished(rows, from)).chain(ends).collect();
    Preview {
        from,
        occurrences: entries.into_iter().map(OccurrenceView::from).collect(),
        notes,
        remarks: Vec::new(),
    }
}

/// What is due after `from`, `count` occurrences of all together.
pub fn coming(rows: &[Timed], from: Timestamp, count: u32, fold: Fold) -> Coming<'_> {
    let due: Vec<(usize, Timestamp)> = merged(rows, from, count).collect();
    let ends: BTreeSet<_> = rows.iter().flat_map(|row| row.timing.calendar_ends()).collect();
    let last = due.last().map_or(from, |(_, due)| *due);
    let ends = ends.iter().take_while(|end| end.end <= last);
    let ends = ends.map(|end| if end.end <= from { end.to_string() } else { end.coming() }).collect();
    let (entries, is_cut) = why::entries(rows, &due, from, fold);
    Coming { entries, due: due.len(), is_cut, ends }
}

/// Of which nothing is due after `from`, and why; of twenty at most.
pub fn finished(rows: &[Timed], from: Timestamp) -> impl Iterator<Item = String> {
    let over = rows.iter().filter(move |row| row.timing.after(from).is_none());
    let over = over.filter_map(|row| Some((row, row.timing.last()?))).take(FINISHED);
    over.map(|(row, last)| {
        let (name, reason) = (row.name.as_deref().unwrap_or("it"), row.timing.ending());
        let last = last.to_string().replace(".000Z", "Z");
        format!("{name} is finished: {reason}, last due at {last}")
    })
}

/// What is due after `from`, in the order in which it is sent: due time, then name; each with the number of its row.
fn merged(rows: &[Timed], from: Timestamp, count: u32) -> impl Iterator<Item = (usize, Timestamp)> {
    let key = |row: &Timed, due, index| Reverse((due, row.name.clone(), index));
    let first = |(index, row): (usize, &Timed)| row.timing.after(from).map(|due| key(row, due, index));
    let mut heap: BinaryHeap<_> = rows.iter().enumerate().filter_map(first).collect();
    std::iter::from_fn(move || {
        let Reverse((due, _, index)) = heap.pop()?;
        let row = rows.get(index)?;
        if let Some(next) = row.timing.after(due) {
            heap.push(key(row, next, index));
        }
        Some((index, due))
    })
    .take(count as usize)
}

impl Entry<'_> {
    /// When it is sent, if that is not when it is due.
    pub fn send_at(&self) -> Option<Timestamp> {
        let timing = &self.row.timing;
        (self.due && timing.jitter() > 0).then(|| timing.send_time(self.about))
    }

    /// As the schedule's people read it; what is left out, as those of the timing do that names it.
    pub fn local(&self) -> Local {
        match self.why.first().filter(|_| !self.due) {
            Some(one) => Local::of(&one.zone, self.about),
            None => self.row.timing.local(self.about),
        }
        .unwrap_or_default()
    }
}

impl From<Entry<'_>> for OccurrenceView {
    fn from(entry: Entry<'_>) -> Self {
        let left_out = entry.why.first().filter(|_| !entry.due);
        let named = left_out.map(|one| one.named.to_string());
        let local = entry.local();
        // What the clocks skip has none.
        let is_skipped = left_out.is_some_and(|one| matches!(one.clock, ClockFate::Gap | ClockFate::Nowhere));
        Self {
            schedule: entry.row.name.as_deref().map(str::to_owned),
            event: entry.row.event.clone(),
            due_at: Some(entry.about).filter(|_| entry.due),
            send_at: entry.send_at(),
            local_time: named.unwrap_or(local.time),
            utc_offset: Some(local.offset).filter(|_| !is_skipped),
            time_zone: local.zone.to_string(),
            fold: local.fold,
            paused: entry.row.paused,
            times: entry.times,
            why: entry.why,
        }
    }
}
