//! What the clock answers. Keys that stand here are read; of what is shown, the rest is kept in `more`.

use super::Problem;
use crate::event::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What became of a delayed event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct EventOutcome {
    /// Its name, which the clock made where it was left out.
    pub name: String,
    /// `created`, `changed`, `unchanged` (it was so already), `settled` (it was sent within the last hour), `refused`.
    pub outcome: String,
    /// The number of its creation.
    #[serde(default)]
    pub creation: Option<u64>,
    /// Its revision now.
    #[serde(default)]
    pub revision: Option<u32>,
    /// When it is due, or was.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// When it is sent: its due time and the offset by its jitter.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
    /// The id that its event has, or had.
    #[serde(default)]
    pub event_id: Option<String>,
}

/// What became of a schedule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ScheduleOutcome {
    /// Its name.
    pub name: String,
    /// `created`, `changed`, `unchanged` (it was so already) or `refused`.
    pub outcome: String,
    /// The number of its creation.
    #[serde(default)]
    pub creation: Option<u64>,
    /// Its revision now.
    #[serde(default)]
    pub revision: Option<u32>,
    /// How many occurrences are left, where that is known at once.
    #[serde(default)]
    pub occurrences_left: Option<u64>,
    /// The next due times, at most 5.
    #[serde(default)]
    pub next_due_at: Vec<Timestamp>,
}

/// What became of several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct BatchOutcome<A> {
    /// How many were done.
    #[serde(default)]
    pub done: u64,
    /// How many were refused.
    #[serde(default)]
    pub refused: u64,
    /// Of each, in their order.
    pub results: Vec<ItemOutcome<A>>,
}

/// What became of one of several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct ItemOutcome<A> {
    /// Which one, counted from 0.
    #[serde(default)]
    pub index: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: A,
    /// Why it was refused.
    #[serde(default)]
    pub problem: Option<Problem>,
}

/// That an event of a schedule is sent now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Triggered {
    /// The id that the event has.
    pub event_id: String,
    /// All else that the clock says.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A delayed event as the clock shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct DelayedState {
    /// Its name.
    pub name: String,
    /// The event's name; of a task, the task's.
    pub event: String,
    /// `pending`, or `settled`: it was sent, or given up, within the last hour.
    pub state: String,
    /// When it is due.
    pub due_at: Timestamp,
    /// The number of its creation.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// The id that its event has.
    pub event_id: String,
    /// All else that the clock says of it: `data`, `headers`, `owner` and the like.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A page of delayed events.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct DelayedPage {
    /// Where to go on; `None` at the end.
    #[serde(default)]
    pub next: Option<String>,
    /// By name.
    pub events: Vec<DelayedState>,
}

/// A schedule as it runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// The event that it publishes.
    #[serde(default)]
    pub event: Option<String>,
    /// `active`, `paused`, `finished`, `catching-up` or `refused`.
    pub state: String,
    /// Its next due time; `None` when there is none any more.
    #[serde(default)]
    pub next_due_at: Option<Timestamp>,
    /// The number of its creation at run time; none of a file's.
    #[serde(default)]
    pub creation: Option<u64>,
    /// Its revision.
    pub revision: u32,
    /// All else that the clock says of it: `definition`, `owner`, `origin` and the like.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A page of schedules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct SchedulePage {
    /// Where to go on; `None` at the end.
    #[serde(default)]
    pub next: Option<String>,
    /// By name.
    pub schedules: Vec<ScheduleState>,
}

/// The numbers of a creation and a revision, as `if_revision` takes them.
fn tag(creation: Option<u64>, revision: Option<u32>) -> Option<String> {
    Some(format!("{}.{}", creation?, revision?))
}

impl EventOutcome {
    /// For [`Command::if_revision`](super::Command::if_revision).
    pub fn tag(&self) -> Option<String> {
        tag(self.creation, self.revision)
    }
}

impl ScheduleOutcome {
    /// For [`Command::if_revision`](super::Command::if_revision).
    pub fn tag(&self) -> Option<String> {
        tag(self.creation, self.revision)
    }
}
