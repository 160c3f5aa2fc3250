//! Rows of the record, newest first, or oldest first from a position on.

use super::{
    Clock, History, OpsError, ParameterFault, RowView,
    audit::check_order,
    views::{OUTCOMES, outcome_word},
};
use crate::{
    diagnostic::did_you_mean,
    engine::{Outcome, RecordRow, Row},
    position::Position,
    schedule::{FaultCode, parse_length},
};
use ponos::{
    event::{EventKind, Timestamp},
    text::shortened,
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Rows in one answer, at most.
pub const MOST: usize = 1000;
/// Rows read at once.
const PAGE: u64 = 500;
/// Rows looked through for one answer; when it is not full by then, `next` says where to go on.
const LOOKED_THROUGH: u64 = 50_000;
/// The longest `late`: 366 days, in milliseconds.
const LATEST: i64 = 366 * 86_400_000;

/// Which rows.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only this schedule.
    pub schedule: Option<String>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this outcome.
    pub outcome: Option<String>,
    /// Only rows with a due time after this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Only rows with a due time up to this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// Only events that were sent later than this after their send time: `1s` or `>1s`.
    pub late: Option<String>,
    /// Rows after this position, oldest first.
    #[param(value_type = Option<String>)]
    pub after: Option<Position>,
    /// Rows before this position, newest first.
    #[param(value_type = Option<String>)]
    pub before: Option<Position>,
    /// At most so many; 100 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
}

/// Reads the rows wanted.
///
/// # Errors
/// [`OpsError::Invalid`] also where the record ends before the position, or is another one: a reader there would wait for
/// ever.
pub async fn read(clock: impl Into<Clock>, wanted: &HistoryQuery) -> Result<History, OpsError> {
    let late = check(wanted)?;
    rows(&clock.into(), wanted, late).await
}

/// Gives the milliseconds that `late` says.
fn check(wanted: &HistoryQuery) -> Result<Option<i64>, OpsError> {
    if wanted.after.is_some() && wanted.before.is_some() {
        let what = "give after (oldest first) or before (newest first), not both";
        return Err(OpsError::parameter("before", FaultCode::Conflict, what));
    }
    if wanted.limit.is_some_and(|limit| limit == 0 || limit > MOST) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST}")));
    }
    check_word("kind", wanted.kind.as_deref(), &EventKind::WORDS)?;
    check_word("outcome", wanted.outcome.as_deref(), &OUTCOMES)?;
    check_order(wanted.from, wanted.to)?;
    wanted.late.as_deref().map(late_of).transpose()
}

/// The milliseconds that `late` says: `1s` or `>1s`.
pub(super) fn late_of(text: &str) -> Result<i64, OpsError> {
    Ok(parse_length(text.strip_prefix('>').unwrap_or(text).trim_start(), LATEST, "late")?)
}

/// Whether a row is one of those wanted.
fn is_wanted(row: &Row, wanted: &HistoryQuery, late: Option<i64>) -> bool {
    wanted.schedule.as_deref().is_none_or(|name| name == &*row.schedule)
        && wanted.kind.as_deref().is_none_or(|kind| kind == row.kind.word())
        && wanted.outcome.as_deref().is_none_or(|outcome| outcome == outcome_word(&row.outcome))
        && wanted.from.is_none_or(|from| row.last > from)
        && wanted.to.is_none_or(|to| row.first <= to)
        && late
            .is_none_or(|late| matches!(row.outcome, Outcome::Confirmed { lateness, .. } if lateness > late))
}

pub(super) fn check_word(
    key: &'static str,
    word: Option<&str>,
    words: &[&'static str],
) -> Result<(), OpsError> {
    match word {
        Some(word) if !words.contains(&word) => {
            let (what, code) = (format!("'{}' is unknown", shortened(word, 80)), FaultCode::UnknownWord);
            let help = Some(did_you_mean(word, words.iter().copied()));
            Err(OpsError::Parameter(ParameterFault { name: key, code, what, help }))
        }
        _ => Ok(()),
    }
}

/// The row at a position, if this record has given it.
pub(super) fn row_at(
    key: &'static str,
    position: Option<Position>,
    record: u64,
) -> Result<Option<u64>, OpsError> {
    let row = |position: Position| {
        position.row_in(record).ok_or_else(|| {
            let what =
                "this position belongs to another record than the one that is kept now, which was begun anew";
            let help = Some(format!("leave {key} out"));
            OpsError::Parameter(ParameterFault {
                name: key,
                code: FaultCode::InvalidValue,
                what: what.to_owned(),
                help,
            })
        })
    };
    position.map(row).transpose()
}

async fn rows(clock: &Clock, wanted: &HistoryQuery, late: Option<i64>) -> Result<History, OpsError> {
    let (name, record) = (clock.name(), clock.record());
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let bounds = record.read(0, 1).await?;
    let after = row_at("after", wanted.after, bounds.record)?;
    let before = row_at("before", wanted.before, bounds.record)?;
    let at = |row: u64| Some(Position::new(bounds.record, row));
    let mut history = History { rows: Vec::new(), first: bounds.first, last: bounds.last, next: None };
    let mut budget = LOOKED_THROUGH;
    let matches = |row: &RecordRow| is_wanted(&row.row, wanted, late);
    if let Some(after) = after.filter(|after| *after > bounds.last) {
        let last = bounds.last;
        let what = format!("{after} is beyond the record, whose last row is number {last}");
        return Err(OpsError::parameter("after", FaultCode::OutOfRange, what));
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
                history.rows.push(RowView::new(&name, bounds.record, row));
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
            history.rows.push(RowView::new(&name, bounds.record, row));
        }
        before = after + 1;
        budget = budget.saturating_sub(PAGE);
    }
    Ok(history)
}
