//! The engine: `step(now, Input) → Vec<Action>`. Pure: no I/O, no clock, no async.

mod state;

pub use state::{
    Coalesced, Commit, OneShot, Outcome, Parked, RecordRow, Revision, Row, SkipReason, Snapshot, Span,
};
