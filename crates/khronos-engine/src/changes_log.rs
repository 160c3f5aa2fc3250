//! What changed, and who changed it: for people, who ask later. The store keeps it, bounded.

use super::{Author, CreatedCalendar};
use khronos_schedule::{CalendarText, Packed};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, iter::once, sync::Arc};

/// Who the clock itself is, where it changes something.
pub const THE_CLOCK: &str = "the clock";

/// One change, with the schedule before and after it as a `V`.
// Lies in the store, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedChange<V = Version> {
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: Arc<str>,
    /// By which door he came.
    pub door: Arc<str>,
    /// What was done.
    pub what: ChangeKind,
    /// The schedule; empty where it is about none, or all.
    pub name: Arc<str>,
    /// The others that it was done to at once.
    pub others: Vec<Arc<str>>,
    /// The number of its creation; 0 for a file's.
    pub creation: u64,
    /// As it was.
    pub before: Option<V>,
    /// As it is.
    pub after: Option<V>,
    /// The id of the message that asked for it, where there was one.
    pub command: Option<Arc<str>>,
    /// What else there is to say.
    pub note: Arc<str>,
}

/// A schedule, or a calendar, before or after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The number of its revision.
    pub revision: u32,
    /// What it says.
    pub content: VersionContent,
}

/// What a version says.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionContent {
    /// The definition of a schedule.
    Schedule(Packed),
    /// A calendar.
    Calendar(Arc<CreatedCalendar>),
}

impl Version {
    /// A schedule's.
    pub fn of_schedule(revision: u32, definition: &Packed) -> Self {
        Self { revision, content: VersionContent::Schedule(definition.clone()) }
    }

    /// A calendar's.
    pub fn of_calendar(calendar: Arc<CreatedCalendar>) -> Self {
        Self { revision: calendar.revision, content: VersionContent::Calendar(calendar) }
    }

    /// The definition, of a schedule.
    pub fn definition(&self) -> Option<&Packed> {
        match &self.content {
            VersionContent::Schedule(definition) => Some(definition),
            VersionContent::Calendar(_) => None,
        }
    }
}

impl LoggedChange {
    /// Of what was done by somebody, about nothing in particular.
    pub(super) fn new(at: Timestamp, by: &Author, what: ChangeKind) -> Self {
        Self {
            at,
            by: by.owner.clone(),
            door: by.door.clone(),
            what,
            name: "".into(),
            others: Vec::new(),
            creation: 0,
            before: None,
            after: None,
            command: None,
            note: "".into(),
        }
    }

    /// Of those that it was done to, these were left out; none: of that nothing is left.
    pub(super) fn without(self, left_out: &BTreeSet<Arc<str>>) -> Option<Self> {
        if left_out.is_empty() {
            return Some(self);
        }
        let mut names = once(self.name.clone()).chain(self.others.iter().cloned());
        let mut names = names.by_ref().filter(|name| !left_out.contains(name));
        let name = names.next()?;
        let others = names.collect();
        Some(Self { name, others, ..self })
    }
}

/// What was done.
// Lies in the store: what is added goes behind what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A schedule was created.
    Created,
    /// A schedule was changed.
    Changed,
    /// A schedule was deleted.
    Deleted,
    /// A schedule that had finished went.
    Finished,
    /// Everything was paused, or schedules were; or another end or note was given.
    Paused,
    /// A pause was ended.
    Resumed,
    /// An event was triggered.
    Triggered,
    /// A backfill was begun.
    Backfilled,
    /// An operation was ended before it was done.
    Cancelled,
    /// Parked events were released.
    Released,
    /// Parked events were dropped.
    Dropped,
    /// The files were read again.
    Reloaded,
    /// A schedule is due at other times, for there is newer zone data, or a calendar that it names was edited.
    ReadAnew,
    /// A calendar was created.
    CalendarCreated,
    /// A calendar was changed.
    CalendarChanged,
    /// A calendar was deleted.
    CalendarDeleted,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Created,
        Self::Changed,
        Self::Deleted,
        Self::Finished,
        Self::Paused,
        Self::Resumed,
        Self::Triggered,
        Self::Backfilled,
        Self::Cancelled,
        Self::Released,
        Self::Dropped,
        Self::Reloaded,
        Self::ReadAnew,
        Self::CalendarCreated,
        Self::CalendarChanged,
        Self::CalendarDeleted,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Triggered => "triggered",
            Self::Backfilled => "backfilled",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Dropped => "dropped",
            Self::Reloaded => "reloaded",
            Self::ReadAnew => "read-anew",
            Self::CalendarCreated => "calendar-created",
            Self::CalendarChanged => "calendar-changed",
            Self::CalendarDeleted => "calendar-deleted",
        }
    }
}

/// One change, as it is kept: definitions in JSON, without their payloads.
pub type ChangeEntry = LoggedChange<VersionEntry>;

impl ChangeEntry {
    /// About how many bytes it takes on a disk.
    pub fn bytes(&self) -> usize {
        let Self { by, door, name, others, before, after, command, note, .. } = self;
        let others = others.iter().map(|name| name.len() + 1).sum::<usize>();
        let versions = [before, after].into_iter().flatten().map(|version| {
            let VersionEntry { definition, payload, .. } = version;
            definition.len() + payload.as_ref().map_or(0, String::len)
        });
        let texts = [by, door, name, note].into_iter().chain(command).map(|text| text.len()).sum::<usize>();
        BESIDE + texts + others + versions.sum::<usize>()
    }
}

/// Bytes of an entry beside its texts.
const BESIDE: usize = 64;

/// A schedule, or a calendar, before or after a change, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// The number of its revision.
    pub revision: u32,
    /// Its definition in JSON, without its payload; of a calendar its form and how many bytes its text has.
    pub definition: String,
    /// The digest of its payload, or of a calendar's text, where there is one: equal ones have equal ones.
    pub payload: Option<String>,
}

impl From<&Version> for VersionEntry {
    fn from(Version { revision, content }: &Version) -> Self {
        let definition = match content {
            VersionContent::Schedule(definition) => definition,
            VersionContent::Calendar(calendar) => return Self::of_calendar(calendar),
        };
        let mut definition = definition.definition();
        let payload = definition.payload_id().map(|id| id.to_string());
        definition.data = None;
        // Texts and integers under keys that are texts: there is nothing that could be refused.
        let definition = serde_json::to_string(&definition).unwrap_or_default();
        Self { revision: *revision, definition, payload }
    }
}

impl VersionEntry {
    /// In which form it is written and how long it is; its text as a payload is.
    fn of_calendar(calendar: &CreatedCalendar) -> Self {
        let CalendarText { form, text } = &calendar.text;
        let definition = format!("{{\"form\":\"{}\",\"bytes\":{}}}", form.word(), text.len());
        Self { revision: calendar.revision, definition, payload: Some(calendar.text.id().to_string()) }
    }
}

impl From<&LoggedChange> for ChangeEntry {
    fn from(change: &LoggedChange) -> Self {
        let LoggedChange { at, by, door, what, name, others, creation, before, after, command, note } =
            change;
        Self {
            at: *at,
            by: by.clone(),
            door: door.clone(),
            what: *what,
            name: name.clone(),
            others: others.clone(),
            creation: *creation,
            before: before.as_ref().map(Into::into),
            after: after.as_ref().map(Into::into),
            command: command.clone(),
            note: note.clone(),
        }
    }
}
