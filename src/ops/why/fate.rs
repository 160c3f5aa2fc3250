//! What became of an occurrence, as it is shown.

use crate::{ops::ParkedView, schedule::Explained, store::Leader};
use ponos::event::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a due time of a schedule, or of an event that a command asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OccurrenceFate {
    /// The clock's name.
    pub clock: String,
    /// The schedule; of a delayed event its name.
    pub schedule: String,
    /// The number of its creation at run time. None of a file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// What is published; null where that is not kept.
    pub event: Option<String>,
    /// The id of the event; null where there is none.
    pub event_id: Option<String>,
    /// `occurrence`, `trigger`, `backfill` or `delayed`.
    pub kind: String,
    /// The id of the command that asked for the event: of a trigger or a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The revision of the schedule that it is of; null where none is kept that it could be of.
    pub revision: Option<u32>,
    /// Since when that revision holds.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub effective_from: Option<Timestamp>,
    /// When it is due, in a few words.
    pub timing: Option<String>,
    /// The due time.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// When it is sent, with jitter only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub send_at: Option<Timestamp>,
    /// On the schedule's wall clock: `2026-12-01T09:00:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_time: Option<String>,
    /// `+01:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// The zone of that clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// 1 in the second pass of a repeated hour, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<u8>,
    /// What the calendars and the changes of the clocks made of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Explained>,
    /// What became of it.
    pub state: FateState,
    /// Why: of what was skipped `paused`, `missed`, `too-old`, `past` or `removed`; of what is parked the broker's words; `limit` of what
    /// was dropped because too much was parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Option<Timestamp>,
    /// Who led when that was recorded, of several clocks: of what was sent, the clock that sent it. Left out where that is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderView>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// How late, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// Whether it reached nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<bool>,
    /// Where one event stands for several due times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<StandsFor>,
    /// Where it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<ParkedView>,
    /// All of it in words; never empty.
    #[schema(min_items = 1)]
    pub said: Vec<String>,
}

/// A leadership of one of several clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeaderView {
    /// Its term, as in the header `khronos-term`.
    pub term: u64,
    /// Where the clock was reached; left out where it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Since when it led.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

impl From<Leader> for LeaderView {
    fn from(Leader { term, address, since }: Leader) -> Self {
        Self { term, address, since }
    }
}

/// What became of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FateState {
    /// The broker confirmed it.
    Sent,
    /// It was handed over, and the broker has not answered.
    Sending,
    /// It is due, and waits.
    Waiting,
    /// It was refused, or reached nobody where somebody must be bound.
    Parked,
    /// It was not sent, on purpose.
    Skipped,
    /// It was parked, and then dropped.
    Dropped,
    /// It is settled, but a crash came before the details were written.
    DetailsLost,
    /// The clock was set back over this time.
    ClockSetBack,
    /// It will be due.
    ToCome,
    /// The schedule is not due then.
    NotDue,
    /// It was due, and no row of it was found.
    NotRecorded,
}

/// Due times that one event stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandsFor {
    /// The first of them.
    #[schema(value_type = String, format = DateTime)]
    pub first_due_at: Timestamp,
    /// The last of them: that of the event.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// How many.
    pub count: u64,
}
