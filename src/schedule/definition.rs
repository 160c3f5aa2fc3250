//! A schedule as written: raw, before any of it is understood.

use super::calendar::CalendarId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range};

/// One schedule as an operator writes it, key by key (docs/schedules.md). It serialises to the same keys, the absent ones
/// left out: this is the form in which the store keeps it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Unique; also the key of its history.
    pub name: String,
    /// The event's name; may be left out for `every`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// A duration: `1 day`, `90s`, `PT1H`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// A cron expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// An instant (with offset), or a local time in `time_zone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Several timings as one, instead of `every`, `cron` or `at`: each instant once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Vec<TimingDefinition>>,
    /// An IANA name; UTC if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Offset of `every` from its anchor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What `every` counts from, instead of the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// First instant at which it may be due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// First instant at which it may not be due any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// At most so many occurrences since `from`, or since the timing took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// A duration below which send times lie behind due times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// Calendars on whose days it does not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Calendars on whose common days alone it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Where occurrences on other days go: `next-business-day`, `previous-business-day`; left out if left out.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub move_to: Option<String>,
    /// The calendars it names, each with the id of the days that it had when this was accepted: a calendar that is
    /// edited later is other days under the same name. No key of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendars: Option<BTreeMap<String, CalendarId>>,
    /// What happens to local times that the clock change skips or repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstDefinition>,
    /// What happens to occurrences that could not be sent in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUpDefinition>,
    /// For `at`: a due time already gone when the schedule is first seen: `send` or `refuse` (default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past: Option<String>,
    /// `ignore` (default) or `park`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrouted: Option<String>,
    /// Occurrences are settled as skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// A duration after the due time, after which the event is of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The operator's own payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl Definition {
    /// All that its timing is made of, as one text: equal texts are equal timings, whatever else differs.
    pub fn timing_key(&self) -> String {
        let bare = Self {
            name: String::new(),
            event: None,
            catch_up: None,
            past: None,
            unrouted: None,
            paused: None,
            expires: None,
            data: None,
            ..self.clone()
        };
        serde_json::to_string(&bare).unwrap_or_default()
    }
}

/// One of `timings`: the keys that say when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingDefinition {
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The schedule's if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// As in [`Definition`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstDefinition>,
}

/// `dst = { gap = "after" | "shift" | "skip", fold = "first" | "last" | "both" }`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DstDefinition {
    /// Local times that do not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// Local times that come twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<String>,
}

/// `catch_up = { policy = "latest" | "all" | "none", grace = "30s", within = "7 days", most = 1000 }`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatchUpDefinition {
    /// `latest` (default), `all` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How late is still on time; 30 s if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
    /// Older than this is skipped; no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// With `all`: how many are sent singly; 1000 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

/// What is wrong with one key of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, such as `cron` or `catch_up.grace`.
    pub key: &'static str,
    /// Of which of the `timings` (from 0) it is a key; `None` for the schedule's own.
    pub part: Option<usize>,
    /// Which item of the key's list (from 0) is to blame; `None` where it holds no list, or all of it is.
    pub item: Option<usize>,
    /// Byte range within the key's text value, where a part of it is to blame; `None` for the whole value.
    pub at: Option<Range<usize>>,
    /// What was found and what is allowed.
    pub what: String,
    /// What to write instead, where it can be guessed.
    pub help: Option<String>,
}

impl Fault {
    /// The key's full path, such as `timings.0.cron`.
    pub fn path(&self) -> String {
        let item = self.item.map_or(String::new(), |item| format!(".{item}"));
        match self.part {
            Some(part) => format!("timings.{part}.{}{item}", self.key),
            None => format!("{}{item}", self.key),
        }
    }
}

/// A fault before it is known which key's value was read: what the parsers of single values return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    at: Option<Range<usize>>,
    what: String,
    help: Option<String>,
}

impl Flaw {
    /// The whole value is to blame.
    pub(super) fn whole(what: impl Into<String>) -> Self {
        Self { at: None, what: what.into(), help: None }
    }

    /// The bytes `at` of the value are to blame.
    pub(super) fn part(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: Some(at), what: what.into(), help: None }
    }

    /// What to write instead.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, found `by` bytes further on in the value.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at = self.at.map(|at| at.start + by..at.end + by);
        self
    }

    /// The fault of an item of the key's list.
    pub(super) fn of_item(self, key: &'static str, item: usize) -> Fault {
        Fault { item: Some(item), ..self.of(key) }
    }

    /// The fault, now that the key is known.
    pub(super) fn of(self, key: &'static str) -> Fault {
        Fault { key, part: None, item: None, at: self.at, what: self.what, help: self.help }
    }
}

/// `at`, or the beginning of the character in the middle of which it lies.
pub(super) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Text from outside as it may stand in a message: control characters escaped, at most some forty characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}
