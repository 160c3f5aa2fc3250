//! `--schema`: a file with a JSON Schema, or a folder of files NAME.json.

use crate::{exit::Exit, trouble::Trouble};
use ponos::{
    schema::{Contract, Registry},
    schema_files,
};
use std::path::{Path, PathBuf};

/// The schemas that payloads must match.
pub(crate) enum Contracts {
    /// One schema for all names.
    One(Contract),
    /// A schema for each name.
    Folder(PathBuf, Registry),
}

impl Contracts {
    /// Reads the file or folder.
    pub(crate) fn read(path: &Path) -> Result<Self, Trouble> {
        let read = if path.is_dir() {
            schema_files::registry(path).map(|registry| Self::Folder(path.to_owned(), registry))
        } else {
            schema_files::contract(path).map(Self::One)
        };
        read.map_err(|why| Trouble::Words(Exit::Configuration, format!("--schema: {why}")))
    }

    /// The schema for deliveries of this name or pattern.
    pub(crate) fn of(&self, pattern: &str) -> Result<Contract, Trouble> {
        let (folder, registry) = match self {
            Self::One(contract) => return Ok(contract.clone()),
            Self::Folder(folder, registry) => (folder.display(), registry),
        };
        let Ok(name) = pattern.parse() else {
            return Err(Trouble::usage(format!(
                "--schema {folder} holds one schema for each name, and '{pattern}' is not a name: write out the names, or give one file for all"
            )));
        };
        let missing = || {
            let what =
                format!("--schema {folder} has no file {pattern}.json; add it, or give one file for all");
            Trouble::Words(Exit::Configuration, what)
        };
        registry.get(&name).cloned().ok_or_else(missing)
    }
}
