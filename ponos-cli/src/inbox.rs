//! `--inbox`: where what was handled is remembered.

use crate::{exit::Exit, trouble::Trouble};
use ponos::inbox::Inbox;
use std::{path::PathBuf, str::FromStr};

/// `memory`, or `sled:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process, until it ends.
    Memory,
    /// In a folder, for one replica.
    Sled(PathBuf),
}

/// Keys remembered in memory.
const REMEMBERED: usize = 100_000;

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sled", path)) if !path.is_empty() => Ok(Self::Sled(path.into())),
            // what it says is not repeated: it may hold a password
            _ => Err("an inbox is memory, or sled:PATH".into()),
        }
    }
}

impl Place {
    /// Opens it; blocks meanwhile.
    pub(crate) fn open(&self) -> Result<Inbox, Trouble> {
        match self {
            Self::Memory => Ok(Inbox::memory(REMEMBERED)),
            Self::Sled(path) => Inbox::sled(path, None)
                .map_err(|error| Trouble::Words(Exit::InputOutput, format!("--inbox: {error}"))),
        }
    }
}
