//! The folder's files: the lock, the database and the seal.

use super::{guard::no_pages, meta::Meta, pages::Pages, seal::Seal};
use crate::store::{StoreError, exposed, io_error};
use ponos::{file_lock, private};
use std::{
    fs::{self, File},
    path::Path,
};

/// The database's file.
pub(super) const DATABASE: &str = "delayed.redb";
/// The same in creation.
pub(super) const UNFINISHED: &str = "delayed.redb.new";
const LOCK: &str = "lock";

/// Holds the lock as long as it lives.
#[derive(Debug)]
pub(super) struct Files {
    folder: std::path::PathBuf,
    seal: Seal,
    _lock: File,
}

/// Makes the folder if it is missing, closes it to other users, and takes the lock.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let io = |error| io_error(folder, "opening it", &error);
    private::folder(folder).map_err(|error| exposed(folder, error))?;
    let own = |name: &str| [DATABASE, UNFINISHED, LOCK, super::seal::NAME].contains(&name);
    private::content(folder, own).map_err(|error| exposed(folder, error))?;
    let file =
        File::options().create(true).write(true).truncate(false).open(folder.join(LOCK)).map_err(io)?;
    private::content(folder, own).map_err(|error| exposed(folder, error))?;
    match file_lock::take(&file).map_err(io)? {
        true => Ok(file),
        false => Err(StoreError::Locked { path: folder.to_owned() }),
    }
}

/// Whether the database's file is there.
pub(super) fn has_database(folder: &Path) -> Result<bool, StoreError> {
    folder.join(DATABASE).try_exists().map_err(|error| io_error(folder, "looking for the database", &error))
}

/// A new file for the database. It has another name until it is finished.
pub(super) fn create(folder: &Path) -> Result<Pages, StoreError> {
    let io = |error| io_error(folder, "creating the database", &error);
    private::new_file(&folder.join(UNFINISHED)).map_err(io)?;
    let file = File::options().read(true).write(true).open(folder.join(UNFINISHED)).map_err(io)?;
    Pages::create(file).map_err(io)
}

/// The new file is finished: it gets its name.
pub(super) fn finish(folder: &Path) -> Result<(), StoreError> {
    let io = |error| io_error(folder, "creating the database", &error);
    File::open(folder.join(UNFINISHED)).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(folder.join(UNFINISHED), folder.join(DATABASE)).map_err(io)?;
    sync_folder(folder)
}

/// The database that is there.
pub(super) fn open(folder: &Path) -> Result<Pages, StoreError> {
    let file = File::options().read(true).write(true).open(folder.join(DATABASE));
    let file = file.map_err(|error| io_error(folder, "opening the database", &error))?;
    Pages::open(file).map_err(|error| no_pages(folder, error))
}

/// Makes the names in it durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| io_error(folder, "syncing it", &error))
}

impl Files {
    pub(super) fn new(folder: &Path, seal: Seal, lock: File) -> Self {
        Self { folder: folder.to_owned(), seal, _lock: lock }
    }

    /// Says in the seal how far the database is durable.
    pub(super) fn seal(&mut self, meta: &Meta) -> Result<(), StoreError> {
        self.seal.say(meta).map_err(|error| io_error(&self.folder, "writing the seal", &error))
    }
}
