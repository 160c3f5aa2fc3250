//! `[cluster]`: several clocks of one name on one Postgres.

use super::{ClusterSecret, Config};
use std::path::PathBuf;

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where the other clocks on one Postgres reach this one's HTTP; unset: where it listens, unless that is everywhere.
    pub address: Option<String>,
    /// PEM: which authorities are trusted to say who the leader is, instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// By which an address in the tables is known for that of a clock of this name.
    pub secret: Option<ClusterSecret>,
    /// The file that it was read from.
    pub secret_file: Option<PathBuf>,
}

impl Config {
    /// Where other clocks of this name reach this one's HTTP, as far as that can be told.
    pub fn cluster_address(&self) -> Option<String> {
        let listen = self.http.listen;
        let scheme = if self.http.tls.is_some() { "https" } else { "http" };
        let others_reach = !listen.ip().is_unspecified() && !listen.ip().is_loopback();
        let usual = || others_reach.then(|| format!("{scheme}://{listen}"));
        let address = self.cluster.address.clone().or_else(usual);
        address.filter(|_| self.http.enabled)
    }
}
