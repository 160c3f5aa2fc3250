//! Changes of schedules that are asked for at run time, and what becomes of them.

use super::{Author, Message, OnResume, Pause, Refusal, WantedCalendar};
use khronos_schedule::Packed;
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Some changes that one caller asks for at once: they go down in one write.
#[derive(Debug)]
pub struct ChangeRequest {
    /// Names the request.
    pub command: u64,
    /// Who asks.
    pub by: Author,
    /// Where it came as a message: the same one may come again.
    pub message: Option<Message>,
    /// All of them or none.
    pub atomic: bool,
    /// What is asked for, in this order. A name that occurs twice in an atomic request is refused.
    pub changes: Vec<ScheduleChange>,
}

impl ChangeRequest {
    /// This schedule is wanted, whatever is there.
    pub fn put(command: u64, by: Author, definition: Packed) -> Self {
        let change = ScheduleChange::Put { definition, expect: Expect::Any };
        Self { command, by, message: None, atomic: false, changes: vec![change] }
    }

    /// None of this name is wanted, whatever is there.
    pub fn delete(command: u64, by: Author, name: &str) -> Self {
        let change = ScheduleChange::Delete { name: name.into(), expect: Expect::Any };
        Self { command, by, message: None, atomic: false, changes: vec![change] }
    }
}

/// One change, of a schedule or of a calendar.
#[derive(Debug)]
pub enum ScheduleChange {
    /// This schedule is wanted, new or instead of the one of its name.
    Put {
        /// The definition, which is understood. Whose it is and which creation, the engine says.
        definition: Packed,
        /// What has to be there.
        expect: Expect,
    },
    /// The schedule of this name is not wanted any more.
    Delete {
        /// The schedule.
        name: Arc<str>,
        /// What has to be there.
        expect: Expect,
    },
    /// A calendar is wanted, new or instead of the one of its name; or that there is none of this name.
    Calendar {
        /// The calendar.
        name: Arc<str>,
        /// What it is to say; `None`: that it goes.
        wanted: Option<Box<WantedCalendar>>,
        /// What has to be there.
        expect: Expect,
    },
    /// A schedule, or a calendar, is wanted whose definition can't be used: it is refused, and has its place among the others.
    Invalid {
        /// The schedule, as far as that is known.
        name: Arc<str>,
        /// What is wrong, as it is told again where the same message comes again.
        faults: Arc<str>,
    },
}

/// What has to be there, that a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// Nothing of this name.
    Absent,
    /// Something of this name, at whatever revision.
    Present,
    /// This revision of this creation; of a file's schedule that is 0.
    Revision {
        /// The number of the creation.
        creation: u64,
        /// That of the revision.
        number: u32,
    },
}

/// What became of one change.
// Lies in the store: what is added goes behind what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// There is a new schedule.
    Created {
        /// Its creation number.
        creation: u64,
        /// Its revision.
        revision: u32,
        /// It is due after this instant.
        since: Timestamp,
    },
    /// The schedule is another one now.
    Changed {
        /// Its creation number, as before.
        creation: u64,
        /// Its revision.
        revision: u32,
        /// It is due after this instant as it says now; before, as it said before.
        since: Timestamp,
    },
    /// It was as it is wanted already.
    Unchanged {
        /// Its creation number.
        creation: u64,
        /// Its revision.
        revision: u32,
    },
    /// The schedule is gone.
    Deleted {
        /// Its creation number.
        creation: u64,
        /// Its last revision.
        revision: u32,
        /// What was due through this instant is sent all the same.
        through: Timestamp,
    },
    /// There was none.
    GoneAlready,
    /// Nothing changed.
    Refused(Refusal),
    /// Nothing of the schedule is handed over.
    Paused {
        /// The pause.
        pause: Pause,
        /// It had begun before.
        was_paused: bool,
    },
    /// The schedule goes on.
    Resumed {
        /// The pause that has ended; none: there was none.
        pause: Option<Pause>,
        /// When.
        through: Timestamp,
        /// What becomes of what fell due meanwhile.
        how: OnResume,
    },
    /// An event goes out.
    Triggered {
        /// When it is due.
        due: Timestamp,
        /// The number of its schedule's creation; 0 for a file's.
        creation: u64,
    },
    /// The delayed event is settled as it is wanted, lately.
    Settled {
        /// When it was due.
        due: Timestamp,
        /// Its creation number.
        creation: u64,
        /// Its last revision.
        revision: u32,
    },
}

impl Verdict {
    /// Whether something is another thing than before.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Created { .. } | Self::Changed { .. } | Self::Deleted { .. })
    }

    /// About how many bytes it takes on a disk.
    pub fn bytes(&self) -> usize {
        const BESIDE: usize = 32;
        BESIDE + self.text_bytes()
    }

    /// How many bytes of text it has.
    pub(super) fn text_bytes(&self) -> usize {
        let of_pause = |pause: &Pause| pause.by.len() + pause.note.len();
        match self {
            Self::Paused { pause, .. } => of_pause(pause),
            Self::Resumed { pause, .. } => pause.as_ref().map_or(0, of_pause),
            Self::Refused(refusal) => refusal.text_bytes(),
            _ => 0,
        }
    }
}

impl ScheduleChange {
    /// The schedule, or the calendar, that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Put { definition, .. } => definition.name(),
            Self::Delete { name, .. } | Self::Calendar { name, .. } | Self::Invalid { name, .. } => name,
        }
    }

    /// Whether it is about a calendar. What can't be used is about nothing.
    pub(super) fn is_of_calendar(&self) -> bool {
        matches!(self, Self::Calendar { .. })
    }

    /// About how many bytes it takes while it waits.
    pub(super) fn bytes(&self) -> usize {
        const BESIDE: usize = 128;
        BESIDE
            + match self {
                Self::Put { definition, .. } => definition.bytes(),
                Self::Delete { name, .. } => name.len(),
                Self::Calendar { name, wanted, .. } => {
                    name.len() + wanted.as_ref().map_or(0, |wanted| wanted.text.text.len())
                }
                Self::Invalid { name, faults } => name.len() + faults.len(),
            }
    }
}
