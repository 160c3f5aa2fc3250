//! Delayed events as they are shown.

use crate::{
    delayed::trace,
    engine::{
        Verdict,
        delayed::{DelayedContent, DelayedEvent, DelayedHead, Tombstone},
    },
    ops::{OutcomeView, delayed::EventOutcome},
    schedule::id_name,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ponos::event::{EventKind, OccurrenceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The states of a delayed event that is known.
pub const DELAYED_STATES: [&str; 2] = ["pending", "settled"];

/// To which queue a task is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskAddress {
    /// The queue.
    pub task: String,
}

/// A delayed event. What of it was asked for stands under the keys under which it was; in a list its content is left out.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DelayedEventView {
    /// Its name.
    pub name: String,
    /// The event's name; of a task, the task's.
    pub event: String,
    /// Where a task is sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TaskAddress>,
    /// `pending`; or `settled`: it was sent, or given up, within the last hour.
    pub state: String,
    /// When it is due.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// When it is sent, of one that is pending: its due time and the offset by its jitter. What the broker refuses is sent again later,
    /// which the store does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub send_at: Option<Timestamp>,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
    /// When it was accepted, or last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub changed_at: Option<Timestamp>,
    /// Whose it is.
    pub owner: String,
    /// The number of its creation, which edits keep.
    pub creation: u64,
    /// Its revision.
    pub revision: u32,
    /// The id that its event has, or had, unless it is changed.
    pub event_id: String,
    /// Its data, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<Box<RawValue>>,
    /// Its data in base64, where they were given so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// What these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub headers: Option<Box<RawValue>>,
    /// What it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// How long after its due time it is of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `park`: it is parked where nobody is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrouted: Option<String>,
}

/// A page of delayed events that are pending.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DelayedEventList {
    /// The clock's name.
    pub clock: String,
    /// The next value of `page`; null at the end.
    pub next: Option<String>,
    /// By name.
    pub events: Vec<DelayedEventView>,
}

/// What became of a delayed event that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventOutcomeView {
    /// Its name.
    pub name: String,
    /// `created`, `changed`, `unchanged` (it was so already), `settled` (it was sent, or given up, within the last hour), `deleted`,
    /// `gone-already` or `refused`.
    pub outcome: String,
    /// The number of its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// Its revision now; of one that was deleted or settled, its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// When it is due, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// When it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub send_at: Option<Timestamp>,
    /// The id that its event has, or had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

impl DelayedEventView {
    /// One that is pending, without its content.
    pub(in crate::ops) fn pending(clock: &str, head: &DelayedHead) -> Self {
        Self {
            name: head.key.name.to_string(),
            event: head.event.to_string(),
            to: head.queue.as_ref().map(|queue| TaskAddress { task: queue.to_string() }),
            state: DELAYED_STATES[0].to_owned(),
            due_at: head.due,
            send_at: Some(head.key.send),
            settled_at: None,
            changed_at: Some(head.at),
            owner: head.owner.to_string(),
            creation: head.creation,
            revision: head.revision,
            event_id: event_id(clock, &head.key.name, head.creation, head.due),
            data: None,
            data_base64: None,
            datacontenttype: None,
            headers: None,
            correlation_id: None,
            expires: None,
            unrouted: None,
        }
    }

    /// The same, with its content.
    pub(in crate::ops) fn whole(clock: &str, event: &DelayedEvent) -> Self {
        let DelayedContent { data, content_type, headers, correlation_id, expires, parks_unrouted } =
            &event.content;
        let raw = |bytes: &[u8]| RawValue::from_string(String::from_utf8(bytes.to_vec()).ok()?).ok();
        let json = if content_type.is_none() { raw(data) } else { None };
        let is_encoded = content_type.is_some() || json.is_none() && !data.is_empty();
        Self {
            data: json,
            data_base64: is_encoded.then(|| BASE64_STANDARD.encode(data)),
            datacontenttype: content_type.as_deref().map(str::to_owned),
            headers: raw(trace::taken_off(headers).0.as_bytes()),
            correlation_id: correlation_id.as_deref().map(str::to_owned),
            expires: expires.map(|millis| format!("{millis}ms")),
            unrouted: parks_unrouted.then(|| "park".to_owned()),
            ..Self::pending(clock, &event.head)
        }
    }

    /// One that was settled lately.
    pub(in crate::ops) fn settled(clock: &str, name: &str, stone: &Tombstone) -> Self {
        Self {
            name: name.to_owned(),
            event: stone.event.to_string(),
            to: None,
            state: DELAYED_STATES[1].to_owned(),
            due_at: stone.due,
            send_at: None,
            settled_at: Some(stone.at),
            changed_at: None,
            owner: stone.owner.to_string(),
            creation: stone.creation,
            revision: stone.revision,
            event_id: event_id(clock, name, stone.creation, stone.due),
            data: None,
            data_base64: None,
            datacontenttype: None,
            headers: None,
            correlation_id: None,
            expires: None,
            unrouted: None,
        }
    }
}

impl EventOutcomeView {
    /// Of a clock of this name.
    pub fn new(clock: &str, outcome: &EventOutcome) -> Self {
        let EventOutcome { name, verdict, due, send, .. } = outcome;
        let OutcomeView { outcome, creation, revision, .. } = OutcomeView::new(name, verdict, Vec::new());
        let is_known = !matches!(verdict, Verdict::Deleted { .. });
        let event_id = due.zip(creation).filter(|_| is_known);
        let event_id = event_id.map(|(due, creation)| self::event_id(clock, name, creation, due));
        Self { name: name.clone(), outcome, creation, revision, due_at: *due, send_at: *send, event_id }
    }
}

pub(super) fn event_id(clock: &str, name: &str, creation: u64, due: Timestamp) -> String {
    let schedule = id_name(name, creation);
    OccurrenceId { clock, schedule: &schedule, due, kind: &EventKind::Delayed }.id().to_string()
}
