//! Where the engine's state and the record are kept: adapters of the port [`Store`], which stands in the engine, and the
//! thread that one of them lives on. `sled` is the embedded default; all are held to one conformance suite.

mod changes;
mod encoding;
mod meta;
mod postgres;
mod sled;
mod thread;

#[cfg(test)]
mod conformance;

pub use khronos_engine::store::{
    ChangePage, Fault, Limits, Memory, MemoryStore, Page, PageReader, Store, StoreError, Written,
};
use khronos_engine::store::{complete_after, details_lost, made_up};
pub use postgres::{PostgresOptions, PostgresStore, WarmStore};
pub use sled::{NO_ROOM, SledOptions, SledStore};
#[cfg(test)]
pub(crate) use sled::{child, child_folder, copy, scale};
pub(crate) use sled::{exposed, io_error};
pub use thread::{Backlog, Closed, Opener, StoreEvent, StoreHandle, Tuning, open, open_sled};
pub(crate) use thread::{READERS, failure, read_beside, unanswered};
