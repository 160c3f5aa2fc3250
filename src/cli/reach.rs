//! How a verb comes by its answers: from the clock that runs on the store, by its control socket; else over HTTP; else,
//! when no clock runs, from the store itself.

use super::{Globals, error::CliError, exit::Exit, flag, output, source::ClockSource};
use crate::{
    authority::token::Token,
    config::{Config, StorePath},
    http::client::{Client, ClientError, Credentials, Target},
    ops::{Alive, StoppedClock},
    start,
    store::StoreError,
};
use ponos::files;
use std::{
    fmt::Display,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// Which clock is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ClockArgs {
    /// A running clock, such as http://127.0.0.1:7650; without it and --config the one in KHRONOS_URL, else the one that runs on the
    /// store, else the store itself
    #[arg(long, value_name = "URL", conflicts_with = "store")]
    url: Option<String>,
    /// The folder of the clock's state [store.path]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    #[command(flatten)]
    shown: CredentialArgs,
}

/// How a clock that is asked over HTTP is shown who asks.
#[derive(Debug, Default, clap::Args)]
pub(super) struct CredentialArgs {
    /// A file with the token to show over HTTP (-: standard input); else KHRONOS_TOKEN, by https:// or where --url or KHRONOS_URL
    /// says
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM: the authorities to trust over https://, instead of the machine's; else the file in KHRONOS_CA_FILE
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Bytes of a file with a token.
const TOKEN_FILE: u64 = 4096;

impl CredentialArgs {
    /// A client of the clock there, which the user has named, and which shows what these say.
    pub(super) fn client(&self, target: Target) -> Result<Client, CliError> {
        let token = match &self.token_file {
            Some(_) => self.token_of_file()?,
            None => token_of_environment()?,
        };
        Ok(Client::new(target).with(Credentials { token, ca_file: self.authorities() }))
    }

    /// The clock at the configured HTTP address. Who listens there without encryption may be any user's program, so that it
    /// is not shown the token of a variable, which may be for another clock.
    pub(super) fn web_client(&self, config: &Config) -> Result<Client, CliError> {
        let target = web_target(config);
        if matches!(target, Target::Tls(_)) {
            return self.client(target);
        }
        Ok(Client::new(target).with(Credentials { token: self.token_of_file()?, ca_file: None }))
    }

    /// The same, which shows nothing.
    fn nobody(&self, config: &Config) -> Client {
        Client::new(web_target(config)).with(Credentials { token: None, ca_file: self.authorities() })
    }

    fn authorities(&self) -> Option<PathBuf> {
        let variable = std::env::var_os("KHRONOS_CA_FILE").filter(|file| !file.is_empty());
        self.ca_file.clone().or_else(|| variable.map(PathBuf::from))
    }

    fn token_of_file(&self) -> Result<Option<Token>, CliError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let place = format!("the file {}", file.display());
        let unread = |error: &dyn Display| {
            CliError::Usage(format!("--token-file: {} can't be read: {error}", file.display()))
        };
        let text = if file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .take(TOKEN_FILE)
                .read_to_string(&mut text)
                .map_err(|error| unread(&error))?;
            text
        } else {
            if let Some(what) = files::open_to_others(file) {
                output::complain(&format!("warning: {what}"));
            }
            files::read_text(file, TOKEN_FILE).map_err(|error| unread(&error))?
        };
        understood(&place, &text).map(Some)
    }
}

/// The clock that is named: by a flag, else by the variable KHRONOS_URL. A configuration that is named by a flag is another clock's.
pub(super) fn named_clock(globals: &Globals, url: Option<&str>) -> Result<Option<Target>, CliError> {
    if let Some(url) = url {
        return Ok(Some(Target::from_url(url)?));
    }
    if globals.is_config_typed {
        return Ok(None);
    }
    let Some(url) = std::env::var_os("KHRONOS_URL").filter(|url| !url.is_empty()) else { return Ok(None) };
    // What is no text is no address either.
    let target = Target::from_url(&url.to_string_lossy());
    target.map(Some).map_err(|wrong| CliError::Usage(format!("KHRONOS_URL: {wrong}")))
}

fn token_of_environment() -> Result<Option<Token>, CliError> {
    let Some(token) = std::env::var_os("KHRONOS_TOKEN").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    // What is no text is no token either.
    understood("KHRONOS_TOKEN", &token.to_string_lossy()).map(Some)
}

fn understood(place: &str, token: &str) -> Result<Token, CliError> {
    token.trim().parse().map_err(|wrong| CliError::Usage(format!("{place}: {wrong}")))
}

impl ClockArgs {
    /// Whether a flag names a clock or its store.
    pub(super) fn name_one(&self) -> bool {
        self.url.is_some() || self.store.is_some()
    }

    /// Whether the clock is asked at an address that was named, of whose configuration nothing is known.
    pub(super) fn is_elsewhere(&self, globals: &Globals) -> Result<bool, CliError> {
        Ok(self.named(globals)?.is_some())
    }

    /// The configuration, with these flags.
    pub(super) fn config(&self, globals: &Globals) -> Result<Config, Exit> {
        globals.load(flag("store.path", "--store", self.store.as_deref()).into_iter().collect())
    }

    /// The clock that is named by its address; a store that is named is another one's.
    fn named(&self, globals: &Globals) -> Result<Option<Target>, CliError> {
        if self.store.is_some() { Ok(None) } else { named_clock(globals, self.url.as_deref()) }
    }

    /// The clock, or its store.
    pub(super) async fn reach(&self, globals: &Globals) -> Result<ClockSource, CliError> {
        if let Some(target) = self.named(globals)? {
            return Ok(ClockSource::Running(self.shown.client(target)?));
        }
        ClockSource::of(&self.config(globals)?, self.store.is_some(), &self.shown).await
    }

    /// The clock at the URL, else the one that runs on the store, for `what` changes something.
    pub(super) async fn operate(&self, globals: &Globals, what: &'static str) -> Result<Client, CliError> {
        if let Some(target) = self.named(globals)? {
            return self.shown.client(target);
        }
        let config = self.config(globals)?;
        let folder = match &config.store.path {
            StorePath::Folder(folder) => folder,
            StorePath::Postgres(_) => return self.shown.web_client(&config),
            StorePath::Memory => {
                return Err(CliError::Usage(format!("{what} needs a store on disk (store.path)")));
            }
        };
        control_client(folder).await.map_err(|error| match error {
            ClientError::NotRunning(_) => CliError::NotRunning(folder.clone(), what),
            other => other.into(),
        })
    }
}

impl ClockSource {
    /// The clock of this configuration, or its store; `named`: it is wanted by its store, and no other.
    pub(super) async fn of(config: &Config, named: bool, shown: &CredentialArgs) -> Result<Self, CliError> {
        let StorePath::Folder(folder) = &config.store.path else {
            return Ok(Self::Running(shown.web_client(config)?));
        };
        match control_client(folder).await {
            Ok(client) => return Ok(Self::Running(client)),
            // Another user's clock: what may be read over HTTP can be read all the same.
            Err(ClientError::Broken { .. }) => return Ok(Self::Running(shown.web_client(config)?)),
            Err(_) => {}
        }
        match open_stopped(folder, config).await {
            Ok(stopped) => {
                if !named && clock_answers(config, shown).await {
                    let (web, folder) = (web_target(config), folder.display());
                    output::complain(&format!(
                        "note: a clock answers at {web}, but it does not run on the store {folder}; use --url {web} to ask it"
                    ));
                }
                Ok(Self::Stopped(stopped))
            }
            // A clock that keeps nothing on a disk; one that was not asked for by its store.
            Err(CliError::NoStore(_)) if !named && clock_answers(config, shown).await => {
                Ok(Self::Running(shown.web_client(config)?))
            }
            Err(CliError::Store(StoreError::Locked { .. })) => Ok(Self::Running(shown.web_client(config)?)),
            Err(error) => Err(error),
        }
    }
}

/// A client of the clock that runs on this store; an error tells that none does.
pub(super) async fn control_client(folder: &Path) -> Result<Client, ClientError> {
    let client = Client::new(Target::of_store(folder));
    client.get::<serde_json::Value>("/").await.map(|_| client)
}

/// How long to wait for an answer at the configured address.
const GLANCE: Duration = Duration::from_secs(2);

/// Whether a clock of this name is there at the configured address.
async fn clock_answers(config: &Config, shown: &CredentialArgs) -> bool {
    if !config.http.enabled {
        return false;
    }
    // Whoever answers says his name to everybody.
    let client = shown.nobody(config);
    let named = tokio::time::timeout(GLANCE, client.get::<Alive>("/healthz")).await;
    named.is_ok_and(|named| named.is_ok_and(|named| named.clock == config.clock.name))
}

async fn open_stopped(folder: &Path, config: &Config) -> Result<StoppedClock, CliError> {
    // Opening creates what is missing: a verb that only reads must not leave an empty store behind.
    let empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Err(CliError::NoStore(folder.to_owned()));
    }
    Ok(start::open_stopped(config).await?)
}

/// Where this machine reaches the configured HTTP address; encrypted, by the first name that a certificate may have.
fn web_target(config: &Config) -> Target {
    if config.http.tls.is_some() {
        let is_own = |host: &&String| !matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        let host = config.http.hosts.iter().find(is_own).map_or("localhost", String::as_str);
        return Target::Tls(format!("{host}:{}", config.http.listen.port()));
    }
    let listen = config.http.listen;
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Target::Tcp(SocketAddr::new(ip, listen.port()).to_string())
}
