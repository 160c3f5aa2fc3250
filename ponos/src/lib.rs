//! Ponos: services turn global events into local tasks of their own, on RabbitMQ.
//!
//! Today the crate holds its *event* half ([`event`]: names, ids, CloudEvents), its *topology* as data
//! ([`topology`]) and its *broker* half ([`broker`]: one port, RabbitMQ and an in-memory twin), on which the clock
//! `khronos` is built, and the two-stage [`shutdown`] that both share. For workers there is the *inbox* (`inbox`), which
//! remembers what was handled already: in memory, on disk (feature `inbox-sled`) or in Postgres (feature `postgres`).

pub mod broker;
#[cfg(feature = "worker")]
pub mod clock;
pub mod event;
#[cfg(feature = "worker")]
pub mod inbox;
pub mod shutdown;
pub mod topology;
