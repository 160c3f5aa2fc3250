//! The wall around redb: its errors, and panics that damage may lead it to, become [`StoreError`]s.

use super::{
    encoding::Unreadable,
    pages::{DamagedPage, NoPages},
};
use crate::store::{StoreError, io_error};
use ::redb::{
    CommitError, DatabaseError, Error, SetDurabilityError, StorageError, TableError, TransactionError,
};
use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// The remedy for damage.
pub(super) const RESTORE: &str = "restore the whole folder from a backup, or move it away to start without the delayed events in it (those will not be sent)";

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failed {
    Redb(Box<Error>),
    /// What lies there does not read as what was written.
    Unreadable(String),
    Store(StoreError),
}

macro_rules! from_redb {
    ($($error:ident)*) => { $(
        impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        }
    )* };
}

from_redb! { CommitError DatabaseError SetDurabilityError StorageError TableError TransactionError }

impl From<Unreadable> for Failed {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Calls into redb.
pub(super) fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, Failed>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failed::Redb(error))) => Err(translate(path, *error)),
        Ok(Err(Failed::Unreadable(what))) => Err(damaged(path, what)),
        Ok(Err(Failed::Store(error))) => Err(error),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            Err(damaged(path, format!("redb gave up on its content ({words})")))
        }
    }
}

/// What is on the disk is not what was written.
pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into(), remedy: RESTORE.into() }
}

/// It is not open any more.
pub(super) fn closed(path: &Path) -> StoreError {
    StoreError::Io { path: path.to_owned(), what: Arc::from("it is closed") }
}

/// The file is not one of ours.
pub(super) fn no_pages(path: &Path, error: NoPages) -> StoreError {
    match error {
        NoPages::Io(error) => io_error(path, "opening the database", &error),
        NoPages::Damaged => damaged(path, "its database does not begin as one does"),
        NoPages::Newer(form) => {
            StoreError::Newer { path: path.to_owned(), form, known: super::pages::FILE_FORM }
        }
    }
}

fn translate(path: &Path, error: Error) -> StoreError {
    match error {
        Error::Io(error) => {
            if let Some(page) = error.get_ref().and_then(|inner| inner.downcast_ref::<DamagedPage>()) {
                return damaged(path, page.to_string());
            }
            match error.kind() {
                // A read past the end of the file: the file is shorter than its own pages say.
                ErrorKind::UnexpectedEof => damaged(path, format!("its database ends too early ({error})")),
                // What is no file of redb's, and what redb never asks of a file that is whole.
                ErrorKind::InvalidData | ErrorKind::InvalidInput => damaged(path, error.to_string()),
                _ => io_error(path, "its database", &error),
            }
        }
        // What redb says of each call after one that failed; that one was answered with its own error.
        Error::PreviousIo | Error::DatabaseClosed => closed(path),
        other => damaged(path, other.to_string()),
    }
}
