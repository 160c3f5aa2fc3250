//! One page of the schedules that are wanted. The clock's loop is asked in pages of its own, so many at most for one answer:
//! a filter that few pass through ends a page early, with where to go on.

use super::{Schedules, all, labels::LabelFilter};
use crate::{
    authority::Domains,
    clock_loop::Command,
    engine::ScheduleStatus,
    ops::{
        Clock, OpsError, Pages, RunningClock, ScheduleView,
        history::check_word,
        views::{ORIGINS, STATES, origin_word, state_word},
    },
    schedule::{FaultCode, is_name},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Schedules in one answer, at most.
pub const MOST_OF_A_PAGE: usize = 1_000;
/// Schedules that are due next in one answer, at most.
const MOST_DUE: usize = 100;
/// Schedules looked through for one answer; when it is not full by then, `next` says where to go on.
const LOOKED_THROUGH: usize = 10_000;
/// In front of the name in what says where to go on: another form of it gets another letter. It goes with any filter: it says where
/// in the order of names to go on, and nothing else.
const FORM: char = 'n';

/// Which schedules.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ScheduleQuery {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Only those whose events are of this domain, as tokens have it: `billing` (or `billing.*`) is that of
    /// `billing.invoice.due`, and so are `billing.invoice` and `*.invoice`.
    pub domain: Option<String>,
    /// Only those in this state: `active`, `paused`, `finished`, `catching-up` or `refused`.
    pub state: Option<String>,
    /// Only those that this owner created at run time.
    pub owner: Option<String>,
    /// Only those from there: `file`, or `client` (created at run time).
    pub origin: Option<String>,
    /// Only those with this label, `team:billing`; with any value of it, `team`; with several, `team:billing,stage`.
    pub label: Option<String>,
    /// At most so many, 1 to 1,000; 100 if left out. A page may have fewer, or none, and yet not be the last one.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// Schedules by name, and where to go on.
#[derive(Debug)]
pub struct SchedulePage {
    clock: Clock,
    /// Those that are wanted.
    pub list: Vec<ScheduleStatus>,
    /// The next value of `page`; none at the end.
    pub next: Option<String>,
}

/// Reads one page of the schedules that are wanted.
///
/// # Errors
/// [`OpsError::Parameter`].
pub async fn page(clock: impl Into<Clock>, wanted: &ScheduleQuery) -> Result<SchedulePage, OpsError> {
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST_OF_A_PAGE).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST_OF_A_PAGE}")));
    }
    check_word("state", wanted.state.as_deref(), &STATES)?;
    check_word("origin", wanted.origin.as_deref(), &ORIGINS)?;
    let domain = wanted.domain.clone().map(|domain| Domains::new(vec![domain])).transpose();
    let domain = domain.map_err(|what| OpsError::parameter("domain", FaultCode::InvalidValue, what))?;
    let labels = wanted.label.as_deref().map(LabelFilter::read).transpose()?;
    let prefix = wanted.prefix.as_deref().unwrap_or_default();
    if !prefix.is_empty() && !is_name(prefix) {
        let what = "names begin with a letter or digit, and have a-z, 0-9, '.', '_' and '-'";
        return Err(OpsError::parameter("prefix", FaultCode::InvalidValue, what));
    }
    let after = wanted.page.as_deref().map(name_of).transpose()?;
    let clock = clock.into();
    let mut rest: Schedules = all(clock.clone());
    rest.after = after.max(before(prefix)).map(Arc::from);
    let (mut list, mut looked_at) = (Vec::new(), 0);
    loop {
        let found = rest.next().await?;
        if found.is_empty() {
            return Ok(SchedulePage { clock, list, next: None });
        }
        for status in found {
            let name = status.revision.name();
            if !name.starts_with(prefix) {
                return Ok(SchedulePage { clock, list, next: None });
            }
            if list.len() == limit {
                let next = list.last().map(|last: &ScheduleStatus| mark(last.revision.name()));
                return Ok(SchedulePage { clock, list, next });
            }
            let reached = (looked_at == LOOKED_THROUGH).then(|| mark(name));
            looked_at += 1;
            if is_wanted(&status, wanted, domain.as_ref(), labels.as_ref()) {
                list.push(status);
            }
            if reached.is_some() {
                return Ok(SchedulePage { clock, list, next: reached });
            }
        }
    }
}

/// How many schedules that are due next.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DueQuery {
    /// At most so many, 1 to 100; 20 if left out.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<usize>,
}

/// The schedules that are due next, the soonest first.
///
/// # Errors
/// [`OpsError::Parameter`]; [`OpsError::Unavailable`].
pub async fn due(clock: RunningClock, wanted: &DueQuery) -> Result<SchedulePage, OpsError> {
    let limit = wanted.limit.unwrap_or(20);
    if !(1..=MOST_DUE).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST_DUE}")));
    }
    let list = clock.ask(|reply| Command::Soonest(limit, reply)).await?;
    Ok(SchedulePage { clock: clock.into(), list, next: None })
}

fn is_wanted(
    status: &ScheduleStatus,
    wanted: &ScheduleQuery,
    domain: Option<&Domains>,
    labels: Option<&LabelFilter<'_>>,
) -> bool {
    let definition = &status.revision.definition;
    let is_owners = |owner: &str| definition.created().is_some_and(|created| created.owner == owner);
    domain.is_none_or(|domain| domain.cover(definition.event()))
        && wanted.origin.as_deref().is_none_or(|origin| origin == origin_word(definition))
        && labels.is_none_or(|labels| labels.passes(definition))
        && wanted.owner.as_deref().is_none_or(is_owners)
        && wanted.state.as_deref().is_none_or(|state| state == state_word(status))
}

/// What every name with this prefix comes behind, and no other name that does.
fn before(prefix: &str) -> Option<String> {
    let last = prefix.bytes().last()?;
    let start = prefix.get(..prefix.len() - 1)?;
    // Of what is in names, DEL is beyond all.
    Some(format!("{start}{}\u{7f}", char::from(last - 1)))
}

/// Where to go on after this name.
pub(in crate::ops) fn mark(name: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{FORM}{name}"))
}

pub(in crate::ops) fn name_of(page: &str) -> Result<String, OpsError> {
    marked(page, |name| is_name(name).then(|| name.to_owned()))
}

/// What is marked there, as `read` has it.
pub(in crate::ops) fn marked<T>(page: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, OpsError> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(page).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.as_deref().and_then(|text| text.strip_prefix(FORM)).and_then(read).ok_or_else(|| {
        let what =
            "this is not where a page of this list begins; take 'next' of the page before, or leave it out";
        OpsError::parameter("page", FaultCode::InvalidValue, what)
    })
}

impl Pages for SchedulePage {
    type Item = ScheduleStatus;
    type View<'a> = ScheduleView;

    async fn next(&mut self) -> Result<Vec<ScheduleStatus>, OpsError> {
        Ok(std::mem::take(&mut self.list))
    }

    fn view(&self, status: &ScheduleStatus) -> ScheduleView {
        self.clock.view(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_begins_where_its_first_name_may_be() {
        for (prefix, inside, outside) in [("b", "b", "a-z"), ("a.b", "a.b", "a.azzz"), ("0", "0", "")] {
            let before = before(prefix).unwrap();
            assert!(*before < *inside && *before > *outside, "{prefix}");
        }
        assert_eq!(before(""), None);
    }

    #[test]
    fn where_to_go_on_is_read_back_and_nothing_else_is() {
        assert_eq!(name_of(&mark("a.b-c")).unwrap(), "a.b-c");
        let long = "x".repeat(1 << 16);
        for other in ["", "a.b-c", "bg==", "bg", &mark(""), &mark("\n"), &mark(&long), &long] {
            let refused = name_of(other).unwrap_err();
            assert!(matches!(refused, OpsError::Parameter(fault) if fault.name == "page"), "{other:.40}");
        }
    }
}
