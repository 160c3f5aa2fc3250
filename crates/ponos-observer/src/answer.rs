//! The parts that answers are made of: an event, and what a queue's handler reported of it.

use crate::window::{AttemptEntry, Entry, HandlingEntry};
use ponos_event::{Timestamp, reports::ReportedOutcome};
use serde::{Deserialize, Serialize};

/// An event or a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeenView {
    /// Its id.
    pub id: String,
    /// Its type; empty if only something else names its id.
    pub name: String,
    /// Its source; empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The queue that it went to, if it is a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// When it was first heard of, by the observer's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_at: Timestamp,
    /// When it was last seen sent; none if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sent_at: Option<Timestamp>,
    /// How many times it was seen on the bus: more than once, if it was sent again.
    pub sent: u64,
    /// How late its clock sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// The correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The id of the event that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What a queue's handler did with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Handling {
    /// The service.
    pub service: String,
    /// Its queue, by its full name.
    pub queue: String,
    /// The name or pattern of the handler; none if the event reached none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Where it stands.
    pub state: HandlingState,
    /// The deliveries that ended, in order: the first, and the latest of those that are kept.
    pub attempts: Vec<Attempt>,
    /// How many are not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// Where a handling stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HandlingState {
    /// Nothing more is to be done.
    Handled,
    /// It waits for another attempt, or was given back.
    Waiting,
    /// It lies in the dead letters.
    Dead,
}

/// One delivery that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Which attempt it was, from 1; a delivery that was put off is none of its own.
    pub attempt: u32,
    /// How it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub outcome: ReportedOutcome,
    /// When it was begun, by the worker's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub began_at: Timestamp,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
}

impl SeenView {
    pub(crate) fn of(entry: &Entry) -> Self {
        let event = entry.event.clone();
        Self {
            id: event.id,
            name: event.name,
            source: event.source,
            subject: event.subject,
            queue: entry.queue.clone(),
            first_at: entry.first_at,
            sent_at: entry.sent_at,
            sent: entry.sent,
            lateness_ms: event.lateness_ms,
            correlation_id: event.correlation_id,
            causation_id: event.causation_id,
            trace_id: event.trace_id,
        }
    }
}

impl HandlingState {
    pub(crate) fn of(handling: &HandlingEntry) -> Self {
        let last = handling.attempts.last().map(|last| last.outcome);
        match last {
            _ if handling.handled_at.is_some() => Self::Handled,
            Some(ReportedOutcome::Dead) => Self::Dead,
            _ => Self::Waiting,
        }
    }
}

impl Handling {
    pub(crate) fn of(handling: &HandlingEntry) -> Self {
        Self {
            service: handling.service.clone(),
            queue: handling.queue.clone(),
            handler: handling.handler.clone(),
            state: HandlingState::of(handling),
            attempts: handling.attempts.iter().map(Attempt::of).collect(),
            left_out: handling.left_out,
        }
    }
}

impl Attempt {
    fn of(attempt: &AttemptEntry) -> Self {
        Self {
            attempt: attempt.attempt,
            outcome: attempt.outcome,
            began_at: attempt.began_at,
            ended_at: attempt.ended_at,
            reason: attempt.reason.clone(),
            due_at: attempt.due_at,
        }
    }

    /// How long it took, in milliseconds.
    pub fn took_ms(&self) -> i64 {
        self.ended_at.since(self.began_at).max(0)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
