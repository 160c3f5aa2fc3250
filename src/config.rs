//! The configuration: raw → [`Config`], parsed once, valid from then on.
//!
//! Three layers, the later one wins, key by key: the file, the environment (`KHRONOS_<SECTION>_<KEY>`), the flags.
//! `keys.rs` names the keys, `layers.rs` lays the layers over each other, `reader.rs` turns one raw value into what it
//! means and says where it is wrong, `build.rs` makes the whole (`http.rs` and `commands.rs` theirs); every fault is reported, not only the first.
//!
//! The file is `--config FILE` or `KHRONOS_CONFIG`; else `config.toml` in the working directory if there is one; else
//! the default that is built in. A relative path in the file counts from the file's folder; in a variable or a flag
//! from the working directory. An empty variable counts as not set. Without `schedules.folder`, the schedules are read
//! from the folder `schedules` beside the configuration file (without one: in the working directory) if there is one; else
//! the standard ones are built in. Without `calendars.folder`, calendars are read from the folder `calendars` beside the folder of schedules if there is one.
//!
//! Why no serde here: it stops at the first fault, and knows nothing of the other two layers.

mod build;
mod ceilings;
mod clock;
mod cluster;
mod cluster_secret;
mod commands;
mod http;
mod keys;
mod layers;
mod reader;
mod reports;
mod text;
mod traces;
mod url;

#[cfg(test)]
mod tests;

pub use clock::{ClockConfig, OnBackward};
pub use cluster::ClusterConfig;
pub use cluster_secret::ClusterSecret;
pub use commands::{CommandsConfig, CommandsUser};
pub(crate) use http::{check_domains, check_owner, check_tasks};
pub use layers::{Override, Request};
pub use reports::ReportsConfig;
pub use traces::TracesConfig;
pub use url::{BrokerUrl, StoreUrl};

use crate::{
    authority::{
        Domains, Owners, Quota, Role,
        token::{TokenDigest, TokenId},
        widened,
    },
    diagnostic::Diagnostics,
    engine::{Ceiling, Ceilings},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tracing_subscriber::filter::Targets;

/// The default configuration, as the repository's `config.toml` shows it.
pub const DEFAULT: &str = include_str!("../config.toml");

/// All that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from; `None` for the built-in default.
    pub file: Option<PathBuf>,
    /// `[clock]`
    pub clock: ClockConfig,
    /// `[schedules]`
    pub schedules: ScheduleSource,
    /// `schedules.keep_finished`: how long what was created at run time is kept after it has finished.
    pub keep_finished: Duration,
    /// `[calendars]`
    pub calendars: CalendarSource,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[broker]`
    pub broker: BrokerConfig,
    /// `[publish]`
    pub publish: PublishConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[cluster]`
    pub cluster: ClusterConfig,
    /// `[record]`
    pub record: RecordConfig,
    /// `[changes]`
    pub changes: ChangesConfig,
    /// `[delayed]`
    pub delayed: DelayedConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[commands]`
    pub commands: CommandsConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[traces]`
    pub traces: TracesConfig,
    /// `[reports]`
    pub reports: ReportsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[shutdown]`
    pub shutdown: ShutdownConfig,
}

/// Where the schedules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleSource {
    /// Every `*.toml` of this folder.
    Folder(PathBuf),
    /// Nothing is configured, and the usual folder is not there: the standard time events, unless the clock knows that it
    /// was there before.
    Unset(PathBuf),
    /// The standard time events, which are built in: `schedules.folder = "built-in"`.
    Embedded,
    /// No schedules: `schedules.folder = "none"`.
    None,
}

/// Where the calendars come from that schedules name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CalendarSource {
    /// The folder `calendars` beside the folder of schedules, if there is one.
    #[default]
    Beside,
    /// Every `*.toml` and `*.ics` of this folder.
    Folder(PathBuf),
}

/// `[limits]`: against accidents; what goes beyond is refused when schedules are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// No schedule may come more often.
    pub shortest_interval: Duration,
    /// Events a second of all schedules together, over a day on which each is due.
    pub rate: u32,
    /// Schedules in all.
    pub schedules: usize,
}

/// `[broker]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Which broker.
    pub url: BrokerUrl,
    /// The file that it was read from, which is read again whenever a connection is made.
    pub url_file: Option<PathBuf>,
    /// The topic exchange.
    pub exchange: String,
    /// Whether each event also gets a fanout exchange of its name.
    pub fanout: bool,
    /// How many confirms may be outstanding on a connection.
    pub window: usize,
    /// Over how many confirm channels publishings are spread.
    pub channels: u16,
    /// Time limit of connecting, handshake included.
    pub connect_timeout: Duration,
    /// Silence of twice this long ends a connection.
    pub heartbeat: Duration,
    /// Time limit of a confirm.
    pub confirm_timeout: Duration,
    /// For `amqps://`.
    pub tls: TlsConfig,
}

/// `[broker.tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM; trusted instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// PEM; the client's own certificate. Set if and only if `key_file` is.
    pub cert_file: Option<PathBuf>,
    /// PEM; its key.
    pub key_file: Option<PathBuf>,
}

/// `[publish]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishConfig {
    /// How many events may be handed over and not yet settled.
    pub in_flight: usize,
    /// How often one event is sent again before it is parked.
    pub resends: u32,
    /// Over which time these are spread.
    pub resend_over: Duration,
    /// How often it is published up to which instant everything was; `None`: never.
    pub watermark: Option<Duration>,
    /// How many events of some domains are handed over in a second at most.
    pub ceilings: Vec<CeilingConfig>,
}

/// `[[publish.ceilings]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingConfig {
    /// Of which events: as the domain of a token.
    pub domain: String,
    /// Events a second.
    pub rate: u32,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where.
    pub path: StorePath,
    /// The file that says where, if one does.
    pub url_file: Option<PathBuf>,
    /// Where it is a Postgres: the schema of its tables.
    pub schema: String,
    /// Bytes of memory for its cache.
    pub cache: u64,
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePath {
    /// In a folder.
    Folder(PathBuf),
    /// In a Postgres, which several clocks reach.
    Postgres(StoreUrl),
    /// Nowhere: a restart forgets everything.
    Memory,
}

/// `[record]`, and `[delayed.record]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// How many of the newest rows are kept; older ones are trimmed.
    pub max_rows: u64,
    /// Rows older than this are trimmed.
    pub max_age: Duration,
}

/// `[changes]`, and `[delayed.changes]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesConfig {
    /// How many of the newest entries of the log of changes are kept; older ones are trimmed.
    pub max_entries: u64,
    /// Entries older than this are trimmed.
    pub max_age: Duration,
}

/// `[delayed]`: what is kept of delayed events that are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedConfig {
    /// `[delayed.record]`
    pub record: RecordConfig,
    /// `[delayed.changes]`
    pub changes: ChangesConfig,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Whether it is served at all.
    pub enabled: bool,
    /// On which address.
    pub listen: SocketAddr,
    /// By which names (without port) requests may address it.
    pub hosts: Vec<String>,
    /// Whether everybody on this machine may change the clock.
    pub open: bool,
    /// Whether everybody who reaches it may read, without a token.
    pub open_reads: bool,
    /// Whether a proxy stands before it that encrypts, on a network of its own.
    pub behind_proxy: bool,
    /// By which it encrypts itself.
    pub tls: Option<HttpTlsConfig>,
    /// Who may do what; without any, everybody on this machine may read.
    pub tokens: Vec<TokenConfig>,
}

impl HttpConfig {
    /// Whether requests come from elsewhere than this machine.
    pub fn is_reached_from_elsewhere(&self) -> bool {
        self.enabled && (self.behind_proxy || !self.listen.ip().is_loopback())
    }

    /// Whether tokens could come over a network in the clear, so that they are refused.
    pub fn refuses_tokens_from_elsewhere(&self) -> bool {
        let in_the_clear = self.tls.is_none() && !self.behind_proxy;
        self.enabled && in_the_clear && !self.tokens.is_empty() && !self.listen.ip().is_loopback()
    }
}

/// `[http.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTlsConfig {
    /// PEM; the clock's certificate, with its chain.
    pub cert_file: PathBuf,
    /// PEM; its key.
    pub key_file: PathBuf,
}

/// `[[http.tokens]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Its public part.
    pub id: TokenId,
    /// Of the whole token.
    pub digest: TokenDigest,
    /// Who holds it.
    pub owner: String,
    /// What it permits.
    pub role: Role,
    /// About which events.
    pub domains: Domains,
    /// To which queues tasks may be sent; without, to none.
    pub tasks: Option<Domains>,
    /// How much of it.
    pub quota: Quota,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// With more schedules than this there are no metrics of single ones.
    pub schedules: usize,
    /// How often the clock audits its record by itself.
    pub audit_every: Duration,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { schedules: 1_000, audit_every: Duration::from_secs(3_600) }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// Such as `info`, or `info,khronos=debug`.
    pub level: Targets,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long outstanding confirms are waited for.
    pub grace: Duration,
}

impl Config {
    /// Reads and understands the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(request: &Request) -> Result<Self, Diagnostics> {
        let (config, diagnostics) = Self::read(request);
        if diagnostics.errors() == 0 { Ok(config) } else { Err(diagnostics) }
    }

    /// The same for those who go on after an error: what is wrong has its default then.
    pub fn read(request: &Request) -> (Self, Diagnostics) {
        build::build(request)
    }

    /// How many events of some domains are handed over in a second at most.
    pub fn ceilings(&self) -> Ceilings {
        let ceiling =
            |one: &CeilingConfig| Ceiling::of_a_second(one.domain.clone(), widened(&one.domain), one.rate);
        Ceilings::new(self.publish.ceilings.iter().map(ceiling).collect())
    }

    /// Who may change the clock by tokens and by messages, with what each owner may take.
    pub fn owners(&self) -> Owners {
        let tokens = self.http.tokens.iter().map(|token| (&*token.owner, token.quota));
        let users = self.commands.users.iter().map(|user| (&*user.owner, user.quota));
        Owners::new(tokens.chain(users))
    }
}
