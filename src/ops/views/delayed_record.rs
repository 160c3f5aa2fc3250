//! What became of delayed events, as it is shown: how they ended, and who changed them.

use super::{TaskAddress, delayed::event_id, outcome_word};
use crate::{
    engine::{
        ChangeEntry, Outcome,
        audit::skip_word,
        delayed::{DelayedRow, logged_events},
    },
    ops::changes::VersionView,
    position::Position,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a delayed event ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DelayedRowView {
    /// Its number in the record of delayed events.
    pub sequence: u64,
    /// Where it stands: what follows it is asked for with this.
    #[schema(value_type = String)]
    pub position: Position,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// The delayed event's name.
    pub name: String,
    /// The event's name; of a task, the task's.
    pub event: String,
    /// Where a task was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TaskAddress>,
    /// Whose it was.
    pub owner: String,
    /// The number of its creation.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// When it was due.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// `confirmed`: it was sent, and the broker has it; `parked`: the broker refused it, or nobody was bound; or `dropped`.
    pub outcome: String,
    /// Why it was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the event, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// How late, in milliseconds: after its send time, which its jitter puts off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// Whether it reached nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<bool>,
}

/// How delayed events ended, with what is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DelayedHistory {
    /// The rows; newest first unless `after` was given.
    pub rows: Vec<DelayedRowView>,
    /// The oldest row that is kept.
    pub first: u64,
    /// The newest row.
    pub last: u64,
    /// The next value of `before` (of `after`, if that was given); null when there is nothing more.
    #[schema(value_type = Option<String>)]
    pub next: Option<Position>,
}

/// One change of delayed events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DelayedChangeView {
    /// Its number in the log of changes of delayed events.
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
    /// `created`, `changed` or `deleted`; of parked ones `released` or `dropped`.
    pub what: String,
    /// How many events it was done to at once.
    pub count: u64,
    /// Their names; of many the first ones.
    pub names: Vec<String>,
    /// The number of the first one's creation.
    pub creation: u64,
    /// Where it was one that was created or changed: as it is since. Its definition has what is known without its content, and
    /// `payload` is the digest of all that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<VersionView>,
    /// The id of the message that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Changes of delayed events, with what is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DelayedChangeList {
    /// The changes; newest first unless `after` was given.
    pub changes: Vec<DelayedChangeView>,
    /// The oldest change that is kept.
    pub first: u64,
    /// The newest change.
    pub last: u64,
    /// The next value of `before` (of `after`, if that was given); null when there is nothing more.
    #[schema(value_type = Option<String>)]
    pub next: Option<Position>,
}

impl DelayedRowView {
    /// The row at this position, of the clock of this name.
    pub(in crate::ops) fn new(clock: &str, position: Position, row: &DelayedRow) -> Self {
        let mut view = Self {
            sequence: position.row(),
            position,
            recorded_at: row.at,
            name: row.name.to_string(),
            event: row.event.to_string(),
            to: row.queue.as_ref().map(|queue| TaskAddress { task: queue.to_string() }),
            owner: row.owner.to_string(),
            creation: row.creation,
            revision: row.revision,
            due_at: row.due,
            outcome: outcome_word(&row.outcome).into(),
            reason: None,
            event_id: None,
            sent_at: None,
            lateness_ms: None,
            returned: None,
        };
        match &row.outcome {
            Outcome::Confirmed { sent_at, lateness, returned } => {
                view.event_id = Some(event_id(clock, &row.name, row.creation, row.due));
                view.sent_at = Some(*sent_at);
                view.lateness_ms = Some(*lateness);
                view.returned = Some(*returned);
            }
            Outcome::Skipped(reason) => view.reason = Some(skip_word(*reason).into()),
            Outcome::Parked(reason) => view.reason = Some(reason.clone()),
            Outcome::DroppedAtLimit => view.reason = Some("limit".into()),
            Outcome::Dropped | Outcome::DetailsLost | Outcome::ClockSetBack => {}
        }
        view
    }
}

impl DelayedChangeView {
    pub(in crate::ops) fn new(position: Position, entry: ChangeEntry) -> Self {
        let count = logged_events(&entry);
        let ChangeEntry { at, by, door, what, name, others, creation, after, command, .. } = entry;
        Self {
            sequence: position.row(),
            position,
            at,
            by: by.to_string(),
            door: door.to_string(),
            what: what.word().into(),
            count,
            names: std::iter::once(&name).chain(&others).map(ToString::to_string).collect(),
            creation,
            after: after.map(Into::into),
            command: command.map(|command| command.to_string()),
        }
    }
}
