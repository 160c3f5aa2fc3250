//! Metrics as text, for Prometheus and whatever else scrapes: in OpenMetrics or in the classic text format.
//!
//! [`expose`] makes the answer to a scrape from a registry. The crate [`prometheus_client`](crate::prometheus_client) is
//! exported again, so that whoever registers metrics has the same version of it.

mod exposition;

pub use exposition::{CLASSIC, Exposition, OPEN_METRICS, expose};
