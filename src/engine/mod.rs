//! The engine: `step(now, Input) → Vec<Action>`. Pure: no I/O, no clock, no async.

pub mod audit;
mod content;
mod state;

pub use content::occurrence_event;
pub use state::{
    Coalesced, Commit, OneShot, Outcome, Parked, RecordRow, Revision, Row, SkipReason, Snapshot, Span,
};
