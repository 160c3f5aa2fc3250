//! One connection to a collector, over HTTP/1.1: `POST`, protobuf there and back. Every request has a time limit, and its answer a
//! bound. Redirects are not followed, and no proxy is asked.

use super::otlp;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Body, Bytes},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

/// For a request and its answer: what OpenTelemetry has as its default.
const LONGEST: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;

/// Sends requests to one collector.
pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The collector has the spans, but for so many that it rejected.
    Taken { rejected: u64 },
    /// It does not take them, and will not.
    Refused(String),
    /// It may take them later: after so long, if it said so.
    Later { after: Option<Duration>, why: String },
}

impl HttpClient {
    /// Of that collector; of one that encrypts these authorities, or the machine's, say who it is.
    pub(super) fn new(
        endpoint: Uri,
        headers: HeaderMap,
        authorities: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, String> {
        let tls = tls(endpoint.scheme_str() == Some("https"), authorities)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { client, endpoint, headers })
    }

    /// Where it sends to, for the log: without the query, which may be secret.
    pub(super) fn place(&self) -> String {
        place(&self.endpoint)
    }

    /// Sends one request, and waits for its answer.
    pub(super) async fn send(&self, body: Bytes) -> Sent {
        match timeout(LONGEST, self.ask(body)).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(why)) => Sent::Later { after: None, why },
            Err(_) => Sent::Later { after: None, why: format!("no answer within {} s", LONGEST.as_secs()) },
        }
    }

    async fn ask(&self, body: Bytes) -> Result<Sent, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("ponos/", env!("CARGO_PKG_VERSION"))));
        let answer = self.client.request(request).await.map_err(said)?;
        understood(answer).await
    }
}

/// A URL without its query.
pub(super) fn place(endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or_default();
    let host = endpoint.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{host}{}", endpoint.path())
}

async fn understood<B>(answer: Response<B>) -> Result<Sent, String>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let status = answer.status();
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let told = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            // a date is as good as nothing said: collectors give seconds
            let after = told.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            Ok(Sent::Later { after, why: format!("it answered {status}") })
        }
        status if status.is_success() => {
            let body =
                Limited::new(answer.into_body(), ANSWER).collect().await.map_err(|error| error.to_string());
            // it took them, whatever else it says
            let rejected = body.map_or(0, |body| otlp::rejected(&body.to_bytes()));
            Ok(Sent::Taken { rejected })
        }
        status => Ok(Sent::Refused(format!("it answered {status}"))),
    }
}

/// An error with its causes.
fn said(error: impl Error) -> String {
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    what
}

fn tls(is_wanted: bool, authorities: Option<Vec<CertificateDer<'static>>>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if is_wanted {
        let authorities = authorities.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
        let (usable, _) = roots.add_parsable_certificates(authorities);
        if usable == 0 {
            return Err(
                "no certificate authority is known: install ca-certificates, or name a file with the collector's"
                    .into(),
            );
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(said)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_says_whether_and_when_to_come_again() {
        let later = |after: Option<u64>| (true, after.map(Duration::from_secs));
        for (status, retry_after, expected) in [
            (429, Some("7"), later(Some(7))),
            (502, Some(" 120 "), later(Some(120))),
            (503, None, later(None)),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), later(None)),
            (503, Some("-1"), later(None)),
            (504, Some("0"), later(Some(0))),
            (500, Some("7"), (false, None)),
            (408, Some("7"), (false, None)),
        ] {
            let answer = Response::builder().status(status);
            let answer =
                retry_after.into_iter().fold(answer, |answer, value| answer.header(RETRY_AFTER, value));
            let read = match understood(answer.body(Full::new(Bytes::new())).unwrap()).await.unwrap() {
                Sent::Later { after, .. } => (true, after),
                Sent::Refused(_) => (false, None),
                taken @ Sent::Taken { .. } => panic!("{status}: {taken:?}"),
            };
            assert_eq!(read, expected, "{status} {retry_after:?}");
        }
    }
}
