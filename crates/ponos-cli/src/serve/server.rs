//! Serves HTTP on a loopback address or a Unix socket.
//!
//! Bounds: connections, the bytes of a request's head and body, those of all bodies together, and the time that each takes. Web
//! pages have no business here: a request with `Origin`, or for the name of another host, is refused.

use super::{
    problem::Problem,
    routes::{Asked, Served},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ponos::shutdown::{Shutdown, Stage};
use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::listen::{Listener, Stream};

/// Connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 256;
/// The most bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// The most bytes of a body.
const BODY: usize = 16 << 20;
/// The bytes of all bodies together, in units of a KiB.
const BODIES: usize = 64 << 10;
/// How long a client may take for a head, and how long a connection may be idle.
const IDLE: Duration = Duration::from_secs(75);
/// How long a client may take for a body, and wait for room for it.
const READING: Duration = Duration::from_secs(30);
/// The pause after an accept that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// How long answers that were begun may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// What lets requests in, and answers them.
pub(super) struct Server {
    served: Served,
    token: Option<String>,
    /// Whether it is reached by an address: then names of hosts count.
    is_tcp: bool,
    room: Arc<Semaphore>,
}

impl Server {
    /// With that token, if requests must show one.
    pub(super) fn new(served: Served, token: Option<String>, is_tcp: bool) -> Self {
        Self { served, token, is_tcp, room: Arc::new(Semaphore::new(BODIES)) }
    }

    /// Serves until the end that is given.
    pub(super) async fn serve(self: Arc<Self>, listener: Listener, end: Shutdown) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let (mut connections, mut is_failing) = (JoinSet::new(), false);
        tokio::select! {
            () = end.reached(Stage::Draining) => {}
            () = async {
                loop {
                    while connections.try_join_next().is_some() {}
                    // never closed
                    let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                    match listener.accept().await {
                        Ok(stream) => {
                            is_failing = false;
                            let (server, end) = (Arc::clone(&self), end.clone());
                            connections.spawn(async move {
                                match stream {
                                    Stream::Tcp(stream) => server.converse(stream, end).await,
                                    #[cfg(unix)]
                                    Stream::Unix(stream) => server.converse(stream, end).await,
                                }
                                drop(place);
                            });
                        }
                        Err(error) => {
                            if !std::mem::replace(&mut is_failing, true) {
                                tracing::warn!(%error, "a connection could not be accepted; accepting is retried");
                            }
                            sleep(PAUSE).await;
                        }
                    }
                }
            } => {}
        }
        drop(listener);
        // what does not end within it is cut off
        let _ = timeout(LAST, async { while connections.join_next().await.is_some() {} }).await;
        self.served.publisher.close().await;
    }

    async fn converse(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, end: Shutdown) {
        let service = service_fn(|request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = end.reached(Stage::Draining) => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.read(request).await {
            Ok(asked) => self.served.answer(asked).await,
            Err(problem) => problem.into_response(),
        }
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Asked, Problem> {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if request.headers().contains_key(ORIGIN) || self.is_tcp && !text(HOST).is_some_and(is_here) {
            let what = "web pages may not ask here; ask as http://127.0.0.1 or http://localhost, without an Origin header";
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign", what));
        }
        if let Some(token) = &self.token {
            let shown =
                text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
            if !bool::from(shown.trim().as_bytes().ct_eq(token.as_bytes())) {
                let what =
                    "show the token: Authorization: Bearer TOKEN, as it stands in the file of --token-file";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", what).asks_for_token());
            }
        }
        let length = request.body().size_hint().exact();
        let kind = text(CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if length != Some(0) && !kind.eq_ignore_ascii_case("application/json") {
            let what = "bodies are JSON: say Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", what));
        }
        let too_large =
            || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body has more than 16 MiB");
        if length.is_some_and(|length| length > BODY as u64) {
            return Err(too_large());
        }
        // of a length that is not said, room for the largest
        let units = length.unwrap_or(BODY as u64).div_ceil(1024);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units);
        let busy =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many large bodies at a time");
        let Ok(Ok(mut room)) = timeout(READING, room).await else { return Err(busy().again_in(1)) };
        let (head, body) = request.into_parts();
        let body = match timeout(READING, Limited::new(body, BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Ok(Err(error)) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "broken-off",
                    format!("the body broke off: {error}"),
                ));
            }
            Err(_) => {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "slow",
                    "the body did not come within 30 s",
                ));
            }
        };
        // whoever did not say how long it is had room for the largest
        drop(room.split(room.num_permits().saturating_sub(body.len().div_ceil(1024))));
        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
        Ok(Asked { method: head.method, path, query, body, room })
    }
}

/// Whether a Host header names this machine: an address, or localhost.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
