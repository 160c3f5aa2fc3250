//! `from`, `until` and `limit`: when a timing begins and ends.

use super::{
    definition::Definition,
    fault::{Fault, Flaw},
    instant,
    zone::Zone,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// `[from, end)`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Bounds {
    /// The first instant that counts.
    pub(super) from: Timestamp,
    /// `until` as written: the first instant that does not count any more.
    until: Timestamp,
    pub(super) limit: Option<Limit>,
    /// `until`, or just after the last occurrence that the limit allows.
    pub(super) end: Timestamp,
}

/// `limit`: at most so many occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit {
    pub(super) most: u32,
    /// `from`, if it is given: else it counts since the timing took effect.
    pub(super) from: Option<Timestamp>,
}

impl Limit {
    /// After which instant (exclusive) it counts, for a timing that took effect at `since`.
    pub(super) fn start(self, since: Timestamp) -> Timestamp {
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
    /// Reads them; `None` where there are none.
    pub(super) fn read(
        definition: &Definition,
        zone: Option<Zone>,
        faults: &mut Vec<Fault>,
    ) -> Option<Box<Self>> {
        let mut read = |key, text: Option<&str>| match instant::bound(text?, zone) {
            Ok(instant) => Some(instant),
            Err(flaw) => {
                faults.push(flaw.of(key));
                None
            }
        };
        let (from, until) =
            (read("from", definition.from.as_deref()), read("until", definition.until.as_deref()));
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            let what = format!("'until' ({until}) is not after 'from' ({from})");
            faults.push(Flaw::whole(what).of("until"));
        }
        if definition.limit == Some(0) {
            let what = "0; a limit allows at least 1 occurrence";
            faults.push(Flaw::whole(what).help("paused = true sends nothing").of("limit"));
        }
        let until = until.unwrap_or(Timestamp::HORIZON).min(Timestamp::HORIZON);
        let bounds = Self {
            from: from.unwrap_or(Timestamp::EPOCH).max(Timestamp::EPOCH),
            until,
            limit: definition.limit.map(|most| Limit { most, from }),
            end: until,
        };
        (bounds != Self::default()).then(|| Box::new(bounds))
    }

    /// Without an end by the limit.
    pub(super) fn open(self) -> Self {
        Self { end: self.until, ..self }
    }

    /// `last` being the last occurrence that the limit allows.
    pub(super) fn ending(self, last: Timestamp) -> Self {
        Self { end: self.until.min(last.plus(1)), ..self }
    }
}
