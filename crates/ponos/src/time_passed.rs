//! The data of the clock's events (`schemas/time-event.json`), as a type for handlers.

use crate::event::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The data of a time event. Later versions of the clock only add fields; unknown ones are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimePassed {
    /// The schedule's name.
    pub schedule: String,
    /// The instant that the schedule names.
    pub due_at: Timestamp,
    /// `due_at` on the wall clock of `time_zone`: `2026-12-01T10:00:00.000`.
    pub local_time: String,
    /// The schedule's IANA time zone.
    pub time_zone: String,
    /// Offset of `local_time` from UTC: `+01:00`.
    pub utc_offset: String,
    /// 1 where `local_time` is the second pass of a repeated hour, else 0.
    pub fold: u8,
    /// The stretch of time that a batch job should process; `None` for triggers and one-shots.
    pub window: Option<Window>,
    /// The due time before this one, if there is one.
    pub previous_due_at: Option<Timestamp>,
    /// The due time after this one, if there is one: when it passes without an event, something is wrong.
    pub next_due_at: Option<Timestamp>,
    /// Why it was sent.
    pub cause: Cause,
    /// How many earlier, missed occurrences this event also stands for.
    pub coalesced: u64,
    /// The operator's own payload from the schedule's definition; null if there is none.
    pub data: serde_json::Value,
}

/// The time after `from`, up to and including `to`. The windows of one schedule tile the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Exclusive.
    pub from: Timestamp,
    /// Inclusive: the due time.
    pub to: Timestamp,
}

/// Why a time event was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// By its schedule.
    Scheduled,
    /// By an operator's command.
    Triggered,
    /// To fill a gap.
    Backfilled,
}
