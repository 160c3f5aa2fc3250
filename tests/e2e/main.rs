//! The real clock as a process, on a real RabbitMQ.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod access;
mod alerts;
mod asked_for;
mod asyncapi;
mod browser;
mod calendars;
mod calendars_at_run_time;
mod ceilings;
mod cluster;
mod commands;
mod delayed;
mod event;
mod every_door;
mod examples;
mod faults;
mod feed;
mod flood;
mod founding_scenario;
mod guides;
mod harness;
mod later_by_client;
mod metrics;
mod moved;
mod on_postgres;
mod openapi;
mod outage;
mod pauses;
mod prometheus;
mod promotion;
mod run_time;
mod schedules;
mod several_clocks;
mod start;
mod traces;
mod watermark;
mod why;
mod zones;
