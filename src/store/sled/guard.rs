//! The wall around sled: its errors and panics become [`StoreError`]s. Sled panics on damaged pages, at opening and
//! later; what a panic leaves behind is never used again.

use crate::store::StoreError;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// The remedy for damage.
pub(super) const RESTORE: &str = "restore the whole folder from a backup, or move it away to start with an empty store (progress and record begin anew)";

/// Calls into sled.
pub(super) fn guarded<T>(path: &Path, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(path, error)),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            Err(damaged(path, format!("sled gave up on its content ({words})")))
        }
    }
}

/// What is on the disk is not what was written.
pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into(), remedy: RESTORE.into() }
}

/// What is said of a full disk, wherever that is told of.
pub const NO_ROOM: &str = "; make room: the clock goes on by itself then";

/// The system refused; with the remedy where the cause is known.
pub(crate) fn io_error(path: &Path, doing: &str, error: &io::Error) -> StoreError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give this user the right to write there, or choose another folder with --store"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => NO_ROOM,
        io::ErrorKind::ReadOnlyFilesystem => "; mount it for writing, or choose another folder with --store",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "; choose a folder with --store",
        _ => "",
    };
    StoreError::Io { path: path.to_owned(), what: Arc::from(format!("{doing}: {error}{remedy}")) }
}

fn translate(path: &Path, error: ::sled::Error) -> StoreError {
    match error {
        // A read past the end of the file: the file is shorter than its own pages say.
        ::sled::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(path, format!("the database ends too early ({error})"))
        }
        ::sled::Error::Io(error) => io_error(path, "sled", &error),
        other => damaged(path, other.to_string()),
    }
}
