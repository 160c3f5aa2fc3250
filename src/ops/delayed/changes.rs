//! The log of changes of delayed events: who put and took back what, newest first, or oldest first from a position on. It lies with them,
//! in a store with numbers of its own, so that each of the two logs is read by itself: no reader loses an entry, or has one twice.

use super::numbered::{self, NumberedPage, Portion, Span};
use crate::{
    engine::ChangeEntry,
    ops::{Clock, DelayedChangeList, DelayedChangeView, OpsError},
    position::Position,
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which changes.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DelayedChangesQuery {
    /// Only of the delayed event of this name, as far as it is named: of many that were changed at once the first ones are.
    pub name: Option<String>,
    /// Only those that this owner asked for.
    pub by: Option<String>,
    /// Changes after this position, oldest first.
    #[param(value_type = Option<String>)]
    pub after: Option<Position>,
    /// Changes before this position, newest first.
    #[param(value_type = Option<String>)]
    pub before: Option<Position>,
    /// At most so many; 100 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
}

/// Reads the changes wanted.
///
/// # Errors
/// [`OpsError::Parameter`], also where a position is of another store; [`OpsError::Unavailable`].
pub async fn changes(
    clock: impl Into<Clock>,
    wanted: DelayedChangesQuery,
) -> Result<DelayedChangeList, OpsError> {
    let span = Span { after: wanted.after, before: wanted.before, limit: wanted.limit };
    span.check()?;
    let clock = clock.into();
    let read = numbered::read(&clock, move |reader| {
        let changes = |after, most| {
            let page = reader.changes(after, most)?;
            Ok(Portion { entries: page.changes, first: page.first, last: page.last, record: page.record })
        };
        let show = |position, entry: ChangeEntry| {
            is_wanted(&entry, &wanted).then(|| DelayedChangeView::new(position, entry))
        };
        numbered::page(changes, span, show)
    });
    let NumberedPage { shown: changes, first, last, next } = read.await??;
    Ok(DelayedChangeList { changes, first, last, next })
}

fn is_wanted(entry: &ChangeEntry, wanted: &DelayedChangesQuery) -> bool {
    let named = |name: &str| name == &*entry.name || entry.others.iter().any(|other| name == &**other);
    wanted.name.as_deref().is_none_or(named) && wanted.by.as_deref().is_none_or(|by| by == &*entry.by)
}
