//! Ponos: services turn global events into local tasks of their own, on RabbitMQ.
//!
//! Today the crate holds its *event* half ([`event`]: names, ids, CloudEvents), its *topology* as data
//! ([`topology`]) and its *broker* half ([`broker`]: one port, RabbitMQ and an in-memory twin), on which the clock
//! `khronos` is built, and the two-stage [`shutdown`] that both share.

pub mod broker;
pub mod event;
#[cfg(feature = "worker")]
pub mod schema;
#[cfg(feature = "worker")]
pub mod schema_files;
pub mod shutdown;
pub mod topology;
