//! How a verb comes by its answers: from the clock that runs on the store, by its control socket; else over HTTP; else,
//! when no clock runs, from the store itself.

use super::{Globals, exit::Exit, flag, output};
use crate::{
    config::{Config, StorePath},
    engine::Snapshot,
    http::{
        Record,
        audit::AuditError,
        client::{Client, ClientError, Target},
        control_path,
        history::HistoryError,
    },
    schedule::CalendarStore,
    store::{self, SledOptions, StoreError, StoreHandle, Tuning},
};
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// Which clock is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Which {
    /// A running clock, such as http://127.0.0.1:7650; else the one that runs on the store, else the store itself
    #[arg(long, value_name = "URL", conflicts_with = "store")]
    url: Option<String>,
    /// The folder of the clock's state [store.path]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
}

/// Where the answers come from.
pub(super) enum Source {
    /// A running clock.
    Clock(Client),
    /// The store of a clock that does not run.
    Store(Kept),
}

/// An open store.
pub(super) struct Kept {
    pub(super) clock: String,
    pub(super) snapshot: Snapshot,
    pub(super) record: Record,
    /// The days of the calendars that its definitions name.
    pub(super) calendars: CalendarStore,
    handle: StoreHandle,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(
        "there is no store at {0}, and no clock runs on it or answers at http.listen; name another with --store, or a running clock with --url"
    )]
    NoStore(PathBuf),
    #[error("no clock runs on the store {0}; {1} needs a running one")]
    NotRunning(PathBuf, &'static str),
    #[error("{0}")]
    Usage(String),
    #[error("the program can't start: {0}")]
    Start(std::io::Error),
    /// Said already.
    #[error("")]
    Said(Exit),
}

impl From<HistoryError> for Trouble {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => Self::Store(error),
            wrong => Self::Usage(wrong.to_string()),
        }
    }
}

impl From<Exit> for Trouble {
    fn from(exit: Exit) -> Self {
        Self::Said(exit)
    }
}

impl Trouble {
    fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Refused { status: 400..=499, .. } | ClientError::Address { .. })
            | Self::Usage(_) => Exit::Usage,
            Self::Client(_) | Self::NotRunning(..) => Exit::Unavailable,
            Self::Store(
                StoreError::Locked { .. } | StoreError::OtherClock { .. } | StoreError::Newer { .. },
            ) => Exit::Configuration,
            Self::Store(_) | Self::Audit(AuditError::Store(_)) | Self::NoStore(_) => Exit::InputOutput,
            Self::Audit(AuditError::TooFragmented(_)) => Exit::Usage,
            Self::Audit(AuditError::Defect) | Self::Start(_) => Exit::Software,
            Self::Said(exit) => *exit,
        }
    }
}

/// Runs a verb's work to its end and says what went wrong.
pub(super) fn finish(work: impl Future<Output = Result<Exit, Trouble>>) -> std::process::ExitCode {
    let exit = wait(work).unwrap_or_else(|trouble| {
        if !matches!(trouble, Trouble::Said(_)) {
            output::complain(&format!("error: {trouble}"));
        }
        trouble.exit()
    });
    exit.into()
}

/// Runs work to its end.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    // Not on this thread: its stack is not ours to choose (`ponos::stack`).
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(Trouble::Start).and_then(|runtime| runtime.block_on(work))
}

impl Which {
    /// The configuration, with these flags.
    pub(super) fn config(&self, globals: &Globals) -> Result<Config, Exit> {
        globals.load(flag("store.path", "--store", self.store.as_deref()).into_iter().collect())
    }

    /// The clock, or its store.
    pub(super) async fn reach(&self, globals: &Globals) -> Result<Source, Trouble> {
        if let Some(url) = &self.url {
            return Ok(Source::Clock(Client::new(Target::from_url(url)?)));
        }
        Source::of(&self.config(globals)?, self.store.is_some()).await
    }

    /// The clock that runs on the store, for `what` changes something.
    pub(super) async fn operate(&self, globals: &Globals, what: &'static str) -> Result<Client, Trouble> {
        if self.url.is_some() {
            return Err(Trouble::Usage(format!(
                "{what} works only through the control socket of the store: omit --url, and run it on the clock's machine"
            )));
        }
        let config = self.config(globals)?;
        let StorePath::Folder(folder) = &config.store.path else {
            return Err(Trouble::Usage(format!("{what} needs a store on disk (store.path)")));
        };
        operator(folder).await.map_err(|error| match error {
            ClientError::NotRunning(_) => Trouble::NotRunning(folder.clone(), what),
            other => other.into(),
        })
    }
}

impl Source {
    /// The clock of this configuration, or its store; `named`: it is wanted by its store, and no other.
    pub(super) async fn of(config: &Config, named: bool) -> Result<Self, Trouble> {
        let StorePath::Folder(folder) = &config.store.path else {
            return Ok(Self::Clock(web_client(config)));
        };
        match operator(folder).await {
            Ok(client) => return Ok(Self::Clock(client)),
            // Another user's clock: what may be read over HTTP can be read all the same.
            Err(ClientError::Broken { .. }) => return Ok(Self::Clock(web_client(config))),
            Err(_) => {}
        }
        match kept(folder, config).await {
            Ok(kept) => {
                if !named && answers(config).await {
                    let (web, folder) = (web(config), folder.display());
                    output::complain(&format!(
                        "note: a clock answers at {web}, but it does not run on the store {folder}; use --url {web} to ask it"
                    ));
                }
                Ok(Self::Store(kept))
            }
            // A clock that keeps nothing on a disk; one that was not asked for by its store.
            Err(Trouble::NoStore(_)) if !named && answers(config).await => {
                Ok(Self::Clock(web_client(config)))
            }
            Err(Trouble::Store(StoreError::Locked { .. })) => Ok(Self::Clock(web_client(config))),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Kept {
    /// Closes the store, so that the next one who opens it finds it in order.
    pub(super) async fn close(self) -> Result<(), Trouble> {
        Ok(self.handle.close().await?)
    }
}

/// A client of the clock that runs on this store; an error tells that none does.
async fn operator(folder: &Path) -> Result<Client, ClientError> {
    let client = Client::new(Target::Unix(control_path(folder)));
    client.get::<serde_json::Value>("/").await.map(|_| client)
}

/// How long to wait for an answer at the configured address.
const GLANCE: Duration = Duration::from_secs(2);

/// Whether a clock of this name is there at the configured address.
async fn answers(config: &Config) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        clock: String,
    }
    if !config.http.enabled {
        return false;
    }
    let client = Client::new(web(config));
    let named = tokio::time::timeout(GLANCE, client.get::<Named>("/healthz")).await;
    named.is_ok_and(|named| named.is_ok_and(|named| named.clock == config.clock.name))
}

async fn kept(folder: &Path, config: &Config) -> Result<Kept, Trouble> {
    // Opening creates what is missing: a verb that only reads must not leave an empty store behind.
    let empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Err(Trouble::NoStore(folder.to_owned()));
    }
    let clock = config.clock.name.clone();
    let age = i64::try_from(config.record.max_age.as_millis()).unwrap_or(i64::MAX);
    let limits = store::Limits { rows: config.record.max_rows, age };
    let calendars = CalendarStore::default();
    let options = SledOptions { cache: config.store.cache, limits, calendars: calendars.clone() };
    let opened = store::open_sled(folder.to_owned(), clock.clone(), options, Tuning::default()).await;
    let (handle, snapshot, _events) = opened?;
    Ok(Kept { clock, snapshot, calendars, record: Record::from(handle.clone()), handle })
}

/// Where this machine reaches the configured HTTP address.
fn web(config: &Config) -> Target {
    let listen = config.http.listen;
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Target::Tcp(SocketAddr::new(ip, listen.port()).to_string())
}

/// The clock at the configured HTTP address.
pub(super) fn web_client(config: &Config) -> Client {
    Client::new(web(config))
}
