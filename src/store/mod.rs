//! Where the engine's state and the record are kept: adapters of the port [`Store`], which stands in the engine, and the
//! thread that one of them lives on. `sled` is the embedded default; all are held to one conformance suite.

mod changes;
pub(crate) mod copying;
mod encoding;
mod meta;
mod postgres;
mod sled;
mod thread;

#[cfg(test)]
mod conformance;

pub use khronos_engine::store::{
    ChangePage, Fault, Leader, Limits, Memory, MemoryStore, Page, PageReader, Store, StoreError, Whole,
    Written,
};
use khronos_engine::store::{complete_after, details_lost, made_up};
pub(crate) use meta::{Meta, UNFINISHED};
pub use postgres::{Look, PostgresOptions, PostgresStore, TakeOver, WarmStore, Warmth};
pub(crate) use postgres::{PostgresSource, PostgresTarget, page_reader};
pub use sled::{NO_ROOM, SledOptions, SledStore};
#[cfg(test)]
pub(crate) use sled::{SEAL, child, child_folder, copy, fixture, scale};
pub(crate) use sled::{
    SledSource, SledTarget, WholeSource, exposed, held_delayed_id, io_error, is_empty, seems_held,
};
pub use thread::{Backlog, Closed, Opener, StoreEvent, StoreHandle, Tuning, open, open_sled};
pub(crate) use thread::{READERS, failure, read_beside, unanswered};
