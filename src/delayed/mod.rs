//! Where delayed events are kept: adapters of the port [`DelayedStore`], which stands in the engine, and the threads that one of
//! them lives on. `redb` is the embedded default; all are held to one conformance suite.

mod copying;
mod encoding;
mod meta;
mod postgres;
mod redb;
mod thread;
pub(crate) mod trace;

#[cfg(test)]
mod conformance;

pub use self::postgres::PostgresDelayed;
pub(crate) use self::postgres::{PostgresDelayedSource, PostgresDelayedTarget, delayed_reader};
pub(crate) use self::redb::{DelayedWholeSource, RedbSource, RedbTarget, room};
pub use self::redb::{RedbDelayed, RedbOptions};
#[cfg(test)]
pub(crate) use self::redb::{fixture, on_a_small_disk};
pub use crate::store::Closed;
pub use khronos_engine::delayed::*;
pub(crate) use meta::Meta;
pub use thread::{
    DelayedHandle, DelayedOpener, DelayedStoreEvent, DelayedTuning, NotNow, Room, open, open_memory,
    open_redb, read_only, unopened,
};
