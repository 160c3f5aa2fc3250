//! Delayed events as they are: one by its name, or those that are pending in pages.

use super::DelayedPart;
use crate::{
    authority::Domains,
    engine::delayed::{DelayedEvent, DelayedHead, Found},
    ops::{
        DelayedEventList, DelayedEventView, Missing, MissingKind, OpsError, RunningClock,
        schedules::{MOST_OF_A_PAGE, mark, name_of},
    },
    schedule::{FaultCode, is_name},
};
use ponos::event::Timestamp;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Events looked at for one answer; when it is not full by then, `next` says where to go on.
const LOOKED_AT: usize = 10_000;
/// How often an event is looked for that moves between two looks.
const LOOKS: usize = 3;

/// Which delayed events.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DelayedQuery {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Only those whose events are of this domain, as tokens have it: `billing` (or `billing.*`) is that of
    /// `billing.invoice.due`.
    pub domain: Option<String>,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those that are due after this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    pub due_after: Option<Timestamp>,
    /// Only those that are due before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    pub due_before: Option<Timestamp>,
    /// At most so many, 1 to 1,000; 100 if left out. A page may have fewer, or none, and yet not be the last one.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// The event of this name, with its content: while it is pending, and without its content for an hour after it was settled, where its
/// caller knows its name.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::Unavailable`].
pub async fn get(clock: &RunningClock, name: &str) -> Result<DelayedEventView, OpsError> {
    let part = clock.delayed()?;
    let (asked, of): (Arc<str>, _) = (name.into(), clock.name());
    for _ in 0..LOOKS {
        match found(part, &asked).await? {
            (Found::Nothing, _) => return Err(missing(name)),
            (Found::Settled(stone), _) => return Ok(DelayedEventView::settled(&of, name, &stone)),
            (Found::Pending(_), Some(event)) => return Ok(DelayedEventView::whole(&of, &event)),
            (Found::Pending(_), None) => {}
        }
    }
    Err(OpsError::Unavailable(format!("'{name}' changes all the time; try again")))
}

/// What is known under a name, and what is pending there, unless it has moved by then.
pub(super) async fn found(
    part: &DelayedPart,
    name: &Arc<str>,
) -> Result<(Found, Option<DelayedEvent>), OpsError> {
    // What can't be a name is nobody's.
    if !is_name(name) {
        return Ok((Found::Nothing, None));
    }
    let name = [name.clone()];
    let read = part.read(move |reader| {
        let found = reader.find(&name)?.pop().unwrap_or(Found::Nothing);
        let event = match &found {
            Found::Pending(head) => reader.events(std::slice::from_ref(&head.key))?.pop().flatten(),
            _ => None,
        };
        Ok((found, event))
    });
    read.await
}

/// There is none of this name.
pub(super) fn missing(name: &str) -> OpsError {
    let name = ponos::text::shortened(name, 200);
    let what = format!("there is no delayed event '{name}', or it was sent more than an hour ago");
    OpsError::NotFound(Missing { kind: MissingKind::DelayedEvent, what, suggestion: None })
}

/// A page of those that are pending, by name.
///
/// # Errors
/// [`OpsError::Parameter`], [`OpsError::Unavailable`].
pub async fn list(clock: &RunningClock, wanted: DelayedQuery) -> Result<DelayedEventList, OpsError> {
    let part = clock.delayed()?;
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST_OF_A_PAGE).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST_OF_A_PAGE}")));
    }
    let domain = wanted.domain.clone().map(|domain| Domains::new(vec![domain])).transpose();
    let domain = domain.map_err(|what| OpsError::parameter("domain", FaultCode::InvalidValue, what))?;
    let prefix = wanted.prefix.clone().unwrap_or_default();
    if !prefix.is_empty() && !is_name(&prefix) {
        let what = "names begin with a letter or digit, and have a-z, 0-9, '.', '_' and '-'";
        return Err(OpsError::parameter("prefix", FaultCode::InvalidValue, what));
    }
    let after = wanted.page.as_deref().map(name_of).transpose()?;
    let listed = part.read(move |reader| {
        let matches = |head: &DelayedHead| is_wanted(head, &wanted, domain.as_ref());
        reader.list(&prefix, after.as_deref(), &matches, limit, LOOKED_AT)
    });
    let (listed, name) = (listed.await?, clock.name());
    let events = listed.heads.iter().map(|head| DelayedEventView::pending(&name, head)).collect();
    Ok(DelayedEventList { clock: name, next: listed.next.as_deref().map(mark), events })
}

fn is_wanted(head: &DelayedHead, wanted: &DelayedQuery, domain: Option<&Domains>) -> bool {
    let DelayedQuery { owner, due_after, due_before, .. } = wanted;
    domain.is_none_or(|domain| domain.cover(&head.event))
        && owner.as_deref().is_none_or(|owner| *owner == *head.owner)
        && due_after.is_none_or(|after| head.due > after)
        && due_before.is_none_or(|before| head.due < before)
}
