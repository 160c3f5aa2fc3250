//! Where a clock is to be asked.

use super::{
    super::{feed, listener::control_path},
    ClientError,
};
use axum::http::Uri;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a clock is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `host:port`, not encrypted.
    Tcp(String),
    /// `host:port`, encrypted; the clock's certificate is to be for this host.
    Tls(String),
    /// A control socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "http://{authority}"),
            Self::Tls(authority) => write!(f, "https://{authority}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Target {
    /// The control socket of the clock that runs on this store.
    pub fn of_store(store: &Path) -> Self {
        Self::Unix(control_path(store))
    }

    /// From `http://host:port` or `https://host:port`, with a trailing slash or the path of the feed allowed.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn from_url(url: &str) -> Result<Self, ClientError> {
        let refused = |what| ClientError::Address { address: url.to_owned(), what };
        let uri: Uri = url.parse().map_err(|_| refused("it is malformed"))?;
        let (usual, target): (u16, fn(String) -> Self) = match uri.scheme_str() {
            Some("http") => (80, Self::Tcp),
            Some("https") => (443, Self::Tls),
            _ => return Err(refused("it must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it may not contain a user or password"));
        }
        let is_known = matches!(uri.path(), "" | "/" | "/v1") || feed::PATHS.contains(&uri.path());
        if !is_known || uri.query().is_some() {
            return Err(refused("nothing may follow the port; give patterns with --match"));
        }
        let port = authority.port_u16().unwrap_or(usual);
        Ok(target(format!("{}:{port}", authority.host())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_feeds_are_understood_or_refused_with_the_reason() {
        assert_eq!(Target::from_url("http://127.0.0.1:7650/").unwrap(), Target::Tcp("127.0.0.1:7650".into()));
        assert_eq!(Target::from_url("http://[::1]:7650").unwrap(), Target::Tcp("[::1]:7650".into()));
        assert_eq!(
            Target::from_url("https://clock.internal").unwrap(),
            Target::Tls("clock.internal:443".into())
        );
        for path in ["/feed", "/v1/feed", "/v1"] {
            let url = format!("https://[::1]:7650{path}");
            assert_eq!(Target::from_url(&url).unwrap(), Target::Tls("[::1]:7650".into()));
        }
        for wrong in [
            "ftp://a:1",
            "localhost:7650",
            "http://a:1/feed?match=x",
            "http://",
            "https://a/b",
            "http://me:pw@a:1",
            "https://me:pw@a:1",
            "http://[:@1]2",
        ] {
            assert!(matches!(Target::from_url(wrong), Err(ClientError::Address { .. })), "{wrong}");
        }
    }
}
