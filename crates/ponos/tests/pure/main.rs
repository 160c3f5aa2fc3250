//! What needs no broker and no database: the inbox in memory, and workers and clients on paused time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod client;
mod client_clock;
mod fake_clock;
mod inbox_memory;
mod kit;
mod once;
mod patterns;
mod schema_fuzz;
mod worker;
