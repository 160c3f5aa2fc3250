//! On real servers: RabbitMQ, Postgres, disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod inbox;
mod kit_postgres;
mod real;
#[allow(dead_code, reason = "the broker's tests use the rest")]
#[path = "../../../ponos-broker/tests/e2e/support.rs"]
mod support;
mod worker;
mod worker_faults;
