//! `GET /history`: rows of the record, newest first, or oldest first from a position on.

use super::{
    problem::Problem,
    record::Record,
    site::Site,
    view::{OUTCOMES, RowView, word},
};
use crate::{position::Position, store::StoreError};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use ponos::event::EventKind;
use serde::{Deserialize, Serialize};

/// Rows in one answer, at most.
pub const MOST: usize = 1000;
/// Rows read at once.
const PAGE: u64 = 500;
/// Rows looked through for one answer; when it is not full by then, `next` says where to go on.
const LOOKED_THROUGH: u64 = 50_000;

/// Which rows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only this schedule.
    pub schedule: Option<String>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this outcome.
    pub outcome: Option<String>,
    /// Rows after this position, oldest first.
    pub after: Option<Position>,
    /// Rows before this position, newest first.
    pub before: Option<Position>,
    /// At most so many; 100 if left out.
    pub limit: Option<usize>,
}

/// Rows with what is needed to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// The rows; newest first unless `after` was given.
    pub rows: Vec<RowView>,
    /// The oldest row that is kept.
    pub first: u64,
    /// The newest row.
    pub last: u64,
    /// The next value of `before` (of `after`, if that was given); null when there is nothing more.
    pub next: Option<Position>,
}

pub(super) async fn history(
    State(site): State<Site>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let wanted = query?.0;
    if wanted.after.is_some() && wanted.before.is_some() {
        return Err(Problem::bad("give after (oldest first) or before (newest first), not both"));
    }
    if wanted.limit.is_some_and(|limit| limit == 0 || limit > MOST) {
        return Err(Problem::bad(format!("limit: 1 to {MOST}")));
    }
    known("kind", &wanted.kind, &EventKind::WORDS)?;
    known("outcome", &wanted.outcome, &OUTCOMES)?;
    let clock = site.status().clock;
    Ok(Json(read(&site.record, &clock, &wanted).await?))
}

fn known(key: &str, word: &Option<String>, words: &[&'static str]) -> Result<(), Problem> {
    match word {
        Some(word) if !words.contains(&word.as_str()) => {
            let help = crate::diagnostic::did_you_mean(word, words.iter().copied());
            Err(Problem::bad(format!("{key}: '{word}' is unknown; {help}")))
        }
        _ => Ok(()),
    }
}

/// Why the rows wanted can't be given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The record can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record was begun anew since the position was given.
    #[error(
        "{0}: this position belongs to another record than the one that is kept now, which was begun anew; leave {0} out"
    )]
    OtherRecord(&'static str),
    /// The record ends before the position: a reader there would wait for ever.
    #[error("after ({after}) is beyond the record, whose last row is number {last}")]
    Beyond {
        /// The row wanted.
        after: u64,
        /// The newest row.
        last: u64,
    },
}

/// Reads the rows wanted.
///
/// # Errors
/// [`HistoryError`].
pub async fn read(record: &Record, clock: &str, wanted: &Wanted) -> Result<History, HistoryError> {
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let bounds = record.read(0, 1).await?;
    let row = |key, position: Option<Position>| {
        let row = |position: Position| position.row_in(bounds.record).ok_or(HistoryError::OtherRecord(key));
        position.map(row).transpose()
    };
    let (after, before) = (row("after", wanted.after)?, row("before", wanted.before)?);
    let at = |row: u64| Some(Position::new(bounds.record, row));
    let mut history = History { rows: Vec::new(), first: bounds.first, last: bounds.last, next: None };
    let mut budget = LOOKED_THROUGH;
    let matches = |row: &crate::engine::RecordRow| {
        wanted.schedule.as_deref().is_none_or(|name| name == &*row.row.schedule)
            && wanted.kind.as_deref().is_none_or(|kind| kind == row.row.kind.word())
            && wanted.outcome.as_deref().is_none_or(|outcome| outcome == word(&row.row.outcome))
    };
    if let Some(after) = after.filter(|after| *after > bounds.last) {
        return Err(HistoryError::Beyond { after, last: bounds.last });
    }
    if let Some(mut after) = after {
        while budget > 0 {
            let page = record.read(after, PAGE as usize).await?;
            let Some(end) = page.rows.last().map(|row| row.sequence) else { return Ok(history) };
            for row in page.rows.iter().filter(|row| matches(row)) {
                if history.rows.len() == limit {
                    history.next = history.rows.last().and_then(|row| row.position);
                    return Ok(history);
                }
                history.rows.push(RowView::new(clock, bounds.record, row));
            }
            after = end;
            budget = budget.saturating_sub(PAGE);
        }
        history.next = at(after);
        return Ok(history);
    }
    let mut before = before.unwrap_or(u64::MAX).min(bounds.last.saturating_add(1));
    while before > bounds.first {
        if budget == 0 {
            history.next = at(before);
            break;
        }
        let after = before.saturating_sub(PAGE + 1);
        let page = record.read(after, PAGE as usize).await?;
        for row in page.rows.iter().rev().filter(|row| row.sequence < before && matches(row)) {
            if history.rows.len() == limit {
                history.next = history.rows.last().and_then(|row| row.position);
                return Ok(history);
            }
            history.rows.push(RowView::new(clock, bounds.record, row));
        }
        before = after + 1;
        budget = budget.saturating_sub(PAGE);
    }
    Ok(history)
}
