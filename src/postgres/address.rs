//! Where the tables are, and what may be shown of it.

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    net::IpAddr,
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

    /// What a person should know of a connection that leaves this machine and does not prove who answers; and do about it.
    pub(crate) fn risk(&self) -> Option<String> {
        let host = self.options.get_host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_here = self.options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if is_here || matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return None;
        }
        Some(format!(
            "the connection to the store's Postgres at {host} does not prove that it is that server: whoever is on the way may read the password and all that is kept, or answer in its place; set sslmode=verify-full in its URL, with sslrootcert=FILE where its certificate is of a CA of one's own"
        ))
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

/// Whether a text that is meant to be a URL has a password in it.
pub(crate) fn has_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || parameters.split('&').any(|parameter| parameter.starts_with("password="))
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
    let refused = |why: String| Err(AddressError::Url(why));
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return refused("it does not begin with postgres://".into());
    }
    if url.contains('#') {
        return refused("it has a '#', which is written %23 in a password".into());
    }
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    PgConnectOptions::from_str(place).map_err(|error| AddressError::Url(error.to_string()))?;
    // Each by itself, for an error would repeat its value, and what is not known would be logged with it.
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-[].".contains(c);
        // What does not look like a name may be the rest of a password.
        let shown = if key.chars().all(is_name) { key } else { "in its query" };
        if !KNOWN.contains(&key) && !key.starts_with("options[") {
            return refused(format!(
                "its parameter {shown} is not known; those known are {}",
                KNOWN.join(", ")
            ));
        }
        if PgConnectOptions::from_str(&format!("postgres://host/?{parameter}")).is_err() {
            return refused(format!("the value of its parameter {key} is not valid"));
        }
    }
    let Ok(options) = PgConnectOptions::from_str(url) else {
        return refused("its parameters do not fit each other".into());
    };
    let is_ca = |key: &str| ["sslrootcert", "ssl-root-cert", "ssl-ca"].contains(&key);
    let mut keys = parameters.split('&').filter_map(|parameter| parameter.split_once('='));
    let has_ca = keys.any(|(key, _)| is_ca(key));
    let verifies = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    // Otherwise than with libpq no certificate is looked at then.
    if has_ca && !verifies {
        return refused("sslrootcert counts for nothing without sslmode=verify-ca or verify-full".into());
    }
    Ok(options)
}

/// Parameters of a URL. Beside these, and `options[…]`, none is read.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
    "application_name",
    "statement-cache-capacity",
];

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
            "postgres://ann:sesame@db/x?sslmode=sesame",
            "postgres://ann:sesame@db/x?port=sesame",
            "postgres://ann:1?sesame@db/x",
            "postgres://ann:1#sesame@db/x",
        ] {
            let error = Address::parse(wrong, "khronos", "khronos").unwrap_err().to_string();
            assert!(error.contains("postgres://user:password@") && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_known_or_not_valid_is_refused_by_its_name_alone() {
        for (parameter, said) in [
            ("sslpassword=sesame", "parameter sslpassword is not known"),
            ("connect_timeout=sesame", "parameter connect_timeout is not known"),
            ("user=bob&sslmode=sesame", "value of its parameter sslmode is not valid"),
            ("hostaddr=sesame", "value of its parameter hostaddr is not valid"),
        ] {
            let error = check_url(&format!("postgres://db/x?{parameter}")).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("sesame"), "{error}");
        }
        check_url("postgres://db/x?user=bob&password=p%26q&options[search_path]=a&sslmode=verify-full")
            .unwrap();
    }

    #[test]
    fn a_ca_that_no_certificate_would_be_held_to_is_refused() {
        for mode in ["", "&sslmode=require", "&sslmode=prefer", "&sslmode=allow", "&sslmode=disable"] {
            let error =
                check_url(&format!("postgres://db/x?sslrootcert=ca.pem{mode}")).unwrap_err().to_string();
            assert!(error.contains("sslrootcert counts for nothing"), "{mode}: {error}");
        }
        for mode in ["verify-ca", "verify-full"] {
            check_url(&format!("postgres://db/x?sslmode={mode}&sslrootcert=ca.pem")).unwrap();
        }
    }

    #[test]
    fn a_server_elsewhere_that_need_not_prove_itself_is_a_risk() {
        let risk = |url| Address::parse(url, "khronos", "khronos").unwrap().risk();
        for risky in [
            "postgres://ann:sesame@db.example/x",
            "postgres://ann:sesame@10.0.0.7/x?sslmode=require",
            "postgres://ann:sesame@localhost/x?hostaddr=10.0.0.7",
            "postgres://ann:sesame@[2001:db8::7]/x?sslmode=verify-ca",
        ] {
            let said = risk(risky).unwrap();
            assert!(said.contains("sslmode=verify-full") && !said.contains("sesame"), "{said}");
        }
        for safe in [
            "postgres://db.example/x?sslmode=verify-full",
            "postgres://localhost/x",
            "postgres://127.0.0.1/x",
            "postgres://[::1]/x",
            "postgres:///x?host=/run/postgresql",
        ] {
            assert_eq!(risk(safe), None, "{safe}");
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
