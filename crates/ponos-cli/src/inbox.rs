//! `--inbox`: which inbox remembers what was handled.

use crate::{exit::Exit, trouble::Trouble};
use ponos::inbox::{Inbox, InboxError, InboxErrorClass, postgres::PostgresOptions};
use std::{fmt, path::PathBuf};

/// The variable that names the inbox if `--inbox` does not; programs that are run do not inherit it.
pub(crate) const VARIABLE: &str = "PONOS_INBOX";

/// `memory`, `sled:PATH`, or `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum InboxLocation {
    /// In this process, until it ends.
    Memory,
    /// In a folder, for one replica.
    Sled(PathBuf),
    /// In a database, for any number of replicas; its URL.
    Postgres(String),
}

/// Where retries wait of a worker whose inbox is on Postgres.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct RetriesArgs {
    /// Messages wait for their next attempt on the broker, and not in the inbox's database, where ponos waiting shows them: for
    /// workers that are started only while something is in their queues. So it is with --drain
    #[arg(
        long,
        env = "PONOS_RETRIES_ON_BROKER",
        hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub(crate) retries_on_broker: bool,
}

/// Keys remembered in memory.
const REMEMBERED: usize = 100_000;

impl InboxLocation {
    /// Parses `--inbox`. Not done by clap, because its errors repeat the value, and with it a password.
    pub(crate) fn read(text: &str) -> Result<Self, Trouble> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sled", path)) if !path.is_empty() => Ok(Self::Sled(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.into())),
            _ => {
                Err(Trouble::usage("--inbox is memory, sled:PATH, or postgres://user:password@host/database"))
            }
        }
    }

    /// Parses the environment variable.
    pub(crate) fn from_variable() -> Result<Self, Trouble> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => Self::read(&text),
            _ => Err(Trouble::usage(format!("--inbox names no inbox, and {VARIABLE} is not set"))),
        }
    }

    /// Whether it can show what waits.
    pub(crate) fn shows_what_waits(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Opens it for this service, which runs `slots` handlers at a time and whose retries wait there, if they can; opening a folder
    /// blocks.
    pub(crate) async fn open(
        &self,
        service: &str,
        slots: usize,
        keeps_retries: bool,
    ) -> Result<Inbox, Trouble> {
        let opened = match self {
            Self::Memory => Ok(Inbox::memory(REMEMBERED)),
            Self::Sled(path) => Inbox::sled(path, None),
            Self::Postgres(url) => {
                let connections = u32::try_from(slots).unwrap_or(u32::MAX);
                let options = PostgresOptions { connections, keeps_retries, ..PostgresOptions::new(service) };
                Inbox::postgres(url, options).await
            }
        };
        opened.map_err(|error| trouble("--inbox", &error))
    }
}

/// An inbox's error as a message with its exit code.
pub(crate) fn trouble(doing: &str, error: &InboxError) -> Trouble {
    let exit = match error.class {
        InboxErrorClass::Unavailable | InboxErrorClass::Conflict => Exit::Unavailable,
        InboxErrorClass::Refused => Exit::AccessRefused,
    };
    Trouble::Words(exit, format!("{doing}: {error}"))
}

/// Without the URL, which may hold a password.
impl fmt::Debug for InboxLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Sled(_) => "Sled",
            Self::Postgres(_) => "Postgres",
        })
    }
}
