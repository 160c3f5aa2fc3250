//! `--inbox`: where what was handled is remembered.

use crate::{exit::Exit, trouble::Trouble};
use ponos::inbox::{Inbox, postgres::PostgresOptions};
use std::{fmt, path::PathBuf, str::FromStr};

/// `memory`, `sled:PATH`, or `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process, until it ends.
    Memory,
    /// In a folder, for one replica.
    Sled(PathBuf),
    /// In a database, for any number of replicas; its URL.
    Postgres(String),
}

/// Keys remembered in memory.
const REMEMBERED: usize = 100_000;

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sled", path)) if !path.is_empty() => Ok(Self::Sled(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.into())),
            // what it says is not repeated: it may hold a password
            _ => Err("an inbox is memory, sled:PATH, or postgres://user:password@host/database".into()),
        }
    }
}

impl Place {
    /// Opens it for that service; a folder blocks meanwhile.
    pub(crate) async fn open(&self, service: &str) -> Result<Inbox, Trouble> {
        let opened = match self {
            Self::Memory => Ok(Inbox::memory(REMEMBERED)),
            Self::Sled(path) => Inbox::sled(path, None),
            Self::Postgres(url) => Inbox::postgres(url, PostgresOptions::new(service)).await,
        };
        opened.map_err(|error| Trouble::Words(Exit::InputOutput, format!("--inbox: {error}")))
    }
}

/// Without what a URL may hold.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Sled(_) => "Sled",
            Self::Postgres(_) => "Postgres",
        })
    }
}
