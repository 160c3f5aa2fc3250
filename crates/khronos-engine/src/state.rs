//! What the engine keeps across restarts, and the record: plain data, written by the store.

use super::{Answered, CreatedCalendar, LoggedChange, MessageKey, Operation, Pauses, Sent, TriggerKey};
use khronos_schedule::{Fault as DefinitionFault, Packed, Schedule, Timing, id_name};
use ponos_event::{CommandId, EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// An accepted definition of a schedule, from the moment it took effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// As written, the schedule's name in it, and as understood.
    pub definition: Packed,
    /// Counts up with every accepted edit, from 1.
    pub number: u32,
    /// Its occurrences lie after this instant.
    pub effective_from: Timestamp,
    /// Since when its timing holds, whatever else was edited meanwhile: what a `limit` without `from` counts from
    /// (exclusive).
    pub counts_from: Timestamp,
    /// Where its first window starts: the last due time before this revision, else its creation.
    pub opens: Timestamp,
    /// The last due time of the schedule before this revision.
    pub previous: Option<Timestamp>,
    /// Set when an edit or a removal ended it: its occurrences lie at or before this instant.
    pub ended: Option<Timestamp>,
    /// How often the clock had been set back when it began: of what is older more may have been sent than H says.
    pub set_backs: u32,
}

/// Since when a revision's occurrences count, and what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Era {
    /// See [`Revision::number`].
    pub number: u32,
    /// See [`Revision::effective_from`].
    pub effective_from: Timestamp,
    /// See [`Revision::counts_from`].
    pub counts_from: Timestamp,
    /// See [`Revision::opens`].
    pub opens: Timestamp,
    /// See [`Revision::previous`].
    pub previous: Option<Timestamp>,
    /// See [`Revision::set_backs`].
    pub set_backs: u32,
}

impl Era {
    /// Of a name that was not known before, on a clock that was never set back.
    pub fn first(number: u32, now: Timestamp) -> Self {
        Self { number, effective_from: now, counts_from: now, opens: now, previous: None, set_backs: 0 }
    }

    /// The revision of `definition` in this era, as it runs.
    pub fn of(self, definition: Packed) -> Revision {
        let Self { number, effective_from, counts_from, opens, previous, set_backs } = self;
        let ended = None;
        Revision { definition, number, effective_from, counts_from, opens, previous, ended, set_backs }
    }
}

impl Revision {
    /// The schedule's name.
    pub fn name(&self) -> &str {
        self.definition.name()
    }

    /// Since when its occurrences count.
    pub fn era(&self) -> Era {
        let Self { number, effective_from, counts_from, opens, previous, set_backs, .. } = *self;
        Era { number, effective_from, counts_from, opens, previous, set_backs }
    }

    /// When it is due, its limit counted from where this revision counts; never, if it is not understood.
    pub fn timing(&self) -> Timing {
        let timing = self.definition.timing();
        if timing.is_counted_since_creation() { timing.counting_since(self.counts_from) } else { timing }
    }

    /// The schedule, its limit counted from where this revision counts.
    ///
    /// # Errors
    /// Every [`DefinitionFault`] of the definition: another version may have accepted it.
    pub fn build(&self) -> Result<Schedule, Vec<DefinitionFault>> {
        let schedule = match self.definition.schedule() {
            Some(schedule) => schedule,
            None => Schedule::build(&self.definition.definition())?,
        };
        Ok(schedule.counting_since(self.counts_from))
    }
}

/// What is outstanding of one schedule: without an answer, caught up with, or waiting behind that. Never a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    /// The revision whose occurrences these are.
    pub revision: u32,
    /// Due times after this instant (exclusive) …
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub after: Timestamp,
    /// … through this one (inclusive) are unsettled. The horizon, where the span [is open](Self::is_open).
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub through: Timestamp,
    /// Due times up to this one may have been handed to the publisher: sent again singly, never coalesced.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub handed: Timestamp,
    /// The event that stands for several, fixed before it is first sent.
    pub coalesced: Option<Coalesced>,
}

impl Span {
    /// Whether all that falls due of its schedule joins it: as long as that is paused by its name.
    pub fn is_open(&self) -> bool {
        self.through == Timestamp::HORIZON
    }

    /// The same, as far as its schedule is due by then where it is open.
    #[must_use]
    pub fn closed(&self, timing: &Timing, by: Timestamp) -> Self {
        let mut span = self.clone();
        if span.is_open() {
            span.through = timing.before(by.plus(1)).map_or(span.after, |last| last.max(span.after));
        }
        span
    }
}

/// One event that stands for all due times in (after, through].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coalesced {
    /// The first due time that it stands for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first: Timestamp,
    /// Its own due time, the last that it stands for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last: Timestamp,
    /// How many it stands for, itself included.
    pub count: u64,
}

/// A one-shot that is still to be sent: pending while the row exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShot {
    /// The revision.
    pub revision: u32,
    /// The due time.
    pub due: Timestamp,
}

/// An event that was refused, or that reached nobody where somebody must be bound; or a run of such events. Sent again by
/// itself, or kept until a person releases or drops it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The schedule's name.
    pub schedule: Arc<str>,
    /// The revision.
    pub revision: u32,
    /// What it stands for: of a run the neighbouring occurrences that are still parked.
    pub stands_for: Coalesced,
    /// Why.
    pub reason: String,
    /// Since when: of a run the first of them.
    pub at: Timestamp,
    /// A person asked to have it sent again: it is being sent.
    pub released: bool,
    /// Each occurrence is an event of its own: a run, or one alone. Else one event stands for all of them.
    // Follows in the store what older stores hold; so does what comes after it.
    #[serde(skip)]
    pub singly: bool,
    /// How often its first event was refused.
    #[serde(skip)]
    pub refused: u8,
    /// Its first event is sent again by itself, once no older one of its schedule is, and not before this instant; `None`:
    /// not before a person says so.
    #[serde(skip)]
    pub retry_at: Option<Timestamp>,
    /// Of what kind its events are. What a command asked for is here from its birth, and released.
    #[serde(skip)]
    pub kind: EventKind,
}

impl Parked {
    /// How many events it is.
    pub fn events(&self) -> u64 {
        if self.singly { self.stands_for.count } else { 1 }
    }

    /// Whether a command asked for it, so that it is not an occurrence of its schedule.
    pub fn is_asked_for(&self) -> bool {
        self.kind != EventKind::Occurrence
    }
}

/// One row of the record: how a run of occurrences ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// When it was recorded.
    pub at: Timestamp,
    /// The schedule's name; `*` where all are concerned.
    pub schedule: Arc<str>,
    /// The revision; 0 where all are concerned.
    pub revision: u32,
    /// The first due time.
    pub first: Timestamp,
    /// The last due time: that of the event, where one was sent.
    pub last: Timestamp,
    /// How many due times.
    pub count: u64,
    /// How they ended.
    pub outcome: Outcome,
    /// Of what kind the event is. Only occurrences are audited against the arithmetic.
    // Follows in the store what older stores hold; so does what comes after it.
    #[serde(skip)]
    pub kind: EventKind,
    /// The number of the schedule's creation at run time; 0: it comes from a file, or all are concerned.
    #[serde(skip)]
    pub creation: u64,
    /// To which queue alone the event was sent, where it was.
    #[serde(skip)]
    pub queue: Option<Arc<str>>,
}

impl Row {
    /// What stands for the schedule in the ids of its events.
    pub fn id_name(&self) -> Cow<'_, str> {
        id_name(&self.schedule, self.creation)
    }
}

/// How occurrences ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Confirmed by the broker as one event.
    Confirmed {
        /// When it was handed to the publisher.
        sent_at: Timestamp,
        /// Sent minus send time, in milliseconds.
        lateness: i64,
        /// Nobody was bound.
        returned: bool,
    },
    /// Not sent, on purpose.
    Skipped(SkipReason),
    /// Given up on for now; the reason.
    Parked(String),
    /// Parked, and then dropped by a person.
    Dropped,
    /// Settled, but a crash came before the details were written.
    DetailsLost,
    /// The clock was set back over this time and the operator let it resume.
    ClockSetBack,
    /// Parked, and then dropped because more was parked than is kept.
    DroppedAtLimit,
}

/// Why occurrences were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The schedule is paused.
    Paused,
    /// Missed, and the policy is `none`.
    Missed,
    /// Missed, and older than `within`.
    TooOld,
    /// A one-shot whose due time was gone when it was first seen.
    Past,
    /// A one-shot whose schedule was removed before it was due.
    Removed,
}

/// One atomic write: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Everything with send time ≤ this is settled or stands in the set.
    pub settled: Timestamp,
    /// Nothing with send time above this was handed to the publisher, since a clock that was set back went on last.
    pub handed: Timestamp,
    /// The highest `handed` that ever was durable; lowered only at a clean end, to what was really handed over.
    pub reached: Timestamp,
    /// How often a clock that was set back went on from the lower reading.
    pub set_backs: u32,
    /// Written under (schedule, number).
    pub revisions: Vec<Revision>,
    /// Revisions that nothing refers to any more.
    pub forgotten: Vec<(Arc<str>, u32)>,
    /// By schedule and revision; `None` removes.
    pub spans: Vec<(Arc<str>, u32, Option<Span>)>,
    /// By schedule; `None` removes.
    pub one_shots: Vec<(Arc<str>, Option<OneShot>)>,
    /// By number; `None` removes.
    pub parked: Vec<(u64, Option<Parked>)>,
    /// What is kept of pauses of everything; `None`: what is there stays.
    pub pauses: Option<Pauses>,
    /// What is kept of pauses by name; `None` removes.
    pub named_pauses: Vec<(Arc<str>, Option<Pauses>)>,
    /// By their ids; `None` removes.
    pub operations: Vec<(CommandId, Option<Operation>)>,
    /// When what commands triggered is due; `None` removes.
    pub triggers: Vec<(TriggerKey, Option<Timestamp>)>,
    /// Outcomes other than confirmed.
    pub rows: Vec<Row>,
    /// The highest creation number that was ever given.
    pub created: u64,
    /// Messages that were answered; `None` removes.
    pub messages: Vec<(MessageKey, Option<Answered>)>,
    /// What somebody changed.
    pub changes: Vec<LoggedChange>,
    /// Calendars that were created at run time, by name; `None` removes.
    pub calendars: Vec<(Arc<str>, Option<Arc<CreatedCalendar>>)>,
}

/// A row with its number in the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// Counts up by one from 1; never used twice.
    pub sequence: u64,
    /// The row.
    #[serde(flatten)]
    pub row: Row,
}

/// All that was kept, as read at the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// `None` for a new store. See [`Commit::settled`].
    pub settled: Option<Timestamp>,
    /// See [`Commit::handed`].
    pub handed: Option<Timestamp>,
    /// See [`Commit::reached`].
    pub reached: Option<Timestamp>,
    /// See [`Commit::set_backs`].
    pub set_backs: u32,
    /// All revisions kept.
    pub revisions: Vec<Revision>,
    /// The set.
    pub spans: Vec<(Arc<str>, Span)>,
    /// Pending one-shots.
    pub one_shots: Vec<(Arc<str>, OneShot)>,
    /// Parked events by number.
    pub parked: Vec<(u64, Parked)>,
    /// What is kept of pauses of everything.
    pub pauses: Pauses,
    /// What is kept of pauses by name.
    pub named_pauses: Vec<(Arc<str>, Pauses)>,
    /// See [`Commit::operations`].
    pub operations: Vec<(CommandId, Operation)>,
    /// See [`Commit::triggers`].
    pub triggers: Vec<(TriggerKey, Timestamp)>,
    /// The number of the last row of the record; 0 when it is empty.
    pub last_sequence: u64,
    /// What the record knows of events that were sent, by what stands for the schedule in their ids: each creation under a
    /// name has figures of its own.
    pub sent: BTreeMap<Arc<str>, Sent>,
    /// See [`Commit::created`].
    pub created: u64,
    /// Messages that were answered.
    pub messages: Vec<(MessageKey, Answered)>,
    /// Calendars that were created at run time, by name.
    pub calendars: Vec<Arc<CreatedCalendar>>,
}

/// Some of the revisions that are kept, and what is outstanding of them. See [`Engine::kept_after`](super::Engine::kept_after).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptPage {
    /// W when the page was taken.
    pub settled: Timestamp,
    /// By name and number; none: that was all.
    pub revisions: Vec<Revision>,
    /// Of these.
    pub spans: Vec<(Arc<str>, Span)>,
    /// Of these.
    pub one_shots: Vec<(Arc<str>, OneShot)>,
}
