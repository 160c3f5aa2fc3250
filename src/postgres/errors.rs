//! Why a call failed, and what to do about it.

use super::Address;
use crate::store::{NO_ROOM, StoreError};
use std::time::Duration;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failed {
    Sql(Box<sqlx::Error>),
    /// Connecting, or a call, had no answer within this.
    TooSlow(Duration),
    /// Another clock acquired the shard: its term.
    Fenced(u64),
    /// The row is this process's own, and not as it was left or expected; what is read or written begins anew by what lies there.
    Moved(&'static str),
    /// What lies there does not read as what was written.
    Unreadable(String),
    /// A newer version of khronos made the tables.
    Newer(u32),
    Store(StoreError),
}

impl Failed {
    /// Whether the server is not there at present, or starts or ends just now.
    pub(crate) fn is_of_its_absence(&self) -> bool {
        match self {
            Self::Sql(error) => match &**error {
                // Or what stands in front of it ended the connection before the first answer was whole.
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
                // It starts or stops; a pooler does not reach it; it has no connection left.
                sqlx::Error::Database(said) => said
                    .code()
                    .is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "53300"),
                _ => false,
            },
            Self::TooSlow(_) => true,
            _ => false,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const RESTORE: &str =
    "restore the database from a backup, or use another schema (progress and record begin anew)";

impl Address {
    /// What happened, where, and what to do; `term` is ours.
    pub(crate) fn explain(&self, failed: Failed, term: u64) -> StoreError {
        let path = || self.shown().to_owned();
        match failed {
            Failed::Sql(error) => self.io(said(&error)),
            Failed::TooSlow(limit) => self.io(format!(
                "no answer within {} ms; it is tried again: check whether the server runs there, and whether it is overloaded",
                limit.as_millis()
            )),
            Failed::Fenced(seen) => StoreError::Fenced { term, seen },
            Failed::Moved(what) => self.io(what),
            Failed::Unreadable(what) => self.damaged(what),
            Failed::Newer(form) => StoreError::Newer { path: path(), form, known: super::schema::NEWEST },
            Failed::Store(error) => error,
        }
    }

    pub(crate) fn io(&self, what: impl Into<std::sync::Arc<str>>) -> StoreError {
        StoreError::Io { path: self.shown().to_owned(), what: what.into() }
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.shown().to_owned(), what: what.into(), remedy: RESTORE.into() }
    }
}

fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            format!("{} ({code}){}", said.message(), remedy(&code))
        }
        sqlx::Error::Tls(said) => format!("TLS: {said}; check sslmode and sslrootcert in the URL"),
        other => format!("{other}; it is tried again: check whether the server runs there"),
    }
}

/// By SQLSTATE.
fn remedy(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => "; check the user and password, and pg_hba.conf",
        "3D000" => "; create the database, or correct the end of the URL",
        "42501" => "; grant the permission: the role needs its schema, or create on the database",
        "42P01" | "42703" | "3F000" => {
            "; its tables were removed or changed: restore them, or use another schema"
        }
        "53100" => NO_ROOM,
        "25006" => "; the server is a read replica: give the address of the primary",
        _ => "; check the server's log",
    }
}
