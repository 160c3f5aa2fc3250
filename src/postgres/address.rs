//! Where the tables are, and what may be shown of it.

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
};

/// A database and a schema in it. `Debug` shows no password.
#[derive(Clone)]
pub(crate) struct Address {
    options: PgConnectOptions,
    /// `Postgres at host:port/database, schema name`: without user and password.
    shown: PathBuf,
    schema: Arc<str>,
}

/// Why an address can't be used; it never shows what was given, for that has a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AddressError {
    /// It does not read as one.
    #[error(
        "the address of the store is not a valid Postgres URL ({0}); write postgres://user:password@host:5432/database"
    )]
    Url(String),
    /// The schema's name could not be put into a statement as it is.
    #[error(
        "'{0}' is not a valid schema name; use lower-case letters, digits and _, beginning with a letter, at most 63 characters"
    )]
    Schema(String),
}

impl Address {
    /// Reads `postgres://user:password@host:5432/database?sslmode=verify-full`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub(crate) fn parse(url: &str, schema: &str, program: &str) -> Result<Self, AddressError> {
        check_schema(schema)?;
        let options = options(url)?
            .application_name(program)
            .disable_statement_logging()
            // A pooler in transaction mode gives each transaction another session: it must find nothing left there.
            .statement_cache_capacity(0)
            .extra_float_digits(None);
        let database = options.get_database().unwrap_or(options.get_username());
        let (host, port) = (options.get_host(), options.get_port());
        let shown = PathBuf::from(format!("Postgres at {host}:{port}/{database}, schema {schema}"));
        Ok(Self { options, shown, schema: schema.into() })
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}

/// Whether a text is the URL of a Postgres.
///
/// # Errors
/// [`AddressError::Url`].
pub(crate) fn check_url(url: &str) -> Result<(), AddressError> {
    options(url).map(drop)
}

/// Whether a schema's name can be put into a statement unquoted.
///
/// # Errors
/// [`AddressError::Schema`].
pub(crate) fn check_schema(schema: &str) -> Result<(), AddressError> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let fits = schema.starts_with(is_letter)
        && schema.len() <= 63
        && schema.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    if fits { Ok(()) } else { Err(AddressError::Schema(schema.to_owned())) }
}

fn options(url: &str) -> Result<PgConnectOptions, AddressError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(AddressError::Url("it does not begin with postgres://".into()));
    }
    PgConnectOptions::from_str(url).map_err(|error| AddressError::Url(error.to_string()))
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_has_no_password() {
        let address =
            Address::parse("postgres://ann:sesame@db.example:6432/clock", "khronos", "khronos").unwrap();
        assert_eq!(address.shown().to_str(), Some("Postgres at db.example:6432/clock, schema khronos"));
        assert!(!format!("{address:?}").contains("sesame"));
        for wrong in [
            "postgres://ann:sesame@db:port/x",
            "mysql://ann:sesame@db/x",
            "sesame",
            "postgres://ann:sesame@db/x?sslmode=sesam",
        ] {
            let error = Address::parse(wrong, "khronos", "khronos").unwrap_err().to_string();
            assert!(error.contains("postgres://user:password@") && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_schema_that_would_need_quotes_is_refused() {
        for wrong in ["", "1a", "Khronos", "a b", "a;drop", "a\"", &"x".repeat(64)] {
            let error = Address::parse("postgres://db/x", wrong, "khronos").unwrap_err();
            assert!(matches!(error, AddressError::Schema(_)), "{error}");
        }
        Address::parse("postgres://db/x", "_clock_1", "khronos").unwrap();
    }
}
