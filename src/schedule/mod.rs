//! What is a schedule, and which occurrences it calls for. Pure: text and instants in, instants out.
//!
//! A [`Definition`] is what an operator wrote (one `[[schedule]]` table, or the same as JSON); it is what the store
//! keeps. A [`Schedule`] is built from it once and is valid from then on.

mod definition;
pub mod file;
pub mod spelling;
mod timing;

pub use definition::{CatchUpDefinition, Definition, DstDefinition, Fault};
pub use timing::{CatchUp, Local, Past, Policy, Schedule, Timing, Unrouted};
