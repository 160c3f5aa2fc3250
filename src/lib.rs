//! Khronos, the clock service. `ARCHITECTURE.md` walks one value through the house; `start.rs`
//! wires things together.

mod apart;
pub mod authority;
mod batch;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod clock_loop;
mod cluster;
pub mod commands;
pub mod config;
mod copying;
pub mod delayed;
mod event_batch;
pub mod http;
pub mod ops;
pub mod position;
pub mod postgres;
pub mod presence;
mod problem;
mod reading;
mod reports;
pub mod sources;
mod start;
pub mod store;
pub mod telemetry;
pub mod watch;

pub use khronos_engine as engine;
pub use khronos_schedule::{self as schedule, diagnostic};
pub use start::{RunError, Running, run};
