//! The seal: a small file beside the database that says what must be in it. Sled opens a truncated file as an empty
//! database and says nothing; the seal notices. It is replaced whole (temporary file, fsync, rename, fsync of the
//! folder), after the database's own sync, so that the database is as old as its seal or one write ahead of it.

use super::meta::{Meta, fingerprint, is_understood};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{
        self,
        ErrorKind::{NotADirectory, NotFound},
        Write as _,
    },
    path::Path,
};

/// The seal's file name.
pub(crate) const NAME: &str = "seal";
const TEMPORARY: &str = "seal.new";

/// What is wrong with a seal.
#[derive(Debug)]
pub(super) enum Broken {
    /// It can't be read.
    Io(io::Error),
    /// It is not what was written.
    Content(String),
    /// A newer version of khronos wrote it, in this form.
    Newer(u32),
}

/// What a seal of any form says.
#[derive(Deserialize)]
struct AnyForm {
    form: u32,
}

/// Reads the seal in a folder; `None` when there is none.
pub(super) fn read(folder: &Path) -> Result<Option<Meta>, Broken> {
    let bytes = match fs::read(folder.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
        Err(error) => return Err(Broken::Io(error)),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| Broken::Content("it is not text".into()))?;
    let (content, sum) = text
        .strip_suffix('\n')
        .and_then(|text| text.split_once('\n'))
        .ok_or_else(|| Broken::Content("it does not have two lines".into()))?;
    if sum != checksum(content) {
        return Err(Broken::Content("its checksum does not match".into()));
    }
    let unreadable = |error: serde_json::Error| Broken::Content(error.to_string());
    let AnyForm { form } = serde_json::from_str(content).map_err(unreadable)?;
    if !is_understood(form) {
        return Err(Broken::Newer(form));
    }
    serde_json::from_str(content).map(Some).map_err(unreadable)
}

/// Replaces the seal, durably.
pub(super) fn write(folder: &Path, meta: &Meta) -> io::Result<()> {
    let content = serde_json::to_string(meta)?;
    let temporary = folder.join(TEMPORARY);
    let mut file = ponos::private::new_file(&temporary)?;
    file.write_all(format!("{content}\n{}\n", checksum(&content)).as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

pub(super) fn checksum(content: &str) -> String {
    format!("{:016x}", fingerprint(b"seal", content.as_bytes()))
}
