//! Where spans are sent, and which: read once, valid from then on.

use super::{
    Export, Traces,
    client::{HttpClient, place},
    counts::SpanCounts,
    otlp::Envelope,
};
use crate::{event::Sampling, files};
use hyper::{
    Uri,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

/// Bytes of the file with headers.
const MOST_HEADERS: u64 = 64 << 10;
/// Bytes of a PEM file.
const MOST_PEM: u64 = 4 << 20;

/// Headers that the connection sets: others break a request, or hide another one in it.
const OURS: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// Why spans can't be sent so. `Display` says what is wrong, and what to write instead; it shows no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// The address.
    #[error(
        "the address of the collector can't be used: {0}; write it as http://host:4318/v1/traces, or https://…"
    )]
    Endpoint(&'static str),
    /// The share of traces.
    #[error("{0} is no share of traces: write a number from 0 to 1, such as 0.01")]
    Ratio(String),
    /// The file with headers: which, and what is wrong.
    #[error("the headers of {file} can't be used: {what}; write one on a line, as NAME: VALUE", file = .0.display(), what = .1)]
    Headers(PathBuf, String),
    /// The authorities that are trusted: what is wrong.
    #[error("the collector can't be proven to be itself: {0}")]
    Authorities(String),
}

/// A collector of traces that speaks OTLP over HTTP, and which traces it is sent.
#[derive(Clone)]
#[must_use = "a worker takes it with Worker::traces"]
pub struct Collector {
    endpoint: Uri,
    sampling: Sampling,
    are_linked: bool,
    headers: HeaderMap,
    authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Collector {
    /// At this address, `http://` or `https://`, path included: `http://127.0.0.1:4318/v1/traces`. It gets all traces, unless
    /// [`Collector::ratio`] says otherwise.
    ///
    /// # Errors
    /// [`CollectorError::Endpoint`].
    pub fn at(endpoint: &str) -> Result<Self, CollectorError> {
        let endpoint: Uri = endpoint.parse().map_err(|_| CollectorError::Endpoint("it is not a URL"))?;
        let fault = match (endpoint.scheme_str(), endpoint.authority()) {
            (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
                Some("it may not contain a user or password (headers can be in a file)")
            }
            (Some("http" | "https"), Some(authority)) if authority.host().is_empty() => {
                Some("it names no host")
            }
            // of a port that can't be read the scheme's would be taken: another server
            (Some("http" | "https"), Some(authority))
                if authority.as_str() != authority.host() && authority.port_u16().is_none() =>
            {
                Some("its port is not a number up to 65535")
            }
            (Some("http" | "https"), Some(_)) if endpoint.path() == "/" => {
                Some("it has no path, and most collectors take traces at /v1/traces")
            }
            (Some("http" | "https"), Some(_)) => None,
            (Some("http" | "https"), None) => Some("it names no host"),
            _ => Some("it is neither http:// nor https://"),
        };
        match fault {
            Some(what) => Err(CollectorError::Endpoint(what)),
            None => Ok(Self {
                endpoint,
                sampling: Sampling::ALL,
                are_linked: false,
                headers: HeaderMap::new(),
                authorities: None,
            }),
        }
    }

    /// Records this share of the traces that begin here, from 0 to 1, decided by the trace's id. Of a trace that began elsewhere its
    /// sender decided; where traces are [linked](Self::linked), it is this share of those that their sender records.
    ///
    /// # Errors
    /// [`CollectorError::Ratio`].
    pub fn ratio(self, ratio: f64) -> Result<Self, CollectorError> {
        let sampling = Sampling::of(ratio).ok_or_else(|| CollectorError::Ratio(ratio.to_string()))?;
        Ok(self.sampling(sampling))
    }

    /// The same, of a share that was read before.
    pub fn sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// Each delivery begins a trace of its own, with a link to the sender's span, instead of going on in the sender's trace: for
    /// events that wake so many services that one trace of all they do can't be read.
    pub fn linked(self) -> Self {
        Self { are_linked: true, ..self }
    }

    /// Sends the headers that this file has, one on a line (`Authorization: Bearer …`), with each request. Empty lines, and those
    /// that begin with `#`, are passed over.
    ///
    /// # Errors
    /// [`CollectorError::Headers`].
    pub fn headers_file(self, file: &Path) -> Result<Self, CollectorError> {
        let fault = |what: String| CollectorError::Headers(file.to_owned(), what);
        let text = files::read_text(file, MOST_HEADERS).map_err(|error| fault(error.to_string()))?;
        let headers = headers(&text).map_err(fault)?;
        Ok(Self { headers, ..self })
    }

    /// Trusts the authorities of this PEM file instead of the machine's.
    ///
    /// # Errors
    /// [`CollectorError::Authorities`].
    pub fn ca_file(self, file: &Path) -> Result<Self, CollectorError> {
        let fault = |what: String| CollectorError::Authorities(format!("{} {what}", file.display()));
        if self.endpoint.scheme_str() != Some("https") {
            return Err(fault("is of no use: the address is not https://".into()));
        }
        let bytes = files::read(file, MOST_PEM).map_err(|error| fault(format!("can't be read: {error}")))?;
        let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| fault(format!("has no usable certificate: {error}")))?;
        if found.is_empty() {
            return Err(fault("has no certificate: give a PEM file".into()));
        }
        Ok(Self { authorities: Some(found), ..self })
    }

    /// For the spans of that service: where they are recorded, and what sends them. Nothing is connected yet.
    ///
    /// # Errors
    /// [`CollectorError::Authorities`].
    pub fn open(self, service: &str) -> Result<(Traces, Export), CollectorError> {
        self.open_counted(service, Arc::default())
    }

    /// The same, counted together with others.
    pub(crate) fn open_counted(
        self,
        service: &str,
        counts: Arc<SpanCounts>,
    ) -> Result<(Traces, Export), CollectorError> {
        let Self { endpoint, sampling, are_linked, headers, authorities } = self;
        let client = HttpClient::new(endpoint, headers, authorities).map_err(CollectorError::Authorities)?;
        let (traces, spans) = Traces::new(sampling, are_linked, counts);
        let export = Export::new(spans, client, traces.counts(), Envelope::new(service));
        Ok((traces, export))
    }
}

/// Without the headers, and the query of the address, which may be secret.
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, sampling, are_linked, .. } = self;
        f.debug_struct("Collector")
            .field("place", &place(endpoint))
            .field("sampling", sampling)
            .field("are_linked", are_linked)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Collector {
    fn eq(&self, other: &Self) -> bool {
        let own = |of: &Self| (of.endpoint.clone(), of.sampling, of.are_linked, of.authorities.clone());
        own(self) == own(other) && self.headers == other.headers
    }
}

/// What is wrong is said without the line, which may be secret.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("line {at} has no colon"))?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| format!("line {at} does not begin with the name of a header"))?;
        if OURS.contains(&name.as_str()) {
            return Err(format!("line {at} has a header that the connection sets"));
        }
        if headers.contains_key(&name) {
            return Err(format!("line {at} has a header that is there before"));
        }
        let mut value: HeaderValue = value
            .trim()
            .parse()
            .map_err(|_| format!("the value on line {at} has characters that no header has"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_with_a_path_and_without_a_password() {
        for right in [
            "http://127.0.0.1:4318/v1/traces",
            "http://[::1]/v1/traces",
            "http://[::1]:4318/x",
            "https://otlp.example/otlp/v1/traces?x=1",
        ] {
            assert!(Collector::at(right).is_ok(), "{right}");
        }
        for (wrong, word) in [
            ("", "URL"),
            ("localhost:4318", "neither"),
            ("grpc://a:4317/x", "neither"),
            ("http://a:4318", "no path"),
            ("http://a:4318/", "no path"),
            ("http://a:43180000/v1/traces", "port"),
            ("http://a:/v1/traces", "port"),
            ("http://[::1]:x/v1/traces", ""),
            ("http://:4318/v1/traces", ""),
            ("http://me:hunter2@a:4318/v1/traces", "password"),
        ] {
            let said = Collector::at(wrong).unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("hunter2"), "{wrong}: {said}");
        }
        let at = Collector::at("http://a:1/x").unwrap();
        assert!(at.clone().ratio(1.5).unwrap_err().to_string().starts_with("1.5 is no share"));
        assert!(at.ratio(0.5).is_ok());
    }

    #[test]
    fn headers_are_read_from_a_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Collector::at("http://a:1/x").unwrap().headers_file(&file)
        };
        let read_well = read("# of the vendor\n\nAuthorization: Bearer hunter2\nx-team:  clocks \n").unwrap();
        assert_eq!(read_well.headers["authorization"], "Bearer hunter2");
        assert_eq!(read_well.headers["x-team"], "clocks");
        assert!(!format!("{read_well:?}").contains("hunter2"));
        let asked = Collector::at("https://a:1/x?token=hunter2").unwrap();
        assert!(!format!("{asked:?}").contains("hunter2") && format!("{asked:?}").contains("https://a:1/x"));
        for wrong in ["hunter2", "a b: hunter2", "x: hunter2\u{7}"] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("line 1") && !said.contains("hunter2"), "{said}");
        }
        for wrong in ["Host: x", "content-length: 3", "a: 1\nA: 2"] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("has a header that"), "{said}");
        }
        let gone = Collector::at("http://a:1/x").unwrap().headers_file(&folder.path().join("none"));
        assert!(matches!(gone, Err(CollectorError::Headers(..))));
    }

    #[test]
    fn authorities_are_those_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let at = Collector::at("https://a:1/x").unwrap();
        assert!(at.clone().ca_file(&file).unwrap_err().to_string().contains("no certificate"));
        let made = testkit::Certificates::generate(folder.path());
        let plain = Collector::at("http://a:1/x").unwrap().ca_file(&made.ca);
        assert!(plain.unwrap_err().to_string().contains("not https"), "it would not be asked");
        assert!(at.ca_file(&made.ca).unwrap().open("shop").is_ok());
    }
}
