//! Hears for an [observer](ponos_observer) what is sent and reported on the bus, and publishes what was not handled in time: the part
//! that `ponos observe` and a clock with `[reports]` share.
//!
//! The way of a message: a queue of its own takes it (`listening.rs`); `hearing.rs` gives it to the observer and looks every second at
//! what was not handled in time, which `missing.rs` publishes; `heard.rs` answers, `metrics.rs` counts.
//!
//! Invariants: what is heard is bounded by the queue on the broker, by the prefetch, and by the observer's limits. Who listens has a
//! connection of its own, so that an exchange that it may not read harms nothing else. Absent: the wall clock, which is an argument;
//! HTTP; how answers are shown.

mod heard;
mod hearing;
mod listening;
mod metrics;
mod missing;
#[cfg(test)]
mod tests;

pub use heard::Heard;
pub use hearing::{Hearing, HearingEnd};
pub use listening::{Listening, listen, topology};
pub use metrics::ObserverMetrics;
pub use missing::Missing;
