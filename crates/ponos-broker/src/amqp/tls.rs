//! TLS for `amqps://`: the trusted authorities, and our client certificate.

use super::{
    super::LinkError,
    config::aside,
    errors::{configuration, unreadable},
};
use crate::files::{self, FileReader};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::path::{Path, PathBuf};

/// Bytes of a PEM file: more than the authorities of a whole system have.
const MOST_BYTES: u64 = 4 << 20;

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
    pub(super) async fn connector(&self) -> Result<RustlsConnector, LinkError> {
        let files = self.clone();
        aside(move || files.read()).await
    }

    fn read(&self) -> Result<RustlsConnector, LinkError> {
        let mut config = match &self.ca {
            None => native()?,
            Some(_) => RustlsConnectorConfig::default(),
        };
        if let Some(ca) = &self.ca {
            config.add_parsable_certificates(certificates(ca)?);
        }
        let connector = match &self.client {
            None => config.connector_with_no_client_auth(),
            Some((certificate, key)) => {
                let pem = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|error| {
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

/// The authorities that the machine trusts.
fn native() -> Result<RustlsConnectorConfig, LinkError> {
    let place = Path::new("the machine's certificate authorities");
    let remedy = "install ca-certificates, or name the authority's file in the configuration";
    let said = |error: String| format!("{} can't be read: {error}", place.display());
    FileReader::default()
        .within_patience(place, RustlsConnectorConfig::new_with_native_certs)
        .map_err(|error| unreadable(said(error.to_string()), remedy, &error))?
        .map_err(|error| configuration(said(error.to_string()), remedy))
}

fn bytes(file: &Path) -> Result<Vec<u8>, LinkError> {
    files::read(file, MOST_BYTES).map_err(|error| {
        let what = format!("the TLS file {} can't be read: {error}", file.display());
        unreadable(what, "give a PEM file that this user may read", &error)
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let refused = |why: String| {
        configuration(
            format!("{} holds no usable certificate: {why}", file.display()),
            "give a readable PEM file",
        )
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(error.to_string()))?;
    if certificates.is_empty() { Err(refused("it has none".into())) } else { Ok(certificates) }
}
