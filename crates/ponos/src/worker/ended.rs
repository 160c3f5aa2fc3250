//! How one delivery ended, and who is told.

use crate::event::{EventId, EventName, Timestamp};
use std::{fmt, sync::Arc, time::Duration};

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The handler is done; what it published is confirmed.
    Done,
    /// The inbox knew it: nothing ran.
    HandledAlready,
    /// There was nothing to do: too old, overtaken, or the handler said so.
    Skipped(String),
    /// It came back before its time, and goes around again. No attempt was made.
    Early {
        /// When the attempt is due.
        due: Timestamp,
    },
    /// An attempt failed, or asked for another one.
    Retried {
        /// Which attempt the next one is.
        attempt: u32,
        /// When it is due.
        due: Timestamp,
        /// Why.
        reason: String,
    },
    /// Put off by its handler, without an attempt being used up.
    Snoozed {
        /// When the attempt is made again.
        due: Timestamp,
        /// Why.
        reason: String,
    },
    /// Back to the queue, without an attempt being used up.
    Released(String),
    /// To the dead letters.
    Dead(Death),
}

/// Why a message went to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The kind, which is header `dead-kind`.
    pub kind: DeadKind,
    /// What happened, for people; header `dead-reason`.
    pub reason: String,
}

/// Kinds of deaths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadKind {
    /// No CloudEvent: not JSON, an attribute missing, a header of the wrong type.
    Malformed,
    /// Nobody in the service handles this type.
    Unhandled,
    /// Against the contract of its handler.
    Schema,
    /// Its body is larger than [`Limits::body`](super::Limits::body), or its headers leave no room for those of a retry.
    TooLarge,
    /// Its last attempt failed.
    Attempts,
    /// Its handler said [`Outcome::Dead`](super::Outcome::Dead).
    Refused,
    /// Its handler released it for longer than [`Policy::max_wait`](super::Policy::max_wait).
    Released,
    /// Its handler snoozed it for longer than [`Policy::max_wait`](super::Policy::max_wait).
    Snoozed,
    /// Delivered again and again without ever being settled.
    Poison,
}

impl DeadKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Unhandled,
        Self::Schema,
        Self::TooLarge,
        Self::Attempts,
        Self::Refused,
        Self::Released,
        Self::Snoozed,
        Self::Poison,
    ];

    /// As it stands in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unhandled => "unhandled",
            Self::Schema => "schema",
            Self::TooLarge => "too-large",
            Self::Attempts => "attempts",
            Self::Refused => "refused",
            Self::Released => "released-too-long",
            Self::Snoozed => "snoozed-too-long",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for DeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Death {
    pub(crate) fn new(kind: DeadKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// What an observer is told of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Observed {
    /// A delivery ended.
    Ended {
        /// Its queue.
        queue: Arc<str>,
        /// Its id, if it could be read.
        id: Option<EventId>,
        /// Its type, if it could be read.
        name: Option<EventName>,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How it ended.
        ended: Ended,
        /// From its beginning in this process to its end.
        took: Duration,
    },
    /// A handler kept its thread, and with it whatever shares that, beyond its timeout; nothing could cancel it.
    Blocked {
        /// Its queue.
        queue: Arc<str>,
        /// The id of its event.
        id: EventId,
        /// The type of its event.
        name: EventName,
        /// How long it kept the thread at a time.
        held: Duration,
        /// What [`Policy::timeout`](super::Policy::timeout) allows in all.
        timeout: Duration,
    },
    /// What [`Policy::expect_by_next`](super::Policy::expect_by_next) waited for did not come.
    Missed {
        /// The queue that waits.
        queue: Arc<str>,
        /// What did not come.
        name: EventName,
        /// Its source.
        source: String,
        /// Its subject.
        subject: Option<String>,
        /// When it was due.
        due: Timestamp,
    },
}

/// Is told of every end, in the task that ended: it must be quick.
pub(crate) type Observer = Arc<dyn Fn(&Observed) + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_in_the_list_of_all() {
        // a new kind does not compile here until it has its place
        let place = |kind: DeadKind| match kind {
            DeadKind::Malformed => 0,
            DeadKind::Unhandled => 1,
            DeadKind::Schema => 2,
            DeadKind::TooLarge => 3,
            DeadKind::Attempts => 4,
            DeadKind::Refused => 5,
            DeadKind::Released => 6,
            DeadKind::Snoozed => 7,
            DeadKind::Poison => 8,
        };
        assert_eq!(DeadKind::ALL.map(place), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
