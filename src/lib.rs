//! Khronos, the clock service. `ARCHITECTURE.md` walks one value through the house.

pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnostic;
pub mod engine;
pub mod http;
pub mod schedule;
pub mod service;
pub mod sources;
pub mod store;
pub mod telemetry;
