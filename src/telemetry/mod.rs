//! What the clock says of itself to those who watch it: its log, and what is counted and measured as events are settled.
//!
//! `counts.rs` is filled by the store's thread, a batch of durable rows at a time, so that the loop counts nothing but
//! plain numbers of its own; `ops/metrics.rs` puts both together when somebody asks. `spans.rs` is filled by the loop, as events are
//! handed over and confirmed. Absent: how it is written or sent.

mod commands;
mod counts;
mod logs;
mod per_schedule;
mod spans;

pub use commands::{CommandCounts, CommandResult};
pub use counts::{Audited, Counts};
pub(crate) use logs::EVENT_SPAN;
pub use logs::{begin, colours};
pub use per_schedule::{OUTCOMES, OutcomeCounts};
pub use spans::Tracing;
pub(crate) use spans::{LATENESS, OpenSpans};
