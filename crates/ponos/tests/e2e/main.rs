//! On real servers: RabbitMQ, Postgres, disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod amqp;
mod inbox;
mod kit_postgres;
mod real;
mod support;
mod worker;
mod worker_faults;
