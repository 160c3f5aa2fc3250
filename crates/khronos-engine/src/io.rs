//! What goes into the engine and what comes out of it; what it tells people stands in `notice`.

use super::{
    Asker, ChangeRequest, Coalesced, Commit, CreatedCalendar, Declined, Era, Notice, OnResume, Operation,
    PauseRequest, ReadCalendars, Row, Scope, Triggered, Verdict,
};
use khronos_schedule::{Calendars, Packed, Schedule};
use ponos_event::{CommandId, EventKind, Timestamp};
use std::sync::Arc;

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// Milliseconds since boot, time asleep included; never steps.
    pub boot: i64,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// The publisher became usable, or stopped being so.
    Link(bool),
    /// Hand nothing over at or after this instant of the boot-time clock (milliseconds): until then this clock leads. Takes the place
    /// of what was said before; a clock that shares its store with nobody is never told.
    Trust(i64),
    /// Whether other clocks on the same store may live. Told to one that was started [among others](super::Engine::among_others).
    Others(bool),
    /// The broker answered.
    Settled(Vec<(u64, Answer)>),
    /// The commit with this ticket is durable.
    Saved(u64),
    /// What definitions are read by from now on. What was created at run time is read anew by them with the next load.
    Calendars(ReadCalendars),
    /// The schedules that the files want, all of them. What was created at run time stays as it is.
    Load(Vec<Packed>),
    /// The same of what they wanted last: what runs of theirs. For whoever takes over from another clock, and does not apply the
    /// files of its own machine.
    LoadKept,
    /// Change schedules at run time: put some, delete some. Answered by [`Action::Decided`],
    /// [`Action::TooMany`], [`Action::TooManyMessages`] or [`Action::Unread`].
    Change(Box<ChangeRequest>),
    /// Hand nothing of these over from now on; or another note or end for their present pause. Answered by [`Action::Durable`],
    /// [`Action::TooMany`] or [`Action::TooManyPauses`].
    Pause {
        /// Names the command.
        command: u64,
        /// What.
        scope: Scope,
        /// By whom, why and until when.
        request: PauseRequest,
    },
    /// End the present pauses of these, where there are any. Answered by [`Action::Durable`] or [`Action::TooMany`].
    Resume {
        /// Names the command.
        command: u64,
        /// Of what.
        scope: Scope,
        /// What becomes of what fell due meanwhile.
        how: OnResume,
    },
    /// Send an event of this schedule now, made from its present definition; the same command again of the same owner changes
    /// nothing. Answered by [`Action::Triggered`], [`Action::Declined`] or [`Action::TooMany`].
    Trigger {
        /// Names the command.
        command: u64,
        /// The schedule.
        name: Arc<str>,
        /// Part of the event's id.
        id: CommandId,
    },
    /// Begin this operation, unless there is one of this id. Answered by [`Action::Durable`], [`Action::Declined`] or
    /// [`Action::TooMany`].
    Operate {
        /// Names the command.
        command: u64,
        /// The operation's id.
        id: CommandId,
        /// What it is to do.
        operation: Box<Operation>,
    },
    /// End this operation, if it runs. Answered by [`Action::Durable`] or [`Action::TooMany`].
    Cancel {
        /// Names the command.
        command: u64,
        /// The operation's id.
        id: CommandId,
    },
    /// Somebody who is known asks for this: a pause, a resume, a trigger, an operation or its end, parked events, a load. The log of
    /// changes says so, and it is done as far as it is his to do. Answered as without him, or by [`Action::Decided`]: where it is
    /// refused, or the same message came before.
    By(Box<Asker>, Box<Input>),
    /// Write down all that was decided so far, rows that could wait included. Answered by [`Action::Durable`].
    Write {
        /// Names the command.
        command: u64,
    },
    /// A delayed event of this send time is due soon: H is to be raised to it, or beyond.
    Reserve(Timestamp),
    /// Send these parked events again.
    Release(Vec<u64>),
    /// Drop these parked events for ever.
    Drop(Vec<u64>),
    /// Hand nothing over any more.
    Drain,
    /// Write down the exact progress; the last input before the end.
    Flush,
}

#[cfg(test)]
impl Input {
    /// Somebody who may do everything wants this.
    pub(crate) fn put(command: u64, definition: Packed) -> Self {
        Self::Change(Box::new(ChangeRequest::put(command, crate::Author::admin("ann", "a test"), definition)))
    }

    /// Somebody who may do everything does not want that any more.
    pub(crate) fn delete(command: u64, name: &str) -> Self {
        Self::Change(Box::new(ChangeRequest::delete(command, crate::Author::admin("ann", "a test"), name)))
    }
}

/// The broker's answer to one handover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All routed queues have it; `returned`: there was none.
    Confirmed {
        /// Nobody was bound.
        returned: bool,
    },
    /// Refused, with the reason.
    Refused(String),
    /// No answer came: it may have arrived or not.
    Lost,
}

/// What is to be done. Actions are to be performed in order.
#[must_use]
#[derive(Debug)]
pub enum Action {
    /// Write this atomically and durably, then say [`Input::Saved`]. There is never more than one under way.
    Save {
        /// Names the commit.
        ticket: u64,
        /// What to write.
        commit: Box<Commit>,
    },
    /// What these commands changed, or asked for, is durable: answer them.
    Durable(Vec<u64>),
    /// What these commands trigger is durable.
    Triggered(Vec<(u64, Triggered)>),
    /// What these commands ask for is not begun.
    Declined(Vec<(u64, Declined)>),
    /// What became of these requests for changes is durable: answer each, change by change.
    Decided(Vec<(u64, Vec<Verdict>)>),
    /// These commands change nothing, for too many others wait: until the clock is believed, or until the disk has what they
    /// changed. Answer them so; they may be given again later.
    TooMany(Vec<u64>),
    /// These pauses do not begin, for of too many earlier ones it is not settled yet what is skipped: likewise. Of names, these do
    /// not; those of the others do, and [`Action::Durable`] answers the command.
    TooManyPauses(Vec<(u64, Vec<Arc<str>>)>),
    /// These messages are not taken and change nothing, for too many of their owner were answered in the last 24 hours:
    /// likewise.
    TooManyMessages(Vec<u64>),
    /// These requests change nothing, for they create something, and the files were not read yet, which may have its name:
    /// likewise.
    Unread(Vec<u64>),
    /// What definitions may name from now on that are created at run time; nothing is known before the files were read. And the
    /// calendars that were created at run time.
    Calendars {
        /// All calendars, by name.
        named: Option<Calendars>,
        /// Those that were created.
        created: Vec<Arc<CreatedCalendar>>,
    },
    /// Publish these, and answer each with [`Input::Settled`].
    Publish(Vec<Handover>),
    /// Append these rows behind, off the hot path.
    Record {
        /// Confirmed events.
        rows: Vec<Row>,
        /// All rows of on-time events with send time ≤ this have been given.
        complete: Timestamp,
    },
    /// Tell people.
    Notice(Notice),
}

/// One event to be published. The body is rendered late, from what this refers to.
#[derive(Debug, Clone)]
pub struct Handover {
    /// Given back in the answer.
    pub token: u64,
    /// The revision that called for it, and since when it counts.
    pub era: Era,
    /// The schedule.
    pub schedule: Arc<Schedule>,
    /// Of what kind the event is.
    pub kind: EventKind,
    /// To this queue alone; else as its name says.
    pub queue: Option<Arc<str>>,
    /// What the event stands for; its due time is `last`.
    pub stands_for: Coalesced,
    /// When it was handed over.
    pub sent_at: Timestamp,
    /// `sent_at` minus the send time, in milliseconds.
    pub lateness: i64,
    /// Occurrences skipped since the schedule's last event.
    pub skipped: u64,
    /// Its number, if it was prepared: what was rendered then can be sent. See [`Prepared`](super::Prepared).
    pub prepared: Option<u64>,
}
