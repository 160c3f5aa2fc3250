//! The forms in which a clock is shown: the HTTP interface writes them, and the command line reads and prints them.

mod calendar;
mod caller;
mod change;
mod delayed;
mod delayed_record;
mod finished;
mod health;
mod operation;
mod parked_event;
mod pause;
mod schedule;

pub use calendar::{CalendarList, FoundCalendar, NamedCalendarView};
pub use caller::CallerView;
pub use change::{FilterDecision, OutcomeView, PutView, RefusalView, ScheduleFilter};
pub use delayed::{DELAYED_STATES, DelayedEventList, DelayedEventView, EventOutcomeView, TaskAddress};
pub use delayed_record::{DelayedChangeList, DelayedChangeView, DelayedHistory, DelayedRowView};
pub use finished::FinishedView;
pub use health::{Alive, BrokerLink, Readiness, RoleShown};
pub use operation::{BackfillAsked, BackfillDecision, OperationList, OperationView};
pub use parked_event::{ParkedCreations, ParkedEventList, ParkedEventView};
pub use pause::{
    ChosenDecision, PauseAsked, PauseDecision, PauseOneAsked, PauseSomeAsked, PauseView, ResumeAsked,
    ResumeDecision, ResumeOneAsked, ResumeSomeAsked,
};
pub use schedule::{ORIGINS, RefusedView, STATES, ScheduleList, ScheduleView};
pub(super) use schedule::{origin_word, state_word, timing_words};

use crate::{
    engine::{Coalesced, Outcome, Parked, RecordRow, audit::skip_word},
    position::Position,
    schedule::{CalendarId, Days, ZoneId, ZoneRules},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ponos::event::{EventKind, OccurrenceId, Timestamp};
use serde::{Deserialize, Serialize};

/// One row of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowView {
    /// Its number.
    pub sequence: u64,
    /// Where it stands: what follows it is asked for with this. Clocks that say none take the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub position: Option<Position>,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// The schedule; `*` where all are concerned.
    pub schedule: String,
    /// The revision.
    pub revision: u32,
    /// The number of the schedule's creation at run time: the ids of its events have it. None of a file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// The first due time.
    #[schema(value_type = String, format = DateTime)]
    pub first_due_at: Timestamp,
    /// The last due time: that of the event, where one was sent.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// How many due times.
    pub count: u64,
    /// `occurrence`, `trigger`, `backfill` or `delayed`.
    #[serde(default = "occurrence")]
    pub kind: String,
    /// The id of the command that asked for the event: of a trigger or a backfill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// `confirmed`, `skipped`, `parked`, `dropped`, `details-lost` or `clock-set-back`.
    pub outcome: String,
    /// Why it was skipped or parked; `limit` where it was dropped because too much was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the event, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// How late, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// Whether it reached nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<bool>,
}

/// Clocks that know no other kind say none.
fn occurrence() -> String {
    EventKind::Occurrence.word().into()
}

/// The outcomes by the words that [`RowView::outcome`] uses.
pub const OUTCOMES: [&str; 6] =
    ["confirmed", "skipped", "parked", "dropped", "details-lost", "clock-set-back"];

/// The word for an outcome.
pub(super) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed { .. } => OUTCOMES[0],
        Outcome::Skipped(_) => OUTCOMES[1],
        Outcome::Parked(_) => OUTCOMES[2],
        Outcome::Dropped | Outcome::DroppedAtLimit => OUTCOMES[3],
        Outcome::DetailsLost => OUTCOMES[4],
        Outcome::ClockSetBack => OUTCOMES[5],
    }
}

impl RowView {
    /// The row of this clock, in [this record](crate::store::Page::record).
    pub fn new(clock: &str, record: u64, entry: &RecordRow) -> Self {
        let row = &entry.row;
        let mut view = Self {
            sequence: entry.sequence,
            position: Some(Position::new(record, entry.sequence)),
            recorded_at: row.at,
            schedule: row.schedule.to_string(),
            revision: row.revision,
            creation: Some(row.creation).filter(|creation| *creation > 0),
            first_due_at: row.first,
            due_at: row.last,
            count: row.count,
            kind: row.kind.word().into(),
            command: row.kind.command().map(ToString::to_string),
            outcome: outcome_word(&row.outcome).into(),
            reason: None,
            id: None,
            sent_at: None,
            lateness_ms: None,
            returned: None,
        };
        match &row.outcome {
            Outcome::Confirmed { sent_at, lateness, returned } => {
                let schedule = &row.id_name();
                let id = OccurrenceId { clock, schedule, due: row.last, kind: &row.kind };
                view.id = Some(id.id().to_string());
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

/// Rows with what is needed to go on.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct History {
    /// The rows; newest first unless `after` was given.
    pub rows: Vec<RowView>,
    /// The oldest row that is kept.
    pub first: u64,
    /// The newest row.
    pub last: u64,
    /// The next value of `before` (of `after`, if that was given); null when there is nothing more.
    #[schema(value_type = Option<String>)]
    pub next: Option<Position>,
}

/// Rows of which a feed gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapView {
    /// The first of them; none where a reader's position is not of this record: its rows had numbers of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last of them; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Why.
    pub reason: String,
}

/// The days of one calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CalendarView {
    /// What they are kept under.
    #[schema(value_type = String)]
    pub id: CalendarId,
    /// Dates, and ranges of dates with both ends: `2026-12-25`, `2026-12-24/2026-12-26`; ascending, in 1969 to 2100.
    pub dates: Vec<String>,
}

impl CalendarView {
    /// The days, if they are those of the id.
    pub fn days(&self) -> Option<Days> {
        Days::from_dates(&self.dates).filter(|days| days.id() == self.id)
    }
}

/// The rules of one time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneView {
    /// What they are kept under.
    #[schema(value_type = String)]
    pub id: ZoneId,
    /// TZif, in base64.
    pub tzif: String,
}

impl ZoneView {
    pub(super) fn new(rules: &ZoneRules) -> Self {
        Self { id: rules.id(), tzif: BASE64_STANDARD.encode(rules.tzif()) }
    }

    /// The bytes; `None` if the text is none of them.
    pub fn tzif(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(&self.tzif).ok()
    }
}

/// Parked events of a clock, by number.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParkedList {
    /// The clock's name.
    #[serde(default)]
    pub clock: String,
    /// The next value of `page`; null at the end.
    #[serde(default)]
    pub next: Option<String>,
    /// Its parked events.
    pub parked: Vec<ParkedView>,
}

/// A parked event, or a run of parked events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParkedView {
    /// By which it is released or dropped.
    pub id: u64,
    /// The schedule.
    pub schedule: String,
    /// The revision.
    pub revision: u32,
    /// The first due time.
    #[schema(value_type = String, format = DateTime)]
    pub first_due_at: Timestamp,
    /// The last due time; that of the event, where one stands for all.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// `occurrence`, or `trigger` or `backfill` where a command asked for it.
    #[serde(default = "occurrence")]
    pub kind: String,
    /// The id of that command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How many due times.
    pub count: u64,
    /// How many events: as many as due times, or one that stands for all of them.
    pub events: u64,
    /// Why it was parked.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub parked_at: Timestamp,
    /// A person had it sent again.
    pub released: bool,
    /// Something of it is on its way, or may be soon: it is neither dropped nor released.
    #[serde(default)]
    pub being_sent: bool,
    /// How often its first event was refused.
    #[serde(default)]
    pub refused: u8,
    /// When its first event is sent again by itself: not before this instant, and after older runs of its schedule. None
    /// where it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
}

impl ParkedView {
    /// The parked event of this number.
    pub fn new(id: u64, parked: &Parked, being_sent: bool) -> Self {
        let Coalesced { first, last, count } = parked.stands_for;
        Self {
            id,
            schedule: parked.schedule.to_string(),
            revision: parked.revision,
            first_due_at: first,
            due_at: last,
            kind: parked.kind.word().into(),
            command: parked.kind.command().map(ToString::to_string),
            count,
            events: parked.events(),
            reason: parked.reason.clone(),
            parked_at: parked.at,
            released: parked.released,
            being_sent,
            refused: parked.refused,
            next_try_at: parked.retry_at,
        }
    }
}

/// An event that was triggered.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TriggerDecision {
    /// The schedule.
    pub schedule: String,
    /// The event's id.
    pub event_id: String,
    /// Its due time: when it was first asked for.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// The command's id, which is part of the event's.
    pub command: String,
}

/// Parked events by number, to be released or dropped.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParkedIds {
    /// Their numbers.
    #[schema(min_items = 1, schema_with = numbers)]
    pub ids: Vec<u64>,
}

/// Numbers of 64 bits: `int64`, as which they would be described, ends at half of them.
fn numbers() -> utoipa::openapi::schema::Array {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ArrayBuilder::new().items(number).min_items(Some(1)).build()
}

/// What became of a release or a drop.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParkedDecision {
    /// It was done to these.
    pub done: Vec<u64>,
    /// Not to these: they are being sent.
    #[serde(default)]
    pub being_sent: Vec<u64>,
    /// These do not exist.
    pub unknown: Vec<u64>,
}

/// What a reload said.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// What the operator should know of it.
    pub reloaded: String,
}
