//! The log of changes: who changed at run time which schedule, or what else, newest first, or oldest first from a position on.

use super::{Clock, OpsError};
use crate::{
    engine::{ChangeEntry, ChangeKind, VersionEntry},
    position::Position,
    schedule::FaultCode,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Changes in one answer, at most.
pub const MOST: usize = 1_000;
/// Changes read at once.
const PAGE: u64 = 500;
/// Changes looked through for one answer; when it is not full by then, `next` says where to go on.
const LOOKED_THROUGH: u64 = 20_000;

/// Which changes.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// Only of this schedule.
    pub schedule: Option<String>,
    /// Only of this calendar.
    pub calendar: Option<String>,
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

/// Changes with what is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeList {
    /// The changes; newest first unless `after` was given.
    pub changes: Vec<ChangeView>,
    /// The oldest change that is kept.
    pub first: u64,
    /// The newest change.
    pub last: u64,
    /// The next value of `before` (of `after`, if that was given); null when there is nothing more.
    #[schema(value_type = Option<String>)]
    pub next: Option<Position>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// Its number.
    pub sequence: u64,
    /// Where it stands: what follows it is asked for with this.
    #[schema(value_type = String)]
    pub position: Position,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// By which door he came.
    pub door: String,
    /// `created`, `changed`, `deleted`; or what the clock itself did: `finished`, it had finished and went, or `read-anew`, there
    /// is newer zone data, or a calendar that it names was edited; or `calendar-created`, `calendar-changed`, `calendar-deleted`:
    /// then all of this is about a calendar; or `paused`, `resumed`, `triggered`, `backfilled`;
    /// `cancelled`: an operation; `released`, `dropped`: parked events; `reloaded`: the files.
    pub what: String,
    /// The schedule, or the calendar; empty where it is about none in particular, or all.
    pub schedule: String,
    /// The others that it was done to at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// The number of its creation.
    pub creation: u64,
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<VersionView>,
    /// As it is since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<VersionView>,
    /// The id of the message that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A schedule, or a calendar, before or after a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The number of its revision.
    pub revision: u32,
    /// Its definition, without its payload; of a calendar its form and how many bytes its text has.
    #[schema(value_type = Object)]
    pub definition: serde_json::Value,
    /// The digest of its payload, where it has one, or of a calendar's text: equal ones have equal ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl From<VersionEntry> for VersionView {
    fn from(VersionEntry { revision, definition, payload }: VersionEntry) -> Self {
        let definition = serde_json::from_str(&definition).unwrap_or_default();
        Self { revision, definition, payload }
    }
}

impl ChangeView {
    fn new(record: u64, sequence: u64, entry: ChangeEntry) -> Self {
        let ChangeEntry { at, by, door, what, name, others, creation, before, after, command, note } = entry;
        Self {
            sequence,
            position: Position::new(record, sequence),
            at,
            by: by.to_string(),
            door: door.to_string(),
            what: what.word().into(),
            schedule: name.to_string(),
            others: others.iter().map(ToString::to_string).collect(),
            creation,
            before: before.map(Into::into),
            after: after.map(Into::into),
            command: command.map(|command| command.to_string()),
            note: note.to_string(),
        }
    }
}

fn is_of_calendar(what: ChangeKind) -> bool {
    matches!(what, ChangeKind::CalendarCreated | ChangeKind::CalendarChanged | ChangeKind::CalendarDeleted)
}

/// Reads the changes wanted.
///
/// # Errors
/// [`OpsError::Parameter`]; [`OpsError::Record`].
pub async fn read(clock: impl Into<Clock>, wanted: &ChangesQuery) -> Result<ChangeList, OpsError> {
    if wanted.after.is_some() && wanted.before.is_some() {
        let what = "give after (oldest first) or before (newest first), not both";
        return Err(OpsError::parameter("before", FaultCode::Conflict, what));
    }
    if wanted.schedule.is_some() && wanted.calendar.is_some() {
        let what = "give schedule or calendar, not both: a change is about the one or the other";
        return Err(OpsError::parameter("calendar", FaultCode::Conflict, what));
    }
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST}")));
    }
    let clock = clock.into();
    let log = clock.record();
    let bounds = log.changes(0, 0).await?;
    let (record, first, last) = (bounds.record, bounds.first, bounds.last);
    let number = |key, position: Option<Position>| -> Result<Option<u64>, OpsError> {
        let number = position.map(|position| {
            position.row_in(record).ok_or_else(|| {
                let what = "this position belongs to another store than the one that is kept now";
                OpsError::parameter(key, FaultCode::InvalidValue, what)
            })
        });
        number.transpose()
    };
    let (after, before) = (number("after", wanted.after)?, number("before", wanted.before)?);
    let name = wanted.schedule.as_deref().or(wanted.calendar.as_deref());
    let is_of = |entry: &ChangeEntry, name: &str| {
        // A calendar and a schedule may have one name.
        is_of_calendar(entry.what) == wanted.calendar.is_some()
            && (name == &*entry.name || entry.others.iter().any(|other| name == &**other))
    };
    let is_wanted = |entry: &ChangeEntry| {
        name.is_none_or(|name| is_of(entry, name)) && wanted.by.as_deref().is_none_or(|by| by == &*entry.by)
    };
    let mut list = ChangeList { changes: Vec::new(), first, last, next: None };
    let mut budget = LOOKED_THROUGH;
    // Up to where was looked: from there it goes on.
    let mut at = match after {
        Some(after) => after.max(first.saturating_sub(1)),
        None => before.unwrap_or(u64::MAX).min(last.saturating_add(1)),
    };
    loop {
        let from = if after.is_some() { at } else { at.saturating_sub(PAGE + 1) };
        let mut page = log.changes(from, usize::try_from(PAGE).unwrap_or(usize::MAX)).await?.changes;
        if after.is_none() {
            page.retain(|(number, _)| *number < at);
            page.reverse();
        }
        if page.is_empty() {
            return Ok(list);
        }
        for (number, entry) in page {
            if list.changes.len() == limit || budget == 0 {
                list.next = Some(Position::new(record, at));
                return Ok(list);
            }
            (at, budget) = (number, budget - 1);
            if is_wanted(&entry) {
                list.changes.push(ChangeView::new(record, number, entry));
            }
        }
    }
}
