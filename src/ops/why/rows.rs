//! What the record has of a due time, or of an event's id: bounded searches, which say where they looked.
//!
//! A row is decided after its due time but where a one-shot is removed; so what is of a due time is read from there on. An id is a
//! function of the row, so that the rows are read from the newest on until one has it.

use crate::{
    engine::RecordRow,
    ops::{Clock, DelayedRowView, OpsError, delayed, record::DISORDER, run_blocking},
};
use ponos::event::{EventKind, OccurrenceId, Timestamp};

/// Rows read at once.
const PAGE: u64 = 2_000;
/// Rows that are looked through for a due time, at most: from when it was due on.
const OF_DUE: u64 = 20_000;
/// Rows that are looked through for an id, at most: the newest.
const OF_ID: u64 = 50_000;
/// Pages of the record of delayed events that are looked through for an id, at most.
const DELAYED: usize = 20;
/// Stands for all schedules.
const ALL: &str = "*";

/// Rows of a due time.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that concern it, oldest first.
    pub(super) rows: Vec<RecordRow>,
    /// Where the record begins, if it has lost rows.
    pub(super) begins: Option<Timestamp>,
    /// Up to where it was looked, if that is not its end.
    pub(super) through: Option<Timestamp>,
}

/// Where it was looked for the id of an event.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) id: String,
    pub(super) rows: u64,
    /// What is older was not looked at.
    pub(super) since: Option<Timestamp>,
    /// The record of delayed events was looked through, too.
    pub(super) delayed: bool,
}

/// Rows about this due time of a schedule, of this creation if one is meant.
pub(super) async fn of_due(
    clock: &Clock,
    (name, creation): (&str, Option<u64>),
    due: Timestamp,
) -> Result<Found, OpsError> {
    let record = clock.record();
    let bounds = record.read(0, 1).await?;
    let begins = bounds.rows.first().map(|row| row.row.at).filter(|_| bounds.first > 1);
    let mut found = Found { begins, ..Found::default() };
    let mut after = record.decided_after(&bounds, due.plus(-DISORDER)).await?.saturating_sub(1);
    let mut left = OF_DUE;
    while after < bounds.last {
        if left == 0 {
            break;
        }
        let page = record.read(after, PAGE as usize).await?;
        let Some(last) = page.rows.last() else { break };
        (after, found.through) = (last.sequence, Some(last.row.at));
        left = left.saturating_sub(PAGE);
        let concerns = |entry: &RecordRow| {
            let row = &entry.row;
            let is_its = *row.schedule == *name && creation.is_none_or(|creation| creation == row.creation);
            (is_its || *row.schedule == *ALL)
                && row.kind == EventKind::Occurrence
                && (row.first..=row.last).contains(&due)
        };
        found.rows.extend(page.rows.into_iter().filter(concerns));
    }
    if after >= bounds.last {
        found.through = None;
    }
    Ok(found)
}

impl Found {
    /// What became of it at last: of the schedule itself, else of all.
    pub(super) fn last(&self) -> Option<&RecordRow> {
        let mut own = self.rows.iter().filter(|entry| *entry.row.schedule != *ALL);
        own.next_back().or(self.rows.last())
    }
}

/// The row whose event has this id, of those with a number above `above`.
pub(super) async fn of_id(
    clock: &Clock,
    id: &str,
    above: u64,
) -> Result<(Option<RecordRow>, u64, Searched), OpsError> {
    let record = clock.record();
    let bounds = record.read(0, 1).await?;
    let first = bounds.first.max(above.saturating_add(1));
    let mut searched = Searched { id: id.to_owned(), rows: 0, since: None, delayed: false };
    let mut before = bounds.last.saturating_add(1);
    while before > first && searched.rows < OF_ID {
        let after = before.saturating_sub(PAGE + 1);
        let page = record.read(after, PAGE as usize).await?;
        let (name, wanted, behind) = (clock.name(), id.to_owned(), before);
        let looking = move || {
            let rows = page.rows.into_iter().filter(|row| row.sequence < behind);
            let rows: Vec<RecordRow> = rows.collect();
            let (count, oldest) = (rows.len() as u64, rows.first().map(|row| row.row.at));
            (rows.into_iter().rev().find(|row| is_of(&name, row, &wanted)), count, oldest)
        };
        let (found, count, oldest) = run_blocking(looking).await?;
        (searched.rows, searched.since) = (searched.rows + count, oldest.or(searched.since));
        if found.is_some() {
            return Ok((found, bounds.last, searched));
        }
        before = after + 1;
    }
    if before <= bounds.first && bounds.first <= 1 {
        searched.since = None;
    }
    Ok((None, bounds.last, searched))
}

fn is_of(clock: &str, entry: &RecordRow, wanted: &str) -> bool {
    let row = &entry.row;
    if *row.schedule == *ALL {
        return false;
    }
    let schedule = &row.id_name();
    OccurrenceId { clock, schedule, due: row.last, kind: &row.kind }.id().as_str() == wanted
}

/// The row of the delayed event that has this id; whether there is a record of such.
pub(super) async fn of_delayed(clock: &Clock, id: &str) -> Result<(Option<DelayedRowView>, bool), OpsError> {
    let mut before = None;
    for _ in 0..DELAYED {
        let limit = Some(delayed::MOST_NUMBERED);
        let wanted = delayed::DelayedHistoryQuery { before, limit, ..Default::default() };
        let page = match delayed::history(clock.clone(), wanted).await {
            Ok(page) => page,
            // It keeps none, or they can't be read at present: what the other record knows is worth more than that.
            Err(OpsError::Unavailable(_)) => return Ok((None, false)),
            Err(error) => return Err(error),
        };
        let found = page.rows.into_iter().find(|row| row.event_id.as_deref() == Some(id));
        before = page.next;
        if found.is_some() || before.is_none() {
            return Ok((found, true));
        }
    }
    Ok((None, true))
}
