//! Handlers of batches: one run for many deliveries of one queue, each of which ends by itself.
//!
//! A delivery joins an [open batch](OpenBatches) of its queue; a batch begins when it is full, when its time has come, or before one
//! that must be alone (`queue_loop/in_batches.rs`). What its run means for each delivery is decided in `delivery/batch.rs`.
//!
//! Invariant: what failed in a batch is in no batch with others any more, so that it costs its neighbours one more attempt at most.
//! A batch of one goes the way of every other delivery.

mod check;
mod handler;
mod items;
mod open;
mod policy;
mod register;
mod trace;

pub(crate) use check::{BatchPlan, batch_plan};
pub use handler::BatchHandler;
pub(crate) use handler::{BatchKey, ErasedBatch, Item};
pub use items::Batch;
pub(crate) use items::{ItemEnd, Marks};
pub(crate) use open::{Arrived, OpenBatches};
pub use policy::Batching;
pub(crate) use trace::BatchTrace;
