//! TLS of the clock's own: certificate and key are read at the start, and again when they change. Connections that stand
//! go on with what they began with; files that can't be used change nothing.

use super::listener::HttpError;
use ponos::files;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Bytes of a PEM file: more than any chain of certificates has.
const MOST_BYTES: u64 = 1 << 20;

/// Certificate and key of the interface on TCP. Clones share what is in use.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<Mutex<Current>>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of the files that were looked at last, whether they could be used or not.
    seen: Seen,
}

/// The digest of both files; none where they can't be read.
type Seen = Option<[u8; 32]>;

/// Both files as they are.
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`HttpError::Tls`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, HttpError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let pem = files.read().map_err(HttpError::Tls)?;
        let config = files.config(&pem).map_err(HttpError::Tls)?;
        let current = Current { config: Arc::new(config), seen: pem.seen() };
        Ok(Self { files: Arc::new(files), current: Arc::new(Mutex::new(current)) })
    }

    /// What begins the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().config.clone().into()
    }

    /// Looks at the files for as long as it is polled.
    pub(super) async fn follow(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let ours = self.clone();
            // Nobody waits for the outcome: the next look comes.
            let _ = tokio::task::spawn_blocking(move || ours.look()).await;
        }
    }

    /// Reads the files, and uses them if they have changed and can be used. Each state of them is logged once.
    fn look(&self) {
        let pem = self.files.read();
        let seen = pem.as_ref().ok().and_then(Pem::seen);
        if self.current().seen == seen {
            return;
        }
        let config = pem.and_then(|pem| self.files.config(&pem));
        let mut current = self.current();
        current.seen = seen;
        match config {
            Ok(config) => {
                current.config = Arc::new(config);
                tracing::info!("the certificate of [http.tls] has changed; new connections get the new one");
            }
            Err(what) => {
                tracing::warn!(
                    "the files of [http.tls] have changed, and the former ones stay in use: {what}"
                );
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pem {
    fn seen(&self) -> Seen {
        let mut digest = Sha256::new();
        digest.update((self.certificate.len() as u64).to_be_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        Some(digest.finalize().into())
    }
}

impl Files {
    fn read(&self) -> Result<Pem, String> {
        let read = |file: &Path, what| {
            files::read(file, MOST_BYTES).map_err(|error| {
                let file = file.display();
                format!("{file} can't be read: {error}; give a PEM file with the {what} that the clock's user may read")
            })
        };
        Ok(Pem { certificate: read(&self.certificate, "certificate")?, key: read(&self.key, "key")? })
    }

    fn config(&self, pem: &Pem) -> Result<ServerConfig, String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{certificate} has no usable certificate: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{certificate} has no certificate: give a PEM file, the clock's own first"));
        }
        let private = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| {
            format!(
                "{key} has no usable private key: {error}; give a PEM file with a key that is not encrypted"
            )
        })?;
        let refused = |error: tokio_rustls::rustls::Error| {
            format!("{certificate} and {key} can't be used: {error}; check that they belong together")
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(refused)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use testkit::Certificates;

    fn certificates() -> (tempfile::TempDir, Certificates) {
        let folder = tempfile::tempdir().unwrap();
        let made = Certificates::generate(folder.path());
        (folder, made)
    }

    #[test]
    fn files_that_changed_are_used_once_both_belong_together() {
        let (_folder, old) = certificates();
        let (_other, new) = certificates();
        let tls = Tls::read(&old.server.certificate, &old.server.key).unwrap();
        let used = || Arc::as_ptr(&tls.current().config) as usize;
        let first = used();
        tls.look();
        assert_eq!(used(), first, "nothing changed");
        fs::copy(&new.server.certificate, &old.server.certificate).unwrap();
        tls.look();
        assert_eq!(used(), first, "the key is the old one's");
        fs::copy(&new.server.key, &old.server.key).unwrap();
        tls.look();
        let second = used();
        assert_ne!(second, first);
        fs::remove_file(&old.server.key).unwrap();
        tls.look();
        fs::write(&old.server.key, "no key").unwrap();
        tls.look();
        assert_eq!(used(), second);
        fs::copy(&new.server.key, &old.server.key).unwrap();
        tls.look();
        assert_ne!(used(), second, "it is read again once it is back");
    }

    #[test]
    fn files_that_can_not_be_used_are_refused_with_the_reason() {
        let (folder, made) = certificates();
        let (_other, other) = certificates();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "").unwrap();
        let none = folder.path().join("none.pem");
        let server = &made.server;
        for (certificate, key, said) in [
            (&none, &server.key, "none.pem can't be read"),
            (&server.certificate, &none, "none.pem can't be read"),
            (&empty, &server.key, "empty.pem has no certificate"),
            (&server.certificate, &empty, "empty.pem has no usable private key"),
            (&server.key, &server.key, "has no certificate"),
            (&server.certificate, &other.server.key, "check that they belong together"),
        ] {
            let refused = Tls::read(certificate, key).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
            assert!(refused.contains("[http.tls]"), "{refused}");
        }
    }
}
