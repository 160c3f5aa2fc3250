//! TLS of a server: certificate and key are read at the start, and again when they change. Connections that stand
//! go on with what they began with; files that can't be used change nothing, and are spoken of until they can.

use crate::validity::Validity;
use ponos_broker::files;
use ponos_event::Timestamp;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is said that something is wrong with them.
const SAY: Duration = Duration::from_secs(86_400);
/// Bytes of a PEM file: more than any chain of certificates has.
const MOST_BYTES: u64 = 1 << 20;

/// The files can't be used: what is wrong with them, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

/// Certificate and key of a server. Clones share what is in use.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<Mutex<Current>>,
}

#[derive(Debug)]
struct Files {
    /// Where the configuration names them, as `[http.tls]`.
    section: &'static str,
    certificate: PathBuf,
    key: PathBuf,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of the server's own certificate, where it can be read.
    validity: Option<Validity>,
    /// Of what stands behind it in the file.
    chain: Option<Validity>,
    /// Of the files that were judged last, whether they could be used or not; none where that may change with the time.
    judged: Option<Seen>,
    /// Of the files as the last look found them.
    seen: Seen,
    /// Why files that have changed are not used.
    unusable: Option<String>,
    /// What was said of them last, and when.
    said: Option<(Vec<String>, Instant)>,
}

/// The digest of both files; none where they can't be read.
type Seen = Option<[u8; 32]>;

/// What can be used; how long its own certificate is valid, and how long the others of the file are.
type Usable = (ServerConfig, Option<Validity>, Option<Validity>);

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
    /// Reads both files, which this section of a configuration names, such as `[http.tls]`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn read(section: &'static str, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { section, certificate: certificate.to_owned(), key: key.to_owned() };
        let pem = files.read().map_err(TlsError)?;
        let (config, validity, chain) = files.config(&pem).map_err(TlsError)?;
        let seen = pem.seen();
        let config = Arc::new(config);
        let current =
            Current { config, validity, chain, judged: Some(seen), seen, unusable: None, said: None };
        Ok(Self { files: Arc::new(files), current: Arc::new(Mutex::new(current)) })
    }

    /// What begins the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current().config.clone().into()
    }

    /// Looks at the files for as long as it is polled; `now` reads the wall clock.
    pub async fn follow(self, now: fn() -> Timestamp) {
        loop {
            tokio::time::sleep(LOOK).await;
            let ours = self.clone();
            let look = move || {
                ours.look(now());
                ours.say(now(), Instant::now());
            };
            // Nobody waits for the outcome: the next look comes.
            let _ = tokio::task::spawn_blocking(look).await;
        }
    }

    /// Reads the files, and uses them if they have changed and can be used. They are judged once two looks have found the same,
    /// for the first one may come while somebody writes.
    fn look(&self, now: Timestamp) {
        let pem = self.files.read();
        let seen = pem.as_ref().ok().and_then(Pem::seen);
        {
            let mut current = self.current();
            let is_new = std::mem::replace(&mut current.seen, seen) != seen;
            if is_new || current.judged == Some(seen) {
                return;
            }
        }
        let read = pem.and_then(|pem| self.files.config(&pem));
        let mut current = self.current();
        current.judged = Some(seen);
        // Nothing is said of one whose time can't be read.
        let is_now = |validity: Option<Validity>| validity.is_none_or(|validity| validity.is_now(now));
        current.unusable = match read {
            Ok((_, Some(validity), _)) if !validity.is_now(now) && is_now(current.validity) => {
                current.judged = None;
                validity.concern(now).map(|what| format!("the new certificate {what}"))
            }
            Ok((config, validity, chain)) => {
                (current.config, current.validity, current.chain) = (Arc::new(config), validity, chain);
                let section = self.files.section;
                tracing::info!("the certificate of {section} has changed; new connections get the new one");
                None
            }
            Err(what) => Some(what),
        };
    }

    /// What a person should do something about.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let (current, section) = (self.current(), self.files.section);
        let unusable = current.unusable.as_ref().map(|what| {
            format!("the files of {section} have changed, and the former ones stay in use: {what}")
        });
        let own = match current.validity {
            Some(validity) => validity.concern(now),
            None => Some("can't be read as to how long it is valid: look after it yourself".to_owned()),
        };
        let own = own.map(|what| format!("the certificate of {section} {what}"));
        let chain = current.chain.and_then(|validity| validity.concern(now));
        let chain = chain.map(|what| format!("a certificate of the chain in {section} {what}"));
        unusable.into_iter().chain(own.or(chain)).collect()
    }

    /// Logs the warnings when they are others than before, and again each day.
    fn say(&self, now: Timestamp, at: Instant) {
        let warnings = self.warnings(now);
        let mut current = self.current();
        let is_old =
            |(said, when): &(Vec<String>, Instant)| *said == warnings && at.duration_since(*when) < SAY;
        if current.said.as_ref().is_some_and(is_old) {
            return;
        }
        warnings.iter().for_each(|what| tracing::warn!("{what}"));
        current.said = Some((warnings, at));
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
                format!("{file} can't be read: {error}; give a PEM file with the {what} that the user of this program may read")
            })
        };
        Ok(Pem { certificate: read(&self.certificate, "certificate")?, key: read(&self.key, "key")? })
    }

    fn config(&self, pem: &Pem) -> Result<Usable, String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{certificate} has no usable certificate: {error}"))?;
        let Some((own, others)) = chain.split_first() else {
            return Err(format!("{certificate} has no certificate: give a PEM file, the server's own first"));
        };
        let (validity, others) = (Validity::of(own), Validity::of_all(others));
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
        Ok((config, validity, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use testkit::Certificates;

    const SECTION: &str = "[http.tls]";

    /// Within the time of all certificates but those that are made for another.
    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn certificates() -> (tempfile::TempDir, Certificates) {
        let folder = tempfile::tempdir().unwrap();
        let made = Certificates::generate(folder.path());
        (folder, made)
    }

    #[test]
    fn files_that_changed_are_used_once_both_belong_together() {
        let (_folder, old) = certificates();
        let (_other, new) = certificates();
        let tls = Tls::read(SECTION, &old.server.certificate, &old.server.key).unwrap();
        let used = || Arc::as_ptr(&tls.current().config) as usize;
        let said = || tls.warnings(now()).join("; ");
        let look = || tls.look(now());
        let first = used();
        look();
        assert_eq!(used(), first, "nothing changed");
        fs::copy(&new.server.certificate, &old.server.certificate).unwrap();
        look();
        assert_eq!((used(), said()), (first, String::new()), "it may not be written to its end");
        look();
        assert_eq!(used(), first, "the key is the old one's");
        assert!(said().contains("the former ones stay in use: "), "{}", said());
        fs::copy(&new.server.key, &old.server.key).unwrap();
        look();
        assert_eq!(used(), first);
        look();
        let second = used();
        assert_ne!(second, first);
        assert_eq!(said(), "");
        fs::remove_file(&old.server.key).unwrap();
        look();
        look();
        assert!(said().contains("can't be read"), "{}", said());
        fs::write(&old.server.key, "no key").unwrap();
        look();
        look();
        assert_eq!(used(), second);
        fs::copy(&new.server.key, &old.server.key).unwrap();
        look();
        look();
        assert_ne!(used(), second, "it is read again once it is back");
        assert_eq!(said(), "");
    }

    #[test]
    fn what_expired_is_spoken_of_and_takes_no_ones_place() {
        let (_folder, good) = certificates();
        let other = tempfile::tempdir().unwrap();
        let past = Certificates::generate_valid(other.path(), (2020, 1, 1), (2021, 1, 1));
        let copy = |from: &Certificates| {
            fs::copy(&from.server.certificate, &good.server.certificate).unwrap();
            fs::copy(&from.server.key, &good.server.key).unwrap();
        };
        let tls = Tls::read(SECTION, &good.server.certificate, &good.server.key).unwrap();
        let first = Arc::as_ptr(&tls.current().config) as usize;
        copy(&past);
        tls.look(now());
        tls.look(now());
        assert_eq!(Arc::as_ptr(&tls.current().config) as usize, first);
        let said = tls.warnings(now());
        assert!(said.len() == 1 && said[0].contains("the new certificate expired at 2021-01-01"), "{said:?}");
        // Where there is no better one, it is used: some clients do not look.
        let tls = Tls::read(SECTION, &good.server.certificate, &good.server.key).unwrap();
        let said = tls.warnings(now());
        assert!(said.len() == 1 && said[0].contains("expired at 2021-01-01T00:00:00"), "{said:?}");
        // It is said once, and again a day later.
        let logged = |at| {
            tls.say(now(), at);
            tls.current().said.as_ref().map(|(_, when)| *when)
        };
        let begin = Instant::now();
        assert_eq!(logged(begin), Some(begin));
        assert_eq!(logged(begin + SAY / 2), Some(begin));
        assert_eq!(logged(begin + SAY), Some(begin + SAY));
    }

    #[test]
    fn what_is_not_valid_yet_takes_the_place_of_what_is_once_it_is_valid() {
        let (_folder, good) = certificates();
        let other = tempfile::tempdir().unwrap();
        let later = Certificates::generate_valid(other.path(), (2031, 1, 1), (2041, 1, 1));
        let tls = Tls::read(SECTION, &good.server.certificate, &good.server.key).unwrap();
        let used = || Arc::as_ptr(&tls.current().config) as usize;
        let first = used();
        fs::copy(&later.server.certificate, &good.server.certificate).unwrap();
        fs::copy(&later.server.key, &good.server.key).unwrap();
        let [before, after] = ["2030-12-31T23:59:59Z", "2031-01-01T00:00:00Z"].map(|at| at.parse().unwrap());
        tls.look(before);
        tls.look(before);
        assert_eq!(used(), first);
        let said = tls.warnings(before);
        assert!(said.len() == 1 && said[0].contains("is not valid before 2031-01-01"), "{said:?}");
        // The files did not change; the time did, or the clock of the machine was put right.
        tls.look(after);
        assert_ne!(used(), first);
        assert_eq!(tls.warnings(after), Vec::<String>::new());
        // What can't be read any more is said, whatever was said before.
        let past = Certificates::generate_valid(other.path(), (2020, 1, 1), (2021, 1, 1));
        fs::copy(&past.server.certificate, &good.server.certificate).unwrap();
        fs::copy(&past.server.key, &good.server.key).unwrap();
        tls.look(after);
        tls.look(after);
        assert!(tls.warnings(after)[0].contains("expired at 2021"), "{:?}", tls.warnings(after));
        fs::remove_file(&good.server.key).unwrap();
        tls.look(after);
        tls.look(after);
        assert!(tls.warnings(after)[0].contains("can't be read"), "{:?}", tls.warnings(after));
    }

    #[test]
    fn a_chain_that_ends_before_its_own_certificate_is_warned_of() {
        let (_folder, good) = certificates();
        let other = tempfile::tempdir().unwrap();
        let short = Certificates::generate_valid(other.path(), (2020, 1, 1), (2030, 1, 1));
        let mut chain = fs::read(&good.server.certificate).unwrap();
        chain.extend(fs::read(&short.server.certificate).unwrap());
        fs::write(&good.server.certificate, chain).unwrap();
        let tls = Tls::read(SECTION, &good.server.certificate, &good.server.key).unwrap();
        let said = |at: &str| tls.warnings(at.parse().unwrap());
        assert_eq!(said("2029-01-01T00:00:00Z"), Vec::<String>::new());
        let said = said("2029-12-31T00:00:00Z");
        assert!(
            said.len() == 1 && said[0].contains("of the chain") && said[0].contains("expires at 2030"),
            "{said:?}"
        );
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
            let refused = Tls::read(SECTION, certificate, key).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
