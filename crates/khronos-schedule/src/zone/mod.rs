//! A time zone as the spans of constant offset between 1970 and the horizon. The rules are read from TZif data, by the
//! name of the zone or by the id that a definition names; conversions from local time are our own, because libraries do not
//! say what a gap or a repeated hour means.

pub(super) mod data;
pub(super) mod dst;
pub(super) mod local_times;
pub(super) mod rules;
pub(super) mod store;

mod meant;
pub(super) mod windows;

use self::{
    data::ZoneData,
    rules::{ZoneId, ZoneRules},
};
use super::fault::Flaw;
use ponos_event::Timestamp;
use serde::{Serialize, Serializer};
use std::{fmt, sync::Arc};

/// A zone of the IANA database, with the rules of one release: a pointer, shared by all who mean the same.
#[derive(Clone, Default)]
pub struct Zone(Option<Arc<Named>>);

/// `None` instead of it is UTC, which has no rules to change.
struct Named {
    name: Box<str>,
    rules: Arc<ZoneRules>,
}

/// From `start` (inclusive) to the next span's start, local time is UTC + `offset`. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: i64,
    pub(crate) offset: i64,
}

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(None);

    fn new(name: &str, rules: Arc<ZoneRules>) -> Self {
        Self(Some(Arc::new(Named { name: name.into(), rules })))
    }

    /// Reads an IANA name, in its exact spelling; its rules are those of the bundled data.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        ZoneData::bundled().zone(text)
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("UTC", |named| &named.name)
    }

    /// Its rules; `None` of UTC.
    pub fn rules(&self) -> Option<&Arc<ZoneRules>> {
        self.0.as_ref().map(|named| &named.rules)
    }

    /// What its rules are kept under; `None` of UTC.
    pub fn id(&self) -> Option<ZoneId> {
        self.rules().map(|rules| rules.id())
    }

    /// When its offset from UTC changes, in `[from, until)` and before the horizon.
    pub fn changes(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let starts = self.segments().iter().skip(1).map(|segment| Timestamp::from_millis(segment.start));
        starts.filter(move |start| (from..until).contains(start))
    }

    /// Both, but for UTC.
    pub(crate) fn name_and_id(&self) -> Option<(String, ZoneId)> {
        Some((self.name().to_owned(), self.id()?))
    }

    /// Whether there is another pointer to it.
    fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|named| Arc::strong_count(named) > 1)
    }

    /// The spans of constant offset, ascending; the first starts at the epoch.
    pub(crate) fn segments(&self) -> &[Segment] {
        self.0.as_ref().map_or(&[Segment { start: 0, offset: 0 }], |named| named.rules.segments())
    }

    /// The index of the span in which `utc` (milliseconds, not before the epoch) lies.
    pub(crate) fn segment_at(&self, utc: i64) -> usize {
        self.segments().partition_point(|segment| segment.start <= utc).saturating_sub(1)
    }

    /// Whether both have the same offset at every instant until the horizon (`Europe/Kiev` and `Europe/Kyiv`).
    pub(crate) fn same_clock(&self, other: &Self) -> bool {
        self.id() == other.id() || self.segments() == other.segments()
    }

    /// Whether both have the same offset at every instant from `since` (milliseconds, not before the epoch) until the
    /// horizon.
    pub(crate) fn same_clock_from(&self, other: &Self, since: i64) -> bool {
        let from = |zone: &Self| {
            let mut rest = zone.segments().get(zone.segment_at(since)..).unwrap_or_default().to_vec();
            // When the first of them began is no matter.
            rest.first_mut().into_iter().for_each(|first| first.start = since);
            rest
        };
        self.id() == other.id() || from(self) == from(other)
    }
}

impl PartialEq for Zone {
    /// The same name, and the same rules.
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// As its name, for people and programs that are shown it.
impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
