#![doc = include_str!("../README.md")]
//! # Parts
//!
//! Its *event* half ([`event`]: names, ids, CloudEvents), its *topology* as data ([`topology`]) and its *broker* half
//! ([`broker`]: one port, RabbitMQ and an in-memory twin) are what the clock `khronos` is built on too, and the two-stage
//! [`shutdown`], the [`files`] that a configuration names and the [`redact`]ion of what is shown. The rest is the worker: [`schema`] contracts, the [`inbox`], the [`worker`] itself, and [`testing`].

#[cfg(feature = "worker")]
pub mod clock;
pub mod exit;
#[cfg(feature = "worker")]
pub mod inbox;
pub mod log_filter;
#[doc(hidden)]
pub mod output;
pub mod private;
#[cfg(feature = "worker")]
pub mod schema_files;
#[cfg(feature = "worker")]
pub mod testing;
#[cfg(feature = "worker")]
mod time_passed;
#[cfg(feature = "worker")]
pub mod worker;

pub use ponos_broker::{self as broker, files, shutdown, stack};
#[doc(hidden)]
pub use ponos_event::text;
pub use ponos_event::{self as event, redact, terminal, topology};
#[cfg(feature = "worker")]
pub use ponos_schema as schema;
#[cfg(feature = "worker")]
pub use time_passed::{Cause, TimePassed, Window};

/// The page `docs/workers.md`, whose code is compiled and run.
#[cfg(all(doctest, feature = "worker"))]
#[doc = include_str!("../../../docs/workers.md")]
mod guide {}

/// For `#[derive(JsonSchema)]` with `#[schemars(crate = "ponos::schemars")]`, where a service has no schemars of its own.
#[cfg(feature = "worker")]
pub use schemars;

/// What nearly every worker needs: `use ponos::prelude::*`.
#[cfg(feature = "worker")]
pub mod prelude {
    pub use crate::{
        TimePassed,
        shutdown::{Shutdown, shutdown},
        worker::{
            Context, Ended, Failure, Handler, HandlerResult,
            Outcome::{self, Dead, Done, Release, Retry, Skip, Snooze},
            Policy, State, Stateful, Worker,
        },
    };
}
