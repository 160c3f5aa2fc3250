//! What goes into the engine and what comes out of it.

use super::{Coalesced, Commit, Era, LoadSummary, OnResume, Pause, PauseRequest, Refused, Row, Scope};
use khronos_schedule::{Ending, Packed, Schedule};
use ponos_event::Timestamp;
use std::{fmt, sync::Arc};

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
    /// The broker answered.
    Settled(Vec<(u64, Answer)>),
    /// The commit with this ticket is durable.
    Saved(u64),
    /// The schedules that the files want, all of them. What a command has put stays as it is.
    Load(Vec<Packed>),
    /// This schedule is wanted, new or instead of the one of its name; the others stay as they are. From now on no file changes
    /// it: whether a command may take over the name of a file's schedule is for the caller to say. Answered by
    /// [`Action::Durable`] or [`Action::TooMany`].
    Put {
        /// Names the command.
        command: u64,
        /// The definition, which is understood.
        definition: Packed,
    },
    /// The schedule of this name is not wanted any more, if there is one. Answered by [`Action::Durable`] or
    /// [`Action::TooMany`].
    Remove {
        /// Names the command.
        command: u64,
        /// The schedule.
        name: Arc<str>,
    },
    /// Hand nothing over from now on; or another note or end for the present pause. Answered by [`Action::Durable`],
    /// [`Action::TooMany`] or [`Action::TooManyPauses`].
    Pause {
        /// Names the command.
        command: u64,
        /// What.
        scope: Scope,
        /// By whom, why and until when.
        request: PauseRequest,
    },
    /// End the present pause, if there is one. Answered by [`Action::Durable`] or [`Action::TooMany`].
    Resume {
        /// Names the command.
        command: u64,
        /// Of what.
        scope: Scope,
        /// What becomes of what fell due meanwhile.
        how: OnResume,
    },
    /// Write down all that was decided so far, rows that could wait included. Answered by [`Action::Durable`].
    Write {
        /// Names the command.
        command: u64,
    },
    /// Send these parked events again.
    Release(Vec<u64>),
    /// Drop these parked events for ever.
    Drop(Vec<u64>),
    /// Hand nothing over any more.
    Drain,
    /// Write down the exact progress; the last input before the end.
    Flush,
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
    /// These commands change nothing, for too many others wait: until the clock is believed, or until the disk has what they
    /// changed. Answer them so; they may be given again later.
    TooMany(Vec<u64>),
    /// These pauses do not begin, for of too many earlier ones it is not settled yet what is skipped: likewise.
    TooManyPauses(Vec<u64>),
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

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The wall clock jumped ahead; nothing is sent until it has proved stable.
    ClockHeld {
        /// By how many milliseconds.
        ahead: i64,
    },
    /// The wall clock is trusted again.
    ClockReleased,
    /// The wall clock is behind what was already seen.
    ClockBehind {
        /// By how many milliseconds.
        behind: i64,
        /// The highest reading so far.
        highest: Timestamp,
    },
    /// The clock went on from the lower reading, as configured.
    ClockResumed {
        /// The highest reading before.
        highest: Timestamp,
        /// The reading it went on from.
        now: Timestamp,
    },
    /// An event waits for a person: it reached nobody where somebody must be bound, was refused too often, or is one of too
    /// many of its schedule. Told now and then only.
    Parked {
        /// Its number, for `khronos parked`.
        number: u64,
        /// The schedule.
        schedule: Arc<str>,
        /// The due time.
        due: Timestamp,
        /// Why.
        reason: String,
        /// How many others wait since it was told last.
        others: usize,
    },
    /// The broker refuses a schedule's event; told now and then only.
    Refused {
        /// The schedule.
        schedule: Arc<str>,
        /// What of it, and why.
        refused: Refused,
        /// The parked entry of which it is one now.
        number: u64,
        /// That is sent again by itself; else it waits for a person.
        again: bool,
        /// How many other schedules it refuses.
        others: usize,
    },
    /// So many wait for a person that the limit is near, at which some are dropped.
    ManyParked {
        /// Entries that wait.
        count: usize,
        /// Entries that are kept at most.
        most: usize,
    },
    /// A parked entry was dropped for good: too many wait for a person. Told now and then only.
    DroppedAtLimit {
        /// Its number.
        number: u64,
        /// The schedule.
        schedule: Arc<str>,
        /// What it stood for.
        stands_for: Coalesced,
        /// How many others were dropped since it was told last.
        others: usize,
    },
    /// Nothing is handed over: somebody asked for it, now or before the start.
    Paused(Pause),
    /// A pause has ended.
    Resumed {
        /// When it had begun.
        since: Timestamp,
        /// When it ended: maybe earlier than now, for the clock may have been down then.
        through: Timestamp,
        /// What becomes of what fell due between.
        how: OnResume,
    },
    /// All schedules of a load run now.
    Loaded(LoadSummary),
    /// A file's schedule is not taken in: a command has put one of this name.
    NameTaken {
        /// The schedule.
        schedule: Arc<str>,
        /// How many others of the files it is so with.
        others: usize,
    },
    /// An event reached nobody: no queue is bound to it. Once an hour for each event.
    Unheard {
        /// The event.
        event: Arc<str>,
        /// The schedule that it is of, the first one.
        schedule: Arc<str>,
    },
    /// Missed occurrences were caught up with or skipped.
    CaughtUp {
        /// The schedule.
        schedule: Arc<str>,
        /// The first of them.
        first: Timestamp,
        /// The last of them.
        last: Timestamp,
        /// How many.
        count: u64,
        /// What became of them.
        how: &'static str,
    },
    /// The last occurrence of a schedule is settled, and nothing of it is due any more. Told now and then only.
    Finished {
        /// The schedule.
        schedule: Arc<str>,
        /// What ended it.
        ending: Ending,
        /// The last due time.
        last: Timestamp,
        /// How many of its events were confirmed, as far as the record goes back.
        sent: u32,
        /// How many other schedules have finished since it was told last.
        others: usize,
    },
    /// A one-shot was first seen after its due time, and `past = "refuse"`.
    PastOneShot {
        /// The schedule.
        schedule: Arc<str>,
        /// The due time.
        due: Timestamp,
    },
    /// A definition in the store is not understood by this version; its schedule rests.
    Unreadable {
        /// The schedule.
        schedule: Arc<str>,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockHeld { ahead } => {
                write!(
                    f,
                    "the wall clock jumped ahead by {}; nothing is sent until it has proved stable",
                    seconds(*ahead)
                )
            }
            Self::ClockReleased => write!(f, "the wall clock is trusted again"),
            Self::ClockBehind { behind, highest } => write!(
                f,
                "the wall clock is {} behind {highest}, which it showed before; nothing is sent until it is past that (clock.on_backward = \"wait\"; \"resume\" goes on from the lower reading)",
                seconds(*behind)
            ),
            Self::ClockResumed { highest, now } => {
                write!(
                    f,
                    "the wall clock went back from {highest} to {now}; going on from there, as configured"
                )
            }
            Self::Parked { number, schedule, due, reason, others } => write!(
                f,
                "parked {schedule} of {due} as number {number}{}: {reason}; see `khronos parked list`, then release or drop it",
                and(*others, " (and N others)")
            ),
            Self::Refused { schedule, refused: Refused { event, reason, .. }, number, again, others } => {
                let becomes = match again {
                    true => "is sent again by itself",
                    false => "waits for a person (`khronos parked list`)",
                };
                write!(
                    f,
                    "the broker refuses {event} of {schedule}: {reason}; it is parked as number {number}, which {becomes}, and what follows goes out on time{}",
                    and(*others, "; it refuses events of N other schedules too: see `khronos list`")
                )
            }
            Self::ManyParked { count, most } => write!(
                f,
                "{count} parked entries wait for a person; beyond {most} some are dropped for good, the oldest of the schedule that has most; see `khronos parked list`, then release or drop them"
            ),
            Self::DroppedAtLimit { number, schedule, stands_for, others } => {
                let Coalesced { first, last, count } = stands_for;
                write!(
                    f,
                    "dropped the parked entry {number}{}, because too many wait for a person: {count} of {schedule}, due from {first} to {last}; see `khronos history {schedule}`",
                    and(*others, " and N others")
                )
            }
            Self::NameTaken { schedule, others } => write!(
                f,
                "the schedule {schedule} of the files is not loaded: one of this name was added at run time; rename the one in the files, or delete the other{}",
                and(*others, "; so it is with N other schedules")
            ),
            Self::Paused(pause) => {
                write!(
                    f,
                    "{pause}; nothing is sent before it ends (`khronos resume --all --catch-up`, or `--skip`)"
                )
            }
            Self::Resumed { since, through, how } => {
                write!(f, "resumed; what fell due since {since} through {through} {how}")
            }
            Self::Loaded(summary) => write!(f, "{summary}"),
            Self::Unheard { event, schedule } => write!(
                f,
                "{event} of {schedule} reached nobody: no queue is bound to it (said once an hour for each event)"
            ),
            Self::CaughtUp { schedule, first, last, count, how } => {
                write!(f, "{schedule}: {count} missed, due from {first} to {last}: {how}")
            }
            Self::Finished { schedule, ending, last, sent, others } => write!(
                f,
                "{schedule} is finished ({ending}): its last occurrence was due at {last} and is settled; events sent: {sent}{}",
                and(*others, "; N other schedules are finished too: see `khronos list`")
            ),
            Self::PastOneShot { schedule, due } => write!(
                f,
                "{schedule} was due at {due}, before this clock first saw it: not sent (past = \"send\" would have it sent at once)"
            ),
            Self::Unreadable { schedule, reason } => {
                write!(
                    f,
                    "the stored definition of {schedule} is not understood: {reason}; the schedule sends nothing until it is loaded again"
                )
            }
        }
    }
}

impl Notice {
    /// The same, which stands for so many others, too.
    pub(super) fn and_others(mut self, count: usize) -> Self {
        if let Self::Parked { others, .. }
        | Self::DroppedAtLimit { others, .. }
        | Self::Finished { others, .. } = &mut self
        {
            *others = count;
        }
        self
    }
}

/// The text with the number of others in place of its N; empty if there are none.
fn and(others: usize, text: &str) -> String {
    if others == 0 { String::new() } else { text.replace('N', &others.to_string()) }
}

/// Milliseconds for people.
fn seconds(millis: i64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
