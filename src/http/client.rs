//! The client of a running clock: over TCP, encrypted or not, or by its control socket.

mod credentials;
mod once;
mod patience;
mod refusal;
mod target;

pub use super::sse::Message;
pub use credentials::Credentials;
pub(in crate::http) use credentials::is_here;
use credentials::server_name;
pub use once::Condition;
use patience::retry_after;
pub use refusal::all_faults;
use refusal::refusal;
pub use target::Target;

use super::sse::Parser;
use crate::ops::Missing;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; an audit may take this long.
const ANSWER: Duration = Duration::from_secs(330);
/// A feed that is silent this long is dead: its clock sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest answer, in bytes.
const LONGEST: usize = 256 << 20;

/// Why the clock gave no answer. `Display` says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no clock answers at {0}; is it running? (`khronos run`)")]
    NotRunning(Target),
    /// Something is in the way.
    #[error("can't ask the clock at {target}: {what}")]
    Broken {
        /// Whom.
        target: Target,
        /// What happened.
        what: String,
    },
    /// The clock says no.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The clock's words.
        detail: String,
        /// What it does not have, where that is why.
        missing: Option<Missing>,
        /// When to ask again, where it says so.
        retry_after: Option<Duration>,
    },
    /// The address is not a valid feed URL.
    #[error("'{address}' is not a valid feed URL: {what}; write it as http://127.0.0.1:7650")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A token would go over the network in the clear.
    #[error("a token is not sent to {0}, for whoever listens on the way would have it; ask by https://")]
    Clear(Target),
}

impl ClientError {
    /// Whether nobody was asked.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::NotRunning(_))
    }

    /// Whether the clock has said no: nothing is done.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. })
    }
}

/// Asks one clock; each question has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    target: Target,
    credentials: Credentials,
}

impl Client {
    /// A client of this clock.
    pub fn new(target: Target) -> Self {
        Self { target, credentials: Credentials::default() }
    }

    /// The same, which shows who asks.
    #[must_use]
    pub fn with(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// Whom it asks.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The answer to `GET path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.whole(Method::GET, path, Bytes::new()).await
    }

    /// The same, as it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn text(&self, path: &str) -> Result<Bytes, ClientError> {
        self.asked(self.request(Method::GET, path, Bytes::new())?).await
    }

    /// The answer to `POST path` with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error.to_string()))?;
        self.whole(Method::POST, path, body.into()).await
    }

    /// Opens a feed; `query` such as `match=time.%23`, `position` to resume after.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn feed(&self, query: &str, position: Option<&str>) -> Result<Feed, ClientError> {
        let path = if query.is_empty() { "/v1/feed".to_owned() } else { format!("/v1/feed?{query}") };
        let mut request = self.request(Method::GET, &path, Bytes::new())?;
        if let Some(id) = position.and_then(|id| id.parse().ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let response = self.send(request).await?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = response.into_body();
        if status != StatusCode::OK {
            let body = self.collect(body).await?;
            return Err(refusal(status, &body, retry_after));
        }
        Ok(Feed {
            target: self.target.clone(),
            body,
            parser: Parser::default(),
            ready: VecDeque::new(),
            position: None,
        })
    }

    pub(super) async fn whole<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        self.answered(self.request(method, path, body)?).await
    }

    pub(super) async fn answered<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<T, ClientError> {
        let body = self.asked(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.broken(format!("its answer is not as expected ({error}); is it a clock of this version?"))
        })
    }

    pub(super) async fn asked(&self, request: Request<Full<Bytes>>) -> Result<Bytes, ClientError> {
        let (status, retry_after, body) = timeout(ANSWER, async {
            let response = self.send(request).await?;
            let (status, retry_after) = (response.status(), retry_after(&response));
            Ok((status, retry_after, self.collect(response.into_body()).await?))
        })
        .await
        .map_err(|_| self.broken(format!("no answer within {} s", ANSWER.as_secs())))??;
        if !status.is_success() {
            return Err(refusal(status, &body, retry_after));
        }
        Ok(body)
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let host = match &self.target {
            Target::Tcp(authority) | Target::Tls(authority) => authority,
            Target::Unix(_) => "localhost",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error.to_string()))?;
        if let Some(shown) = self.credentials.authorization(&self.target)? {
            let mut shown = HeaderValue::try_from(shown).map_err(|error| self.broken(error.to_string()))?;
            shown.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, shown);
        }
        Ok(request)
    }

    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let late = |_| self.broken(format!("no connection within {} s", CONNECT.as_secs()));
        match &self.target {
            Target::Tcp(authority) => {
                let stream = timeout(CONNECT, TcpStream::connect(authority)).await.map_err(late)?;
                self.talk(stream.map_err(|error| self.unreachable(&error))?, request).await
            }
            Target::Tls(authority) => {
                let broken = |what| self.broken(what);
                let name = server_name(authority).map_err(broken)?;
                let connector = self.connector().await.map_err(broken)?;
                let stream = timeout(CONNECT, TcpStream::connect(authority)).await.map_err(late)?;
                let stream = stream.map_err(|error| self.unreachable(&error))?;
                let stream = timeout(CONNECT, connector.connect(name, stream)).await.map_err(late)?;
                let failed = |error| self.broken(format!("no encrypted connection: {error}"));
                self.talk(stream.map_err(failed)?, request).await
            }
            Target::Unix(path) => {
                let stream = timeout(CONNECT, UnixStream::connect(path)).await.map_err(late)?;
                self.talk(stream.map_err(|error| self.unreachable(&error))?, request).await
            }
        }
    }

    /// What begins an encrypted connection; the files of authorities are read aside.
    async fn connector(&self) -> Result<TlsConnector, String> {
        let credentials = self.credentials.clone();
        let read = tokio::task::spawn_blocking(move || credentials.connector());
        read.await.map_err(|error| error.to_string())?
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let failed = |error: hyper::Error| self.broken(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Ends by itself once the answer, which the caller bounds, is read or dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the clock ended");
            }
        });
        timeout(ANSWER, sender.send_request(request))
            .await
            .map_err(|_| self.broken(format!("no answer within {} s", ANSWER.as_secs())))?
            .map_err(failed)
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, ClientError> {
        let collected = timeout(ANSWER, Limited::new(body, LONGEST).collect());
        match collected.await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(self.broken(error.to_string())),
            Err(_) => Err(self.broken(format!("its answer did not end within {} s", ANSWER.as_secs()))),
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> ClientError {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        match error.kind() {
            ConnectionRefused | NotFound => ClientError::NotRunning(self.target.clone()),
            _ => self.broken(error.to_string()),
        }
    }

    pub(super) fn broken(&self, what: String) -> ClientError {
        ClientError::Broken { target: self.target.clone(), what }
    }
}

/// An open feed.
#[derive(Debug)]
pub struct Feed {
    target: Target,
    body: Incoming,
    parser: Parser,
    ready: VecDeque<Message>,
    position: Option<String>,
}

impl Feed {
    /// The next event; `None` when the clock ends the feed. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection goes or stays silent for 45 s.
    pub async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        let broken = |what: String| ClientError::Broken { target: self.target.clone(), what };
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.position.clone_from(&message.id);
                return Ok(Some(message));
            }
            match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    self.ready.extend(self.parser.feed(&bytes).map_err(|error| broken(error.to_string()))?);
                    if self.ready.is_empty() {
                        self.position = self.parser.last_id().map(str::to_owned);
                    }
                }
                Ok(Some(Err(error))) => return Err(broken(error.to_string())),
                Ok(None) => return Ok(None),
                Err(_) => return Err(broken(format!("the feed was silent for {} s", SILENCE.as_secs()))),
            }
        }
    }

    /// By which this feed is resumed, after what was given of it.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }
}

/// A text as it may stand in a query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_can_not_hold_is_encoded() {
        assert_eq!(encode("time.#"), "time.%23");
    }
}
