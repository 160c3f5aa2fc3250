//! Why a change is refused. Nothing has changed then.

use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a change is refused.
// Lies in the store, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The name is that of a file's schedule.
    FileOwned,
    /// It was created by somebody else.
    NotOwner {
        /// By whom.
        owner: Arc<str>,
    },
    /// Its event is none of those that the caller may change something about.
    OutsideDomains {
        /// It; of a task, its queue.
        event: Arc<str>,
    },
    /// Its event is one of the clock's own.
    ReservedEvent {
        /// It.
        event: Arc<str>,
    },
    /// Something of this name is there, and nothing should be.
    Exists {
        /// Its revision.
        revision: u32,
    },
    /// Another revision is there than should be.
    Stale {
        /// Which; `None`: there is none.
        revision: Option<u32>,
    },
    /// It is due once, and its event may be on its way already.
    MayHaveBeenSent {
        /// When it is due.
        due: Timestamp,
    },
    /// It would never be due.
    NeverDue,
    /// Its definition can't be used.
    Invalid {
        /// See [`ScheduleChange::Invalid`](crate::ScheduleChange::Invalid).
        faults: Arc<str>,
    },
    /// Its name occurs twice in a request that is all or nothing.
    Twice,
    /// Another change of a request that is all or nothing is refused.
    Another,
    /// Something else was asked for under this message id before.
    MessageIdUsed,
    /// Its owner has as many schedules as he may.
    TooMany {
        /// How many that are.
        most: usize,
    },
    /// There is no schedule of this name.
    NoSuchSchedule {
        /// It.
        name: Arc<str>,
    },
    /// One of those that were counted is not as it was then.
    NotAsCounted {
        /// Which.
        name: Arc<str>,
    },
    /// It is due once, and that is settled since lately; or what is wanted is, for nothing would be sent of it.
    AlreadySettled {
        /// When it was due.
        due: Timestamp,
    },
    /// Schedules use the calendar that is to go.
    InUse {
        /// The first of them.
        first: Vec<Arc<str>>,
        /// How many there are.
        count: u64,
    },
    /// There is no calendar of a name that its definition has: it went a moment ago.
    NoSuchCalendar {
        /// The name.
        name: Arc<str>,
    },
    /// Its owner has as many calendars as he leaves to all others.
    TooManyCalendars {
        /// How many all of them may have.
        most: usize,
    },
    /// The same of the bytes of their texts.
    TooManyCalendarBytes {
        /// How many all of them may have.
        most: usize,
    },
    /// There are as many schedules as the clock may have in all.
    TooManyInAll {
        /// How many that are.
        most: u64,
    },
    /// All schedules together would be due more often than they may.
    TooOftenInAll {
        /// How often a day.
        a_day: u64,
        /// How often at most.
        most: u64,
    },
    /// By the calendar that is wanted nothing would be due any more of schedules that use it.
    LeavesNothingDue {
        /// Some of them.
        some: Vec<Arc<str>>,
    },
    /// As many delayed events of its owner are pending or parked as he may have.
    TooManyDelayedEvents {
        /// How many that are.
        most: u64,
    },
}

impl Refusal {
    /// How many bytes of text it has.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::InUse { first: names, .. } | Self::LeavesNothingDue { some: names } => {
                names.iter().map(|name| name.len()).sum()
            }
            Self::Invalid { faults: text }
            | Self::NotOwner { owner: text }
            | Self::OutsideDomains { event: text }
            | Self::ReservedEvent { event: text }
            | Self::NoSuchSchedule { name: text }
            | Self::NoSuchCalendar { name: text }
            | Self::NotAsCounted { name: text } => text.len(),
            _ => 0,
        }
    }
}
