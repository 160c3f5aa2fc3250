//! What is a schedule, and which occurrences it calls for. Pure: text and instants in, instants out.
//!
//! A [`Definition`] is what an operator wrote (one `[[schedule]]` table, or the same as JSON); it is what the store
//! keeps. A [`Schedule`] is built from it once and is valid from then on.
//!
//! The way of a value, folder by folder: `definition` is what was written and how it is read, key by key; `timing` is
//! when it is due, as a rule that sets of days and bounds are put around; `cron` and `calendar` are expressions and
//! sets of days; `zone` places local times on the line of instants; `lint` warns of what is valid and seldom meant;
//! `file` is the form in TOML, and in JSON. On the ground: `fault`, `duration`, `months`, and `diagnostic` and `toml_tree` of `ponos-toml`. Each needs only what is
//! named after it here, but for `lint` and `file`, which stand on top.

pub mod calendar;
mod calendar_store;
mod content_id;
mod cron;
mod definition;
mod demand;
mod duration;
mod fault;
pub mod file;
mod forecast;
mod lint;
mod months;
mod packed;
#[allow(clippy::module_inception)] // A type's name is its file's name.
mod schedule;
mod timing;
mod zone;

pub use ponos_toml::{diagnostic, toml_tree};

pub use calendar::{Calendar, CalendarForm, CalendarId, CalendarText, CalendarTextId, Days};
pub use calendar_store::CalendarStore;
pub use definition::{
    CatchUpDefinition, Created, Definition, DoorKind, DstDefinition, PayloadId, ResendsDefinition,
    TimingDefinition,
    annotation_keys::is_label_key,
    build::is_name,
    calendars::Calendars,
    instant::{parse_instant, parse_instant_with},
};
pub use demand::{ADay, Demand};
pub use duration::parse_length;
pub use fault::{Below, Fault, FaultCode};
pub use forecast::{LoadForecast, Peak};
pub use lint::near_miss;
pub use packed::{Anew, Packed};
pub use schedule::{CatchUp, DeliveryPolicy, Past, Policy, ResendPolicy, Schedule, Unrouted, id_name};
pub use timing::{
    Local, Timing,
    difference::{Change, Difference, difference},
    ending::Ending,
    explain,
    explain::{Cause, ClockFate, DayFate, Explained, Explaining, WallTime},
    gaps::Skipped,
    jitter::jitter_offset,
    run_out::CalendarEnd,
};
pub use zone::{
    Zone,
    data::{ZONE_DATA, ZoneData},
    dst::{Dst, Fold, Gap},
    rules::{ZoneId, ZoneRules},
    store::ZoneStore,
};
