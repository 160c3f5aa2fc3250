//! Rows of the record, newest first, or oldest first from a position on.

use super::{
    Clock, History, OpsError, RowView,
    views::{OUTCOMES, outcome_word},
};
use crate::diagnostic::did_you_mean;
use ponos::event::EventKind;
use serde::Deserialize;

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

/// Reads the rows wanted.
///
/// # Errors
/// [`OpsError::Invalid`] also where the record ends before the position: it may have been started afresh, and a reader
/// there would wait for ever.
pub async fn read(clock: impl Into<Clock>, wanted: &Wanted) -> Result<History, OpsError> {
    check(wanted)?;
    let clock = clock.into();
    let history = rows(&clock, wanted).await?;
    match wanted.after {
        Some(after) if after > history.last => Err(OpsError::Invalid(format!(
            "after ({after}) is beyond the record, whose last row is number {}",
            history.last
        ))),
        _ => Ok(history),
    }
}

fn check(wanted: &Wanted) -> Result<(), OpsError> {
    if wanted.after.is_some() && wanted.before.is_some() {
        let what = "give after (oldest first) or before (newest first), not both";
        return Err(OpsError::Invalid(what.into()));
    }
    if wanted.limit.is_some_and(|limit| limit == 0 || limit > MOST) {
        return Err(OpsError::Invalid(format!("limit: 1 to {MOST}")));
    }
    check_word("kind", wanted.kind.as_deref(), &EventKind::WORDS)?;
    check_word("outcome", wanted.outcome.as_deref(), &OUTCOMES)
}

fn check_word(key: &str, word: Option<&str>, words: &[&'static str]) -> Result<(), OpsError> {
    match word {
        Some(word) if !words.contains(&word) => {
            let help = did_you_mean(word, words.iter().copied());
            Err(OpsError::Invalid(format!("{key}: '{word}' is unknown; {help}")))
        }
        _ => Ok(()),
    }
}

async fn rows(clock: &Clock, wanted: &Wanted) -> Result<History, OpsError> {
    let (name, record) = (clock.name(), clock.record());
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let bounds = record.read(0, 1).await?;
    let mut history = History { rows: Vec::new(), first: bounds.first, last: bounds.last, next: None };
    let mut budget = LOOKED_THROUGH;
    let matches = |row: &crate::engine::RecordRow| {
        wanted.schedule.as_deref().is_none_or(|name| name == &*row.row.schedule)
            && wanted.kind.as_deref().is_none_or(|kind| kind == row.row.kind.word())
            && wanted.outcome.as_deref().is_none_or(|outcome| outcome == outcome_word(&row.row.outcome))
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
                history.rows.push(RowView::new(&name, row));
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
            history.rows.push(RowView::new(&name, row));
        }
        before = after + 1;
        budget = budget.saturating_sub(PAGE);
    }
    Ok(history)
}
