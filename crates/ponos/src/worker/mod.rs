//! The worker: handlers for global events and for the service's own tasks.
//!
//! [`Worker`] collects what a service does and checks it; [`Worker::run`] runs it. A value's way: a delivery is decoded,
//! routed by its type, held to its contract, looked up in the inbox, run, and settled (`delivery`). Only the runtime settles;
//! a handler returns an [`Outcome`].
//!
//! Invariants: nothing is acked before what follows from it is confirmed; nothing is held unsettled to be delayed;
//! whatever ends otherwise than done stands in the dead letters with the reason, or goes back to its queue.

mod around;
mod asyncapi;
mod auto_prefetch;
mod batch;
mod blocking;
mod breaker;
mod builder;
mod check;
mod circuit;
mod confirming_publisher;
mod context;
mod delivery;
mod ended;
mod fleet;
pub(crate) mod group;
mod handler;
mod held;
mod keyed;
mod latest;
mod limits;
mod liveness;
mod metrics;
mod once;
mod outcome;
mod own_releases;
mod plan;
mod policy;
mod promises;
mod queue_context;
mod queue_loop;
mod rate;
mod reach;
mod ready;
mod receiving;
#[cfg(feature = "postgres")]
mod relaying;
mod reply;
mod report;
mod reporting;
mod retry;
mod runtime;
#[cfg(feature = "postgres")]
mod saga;
mod service;
mod settings;
mod signal;
mod topology_repair;
mod trace;
mod wait;

pub use crate::broker::resent;
pub use around::{Around, Next};
pub use batch::{Batch, BatchHandler, Batching};
pub use breaker::Breaker;
pub use builder::{FanIn, Worker};
pub use check::WorkerError;
pub use circuit::Paused;
#[doc(hidden)]
pub use confirming_publisher::ConfirmingPublisher;
pub use confirming_publisher::FlushError;
pub use context::Context;
pub use ended::{DeadKind, Death, Ended, Observed};
pub use group::{Group, GroupEnded};
pub use handler::{Handler, Payload};
pub use held::PublishError;
pub(crate) use held::due_time;
pub use keyed::Keyed;
pub use limits::Limits;
pub use liveness::{Deliveries, Liveness};
pub(crate) use metrics::WorkerMetrics;
pub use once::Unique;
pub use outcome::{Failure, HandlerResult, Outcome};
pub use policy::{Backoff, LONGEST_RETRY, Policy, Prefetch, Rate};
pub use ready::Ready;
#[cfg(feature = "postgres")]
pub(crate) use reply::{is_reply, note_reply};
pub use report::Report;
pub(crate) use retry::is_own_header;
#[cfg(feature = "postgres")]
pub(crate) use retry::smaller;
pub use runtime::RunError;
#[cfg(feature = "postgres")]
pub use saga::{Saga, SagaState, SagaTimeout, Sagas};
pub use service::NoState;
pub use settings::{Configured, Prepared, State, Stateful};
