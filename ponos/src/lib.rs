//! Ponos: services turn global events into local tasks of their own, on RabbitMQ.
//!
//! Today the crate holds its *event* half ([`event`]: names, ids, CloudEvents), its *topology* as data
//! ([`topology`]) and its *broker* half ([`broker`]: one port, RabbitMQ and an in-memory twin), on which the clock
//! `khronos` is built, and the two-stage [`shutdown`] that both share.

pub mod broker;
#[cfg(feature = "worker")]
pub mod clock;
pub mod event;
#[cfg(feature = "worker")]
pub mod inbox;
#[cfg(feature = "worker")]
pub mod schema;
#[cfg(feature = "worker")]
pub mod schema_files;
pub mod shutdown;
#[cfg(feature = "worker")]
pub mod testing;
#[cfg(feature = "worker")]
mod time_passed;
pub mod topology;
#[cfg(feature = "worker")]
pub mod worker;

#[cfg(feature = "worker")]
pub use time_passed::{Cause, TimePassed, Window};

/// What nearly every worker needs: `use ponos::prelude::*`.
#[cfg(feature = "worker")]
pub mod prelude {
    pub use crate::{
        TimePassed,
        shutdown::{Shutdown, shutdown},
        worker::{
            Context, Ended, Failure, Handler, HandlerResult,
            Outcome::{self, Dead, Done, Release, Retry, Skip},
            Policy, Worker,
        },
    };
}
