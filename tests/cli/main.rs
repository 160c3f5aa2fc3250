//! The verbs as people and scripts use them, each a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod asyncapi;
mod check;
mod check_files;
mod delayed;
mod delayed_logs;
mod docs;
mod forecast;
mod hostile_text;
mod next;
mod past;
mod plan;
mod private_store;
mod record;
mod running;
mod secrets;
mod store;
mod tail_broker;
mod token;
