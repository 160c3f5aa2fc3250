//! What the tests of timings share.

use khronos::schedule::{Definition, Fault, Schedule, Timing};
use ponos::event::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A schedule that lacks nothing but its timing.
pub(crate) fn definition() -> Definition {
    Definition { name: "case".into(), event: Some("test.case.passed".into()), ..Definition::default() }
}

pub(crate) fn build(definition: Definition) -> Result<Timing, Vec<Fault>> {
    Schedule::build(&definition).map(|schedule| schedule.timing)
}
