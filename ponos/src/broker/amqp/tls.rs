//! TLS for `amqps://`: which authority is believed, and who we say we are.

use super::{super::LinkError, errors::configuration};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::path::{Path, PathBuf};

/// PEM files, read at each connection, so that renewed ones are used without a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the broker's certificate, and the only one believed; the machine's own if `None`.
    pub ca: Option<PathBuf>,
    /// Our certificate (with its chain) and its key, for a broker that asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Reads the files.
    pub(super) fn connector(&self) -> Result<RustlsConnector, LinkError> {
        let mut config = match &self.ca {
            None => RustlsConnectorConfig::new_with_native_certs().map_err(|error| {
                configuration(
                    format!("the machine's certificate authorities can't be read: {error}"),
                    "install ca-certificates, or name the authority's file in the configuration",
                )
            })?,
            Some(_) => RustlsConnectorConfig::default(),
        };
        if let Some(ca) = &self.ca {
            config.add_parsable_certificates(certificates(ca)?);
        }
        let connector = match &self.client {
            None => config.connector_with_no_client_auth(),
            Some((certificate, key)) => {
                let pem = PrivateKeyDer::from_pem_file(key).map_err(|error| {
                    configuration(
                        format!("{} holds no usable private key: {error}", key.display()),
                        "give a readable PEM file with an unencrypted key",
                    )
                })?;
                config.connector_with_single_cert(certificates(certificate)?, pem)
            }
        };
        connector.map_err(|error| {
            let files = [self.ca.as_deref(), self.client.as_ref().map(|(c, _)| c.as_path())];
            let files: Vec<_> = files.iter().flatten().map(|file| file.display().to_string()).collect();
            configuration(
                format!("the TLS files can't be used ({}): {error}", files.join(", ")),
                "check that they are PEM certificates, and that key and certificate belong together",
            )
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let refused = |why: String| {
        configuration(
            format!("{} holds no usable certificate: {why}", file.display()),
            "give a readable PEM file",
        )
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| refused(error.to_string()))?;
    if certificates.is_empty() { Err(refused("it has none".into())) } else { Ok(certificates) }
}
