//! How deliveries end, and what observers see.

use crate::event::{EventId, EventName, Timestamp};
use std::{fmt, sync::Arc, time::Duration};

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The handler is done; what it published is confirmed.
    Done,
    /// The inbox had recorded it before: nothing ran.
    HandledAlready,
    /// There was nothing to do: too old, overtaken, or the handler said so.
    Skipped(String),
    /// It came back from the retry ladder too early, and waits there again. No attempt was made.
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
    /// Put off by its handler; no attempt was spent.
    Snoozed {
        /// When the attempt is made again.
        due: Timestamp,
        /// Why.
        reason: String,
    },
    /// Given back to its queue; no attempt was spent.
    Released(String),
    /// Sent to the dead letters.
    Dead(Death),
    /// Somebody [cancelled](crate::client::ControlClient::cancel) it: before its handler was begun, or while that was at work. The
    /// text says who, and why.
    Cancelled(String),
}

/// Why a message went to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The kind: header `dead-kind`.
    pub kind: DeadKind,
    /// What happened, for people; header `dead-reason`.
    pub reason: String,
}

/// Why a message went to the dead letters, as a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadKind {
    /// It is not a valid CloudEvent: not JSON, an attribute missing, or a header of the wrong type.
    Malformed,
    /// No handler of the queue takes this type.
    Unhandled,
    /// Its payload does not fit the schema of its handler.
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
    /// Something that it needs was unavailable for longer than [`Policy::max_wait`](super::Policy::max_wait), or until it was older
    /// than [`Policy::max_age`](super::Policy::max_age).
    Unavailable,
    /// It was delivered again and again without being settled: whatever handles it crashes.
    Poison,
}

impl DeadKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::Unhandled,
        Self::Schema,
        Self::TooLarge,
        Self::Attempts,
        Self::Refused,
        Self::Released,
        Self::Snoozed,
        Self::Unavailable,
        Self::Poison,
    ];

    /// The value of the header `dead-kind`.
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
            Self::Unavailable => "unavailable",
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

/// What a worker reports to its observer.
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
        /// Which attempt it was, from 1; 1, too, if it could not be read.
        attempt: u32,
        /// How it ended.
        ended: Ended,
        /// From its beginning in this process to its end.
        took: Duration,
    },
    /// A handler blocked its thread beyond its timeout; it could not be cancelled, and held up other tasks of that thread.
    Blocked {
        /// Its queue.
        queue: Arc<str>,
        /// The id of its event.
        id: EventId,
        /// The type of its event.
        name: EventName,
        /// How long it blocked the thread at a time.
        held: Duration,
        /// What [`Policy::timeout`](super::Policy::timeout) allows in all.
        timeout: Duration,
    },
    /// An event that [`Policy::expect_by_next`](super::Policy::expect_by_next) waits for did not come in time.
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

/// Called at every end, in the task that ended: it must be quick.
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
            DeadKind::Unavailable => 8,
            DeadKind::Poison => 9,
        };
        assert_eq!(DeadKind::ALL.map(place), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
