//! What people should know of what the engine does.

use super::{Coalesced, LoadSummary, OnResume, Pause, Refused};
use khronos_schedule::Ending;
use ponos_event::Timestamp;
use std::{fmt, sync::Arc};

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
        /// The number of its creation at run time; 0 for a file's.
        creation: u64,
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
    /// Nothing is handed over of one name, or several, each paused by itself.
    PausedByName {
        /// One of them.
        schedule: Arc<str>,
        /// Its pause.
        pause: Pause,
        /// How many others are paused.
        others: usize,
    },
    /// The pause of one name has ended. Told now and then only.
    ResumedByName {
        /// The name.
        schedule: Arc<str>,
        /// See [`Self::Resumed`].
        since: Timestamp,
        /// See [`Self::Resumed`].
        through: Timestamp,
        /// What becomes of what fell due between.
        how: OnResume,
        /// It ended because nothing of the name has run for long.
        away: bool,
        /// How many others have ended since it was told last.
        others: usize,
    },
    /// A pause of everything has ended.
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
    /// A file's schedule is not taken in: one of this name was created at run time.
    NameTaken {
        /// The schedule.
        schedule: Arc<str>,
        /// Whose the other one is.
        owner: Arc<str>,
        /// How many others of the files it is so with.
        others: usize,
    },
    /// A calendar of the files has a name that was created at run time: schedules that were created go on with that one.
    CalendarTaken {
        /// The calendar.
        calendar: Arc<str>,
        /// Whose the other one is.
        owner: Arc<str>,
        /// How many others of the files it is so with.
        others: usize,
    },
    /// The other calendar of this name is gone: schedules that are created name that of the files.
    CalendarFree {
        /// The calendar.
        calendar: Arc<str>,
    },
    /// The other one of this name is gone: if the files are read again, theirs is taken in.
    NameFree {
        /// The schedule.
        schedule: Arc<str>,
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
    /// Nothing of a schedule is due any more, for its calendars leave no day; it goes on once they do. Told now and then only.
    OutOfDays {
        /// The schedule.
        schedule: Arc<str>,
        /// Of how many others that is so since it was told last.
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
            Self::Parked { number, schedule, due, reason, others, .. } => write!(
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
            Self::NameTaken { schedule, owner, others } => write!(
                f,
                "the schedule {schedule} of the files is not loaded: one of this name was created at run time, and belongs to '{owner}'; rename the one in the files, or delete the other and load the files again{}",
                and(*others, "; so it is with N other schedules")
            ),
            Self::CalendarTaken { calendar, owner, others } => write!(
                f,
                "the calendar {calendar} of the files is used by the files' schedules alone: one of this name was created at run time, and belongs to '{owner}'; rename the one in the files, or delete the other{}",
                and(*others, "; so it is with N other calendars")
            ),
            Self::CalendarFree { calendar } => write!(
                f,
                "the calendar {calendar} that was created at run time is gone, and the files have one of this name: they are read again"
            ),
            Self::NameFree { schedule } => write!(
                f,
                "the schedule {schedule} that was created at run time is gone, and the files have one of this name: they are read again"
            ),
            Self::Paused(pause) => {
                write!(
                    f,
                    "{pause}; nothing is sent before it ends (`khronos resume --all --catch-up`, or `--skip`)"
                )
            }
            Self::PausedByName { schedule, pause, others } => {
                let listed = and(*others, "; `khronos list --state paused` shows the others");
                let and = and(*others, " and N other schedules that are paused by name");
                write!(
                    f,
                    "{schedule}{and}: {pause}; it sends nothing before that ends (`khronos resume {schedule} --catch-up`, or `--skip`){listed}"
                )
            }
            Self::ResumedByName { schedule, since, through, how, away, others } => {
                let why = match away {
                    true => ": nothing of this name has run for long",
                    false => "",
                };
                let and = and(*others, "; and so are N other schedules that were paused by name");
                write!(
                    f,
                    "{schedule} is resumed{why}; what fell due since {since} through {through} {how}{and}"
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
            Self::OutOfDays { schedule, others } => write!(
                f,
                "nothing of {schedule} is due any more: its calendars leave no day. It goes on once they have days again; give them some, or delete it{}",
                and(*others, "; the same of N other schedules")
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
        | Self::ResumedByName { others, .. }
        | Self::Finished { others, .. }
        | Self::OutOfDays { others, .. } = &mut self
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
