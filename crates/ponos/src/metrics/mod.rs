//! Metrics as text, for Prometheus and whatever else scrapes: in OpenMetrics or in the classic text format.
//!
//! [`expose`] makes the answer to a scrape from a registry. Workers count in `Metrics`, where authors register metrics of
//! their own, and serve them (`Worker::metrics`). The crate
//! [`prometheus_client`] is exported again, so that whoever registers metrics has the same version.

mod exposition;
#[cfg(feature = "worker")]
mod listener;
#[cfg(feature = "worker")]
mod shared;

#[doc(hidden)]
pub use exposition::accepted;
pub use exposition::{CLASSIC, Exposition, OPEN_METRICS, expose};
#[cfg(feature = "worker")]
pub use listener::ListenError;
#[cfg(feature = "worker")]
#[doc(hidden)]
pub use listener::Listener;
#[cfg(feature = "worker")]
pub use shared::Metrics;
