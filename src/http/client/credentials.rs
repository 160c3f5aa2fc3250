//! How a client shows who asks, and whom it believes to be the clock.

use super::{ClientError, Target};
use crate::authority::token::Token;
use ponos::files;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

/// Bytes of a PEM file: more than the authorities of a whole system have.
const MOST_BYTES: u64 = 4 << 20;

/// Who asks, and which authorities are trusted to say who the clock is.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Shown to the clock, but for its control socket.
    pub token: Option<Token>,
    /// PEM; instead of the machine's authorities.
    pub ca_file: Option<PathBuf>,
}

impl Credentials {
    /// The token for this target, as a header's value.
    ///
    /// # Errors
    /// [`ClientError::Clear`]: it would go over the network in the clear.
    pub(super) fn authorization(&self, target: &Target) -> Result<Option<String>, ClientError> {
        let Some(token) = &self.token else { return Ok(None) };
        match target {
            Target::Unix(_) => Ok(None),
            Target::Tcp(authority) if !is_here(authority) => Err(ClientError::Clear(target.clone())),
            Target::Tcp(_) | Target::Tls(_) => Ok(Some(format!("Bearer {}", token.reveal()))),
        }
    }

    /// What begins an encrypted connection.
    pub(super) fn connector(&self) -> Result<TlsConnector, String> {
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(match &self.ca_file {
            Some(file) => certificates(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        });
        if usable == 0 {
            return Err(
                "no certificate authority is known: install ca-certificates, or name a file with --ca-file"
                    .into(),
            );
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config).into())
    }
}

/// The name that the clock's certificate must have.
pub(super) fn server_name(authority: &str) -> Result<ServerName<'static>, String> {
    let host = host(authority);
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("'{host}' is not a name that a certificate can have"))
}

fn host(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether nothing of the way there is a network.
pub(in crate::http) fn is_here(authority: &str) -> bool {
    let host = host(authority);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let bytes = files::read(file, MOST_BYTES).map_err(|error| format!("{shown} can't be read: {error}"))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{shown} has no usable certificate: {error}"))?;
    if found.is_empty() { Err(format!("{shown} has no certificate: give a PEM file")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::token::RANDOM_BYTES;

    #[test]
    fn a_token_goes_over_no_network_in_the_clear_and_to_no_control_socket() {
        let token = Token::from_random([7; RANDOM_BYTES]);
        let credentials = Credentials { token: Some(token.clone()), ca_file: None };
        let sent = |target: &Target| credentials.authorization(target).map_err(|error| error.to_string());
        let shown = Some(format!("Bearer {}", token.reveal()));
        for here in ["127.0.0.1:7650", "localhost:7650", "[::1]:7650", "127.1.2.3:1"] {
            assert_eq!(sent(&Target::Tcp(here.into())).unwrap(), shown, "{here}");
        }
        for elsewhere in ["clock.internal:7650", "10.0.0.7:7650", "[fd00::1]:80", "localhost.evil.example:1"]
        {
            let refused = sent(&Target::Tcp(elsewhere.into())).unwrap_err();
            assert!(refused.contains("https://") && !refused.contains(&token.reveal()[12..]), "{refused}");
            assert_eq!(sent(&Target::Tls(elsewhere.into())).unwrap(), shown, "{elsewhere}");
        }
        assert_eq!(sent(&Target::Unix("control.sock".into())).unwrap(), None);
        assert!(!format!("{credentials:?}").contains(&token.reveal()[12..]));
    }

    #[test]
    fn the_certificate_is_for_the_host_of_the_address() {
        for (authority, name) in
            [("clock.internal:7650", "clock.internal"), ("[::1]:7650", "::1"), ("10.0.0.7:1", "10.0.0.7")]
        {
            assert_eq!(server_name(authority).unwrap().to_str(), name);
        }
        assert!(server_name("a b:1").is_err());
    }
}
