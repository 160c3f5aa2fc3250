//! The folder: its lock, sled's files, and the wall around sled, whose errors and panics become [`InboxError`]s.

use crate::{
    file_lock,
    inbox::{InboxError, InboxErrorClass},
    private::{self, ExposedError},
};
use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Bytes that sled keeps of its pages in memory.
const CACHE: u64 = 8 << 20;

/// An open database.
pub(super) struct Database {
    path: PathBuf,
    /// `None` once sled panicked.
    db: Option<::sled::Db>,
    /// Sled's `flush` promises nothing for power loss (it is a `sync_file_range`): this handle is synced after it.
    file: File,
    /// Last, so that it goes after the database is closed.
    _lock: File,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, InboxError> {
        let io = |doing: &str| {
            let doing = doing.to_owned();
            move |error| io_error(path, &doing, &error)
        };
        private::folder(path).map_err(|error| exposed(path, error))?;
        close(path)?;
        let lock = lock(path)?;
        remove_unfinished_snapshots(path).map_err(io("removing an unfinished snapshot"))?;
        let config = ::sled::Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .mode(::sled::Mode::LowSpace)
            // No thread of sled's own writes: each batch is flushed by itself.
            .flush_every_ms(None);
        let db = opened(path, &config)?;
        close(path)?;
        let file = File::open(path.join("db")).map_err(io("opening the database"))?;
        File::open(path).and_then(|folder| folder.sync_all()).map_err(io("syncing the folder"))?;
        Ok(Self { path: path.to_owned(), db: Some(db), file, _lock: lock })
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<::sled::IVec>, InboxError> {
        self.call(|db| db.get(key))
    }

    /// At most `most` entries from `start` on.
    pub(super) fn scan(&mut self, start: &[u8], most: usize) -> Result<Vec<KeyValue>, InboxError> {
        self.call(|db| db.range(start..).take(most).collect())
    }

    /// Atomic, and durable when this returns.
    pub(super) fn write(&mut self, batch: ::sled::Batch) -> Result<(), InboxError> {
        self.call(|db| db.apply_batch(batch).and_then(|()| db.flush()))?;
        self.file.sync_data().map_err(|error| io_error(&self.path, "syncing the database", &error))
    }

    fn call<T>(&mut self, call: impl FnOnce(&::sled::Db) -> ::sled::Result<T>) -> Result<T, InboxError> {
        let Some(db) = &self.db else { return Err(damaged(&self.path, "sled failed before")) };
        let mut result = guarded(&self.path, || call(db));
        if let Err(error) = &mut result
            && error.class == InboxErrorClass::Refused
        {
            // Sled's clean-up could wait for ever for what a panic left half done: it is left alone. With it stays
            // its lock of the file, so that this process can't open it again.
            std::mem::forget(self.db.take());
            error.remedy = format!("restart this process; if that is not enough, {}", error.remedy);
        }
        result
    }
}

/// A key and its value.
pub(super) type KeyValue = (::sled::IVec, ::sled::IVec);

impl Drop for Database {
    fn drop(&mut self) {
        // Sled unwraps a sync while it closes; what was recorded was synced before.
        if let Some(db) = self.db.take()
            && catch_unwind(AssertUnwindSafe(move || drop(db))).is_err()
        {
            tracing::warn!(inbox = %self.path.display(), "sled could not close its file");
        }
        file_lock::await_release(&self.path.join("db"));
        // What it wrote while it closed; where that does not succeed, it is done at the next opening.
        let _ = close(&self.path);
    }
}

/// Makes the files private: none can be followed out of the folder, or be held by another user.
fn close(path: &Path) -> Result<(), InboxError> {
    let own = |name: &str| ["db", "blobs", "lock", "conf"].contains(&name) || name.starts_with("snap.");
    private::content(path, own).map_err(|error| exposed(path, error))
}

fn exposed(path: &Path, error: ExposedError) -> InboxError {
    match error {
        ExposedError::Io(error) => io_error(path, "opening the folder", &error),
        ExposedError::Exposed { path: place, what, remedy } => InboxError::refused(
            format!("the inbox {} can't be used: {} {what}", path.display(), place.display()),
            remedy,
        ),
    }
}

/// A worker that is just ending still has the lock.
fn lock(path: &Path) -> Result<File, InboxError> {
    let io = |error| io_error(path, "locking the folder", &error);
    let file =
        File::options().create(true).write(true).truncate(false).open(path.join("lock")).map_err(io)?;
    match file_lock::take(&file).map_err(io)? {
        true => Ok(file),
        false => Err(InboxError {
            class: InboxErrorClass::Unavailable,
            what: format!("the inbox {} is in use by another process", path.display()),
            remedy: "a sled inbox is for one replica: run one, or use Postgres".into(),
        }),
    }
}

/// Sled's own lock is waited for, too. Ours is held, so it is this process that may still have it: a thread of sled's pool lets
/// go of a database that was closed some moments after the call that closed it has returned. Whatever else opened the file
/// without asking for our lock may have it as well, and for good.
fn opened(path: &Path, config: &::sled::Config) -> Result<::sled::Db, InboxError> {
    let opened = file_lock::when_free(|| match guarded(path, || config.open()) {
        Err(InboxError { what, .. }) if what.contains("could not acquire lock") => Ok(None),
        opened => opened.map(Some),
    })?;
    opened.ok_or_else(|| InboxError {
        class: InboxErrorClass::Unavailable,
        what: format!("the inbox {}: the database is still in use: this process has not released it yet, or another program has it open", path.display()),
        remedy: "it is tried again; if that does not help, end whatever else has the file open, or restart this process".into(),
    })
}

/// Sled takes what a crash left of an unfinished snapshot for a finished one, and for damage.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn guarded<T>(path: &Path, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, InboxError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Io(error))) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(io_error(path, "sled", &error))
        }
        Ok(Err(error)) => Err(damaged(path, &error.to_string())),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked");
            Err(damaged(path, words))
        }
    }
}

fn damaged(path: &Path, what: &str) -> InboxError {
    InboxError::refused(
        format!("the inbox {} is damaged: {what}", path.display()),
        "move the folder away to start with an empty inbox; what is delivered twice may then run twice",
    )
}

fn io_error(path: &Path, doing: &str, error: &io::Error) -> InboxError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "give this user permission to write there",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free disk space; the inbox then goes on by itself"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        _ => "it is tried again; check whether the disk works",
    };
    InboxError {
        class: InboxErrorClass::Unavailable,
        what: format!("the inbox {}: {doing}: {error}", path.display()),
        remedy: remedy.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_only_a_person_can_mend_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Database::open(folder.path()).err().unwrap();
        assert_eq!(error.class, InboxErrorClass::Refused, "{error}");
        assert!(error.remedy.contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_database_that_is_not_let_go_of_is_waited_for_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::open(folder.path()).unwrap());
        let held = File::open(folder.path().join("db")).unwrap();
        held.lock().unwrap();
        let error = Database::open(folder.path()).err().unwrap();
        assert_eq!(error.class, InboxErrorClass::Unavailable, "{error}");
        assert!(error.what.contains("has not released"), "{error}");
        drop(held);
        Database::open(folder.path()).unwrap();
    }

    #[test]
    fn after_a_panic_of_sleds_only_a_restart_helps_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path()).unwrap();
        let error = database.call(|_| -> ::sled::Result<()> { panic!("of sled's") }).unwrap_err();
        assert_eq!(error.class, InboxErrorClass::Refused);
        assert!(error.remedy.starts_with("restart this process"), "{error}");
        drop(database);
        assert!(Database::open(folder.path()).is_err(), "it could be opened again instead");
    }
}
