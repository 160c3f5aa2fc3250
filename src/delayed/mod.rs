//! Where delayed events are kept: adapters of the port [`DelayedStore`], which stands in the engine. `redb` is the embedded
//! default; all are held to one conformance suite.

mod redb;

#[cfg(test)]
mod conformance;

pub use self::redb::{RedbDelayed, RedbOptions};
pub use khronos_engine::delayed::*;
