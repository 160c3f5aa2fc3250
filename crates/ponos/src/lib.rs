#![doc = include_str!("../README.md")]
//! # Parts
//!
//! The clock `khronos` uses these parts too: [`event`] (names, ids, CloudEvents), [`topology`] (exchanges, queues and
//! bindings as data), [`broker`] (one port, with RabbitMQ and an in-memory twin), the two-stage [`shutdown`], [`files`]
//! (reading the files that a configuration names), [`redact`] (hiding secrets in what is shown) and [`asyncapi`] (what is
//! sent and received, as a document). The rest is the framework: [`schema`] (contracts), [`inbox`], [`worker`],
//! [`client`], [`dead`] (dead letters), [`compression`] and [`testing`].

pub mod asyncapi;
#[cfg(feature = "worker")]
pub mod client;
#[cfg(feature = "worker")]
pub mod clock;
#[cfg(feature = "worker")]
pub mod compression;
#[cfg(feature = "worker")]
pub mod control;
#[cfg(feature = "worker")]
pub mod dead;
#[cfg(feature = "worker")]
mod declared;
pub mod exit;
#[doc(hidden)]
pub mod file_lock;
#[cfg(feature = "worker")]
pub mod inbox;
#[cfg(feature = "json-lines")]
pub mod json_lines;
pub mod log_filter;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "worker")]
pub mod names;
#[cfg(feature = "worker")]
mod once;
#[cfg(feature = "worker")]
mod outgoing_head;
#[doc(hidden)]
pub mod output;
pub mod private;
#[cfg(feature = "worker")]
pub mod schema_files;
#[cfg(feature = "worker")]
pub mod testing;
#[cfg(feature = "worker")]
mod time_passed;
#[cfg(feature = "traces")]
pub mod traces;
#[cfg(feature = "worker")]
pub mod worker;

#[cfg(feature = "worker")]
pub use client::Client;
#[cfg(feature = "worker")]
pub use declared::{Priority, keyed_id};
#[cfg(feature = "worker")]
pub use names::{Event, Task};
#[cfg(feature = "worker")]
pub use once::{Once, Sent, once_id, payload_key};
#[cfg(feature = "worker")]
pub use outgoing_head::{HeadError, OutgoingHead};
pub use ponos_broker::{self as broker, files, shutdown, stack};
#[doc(hidden)]
pub use ponos_event::text;
pub use ponos_event::{self as event, redact, terminal, topology};
#[cfg(feature = "worker")]
pub use ponos_schema as schema;
#[cfg(feature = "worker")]
pub use time_passed::{Cause, TimePassed, Window};

/// Compiles and runs the code of `docs/workers.md`.
#[cfg(all(doctest, feature = "worker"))]
#[doc = include_str!("../../../docs/workers.md")]
mod guide {}

/// For metrics of one's own, in the version that [`metrics`] exposes.
#[cfg(feature = "metrics")]
pub use prometheus_client;

/// For `#[derive(JsonSchema)]` with `#[schemars(crate = "ponos::schemars")]`, where a service has no schemars of its own.
#[cfg(feature = "worker")]
pub use schemars;

/// The items that nearly every worker needs: `use ponos::prelude::*`.
#[cfg(feature = "worker")]
pub mod prelude {
    pub use crate::{
        TimePassed,
        shutdown::{Shutdown, shutdown},
        worker::{
            Batch, BatchHandler, Context, Ended, Failure, Handler, HandlerResult,
            Outcome::{self, Dead, Done, Release, Retry, Skip, Snooze},
            Policy, State, Stateful, Worker,
        },
    };
}
