//! Parked delayed events as they are shown.

use super::{
    delayed::{TaskAddress, event_id},
    numbers,
};
use crate::engine::delayed::ParkedEvent;
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A delayed event that was given up on, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParkedEventView {
    /// The number of its creation, by which it is released or dropped: another event may have its name by now.
    pub creation: u64,
    /// Its name.
    pub name: String,
    /// The event's name; of a task, the task's.
    pub event: String,
    /// Where a task is sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TaskAddress>,
    /// Its revision.
    pub revision: u32,
    /// When it was due.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// Whose it is.
    pub owner: String,
    /// The id that it has, also when it is sent again.
    pub event_id: String,
    /// Why it was parked.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub parked_at: Timestamp,
    /// A person had it sent again, and it is being sent.
    pub released: bool,
}

impl ParkedEventView {
    /// Of a clock of this name.
    pub(in crate::ops) fn new(clock: &str, parked: &ParkedEvent) -> Self {
        let head = &parked.event.head;
        Self {
            creation: head.creation,
            name: head.key.name.to_string(),
            event: head.event.to_string(),
            to: head.queue.as_ref().map(|queue| TaskAddress { task: queue.to_string() }),
            revision: head.revision,
            due_at: head.due,
            owner: head.owner.to_string(),
            event_id: event_id(clock, &head.key.name, head.creation, head.due),
            reason: parked.reason.to_string(),
            parked_at: parked.since,
            released: parked.released,
        }
    }
}

/// A page of parked delayed events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ParkedEventList {
    /// The clock's name.
    pub clock: String,
    /// The next value of `page`; null at the end.
    pub next: Option<String>,
    /// By creation.
    pub parked: Vec<ParkedEventView>,
}

/// Parked delayed events by creation, to be released or dropped.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParkedCreations {
    /// Their creations, 1 to 1,000.
    #[schema(min_items = 1, max_items = 1_000, schema_with = numbers)]
    pub creations: Vec<u64>,
}
