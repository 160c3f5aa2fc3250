//! The handle by which the rest of the program queries and commands the running clock.

use super::{Degraded, DelayedStatus, Figures};
use crate::{
    engine::{
        Asker, Author, CeilingUse, Covered, CreatedCalendar, KeptPage, Message, OldestPage, OnResume,
        Operation, Parked, Pause, PauseEnd, Refusal, Revision, ScheduleChange, ScheduleStatus, Scope,
        Triggered, Users, Verdict,
        delayed::{DelayedChange, Unparking},
    },
    schedule::Packed,
};
use ponos::{
    broker::Link,
    event::{CommandId, SpanContext, Timestamp},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// Schedules, or parked events, in one answer at most: the loop is never held up for longer.
pub const PAGE: usize = 256;
/// Revisions in an answer to [`Command::Kept`] at most: some tenths of a millisecond.
pub const KEPT: usize = 1_000;
/// Changes in a [`Command::Change`] at most.
pub const CHANGES: usize = 1_000;
/// Definitions in an answer to [`Command::Neighbours`] at most.
pub const NEIGHBOURS: usize = 1_000;

/// Questions to a clock without a loop that may wait.
const PLAYED: usize = 64;

/// A command to the running clock, or a query. Long answers come in pages, as handles of what
/// is held anyway; the caller makes views of them.
#[derive(Debug)]
pub enum Command {
    /// The next [`PAGE`] schedules by name, from the first on or after the one that is named; none: that was all.
    Schedules(Option<Arc<str>>, oneshot::Sender<Vec<ScheduleStatus>>),
    /// The schedules that are due next, the soonest first, at most so many and [`PAGE`].
    Soonest(usize, oneshot::Sender<Vec<ScheduleStatus>>),
    /// One schedule.
    Schedule(Arc<str>, oneshot::Sender<Option<ScheduleStatus>>),
    /// Definitions whose names stand beside this one in the order of names, [`NEIGHBOURS`] at most.
    Neighbours(Arc<str>, oneshot::Sender<Vec<Packed>>),
    /// A revision of a schedule, as long as it is kept.
    Revision(Arc<str>, u32, oneshot::Sender<Option<Revision>>),
    /// The next [`KEPT`] revisions by name and number, from the first on or after this one, and what is outstanding of
    /// them: to evaluate the record with. None: that was all. See [`Engine::kept_after`](crate::engine::Engine::kept_after).
    Kept(Option<(Arc<str>, u32)>, oneshot::Sender<KeptPage>),
    /// The oldest occurrence that is due and not settled, of the next [`KEPT`] spans. See
    /// [`Engine::oldest_after`](crate::engine::Engine::oldest_after).
    Oldest(Option<(Arc<str>, u32)>, oneshot::Sender<OldestPage>),
    /// The next [`PAGE`] parked events by number, from the first on or after this one; none: that was all.
    Parked(Option<u64>, oneshot::Sender<Vec<(u64, Parked, bool)>>),
    /// Answered once the record has every row that was decided before; or with the reason why it can't be written. So
    /// the record can be compared with pages that were taken before.
    Write(oneshot::Sender<Result<(), String>>),
    /// Send these parked events again; answered once that is durable.
    Release(Vec<u64>, oneshot::Sender<DecidedAnswer>),
    /// Drop these parked events for ever; answered once that is durable.
    Drop(Vec<u64>, oneshot::Sender<DecidedAnswer>),
    /// Hand nothing of these over from now on; answered once that is durable.
    Pause(PauseFor, oneshot::Sender<PauseAnswer>),
    /// End the present pauses of these; answered once that is durable.
    Resume(Scope, OnResume, oneshot::Sender<PauseAnswer>),
    /// Send an event of this schedule now, for this command; answered once that is durable.
    Trigger(Arc<str>, TriggerAsked, oneshot::Sender<TriggerAnswer>),
    /// What of this schedule's past needs no backfill, to all or to this queue alone.
    Covered(Arc<str>, Option<Arc<str>>, oneshot::Sender<Option<Covered>>),
    /// Begin this operation, unless there is one of this id; answered once that is durable, with the one of this id.
    Operate(CommandId, Box<Operation>, oneshot::Sender<OperationAnswer>),
    /// End this operation, if it runs; answered once that is durable.
    Cancel(CommandId, oneshot::Sender<OperationAnswer>),
    /// The operation of this id.
    Operation(CommandId, oneshot::Sender<Option<OperationStatus>>),
    /// The next [`PAGE`] operations by their ids, after this one; none: that was all.
    Operations(Option<CommandId>, oneshot::Sender<Vec<OperationStatus>>),
    /// Put and delete schedules; answered, change by change, once that is durable.
    Change(ChangesAsked, oneshot::Sender<ChangesAnswer>),
    /// Change delayed events; answered, change by change, once that is durable.
    ChangeDelayed(DelayedAsked, oneshot::Sender<ChangesAnswer>),
    /// Release or drop parked delayed events; answered once that is durable.
    UnparkDelayed(UnparkAsked, oneshot::Sender<DecidedAnswer>),
    /// The next [`PAGE`] calendars that were created at run time by name, from this name on; none: that was all.
    Calendars(String, oneshot::Sender<Vec<CalendarStatus>>),
    /// One of them.
    Calendar(String, oneshot::Sender<Option<CalendarStatus>>),
    /// Another one, for which somebody asks who is known: it is done as far as it is his to do, and the log of changes says so.
    By(Box<Asker>, Box<Command>),
    /// What was answered to this owner's message, which asks for so many changes; none: it did not come before. Answered once that
    /// is durable, or with the reason why it can't be.
    Answered(Arc<str>, Message, usize, oneshot::Sender<EarlierAnswer>),
    /// Read the schedule files again; answers with what the operator should know.
    Reload(oneshot::Sender<Result<String, String>>),
}

/// A calendar that was created at run time, and who uses it.
#[derive(Debug, Clone)]
pub struct CalendarStatus {
    /// It.
    pub calendar: Arc<CreatedCalendar>,
    /// Which schedules.
    pub users: Users,
}

/// What became of a decision about parked events. Numbers that are not in it do not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// It was done to these.
    pub done: Vec<u64>,
    /// Not to these: they are being sent.
    pub being_sent: Vec<u64>,
}

/// What became of it, or why nothing did.
pub type DecidedAnswer = Result<Decided, NotDecided>;

/// A pause that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseFor {
    /// Of what.
    pub scope: Scope,
    /// Who asks.
    pub by: Arc<str>,
    /// Why.
    pub note: Arc<str>,
    /// When it ends by itself, and how; else somebody ends it.
    pub end: Option<(PauseLength, OnResume)>,
}

/// How long a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseLength {
    /// Until this instant.
    Until(Timestamp),
    /// For so many milliseconds by the engine's time, which ends it: the wall clock may be behind that.
    For(i64),
}

/// Changes of schedules that are asked for, [`CHANGES`] at most.
#[derive(Debug)]
pub struct ChangesAsked {
    /// Who asks.
    pub by: Author,
    /// Where it came as a message, which may come again.
    pub message: Option<Message>,
    /// All of them or none.
    pub atomic: bool,
    /// What is asked for.
    pub changes: Vec<ScheduleChange>,
}

/// Changes of delayed events that are asked for.
#[derive(Debug)]
pub struct DelayedAsked {
    /// Who asks.
    pub by: Author,
    /// Where it came as a message, which may come again.
    pub message: Option<Message>,
    /// All of them or none.
    pub atomic: bool,
    /// What is asked for.
    pub changes: Vec<DelayedChange>,
}

/// What is asked for of parked delayed events.
#[derive(Debug)]
pub struct UnparkAsked {
    /// Who asks: what they are of is looked at before.
    pub by: Author,
    /// What is to become of them.
    pub what: Unparking,
    /// Their creations.
    pub creations: Vec<u64>,
}

/// What was answered before, if anything was; or why that can't be written.
pub type EarlierAnswer = Result<Option<Vec<Verdict>>, String>;

/// What became of each change that was asked for, in their order.
pub type ChangesAnswer = Result<Vec<Verdict>, NotDecided>;

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDecided {
    /// Nothing changed: too many others wait.
    TooMany(String),
    /// Nothing changed: there is no room for it, and for so long there will be none.
    NoRoom(String, Duration),
    /// Nothing changed, and nothing can at present.
    Unavailable(String),
    /// It is done or not, wholly: that is not known at present.
    Unknown(String),
}

/// The answer to a pause or a resume.
pub type PauseAnswer = Result<PauseChanged, Unchanged>;

/// An operation as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationStatus {
    /// Its id.
    pub id: CommandId,
    /// What it is; what is left of it is counted.
    pub operation: Operation,
    /// How many of its events are not made yet.
    pub left: u64,
    /// How many are made, and not settled.
    pub outstanding: usize,
}

/// How an event is triggered.
#[derive(Debug, Clone)]
pub struct TriggerAsked {
    /// The command's id.
    pub id: CommandId,
    /// The trace in which it is asked for: the event's own one is linked to it.
    pub trace: Option<SpanContext>,
}

impl From<CommandId> for TriggerAsked {
    fn from(id: CommandId) -> Self {
        Self { id, trace: None }
    }
}

/// The answer to a trigger.
pub type TriggerAnswer = Result<Triggered, Unchanged>;

/// The answer where an operation begins, or ends: how it is.
pub type OperationAnswer = Result<OperationStatus, Unchanged>;

/// What became of a pause or a resume. Of several names, what is said of a pause is said of the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PauseChanged {
    /// The pause before it, if there was one.
    pub before: Option<Pause>,
    /// When that ended, and how: it may have come to its own end before.
    pub ended: Option<PauseEnd>,
    /// The pause after it.
    pub after: Option<Pause>,
    /// Of names: to how many it was done.
    pub count: usize,
    /// Names for whose pauses there was no room: what is skipped of too many earlier ones of theirs is not settled yet.
    pub left_out: Vec<Arc<str>>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unchanged {
    /// It can't be done as it was asked for.
    Invalid(String),
    /// It is not his to do, or there is nothing that it could be done to.
    Refused(Refusal),
    /// Something else stands in the way.
    Conflict(String),
    /// So much of this was asked for already.
    TooMany(String),
    /// There is no room for it, and for so long there will be none.
    NoRoom(String, Duration),
    /// It is not done, and can't be at present.
    Unavailable(String),
    /// It is done, or will be, and may be forgotten: it is not durable.
    Unknown(String),
}

impl From<NotDecided> for Unchanged {
    fn from(why: NotDecided) -> Self {
        match why {
            NotDecided::TooMany(what) => Self::TooMany(what),
            NotDecided::NoRoom(what, wait) => Self::NoRoom(what, wait),
            NotDecided::Unavailable(what) => Self::Unavailable(what),
            NotDecided::Unknown(what) => Self::Unknown(what),
        }
    }
}

/// A handle onto the running clock.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Commands to the loop.
    pub commands: mpsc::Sender<Command>,
    /// How the clock is.
    pub status: watch::Receiver<Status>,
    /// The record's last row number, each time rows were written.
    pub recorded: watch::Receiver<u64>,
}

impl Handle {
    /// Of a clock that does nothing: nobody answers.
    pub(crate) fn at_rest(clock: String) -> Self {
        Self::played(clock).0
    }

    /// Of a clock without a loop: with what is asked of it, and its status, for whoever answers in its place.
    pub(crate) fn played(clock: String) -> (Self, mpsc::Receiver<Command>, watch::Sender<Status>) {
        let now = crate::clock::now();
        let link = Link::Down { attempts: 0, error: None };
        let (commands, asked) = mpsc::channel(PLAYED);
        let (status, shown) = watch::channel(Status::starting(clock, now, link, now));
        (Self { commands, status: shown, recorded: watch::channel(0).1 }, asked, status)
    }
}

/// How the clock is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The clock's name.
    pub clock: String,
    /// The instant of this status, by the wall clock.
    pub now: Timestamp,
    /// The same by the time that the clock goes by, which is another one while the wall clock is not believed.
    #[serde(skip)]
    pub believed: Timestamp,
    /// Why the clock is not ready; ready when empty.
    pub reasons: Vec<String>,
    /// What needs a person's attention though the clock is ready (degraded schedules, parked events).
    pub warnings: Vec<String>,
    /// What both are about.
    #[serde(skip)]
    pub degraded: Vec<Degraded>,
    /// The present pause: while it lasts nothing is handed over.
    pub paused: Option<Pause>,
    /// How many schedules are paused by their names.
    pub paused_by_name: usize,
    /// The connection to the broker.
    #[serde(skip)]
    pub link: Link,
    /// Events confirmed since the start.
    pub confirmed: u64,
    /// Of these, how many reached nobody.
    pub returned: u64,
    /// Parked events kept now, each of a run counted.
    pub parked: u64,
    /// Schedules with something outstanding.
    pub outstanding: u64,
    /// W: everything with send time ≤ this is settled or stands in the set.
    pub settled: Timestamp,
    /// What is counted and measured besides.
    #[serde(skip)]
    pub figures: Figures,
    /// How the rate ceilings of domains are used.
    #[serde(skip)]
    pub ceilings: Vec<CeilingUse>,
    /// How delayed events are, where they are kept.
    #[serde(skip)]
    pub delayed: Option<DelayedStatus>,
}

impl Status {
    /// Of a clock that begins at `now`.
    pub fn starting(clock: String, now: Timestamp, link: Link, settled: Timestamp) -> Self {
        Self {
            clock,
            now,
            believed: now,
            reasons: vec!["starting".into()],
            warnings: Vec::new(),
            degraded: Vec::new(),
            paused: None,
            paused_by_name: 0,
            link,
            confirmed: 0,
            returned: 0,
            parked: 0,
            outstanding: 0,
            settled,
            figures: Figures::default(),
            ceilings: Vec::new(),
            delayed: None,
        }
    }

    /// The time that the clock goes by when the wall clock shows this.
    pub fn believed_at(&self, wall: Timestamp) -> Timestamp {
        // What lies between a step and its status is not a difference.
        const SLACK: u64 = 1_000;
        match self.believed.since(self.now).unsigned_abs() < SLACK {
            true => wall,
            false => self.believed.plus(wall.since(self.now).max(0)),
        }
    }
}
