//! What is a schedule, and which occurrences it calls for. Pure: text and instants in, instants out.
//!
//! A [`Definition`] is what an operator wrote (one `[[schedule]]` table, or the same as JSON); it is what the store
//! keeps. A [`Schedule`] is built from it once and is valid from then on.
//!
//! The way of a value: `build` and `calling` take a definition apart; `duration`, `spelling`, `instant`, `zone`, `dst` and
//! `cron` each read one kind of text; `every` and `cron` are sets of times, `wall` places those of them that are local
//! on the line of instants; `kind` is any of them, `union` several; `timing` puts bounds around it.

mod advice;
mod bounds;
mod build;
mod calling;
mod cron;
mod definition;
mod difference;
mod dst;
mod duration;
mod duration_text;
mod every;
pub mod file;
mod gaps;
mod instant;
mod kind;
mod load;
mod months;
pub mod near_miss;
mod packed;
mod phase;
#[allow(clippy::module_inception)] // A type's name is its file's name.
mod schedule;
mod spelling;
mod timing;
mod union;
mod wall;
mod when;
mod zone;

pub use definition::{CatchUpDefinition, Definition, DstDefinition, Fault, TimingDefinition};
pub use difference::{Change, Difference, difference};
pub use dst::{Dst, Fold, Gap};
pub use duration::parse_length;
pub use gaps::Skipped;
pub use instant::parse_instant;
pub use load::{Load, Peak};
pub use packed::{Conduct, Packed};
pub use schedule::{CatchUp, Past, Policy, Schedule, Unrouted};
pub use timing::{Local, Timing};
pub use zone::{ZONE_DATA, Zone};
