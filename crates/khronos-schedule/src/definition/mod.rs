//! A schedule as written: raw, before any of it is understood.

pub(super) mod annotation_keys;
pub(super) mod bounds_keys;
pub(super) mod build;
pub(super) mod calendars;
pub(super) mod day_keys;
pub(super) mod foreign_cron;
pub(super) mod from_definition;
pub(super) mod instant;
pub(super) mod phase;
pub(super) mod spelling;
pub(super) mod timing_keys;

use super::{
    calendar::CalendarId,
    content_id::content_id,
    zone::{data::ZoneData, rules::ZoneId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One schedule as an operator writes it, key by key (docs/schedules.md). It serialises to the same keys, the absent ones
/// left out: this is the form in which the store keeps it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// The most occurrences since `from`, or since the timing took effect.
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
    #[cfg_attr(feature = "openapi", schema(schema_with = noted))]
    pub calendars: Option<BTreeMap<String, CalendarId>>,
    /// The time zones it names but UTC, each with the id of the rules that it had when this was accepted: with newer data
    /// it has other rules under the same name. No key of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = noted))]
    pub zones: Option<BTreeMap<String, ZoneId>>,
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
    /// How often, and within what time, an event is sent again that the broker refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resends: Option<ResendsDefinition>,
    /// Occurrences are settled as skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// A duration after the due time, after which the event is of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// What people know it for: one line. It is no part of what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 500))]
    pub description: Option<String>,
    /// What lists are filtered by: short texts by short keys. They are no part of what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = labels))]
    pub labels: Option<BTreeMap<String, String>>,
    /// The operator's own payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Which creation at run time it is, and whose; of a file's there is none. No key of a file, nor of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(read_only))]
    pub created: Option<Created>,
}

/// Of what was created at run time: by whom. An edit keeps it, whoever makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// Its creation number, from 1: no other creation of this clock ever has the same.
    pub number: u64,
    /// Whose it is: nobody else may change or delete it.
    pub owner: String,
    /// By which door he came who created it.
    pub door: DoorKind,
}

/// A kind of door by which something is asked for at run time.
// Lies in the store by its word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DoorKind {
    /// HTTP over TCP.
    Http,
    /// A message on the broker.
    Message,
    /// The control socket: the command line of the clock's own user, who may do everything.
    #[default]
    ControlSocket,
}

impl DoorKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http, Self::Message, Self::ControlSocket];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Message => "message",
            Self::ControlSocket => "control-socket",
        }
    }
}

/// What the clock itself notes in a definition, by name: nobody writes it.
#[cfg(feature = "openapi")]
fn noted() -> utoipa::openapi::Object {
    use utoipa::openapi::{ObjectBuilder, Type};
    let ids = ObjectBuilder::new().schema_type(Type::Object).read_only(true);
    let ids = ids.description(Some(
        "Ids by name, which the clock notes by itself; of a request they are not looked at.",
    ));
    ids.additional_properties(Some(ObjectBuilder::new().schema_type(Type::String))).build()
}

/// `labels`.
#[cfg(feature = "openapi")]
fn labels() -> utoipa::openapi::Object {
    use utoipa::openapi::{ObjectBuilder, Type};
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(100));
    let texts = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(text));
    let texts = texts.max_properties(Some(16)).description(Some(
        "What lists are filtered by: texts without ',', by keys of 1 to 63 of a-z, 0-9 and inner '_', '-'. They are no \
         part of what is sent.",
    ));
    texts.build()
}

impl Definition {
    /// Names the rules of its zones as this data has them; what is no zone there is left out.
    pub fn pin_zones(&mut self, data: &ZoneData) {
        let parts = self.timings.iter().flatten().map(|part| part.time_zone.as_deref());
        let names = parts.chain([self.time_zone.as_deref()]).flatten();
        let ids: BTreeMap<_, _> = names.filter_map(|name| data.zone(name).ok()?.name_and_id()).collect();
        self.zones = (!ids.is_empty()).then_some(ids);
    }

    /// What its payload is kept by; `None` where it has none.
    pub fn payload_id(&self) -> Option<PayloadId> {
        self.data.as_ref().map(|data| PayloadId::of(data.to_string().as_bytes()))
    }

    /// All that its timing is made of, as one text: equal texts are equal timings, whatever else differs.
    pub fn timing_key(&self) -> String {
        let bare = Self {
            name: String::new(),
            event: None,
            catch_up: None,
            past: None,
            unrouted: None,
            resends: None,
            paused: None,
            expires: None,
            description: None,
            labels: None,
            data: None,
            created: None,
            ..self.clone()
        };
        serde_json::to_string(&bare).unwrap_or_default()
    }
}

/// UUIDv5 of the URL namespace and `urn:khronos:payload`.
const PAYLOADS: Uuid = Uuid::from_u128(0x47a8_b5c3_2eb2_5364_a281_07a1_e235_65f4);

content_id! {
    /// The id of a payload by its content: of equal ones it is equal.
    PayloadId, PAYLOADS
}

/// One of `timings`: the keys that say when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// `resends = { most = 5, within = "10m" }`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResendsDefinition {
    /// How often; the configuration's if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// From the first refusal to the last resend; the configuration's if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}
