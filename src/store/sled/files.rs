//! The folder's files beside sled's own: the lock, the seal, and the handle that makes sled's writes durable.

use super::{guard::io_error, meta::Meta, seal};
use crate::store::StoreError;
use ponos::{
    file_lock,
    private::{self, ExposedError},
};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Sled's file, of all its logs and pages.
pub(super) const DATABASE: &str = "db";
const BLOBS: &str = "blobs";
const CONFIGURATION: &str = "conf";
const LOCK: &str = "lock";

/// Holds the lock as long as it lives.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    database: File,
    synced_blobs: BTreeSet<OsString>,
    _lock: File,
}

/// Makes the folder if it is missing, closes it to other users, and takes the lock. A clock that is just ending still has that,
/// and so has, for a moment, a process that its process is starting (between fork and exec).
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let io = |error| io_error(folder, "opening it", &error);
    private::folder(folder).map_err(|error| exposed(folder, error))?;
    close(folder)?;
    let file =
        File::options().create(true).write(true).truncate(false).open(folder.join(LOCK)).map_err(io)?;
    match file_lock::take(&file).map_err(io)? {
        true => Ok(file),
        false => Err(StoreError::Locked { path: folder.to_owned() }),
    }
}

/// Whether nothing is in a folder but a lock, which whoever is about to write there has made; one that is missing is empty.
pub(crate) fn is_empty(folder: &Path) -> Result<bool, StoreError> {
    let io = |error| io_error(folder, "looking for what is there", &error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        if entry.map_err(io)?.file_name() != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until sled has let go of its file.
pub(super) fn await_release(folder: &Path) {
    file_lock::await_release(&folder.join(DATABASE));
}

/// Makes the files private: none can be followed out of the folder, or be held by another user.
pub(super) fn close(folder: &Path) -> Result<(), StoreError> {
    let own = |name: &str| {
        [DATABASE, BLOBS, LOCK, CONFIGURATION, seal::NAME].contains(&name) || name.starts_with("snap.")
    };
    private::content(folder, own).map_err(|error| exposed(folder, error))
}

/// A folder or file that is not this user's alone.
pub(crate) fn exposed(folder: &Path, error: ExposedError) -> StoreError {
    match error {
        ExposedError::Io(error) => io_error(folder, "opening it", &error),
        exposed => StoreError::Io { path: folder.to_owned(), what: exposed.to_string().into() },
    }
}

/// Whether the database's file is there.
pub(super) fn has_database(folder: &Path) -> Result<bool, StoreError> {
    folder.join(DATABASE).try_exists().map_err(|error| io_error(folder, "looking for the database", &error))
}

/// Removes what a crash left of an unfinished snapshot: sled would take it for a finished one, and for damage.
pub(super) fn remove_unfinished_snapshots(folder: &Path) -> Result<(), StoreError> {
    let io = |error| io_error(folder, "tidying up", &error);
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(io)?;
        }
    }
    Ok(())
}

impl Files {
    /// Opens a handle of its own on the database, which must exist by now, and makes its name durable.
    pub(super) fn open(folder: &Path, lock: File) -> Result<Self, StoreError> {
        let io = |error| io_error(folder, "opening the database", &error);
        let database = File::open(folder.join(DATABASE)).map_err(io)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(Self { folder: folder.to_owned(), database, synced_blobs: BTreeSet::new(), _lock: lock })
    }

    /// Makes durable what sled has flushed: its `flush` is a `sync_file_range`, which promises nothing for power loss,
    /// and pages above 128 KiB lie in files of their own, which it does not sync at all.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.database.sync_data().map_err(|error| io_error(&self.folder, "syncing the database", &error))?;
        self.sync_blobs().map_err(|error| io_error(&self.folder, "syncing large pages", &error))
    }

    fn sync_blobs(&mut self) -> io::Result<()> {
        let folder = self.folder.join(BLOBS);
        let mut present = BTreeSet::new();
        let mut new = false;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !self.synced_blobs.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_data()?,
                    // Sled removes what it has rewritten at any time.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                new = true;
            }
            present.insert(entry.file_name());
        }
        self.synced_blobs = present;
        if new { File::open(&folder)?.sync_all() } else { Ok(()) }
    }

    /// Replaces the seal.
    pub(super) fn seal(&self, meta: &Meta) -> Result<(), StoreError> {
        seal::write(&self.folder, meta).map_err(|error| io_error(&self.folder, "writing the seal", &error))
    }
}
