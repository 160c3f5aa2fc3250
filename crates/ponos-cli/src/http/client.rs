//! Asks other HTTP servers, over TLS with the system's certificates where that is wanted.

use crate::{exit::Exit, trouble::Trouble};
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::error::Error as StdError;

/// A client, which keeps connections. Its callers limit the time.
pub(crate) enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// For `http://`, or for `https://`. Nothing is connected yet.
    ///
    /// # Errors
    /// The system's certificates can't be read.
    pub(crate) fn new(is_tls: bool) -> Result<Self, Trouble> {
        let builder = Client::builder(TokioExecutor::new());
        if !is_tls {
            return Ok(Self::Plain(builder.build_http()));
        }
        let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| {
            let what = format!("the system's certificates can't be read: {error}; install ca-certificates, or set SSL_CERT_FILE");
            Trouble::Words(Exit::Configuration, what)
        })?;
        Ok(Self::Tls(builder.build(tls.https_only().enable_http1().build())))
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

/// That there was no answer, and why.
pub(crate) fn unanswered(authority: &str, error: &(dyn StdError + 'static)) -> String {
    let mut what = format!("no answer from {authority}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    what
}
