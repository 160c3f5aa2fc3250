//! `--traces` of the verbs that run on: where their spans are sent, and which traces are recorded.

use crate::{exit::Exit, trouble::Trouble};
use ponos::traces::{Collector, CollectorError};
use std::path::PathBuf;

/// Of `run`, `serve` and `gateway`: under a name of its own, since clap makes a group of it beside the `Args` of the verb.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Traces")]
pub(crate) struct TracesArgs {
    /// Sends spans to this collector, by OTLP over HTTP (protobuf): http://127.0.0.1:4318/v1/traces, or https://…
    #[arg(long = "traces", value_name = "URL", env = "PONOS_TRACES", hide_env_values = true)]
    endpoint: Option<String>,
    /// Which share of the traces that begin here is recorded, 0 to 1 (1); of others their sender decided
    #[arg(long = "traces-ratio", value_name = "RATIO", env = "PONOS_TRACES_RATIO", hide_env_values = true)]
    ratio: Option<String>,
    /// A file with headers for the collector, one on a line, as in Authorization: Bearer …
    #[arg(
        long = "traces-headers-file",
        value_name = "FILE",
        env = "PONOS_TRACES_HEADERS_FILE",
        hide_env_values = true
    )]
    headers_file: Option<PathBuf>,
    /// PEM: the authorities that say who an https:// collector is, instead of the machine's
    #[arg(
        long = "traces-ca-file",
        value_name = "FILE",
        env = "PONOS_TRACES_CA_FILE",
        hide_env_values = true
    )]
    ca_file: Option<PathBuf>,
    /// Each delivery begins a trace of its own, with a link to its sender's span, instead of going on in the sender's trace
    #[arg(long = "traces-linked")]
    linked: bool,
}

impl TracesArgs {
    /// The collector, if one is named.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn collector(&self) -> Result<Option<Collector>, Trouble> {
        // an empty variable is one that is not set
        let ratio = self.ratio.as_deref().filter(|text| !text.is_empty());
        let [headers_file, ca_file] = [&self.headers_file, &self.ca_file]
            .map(|file| file.as_deref().filter(|path| !path.as_os_str().is_empty()));
        let Some(endpoint) = self.endpoint.as_deref().filter(|text| !text.is_empty()) else {
            let rest = [
                ("ratio", ratio.is_some()),
                ("headers-file", headers_file.is_some()),
                ("ca-file", ca_file.is_some()),
                ("linked", self.linked),
            ];
            return match rest.into_iter().find(|(_, is_set)| *is_set) {
                Some((name, _)) => {
                    let what = format!(
                        "--traces-{name} is set, but no spans are sent anywhere: name a collector with --traces, or leave it out"
                    );
                    Err(Trouble::Words(Exit::Configuration, what))
                }
                None => Ok(None),
            };
        };
        let mut collector = Collector::at(endpoint).map_err(unusable)?;
        if let Some(ratio) = ratio {
            let read =
                ratio.parse::<f64>().map_err(|_| unusable(CollectorError::Ratio(format!("'{ratio}'"))))?;
            collector = collector.ratio(read).map_err(unusable)?;
        }
        if let Some(file) = headers_file {
            collector = collector.headers_file(file).map_err(unusable)?;
        }
        if let Some(file) = ca_file {
            collector = collector.ca_file(file).map_err(unusable)?;
        }
        Ok(Some(if self.linked { collector.linked() } else { collector }))
    }
}

/// An error of the configuration.
pub(crate) fn unusable(error: CollectorError) -> Trouble {
    Trouble::Words(Exit::Configuration, format!("--traces: {error}"))
}
