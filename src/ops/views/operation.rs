//! Operations, as they are asked for and shown.

use crate::clock_loop::OperationStatus;
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// Which occurrences of the past are to be sent.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillAsked {
    /// Those that are due from this instant on …
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// … through this one; what lies ahead is left out.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Only those that the record does not have as sent, and that are not still to be sent.
    #[serde(default)]
    pub only_missing: bool,
    /// So many a second, 1 to 1,000; 10 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000)]
    pub rate: Option<u32>,
    /// To this queue alone; else as the schedule's events go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Say how many, and send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Begin nothing unless it is so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_count: Option<u64>,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackfillDecision {
    /// How many events it is.
    pub count: u64,
    /// The due time of the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_due_at: Option<Timestamp>,
    /// And of the last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_due_at: Option<Timestamp>,
    /// How many more of the span are left out, for they were sent, or are still to be sent.
    pub there: u64,
    /// What is due from here on comes by itself, and is left out; null: the span ends before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub comes_from: Option<Timestamp>,
    /// The record knows what was sent since then only, and the span begins before: so that is not begun. Null: it knows all.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_since: Option<Timestamp>,
    /// What sends them; null: nothing was begun.
    pub operation: Option<OperationView>,
}

/// An operation.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationView {
    /// Its id, which is part of the ids of its events.
    pub id: String,
    /// `backfill`.
    pub kind: String,
    /// `running`, `done` or `cancelled`.
    pub state: String,
    /// The schedule.
    pub schedule: String,
    /// The revision that its events are made from.
    pub revision: u32,
    /// Who asked for it.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub begun_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Events a second.
    pub rate: u32,
    /// To this queue alone.
    pub queue: Option<String>,
    /// How many events it was to send.
    pub count: u64,
    /// How many the broker has.
    pub sent: u64,
    /// How many are on their way, or parked.
    pub outstanding: u64,
    /// How many are not begun.
    pub left: u64,
}

/// A page of the operations that are known.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationList {
    /// By their ids.
    pub operations: Vec<OperationView>,
    /// The next value of `page`; null at the end.
    pub next: Option<String>,
}

impl From<OperationStatus> for OperationView {
    fn from(OperationStatus { id, operation, left, outstanding }: OperationStatus) -> Self {
        let state = match operation.ended {
            None => "running",
            Some((_, false)) => "done",
            Some((_, true)) => "cancelled",
        };
        Self {
            id: id.to_string(),
            kind: "backfill".into(),
            state: state.into(),
            schedule: operation.schedule.to_string(),
            revision: operation.revision,
            by: operation.by.to_string(),
            begun_at: operation.at,
            ended_at: operation.ended.map(|(at, _)| at),
            rate: operation.rate,
            queue: operation.queue.map(|queue| queue.to_string()),
            count: operation.count,
            sent: operation.sent,
            outstanding: outstanding as u64,
            left,
        }
    }
}
