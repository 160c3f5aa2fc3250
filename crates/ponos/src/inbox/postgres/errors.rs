//! What sqlx and Postgres say, in classes and in words.

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
            "no connection was to be had in time".into(),
            "see whether it runs there, and whether all connections are in use (each running handler has one)",
        ),
        Error::Tls(said) => say(Class::Refused, said.to_string(), "see sslmode and sslrootcert in the URL"),
        Error::Configuration(said) => say(Class::Refused, said.to_string(), "correct the URL"),
        other => say(Class::Unavailable, other.to_string(), "it is tried again; see whether it runs"),
    }
}

/// SQLSTATE, by its class or its own five letters.
fn by_code(code: &str) -> (Class, &'static str) {
    match code {
        "55P03" | "40001" | "40P01" => (Class::Conflict, "it is released and comes again"),
        "25P02" => (
            Class::Refused,
            "a statement of the handler failed and it went on: let the handler return its error",
        ),
        "28P01" | "28000" => (Class::Refused, "check user and password, and pg_hba.conf"),
        "3D000" => (Class::Refused, "create the database, or correct the end of the URL"),
        "42501" => {
            (Class::Refused, "grant it, or let somebody who may run what ponos::inbox::postgres::ddl gives")
        }
        "42P01" | "42703" | "3F000" => {
            (Class::Refused, "the tables are missing or others: run what ponos::inbox::postgres::ddl gives")
        }
        // Connections, resources (disk full, too many connections), an operator's intervention, the system's errors.
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            (Class::Unavailable, "it is tried again; see the server's log")
        }
        _ => (Class::Refused, "see the server's log"),
    }
}

pub(super) fn too_slow(address: &str, doing: &str, limit: Duration) -> InboxError {
    InboxError {
        class: Class::Unavailable,
        what: format!("{doing}: {address} did not answer within {limit:?}"),
        remedy: "it is tried again; see whether it is overloaded".into(),
    }
}
