//! Accepts connections, bounds their number, and drains them at the end: requests that have begun are answered.

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ponos::shutdown::{Shutdown, Stage};
use std::{convert::Infallible, future::Future, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// The most bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// The pause after an accept that failed: the machine is out of something, such as open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Bounds of a server's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// At a time; others wait to be accepted.
    pub(crate) most: usize,
    /// How long a client may take for a head, and how long a connection may be idle.
    pub(crate) idle: Duration,
    /// How long answers that were begun may take at the end.
    pub(crate) last: Duration,
}

/// What a connection speaks over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where connections come from.
pub(crate) trait Listens: Send + Sync + 'static {
    /// One that has just been accepted.
    type Accepted: Send + 'static;

    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Accepted>> + Send;

    /// Makes one ready, in a task of its own; `None`: the peer went away, or dawdled.
    fn begin(accepted: Self::Accepted) -> impl Future<Output = Option<Box<dyn Stream>>> + Send;
}

/// What answers requests.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves until the end that is given; requests that have begun may then end, for a while.
pub(crate) async fn serve<L: Listens>(
    listener: L,
    answers: &Arc<impl Answers>,
    limits: ConnectionLimits,
    end: Shutdown,
) {
    let places = Arc::new(Semaphore::new(limits.most));
    let (mut connections, mut is_failing) = (JoinSet::new(), false);
    tokio::select! {
        () = end.reached(Stage::Draining) => {}
        () = async {
            loop {
                while connections.try_join_next().is_some() {}
                // never closed
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok(accepted) => {
                        is_failing = false;
                        let (answers, end) = (Arc::clone(answers), end.clone());
                        connections.spawn(async move {
                            if let Some(stream) = L::begin(accepted).await {
                                converse(&*answers, stream, limits.idle, end).await;
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
    let _ = timeout(limits.last, async { while connections.join_next().await.is_some() {} }).await;
}

/// Answers the requests of one connection.
pub(crate) async fn converse(answers: &impl Answers, stream: impl Stream, idle: Duration, end: Shutdown) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answers.answer(request).await) });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(HEAD);
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
        // a peer that goes away or dawdles is its own affair
        tracing::debug!(%error, "a connection ended");
    }
}

/// Whether a Host header names this machine: an address, or localhost.
pub(crate) fn is_here(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether a Host header names a loopback address, or localhost.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    let is_own = |address: IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_own)
}

/// A host without its port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_here() {
        for here in ["127.0.0.1:7070", "[::1]:7070", "localhost", "LOCALHOST:1"] {
            assert!(is_here(here) && is_loopback(here), "{here}");
        }
        assert!(is_here("10.0.0.1:80") && !is_loopback("10.0.0.1:80"));
        for elsewhere in ["evil.example", "127.0.0.1.evil.example:80", "", "[evil]:80"] {
            assert!(!is_here(elsewhere) && !is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
