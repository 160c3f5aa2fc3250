//! `GET /history`: rows of the record, newest first, or oldest first from a position on.

use super::{
    problem::Problem,
    record::Record,
    site::Site,
    view::{OUTCOMES, RowView, word},
};
use crate::store::StoreError;
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
    /// Rows after this number, oldest first.
    pub after: Option<u64>,
    /// Rows before this number, newest first.
    pub before: Option<u64>,
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
    pub next: Option<u64>,
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
    let history = read(&site.record, &clock, &wanted).await?;
    check_after(&wanted, history.last).map_err(Problem::bad)?;
    Ok(Json(history))
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

/// Whether there can be rows after the number that is wanted; the error says why not.
///
/// # Errors
/// The record ends before this position: it may have been started afresh, and a reader there would wait for ever.
pub fn check_after(wanted: &Wanted, last: u64) -> Result<(), String> {
    match wanted.after {
        Some(after) if after > last => {
            Err(format!("after ({after}) is beyond the record, whose last row is number {last}"))
        }
        _ => Ok(()),
    }
}

/// Reads the rows wanted.
///
/// # Errors
/// [`StoreError`].
pub async fn read(record: &Record, clock: &str, wanted: &Wanted) -> Result<History, StoreError> {
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let bounds = record.read(0, 1).await?;
    let mut history = History { rows: Vec::new(), first: bounds.first, last: bounds.last, next: None };
    let mut budget = LOOKED_THROUGH;
    let matches = |row: &crate::engine::RecordRow| {
        wanted.schedule.as_deref().is_none_or(|name| name == &*row.row.schedule)
            && wanted.kind.as_deref().is_none_or(|kind| kind == row.row.kind.word())
            && wanted.outcome.as_deref().is_none_or(|outcome| outcome == word(&row.row.outcome))
    };
    if let Some(mut after) = wanted.after {
        while budget > 0 {
            let page = record.read(after, PAGE as usize).await?;
            let Some(end) = page.rows.last().map(|row| row.sequence) else { return Ok(history) };
            for row in page.rows.iter().filter(|row| matches(row)) {
                if history.rows.len() == limit {
                    history.next = history.rows.last().map(|row| row.sequence);
                    return Ok(history);
                }
                history.rows.push(RowView::new(clock, row));
            }
            after = end;
            budget = budget.saturating_sub(PAGE);
        }
        history.next = Some(after);
        return Ok(history);
    }
    let mut before = wanted.before.unwrap_or(u64::MAX).min(bounds.last.saturating_add(1));
    while before > bounds.first {
        if budget == 0 {
            history.next = Some(before);
            break;
        }
        let after = before.saturating_sub(PAGE + 1);
        let page = record.read(after, PAGE as usize).await?;
        for row in page.rows.iter().rev().filter(|row| row.sequence < before && matches(row)) {
            if history.rows.len() == limit {
                history.next = history.rows.last().map(|row| row.sequence);
                return Ok(history);
            }
            history.rows.push(RowView::new(clock, row));
        }
        before = after + 1;
        budget = budget.saturating_sub(PAGE);
    }
    Ok(history)
}
