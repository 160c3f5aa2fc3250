//! Arithmetic, parsers and house rules: no process, no broker, no network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod bad_input;
mod calendars;
mod conformance;
mod fuzz;
mod house_rules;
mod icalendar;
mod independent;
mod jitter;
mod schedule;
mod schedule_files;
mod shown;
mod support;
mod timing;
mod timing_properties;
mod union;
mod zones;
