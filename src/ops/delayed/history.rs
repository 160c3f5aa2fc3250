//! How delayed events ended: rows of their record.

use super::numbered::{self, NumberedPage, Portion, Span};
use crate::{
    authority::Domains,
    engine::{Outcome, delayed::DelayedRow},
    ops::{
        Clock, DelayedHistory, DelayedRowView, OpsError,
        audit::check_order,
        history::{check_word, late_of},
        views::outcome_word,
    },
    position::Position,
    schedule::FaultCode,
    store::Leader,
};
use ponos::event::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

/// How delayed events end, by the words of [`DelayedRowView::outcome`].
pub const DELAYED_OUTCOMES: [&str; 3] = ["confirmed", "parked", "dropped"];

/// Which rows.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DelayedHistoryQuery {
    /// Only the delayed event of this name.
    pub name: Option<String>,
    /// Only those whose events are of this domain, as tokens have it: `billing` (or `billing.*`) is that of
    /// `billing.invoice.due`, and so is that name itself.
    pub domain: Option<String>,
    /// Only those of this owner.
    pub owner: Option<String>,
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

/// Reads the rows wanted. Of what was taken back there is none: the log of changes has that.
///
/// # Errors
/// [`OpsError::Parameter`], also where a position is of another store; [`OpsError::Unavailable`].
pub async fn history(
    clock: impl Into<Clock>,
    wanted: DelayedHistoryQuery,
) -> Result<DelayedHistory, OpsError> {
    let span = Span { after: wanted.after, before: wanted.before, limit: wanted.limit };
    span.check()?;
    check_word("outcome", wanted.outcome.as_deref(), &DELAYED_OUTCOMES)?;
    check_order(wanted.from, wanted.to)?;
    let late = wanted.late.as_deref().map(late_of).transpose()?;
    let domain = wanted.domain.clone().map(|domain| Domains::new(vec![domain])).transpose();
    let domain = domain.map_err(|what| OpsError::parameter("domain", FaultCode::InvalidValue, what))?;
    let clock = clock.into();
    let name = clock.name();
    let read = numbered::read(&clock, move |reader| {
        let rows = |after, most| {
            let page = reader.read(after, most)?;
            let entries = page.rows.into_iter().map(|row| (row.number, row.row)).collect();
            Ok(Portion { entries, first: page.first, last: page.last, record: page.record })
        };
        let show = |position, row: DelayedRow| {
            is_wanted(&row, &wanted, domain.as_ref(), late)
                .then(|| DelayedRowView::new(&name, position, &row))
        };
        numbered::page(rows, span, show)
    });
    let NumberedPage { shown: rows, first, last, next } = read.await??;
    Ok(DelayedHistory { rows, first, last, next })
}

/// Who led when the row of this number was written, where several clocks write and that is kept.
///
/// # Errors
/// [`OpsError::Unavailable`].
pub(in crate::ops) async fn leader(clock: &Clock, row: u64) -> Result<Option<Leader>, OpsError> {
    numbered::read(clock, move |reader| reader.leader(row)).await
}

fn is_wanted(
    row: &DelayedRow,
    wanted: &DelayedHistoryQuery,
    domain: Option<&Domains>,
    late: Option<i64>,
) -> bool {
    wanted.name.as_deref().is_none_or(|name| name == &*row.name)
        && domain.is_none_or(|domain| domain.cover(&row.event))
        && wanted.owner.as_deref().is_none_or(|owner| owner == &*row.owner)
        && wanted.outcome.as_deref().is_none_or(|outcome| outcome == outcome_word(&row.outcome))
        && wanted.from.is_none_or(|from| row.due > from)
        && wanted.to.is_none_or(|to| row.due <= to)
        && late
            .is_none_or(|late| matches!(row.outcome, Outcome::Confirmed { lateness, .. } if lateness > late))
}
