//! The calendars that a definition names, as they were when it was accepted. A calendar that is edited later is
//! another content under the same name: what was accepted before goes on with the days of that time.

use super::{CalendarId, Days};
use crate::schedule::known;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Name → content. Cheap to clone, and shared by the schedules of one load that name the same calendars. It
/// serialises to ids only: who reads it back must have told this process the contents before, by [`Pins::learn`].
#[derive(Clone)]
pub struct Pins(Arc<BTreeMap<Arc<str>, Pin>>);

#[derive(Clone)]
struct Pin {
    id: CalendarId,
    /// `None` where this process never saw it.
    days: Option<Arc<Days>>,
}

impl Pins {
    /// Of these calendars, by name.
    pub fn new(calendars: impl IntoIterator<Item = (Arc<str>, Arc<Days>)>) -> Self {
        let pin = |days| {
            let (id, days) = known::remember(days);
            Pin { id, days: Some(days) }
        };
        Self(Arc::new(calendars.into_iter().map(|(name, days)| (name, pin(days))).collect()))
    }

    /// The days of the calendar of this name, under the id that they are kept under; `None` where the name is not
    /// pinned, or its content was not given.
    pub(in crate::schedule) fn days(&self, name: &str) -> Option<(Arc<str>, CalendarId, Arc<Days>)> {
        let (name, pin) = self.0.get_key_value(name)?;
        Some((Arc::clone(name), pin.id, Arc::clone(pin.days.as_ref()?)))
    }

    /// The ids that were pinned, in the order of names.
    pub fn ids(&self) -> impl Iterator<Item = CalendarId> + '_ {
        self.0.values().map(|pin| pin.id)
    }

    /// The contents that are there, each under its id.
    pub fn contents(&self) -> impl Iterator<Item = (CalendarId, &Arc<Days>)> {
        self.0.values().filter_map(|pin| Some((pin.id, pin.days.as_ref()?)))
    }

    /// The ids whose contents this process had not seen when these were read.
    pub fn missing(&self) -> impl Iterator<Item = CalendarId> + '_ {
        self.0.values().filter(|pin| pin.days.is_none()).map(|pin| pin.id)
    }

    /// The same, with the contents that this process has seen by now.
    pub fn resolved(&self) -> Self {
        let pin = |pin: &Pin| Pin { id: pin.id, days: known::content(pin.id) };
        Self(Arc::new(self.0.iter().map(|(name, one)| (Arc::clone(name), pin(one))).collect()))
    }

    /// The content that is kept under this id, if this process has seen it.
    pub fn content(id: CalendarId) -> Option<Arc<Days>> {
        known::content(id)
    }

    /// Makes a content known to this process, so that definitions that name its id can be built again.
    pub fn learn(days: Days) -> CalendarId {
        known::remember(Arc::new(days)).0
    }
}

impl PartialEq for Pins {
    fn eq(&self, other: &Self) -> bool {
        let ids =
            |pins: &Self| pins.0.iter().map(|(name, pin)| (Arc::clone(name), pin.id)).collect::<Vec<_>>();
        Arc::ptr_eq(&self.0, &other.0) || ids(self) == ids(other)
    }
}

impl Eq for Pins {}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, pin)| (name, pin.id))).finish()
    }
}

impl Serialize for Pins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, pin)| (name, pin.id)))
    }
}

impl<'de> Deserialize<'de> for Pins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ids = BTreeMap::<Arc<str>, CalendarId>::deserialize(deserializer)?;
        Ok(Self(Arc::new(
            ids.into_iter().map(|(name, id)| (name, Pin { id, days: known::content(id) })).collect(),
        )))
    }
}
