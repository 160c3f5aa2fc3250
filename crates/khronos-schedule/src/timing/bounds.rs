//! `from`, `until` and `limit`: when a timing begins and ends.

use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};

/// `[from, end)`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// The first instant that counts.
    pub(crate) from: Timestamp,
    /// `until` as written: the first instant that does not count any more.
    until: Timestamp,
    pub(crate) limit: Option<Limit>,
    /// `until`, or just after the last occurrence that the limit allows.
    pub(crate) end: Timestamp,
}

/// `limit`: the most occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub(crate) most: u32,
    /// `from`, if it is given: else it counts since the timing took effect.
    pub(crate) from: Option<Timestamp>,
}

impl Limit {
    /// After which instant (exclusive) it counts, for a timing that took effect at `since`.
    pub(crate) fn start(self, since: Timestamp) -> Timestamp {
        self.from.map_or(since, |from| from.plus(-1))
    }
}

impl Default for Bounds {
    /// From 1970 to the horizon.
    fn default() -> Self {
        let (from, until) = (Timestamp::EPOCH, Timestamp::HORIZON);
        Self { from, until, limit: None, end: until }
    }
}

impl PartialEq for Bounds {
    /// As written: where the limit ends follows from that, and from when the count began.
    fn eq(&self, other: &Self) -> bool {
        (self.from, self.until, self.limit) == (other.from, other.until, other.limit)
    }
}

impl Bounds {
    /// `limit`, at most so many occurrences, counts since `from`, if that is given.
    pub(crate) fn new(from: Option<Timestamp>, until: Option<Timestamp>, limit: Option<u32>) -> Self {
        let until = until.unwrap_or(Timestamp::HORIZON).min(Timestamp::HORIZON);
        Self {
            from: from.unwrap_or(Timestamp::EPOCH).max(Timestamp::EPOCH),
            until,
            limit: limit.map(|most| Limit { most, from }),
            end: until,
        }
    }

    /// Whether the limit ends it, and not `until`.
    pub(crate) fn is_ended_by_limit(&self) -> bool {
        self.end < self.until
    }

    /// Whether it has `until`.
    pub(crate) fn has_until(&self) -> bool {
        self.until < Timestamp::HORIZON
    }

    /// Without an end by the limit.
    pub(crate) fn open(self) -> Self {
        Self { end: self.until, ..self }
    }

    /// `last` being the last occurrence that the limit allows.
    pub(crate) fn ending(self, last: Timestamp) -> Self {
        Self { end: self.until.min(last.plus(1)), ..self }
    }
}
