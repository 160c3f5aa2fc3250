//! Classifies the errors of sqlx and Postgres, and says what to do.

use crate::inbox::{InboxError, InboxErrorClass as Class};
use sqlx::{Error, postgres::PgConnectOptions};
use std::time::Duration;

/// `Postgres at host:port/database`, without user and password.
pub(super) fn address(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("Postgres at {}:{}/{database}", options.get_host(), options.get_port())
}

pub(super) fn classify(address: &str, doing: &str, error: &Error) -> InboxError {
    let say = |class, what: String, remedy: &str| InboxError {
        class,
        what: format!("{doing}: {address}: {what}"),
        remedy: remedy.into(),
    };
    match error {
        Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            let (class, remedy) = by_code(&code);
            say(class, format!("{} ({code})", said.message()), remedy)
        }
        Error::PoolTimedOut => say(
            Class::Unavailable,
            "no connection was free in time".into(),
            "check whether Postgres runs there, and whether all connections are in use (each running handler holds one)",
        ),
        Error::Tls(said) => say(Class::Refused, said.to_string(), "check sslmode and sslrootcert in the URL"),
        Error::Configuration(said) => say(Class::Refused, said.to_string(), "correct the URL"),
        other => {
            say(Class::Unavailable, other.to_string(), "it is tried again; check whether Postgres runs there")
        }
    }
}

/// SQLSTATE, by its class or its own five letters.
fn by_code(code: &str) -> (Class, &'static str) {
    match code {
        "55P03" | "40001" | "40P01" => (Class::Conflict, "it is tried again after a pause"),
        "25P02" => (
            Class::Refused,
            "a statement of the handler failed, but the handler went on: return the statement's error from the handler",
        ),
        "28P01" | "28000" => (Class::Refused, "check the user and password, and pg_hba.conf"),
        "3D000" => (Class::Refused, "create the database, or correct the end of the URL"),
        "42501" => (
            Class::Refused,
            "grant the permission, or have an administrator run the SQL of ponos::inbox::postgres::ddl",
        ),
        "42P01" | "42703" | "42P10" | "3F000" => (
            Class::Refused,
            "the tables are missing, or have other columns: run the SQL of ponos::inbox::postgres::ddl",
        ),
        // Connections, resources (disk full, too many connections), an operator's intervention, the system's errors.
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            (Class::Unavailable, "it is tried again; check the server's log")
        }
        _ => (Class::Refused, "check the server's log"),
    }
}

pub(super) fn too_slow(address: &str, doing: &str, limit: Duration) -> InboxError {
    InboxError {
        class: Class::Unavailable,
        what: format!("{doing}: {address} did not answer within {limit:?}"),
        remedy: "it is tried again; check whether the server is overloaded".into(),
    }
}
