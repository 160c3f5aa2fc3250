//! How a verb that goes on until it is stopped is watched: its metrics and its log.

use crate::run::log;

#[derive(Debug, clap::Args)]
pub(crate) struct MonitoringArgs {
    /// Serves metrics for Prometheus at http://ADDRESS/metrics
    #[arg(long, value_name = "ADDRESS", env = "PONOS_METRICS", hide_env_values = true)]
    pub(crate) metrics: Option<String>,
    /// The format of log lines on standard error; PONOS_LOG sets their level
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PONOS_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    pub(crate) log_format: log::Format,
}
