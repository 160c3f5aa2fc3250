//! A definition and the schedule built from it, in as few bytes as will do: the form in which schedules are held by the
//! million.
//!
//! One allocation, shared by all who refer to it: the name; what the definition means (policy, timing, event, payload), so
//! that nothing is understood twice; and the rest of the definition as JSON, with one byte for each usual key. Rules
//! about days and zones stand beside the bytes, shared by many, and with them the ids of the definition's calendars and of the
//! rules of its zones. In memory
//! only: nothing in this form is ever written, so that it may change with any version.

mod anew;
mod annotations;
mod created;
mod pack;
mod same;
mod short;
#[cfg(test)]
mod tests;
mod usual;

pub use self::anew::Anew;
use self::{pack::pack, short::lengthen};
use super::{
    calendar::{CalendarId, Days},
    calendar_store::CalendarStore,
    definition::{Created, Definition, day_keys, from_definition::Occasion},
    fault::Fault,
    schedule::{DeliveryPolicy, Schedule},
    timing::{Timing, day_rules::DayRules},
    zone::{
        Zone,
        rules::{ZoneId, ZoneRules},
    },
};
use ponos_event::{EventName, Timestamp};
use serde::de::DeserializeOwned;
use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

/// A definition and the schedule built from it, packed. Equal ones were written alike, key by key.
#[derive(Clone)]
pub struct Packed {
    held: Held,
    /// The schedule's own zone.
    zone: Zone,
}

/// As large as one of its pointers: most schedules have no rules about days and one zone, and pay nothing for more.
#[derive(Clone)]
enum Held {
    Bytes(Arc<[u8]>),
    Beside(Arc<Beside>),
}

struct Beside {
    bytes: Box<[u8]>,
    rules: Option<Arc<DayRules>>,
    /// Those of the members of a union, one by one; then further ones that the definition names.
    zones: Box<[Zone]>,
}

/// In front: how long the name is, then the name.
const NAME: usize = 2;
/// The highest bit of the length: it has annotations. They stand before the meaning. No name is that long.
const ANNOTATED: u16 = 1 << 15;
/// Bits of the byte after the name. The meaning follows.
const UNDERSTOOD: u8 = 1;
/// The event was written, and not left to be spelled from `every`.
const EVENT: u8 = 2;
/// The payload stands with the meaning, not with the rest of the definition.
const DATA: u8 = 4;

/// It has jitter: what most have not need not be understood to be known.
const JITTER: u8 = 8;
/// It is due once.
const ONE_SHOT: u8 = 16;
/// It sends nothing.
const PAUSED: u8 = 32;
/// Its `limit` counts since its creation.
const COUNTED: u8 = 64;
/// It was created at run time: its creation stands before the meaning.
const CREATED: u8 = 128;

impl Packed {
    /// Packs a definition with the schedule that was built from it.
    pub fn new(definition: &Definition, schedule: &Schedule) -> Self {
        Self::with(definition, Some(schedule), schedule.timing.days.clone())
    }

    /// Builds and packs a definition that names no calendars.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build(definition: &Definition) -> Result<Self, Vec<Fault>> {
        Self::build_with(definition, &CalendarStore::default())
    }

    /// Builds and packs a definition, the days of whose calendars are in this store.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build_with(definition: &Definition, calendars: &CalendarStore) -> Result<Self, Vec<Fault>> {
        Schedule::build_with(definition, calendars).map(|schedule| Self::new(definition, &schedule))
    }

    /// As [`Packed::build`], for a definition that was accepted before: one that this version does not understand is
    /// kept all the same, without a schedule.
    pub fn kept(definition: &Definition) -> Self {
        Self::kept_with(definition, &CalendarStore::default())
    }

    /// As [`Packed::kept`], for a definition the days of whose calendars are in this store.
    pub fn kept_with(definition: &Definition, calendars: &CalendarStore) -> Self {
        match Schedule::build_on(Occasion::Kept, definition, calendars) {
            Ok(schedule) => Self::new(definition, &schedule),
            // Whoever understands the rest will ask for the days.
            Err(_) => {
                Self::with(definition, None, day_keys::day_rules(definition, calendars, &mut Vec::new()))
            }
        }
    }

    fn with(definition: &Definition, schedule: Option<&Schedule>, rules: Option<Arc<DayRules>>) -> Self {
        let mut written = Cow::Borrowed(definition);
        // What the rules hold is not held twice.
        if rules
            .as_ref()
            .is_some_and(|rules| definition.calendars.as_ref().is_some_and(|ids| rules.name(ids)))
        {
            written.to_mut().calendars = None;
        }
        if definition.created.is_some() {
            written.to_mut().created = None;
        }
        let annotations = annotations::written(definition);
        if definition.description.is_some() || definition.labels.is_some() {
            let written = written.to_mut();
            (written.description, written.labels) = (None, None);
        }
        let timing = schedule.map(|schedule| &schedule.timing);
        let ids = timing.map(ids_of).unwrap_or_default();
        if definition.zones.as_ref().is_some_and(|named| *named == ids) {
            written.to_mut().zones = None;
        }
        let zone = timing.map(|timing| timing.zone.clone()).unwrap_or_default();
        let zones: Box<[Zone]> = timing.into_iter().flat_map(Timing::more_zones).cloned().collect();
        // The bytes grow into a vector and are integers, texts and enums: there is nothing that could be refused.
        let bytes = pack(&written, schedule, annotations.as_deref()).unwrap_or_default();
        let held = match rules.is_none() && zones.is_empty() {
            true => Held::Bytes(bytes.into()),
            false => Held::Beside(Arc::new(Beside { bytes: bytes.into(), rules, zones })),
        };
        match definition.created.clone() {
            None => Self { held, zone },
            created => Self { held, zone }.created_as(created),
        }
    }

    #[inline]
    fn all(&self) -> &[u8] {
        match &self.held {
            Held::Bytes(bytes) => bytes,
            Held::Beside(held) => &held.bytes,
        }
    }

    #[inline]
    fn rules(&self) -> Option<&Arc<DayRules>> {
        match &self.held {
            Held::Bytes(_) => None,
            Held::Beside(held) => held.rules.as_ref(),
        }
    }

    fn more_zones(&self) -> &[Zone] {
        match &self.held {
            Held::Bytes(_) => &[],
            Held::Beside(held) => &held.zones,
        }
    }

    /// The rules of the zones that it names, as they were when it was accepted; of a definition that is not understood,
    /// none.
    pub fn zone_rules(&self) -> impl Iterator<Item = &ZoneRules> {
        let all = std::iter::once(&self.zone).chain(self.more_zones());
        all.filter_map(|zone| zone.rules().map(|rules| &**rules))
    }

    /// Whether rules about days are part of it.
    pub fn has_day_rules(&self) -> bool {
        self.rules().is_some()
    }

    /// The calendars that it names, as they were when it was accepted. Of a definition that is not understood, those
    /// whose days were known.
    pub fn calendars(&self) -> impl Iterator<Item = (CalendarId, &Days)> {
        self.rules().into_iter().flat_map(|rules| rules.calendars()).map(|one| (one.id, &*one.days))
    }

    /// The names of the calendars that it names; one that it names twice stands there twice.
    pub fn calendar_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rules().into_iter().flat_map(|rules| rules.calendars()).map(|one| &one.name)
    }

    /// The schedule's name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// The same as bytes, whose order is the order of names.
    #[inline]
    pub fn name_bytes(&self) -> &[u8] {
        let all = self.all();
        let length = all.first_chunk().map_or(0, |length: &[u8; NAME]| u16::from_le_bytes(*length));
        all.get(NAME..NAME + usize::from(length & !ANNOTATED)).unwrap_or_default()
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.all().len()
    }

    /// Whether a schedule could be built from it.
    #[inline]
    pub fn is_understood(&self) -> bool {
        self.flags() & UNDERSTOOD != 0
    }

    /// Whether its send times lie behind its due times.
    #[inline]
    pub fn has_jitter(&self) -> bool {
        self.flags() & JITTER != 0
    }

    /// Whether it is due once, at an instant.
    #[inline]
    pub fn is_one_shot(&self) -> bool {
        self.flags() & ONE_SHOT != 0
    }

    /// Whether it sends nothing.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.flags() & PAUSED != 0
    }

    /// How it behaves.
    pub fn conduct(&self) -> DeliveryPolicy {
        take::<Option<DeliveryPolicy>>(self.meaning()).and_then(|(policy, _)| policy).unwrap_or_default()
    }

    /// When it is due; never, if it is not understood.
    pub fn timing(&self) -> Timing {
        take::<(Option<DeliveryPolicy>, Timing)>(self.meaning())
            .map_or(Timing::NEVER, |((_, timing), _)| self.whole(timing))
    }

    /// With what stands beside the bytes.
    fn whole(&self, timing: Timing) -> Timing {
        Timing { days: self.rules().cloned(), zone: self.zone.clone(), ..timing }
            .with_more_zones(self.more_zones())
    }

    /// The event's name; empty if it is not understood.
    pub fn event(&self) -> &str {
        take::<(Option<DeliveryPolicy>, Timing)>(self.meaning())
            .and_then(|(_, rest)| text(rest))
            .map_or("", |(event, _)| event)
    }

    /// The schedule; `None` if it is not understood.
    pub fn schedule(&self) -> Option<Schedule> {
        let ((policy, timing), rest) = take::<(Option<DeliveryPolicy>, Timing)>(self.meaning())?;
        let DeliveryPolicy { catch_up, paused, expires, unrouted, resends, past } =
            policy.unwrap_or_default();
        let (event, rest) = text(rest)?;
        let data = match self.flags() & DATA {
            0 => None,
            _ => Some(serde_json::from_str(text(rest)?.0).ok()?),
        };
        let (name, event) = (self.name().into(), event.parse::<EventName>().ok()?);
        let timing = self.whole(timing);
        let creation = self.creation();
        Some(Schedule {
            name,
            event,
            timing,
            catch_up,
            paused,
            expires,
            unrouted,
            resends,
            past,
            data,
            creation,
        })
    }

    /// The definition, as it was written.
    pub fn definition(&self) -> Definition {
        let mut json = b"{\"name\":\"".to_vec();
        json.extend_from_slice(self.name_bytes());
        json.push(b'"');
        let meaning =
            take::<(Option<DeliveryPolicy>, Timing)>(self.meaning()).and_then(|(_, rest)| text(rest));
        let (event, rest) = meaning.unwrap_or(("", self.meaning()));
        if self.flags() & EVENT != 0 {
            json.extend_from_slice(b",\"event\":\"");
            json.extend_from_slice(event.as_bytes());
            json.push(b'"');
        }
        let (data, rest) = match self.flags() & DATA {
            0 => (None, rest),
            _ => text(rest).map_or((None, rest), |(data, rest)| (Some(data), rest)),
        };
        lengthen(rest, &mut json);
        if let Some(data) = data {
            json.pop();
            json.extend_from_slice(b",\"data\":");
            json.extend_from_slice(data.as_bytes());
            json.push(b'}');
        }
        // It is what `pack` took apart.
        let mut definition = serde_json::from_slice(&json)
            .unwrap_or_else(|_| Definition { name: self.name().to_owned(), ..Definition::default() });
        if let Some(rules) = self.rules().filter(|_| definition.calendars.is_none()) {
            let ids = rules.calendars().map(|one| (one.name.to_string(), one.id));
            definition.calendars = Some(ids.collect()).filter(|ids: &BTreeMap<_, _>| !ids.is_empty());
        }
        if definition.zones.is_none() {
            let zones = std::iter::once(&self.zone).chain(self.more_zones());
            let ids: BTreeMap<_, _> = zones.filter_map(Zone::name_and_id).collect();
            definition.zones = (!ids.is_empty()).then_some(ids);
        }
        definition.created = self.created();
        (definition.description, definition.labels) = self.annotations();
        definition
    }

    /// The same with a `limit`, where there is one without `from`, counted since this instant.
    #[must_use]
    pub fn counting_since(&self, since: Timestamp) -> Self {
        let is_counted = self.flags() & COUNTED != 0;
        match is_counted.then(|| self.schedule()).flatten() {
            Some(schedule) => Self::new(&self.definition(), &schedule.counting_since(since)),
            None => self.clone(),
        }
    }

    #[inline]
    fn flags(&self) -> u8 {
        self.all().get(NAME + self.name_bytes().len()).copied().unwrap_or_default()
    }

    #[inline]
    fn after_flags(&self) -> &[u8] {
        self.all().get(NAME + self.name_bytes().len() + 1..).unwrap_or_default()
    }

    /// What follows the flags and the creation.
    #[inline]
    fn after_creation(&self) -> &[u8] {
        let rest = self.after_flags();
        match self.is_created() {
            true => take::<Created>(rest).map_or(&[], |(_, rest)| rest),
            false => rest,
        }
    }

    /// What follows the annotations.
    #[inline]
    fn meaning(&self) -> &[u8] {
        let rest = self.after_creation();
        match self.is_annotated() {
            true => annotations::take(rest).map_or(&[], |(_, meaning)| meaning),
            false => rest,
        }
    }
}

/// The ids of the rules of the zones that it names.
fn ids_of(timing: &Timing) -> BTreeMap<String, ZoneId> {
    timing.zones().filter_map(Zone::name_and_id).collect()
}

fn take<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.definition().fmt(f)
    }
}
