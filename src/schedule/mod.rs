//! What is a schedule, and which occurrences it calls for. Pure: text and instants in, instants out.
//!
//! A [`Definition`] is what an operator wrote (one `[[schedule]]` table, or the same as JSON); it is what the store
//! keeps. A [`Schedule`] is built from it once and is valid from then on.
//!
//! The way of a value: `build` and `calling` take a definition apart; `duration`, `spelling`, `instant`, `zone`, `dst` and
//! `cron` each read one kind of text; `every` and `cron` are sets of times, `wall` places those of them that are local
//! on the line of instants; `kind` is any of them, `union` several; `calendar` reads named sets of days, and
//! `day_rules` and `on_days` keep occurrences to them; `timing` puts bounds around all of it; `explain` says how an occurrence
//! came about.

mod advice;
mod bounds;
mod bounds_keys;
mod build;
pub mod calendar;
mod calendar_store;
mod calling;
mod cron;
mod day_keys;
mod day_rules;
mod definition;
pub mod diagnostic;
mod difference;
mod dst;
mod duration;
mod duration_text;
mod every;
pub mod explain;
mod fault;
pub mod file;
mod foreign_cron;
mod gaps;
mod instant;
mod jitter;
mod kind;
mod load;
mod months;
pub mod near_miss;
mod on_days;
mod packed;
mod phase;
mod run_out;
#[allow(clippy::module_inception)] // A type's name is its file's name.
mod schedule;
mod spelling;
mod timing;
mod union;
mod wall;
mod when;
mod zone;

pub use build::is_name;
pub use calendar::{CalendarId, Calendars, Days};
pub use calendar_store::CalendarStore;
pub use definition::{CatchUpDefinition, Definition, DstDefinition, TimingDefinition};
pub use difference::{Change, Difference, difference};
pub use dst::{Dst, Fold, Gap};
pub use duration::parse_length;
pub use explain::{Cause, ClockFate, DayFate, Explained, WallTime};
pub use fault::Fault;
pub use gaps::Skipped;
pub use instant::parse_instant;
pub use jitter::jitter_offset;
pub use load::{Load, Peak};
pub use packed::Packed;
pub use run_out::CalendarEnd;
pub use schedule::{CatchUp, Conduct, Past, Policy, Schedule, Unrouted};
pub use timing::{Local, Timing};
pub use zone::{ZONE_DATA, Zone};
