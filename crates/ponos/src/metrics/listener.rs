//! The address that is scraped: `GET /metrics`, and nothing else.
//!
//! Bounds: a few connections at a time, one request each, a small head, and a few seconds for all of it. Whoever can reach
//! the address can read the metrics; there is no password, and nothing can be changed.

use super::{Metrics, accepted};
use crate::shutdown::{Shutdown, Stage};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 8;
/// The most bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// From the accepting of a connection to its end.
const LONGEST: Duration = Duration::from_secs(10);
/// The pause after an accept that failed: the machine is out of something, such as open files.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a scrape that was begun may go on after the worker has ended.
const LAST: Duration = Duration::from_secs(1);

/// Why the metrics can't be served. `Display` says what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Something else listens there.
    #[error(
        "the metrics can't be served on {0}: it is in use by another program (another worker?); stop that one, or choose another port"
    )]
    InUse(SocketAddr),
    /// A port below 1024, or a firewall's word.
    #[error("the metrics can't be served on {0}: this user may not listen there; choose a port above 1023")]
    Forbidden(SocketAddr),
    /// No such address here.
    #[error(
        "the metrics can't be served on {0}: it is not an address of this machine; choose one that is, such as 127.0.0.1"
    )]
    NotHere(SocketAddr),
    /// Anything else: the address, and the system's words.
    #[error("the metrics can't be served on {0}: {1}; choose another address")]
    Other(SocketAddr, String),
}

/// A bound address, not served yet.
#[derive(Debug)]
pub struct Listener {
    listener: net::TcpListener,
    address: SocketAddr,
    metrics: Metrics,
    /// From the accepting of a connection to its end.
    longest: Duration,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// Why not.
    pub fn bind(address: SocketAddr, metrics: Metrics) -> Result<Self, ListenError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address),
            io::ErrorKind::PermissionDenied => ListenError::Forbidden(address),
            io::ErrorKind::AddrNotAvailable => ListenError::NotHere(address),
            _ => ListenError::Other(address, error.to_string()),
        };
        let listener = net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, metrics, longest: LONGEST })
    }

    /// The address, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the metrics until the end that is given.
    pub async fn serve(self, end: Shutdown) {
        let Self { listener, address, metrics, longest } = self;
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, %address, "the metrics can't be served"),
        };
        tracing::info!("the metrics are at http://{address}/metrics");
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
                        Ok((stream, _)) => {
                            is_failing = false;
                            let metrics = metrics.clone();
                            connections.spawn(async move {
                                converse(stream, metrics, longest).await;
                                drop(place);
                            });
                        }
                        Err(error) => {
                            if !std::mem::replace(&mut is_failing, true) {
                                tracing::warn!(%error, "a connection for the metrics could not be accepted; accepting is retried");
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
    }
}

/// Answers one request, within this time.
async fn converse(stream: TcpStream, metrics: Metrics, longest: Duration) {
    let service = service_fn(|request| {
        let answer = answer(&request, &metrics);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(longest)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(longest, connection).await {
        Ok(Ok(())) => {}
        // a peer that goes away or dawdles is its own affair
        Ok(Err(error)) => tracing::debug!(%error, "a connection for the metrics ended"),
        Err(_) => tracing::debug!("a connection for the metrics took too long, and was cut off"),
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return said(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "the metrics can only be read: GET /metrics\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match metrics.expose(Some(&accepted(request.headers()))) {
        Ok(exposition) => with_type(StatusCode::OK, exposition.content_type, exposition.text),
        Err(_) => said(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a metric can't be written as text; native histograms can't: give them classic buckets too\n",
        ),
    }
}

fn said(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", words)
}

fn with_type(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::{CLASSIC, OPEN_METRICS},
        shutdown::{Trigger, shutdown},
    };
    use prometheus_client::metrics::counter::Counter;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
        time::Instant,
    };

    struct Served {
        address: SocketAddr,
        end: Trigger,
        serving: JoinHandle<()>,
    }

    /// Generous: the machine may be busy.
    const LIMIT: Duration = Duration::from_secs(60);

    fn serve() -> Served {
        serve_within(LIMIT)
    }

    /// With so much time for each connection.
    fn serve_within(longest: Duration) -> Served {
        let metrics = Metrics::new();
        metrics.register(|registry| registry.register("images", "Images removed", Counter::<u64>::default()));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), metrics).unwrap();
        let listener = Listener { longest, ..listener };
        let (address, (end, ending)) = (listener.address(), shutdown());
        Served { address, end, serving: tokio::spawn(listener.serve(ending)) }
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // cut off is an answer, too
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn it_answers_with_metrics_at_one_path_and_says_so_elsewhere() {
        let served = serve();
        for (request, status, words) in [
            ("GET /metrics", "200 OK", "images_total 0\n"),
            ("GET /metrics?x=1", "200 OK", "images_total 0\n"),
            ("GET /", "404 Not Found", "the metrics are at /metrics"),
            ("GET /metrics/", "404 Not Found", "the metrics are at /metrics"),
            ("POST /", "404 Not Found", "the metrics are at /metrics"),
            ("POST /metrics", "405 Method Not Allowed", "GET /metrics"),
        ] {
            let answer = ask(served.address, &format!("{request} HTTP/1.1\r\nHost: here\r\n\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            assert!(
                answer.contains(words) && answer.contains("content-type: text/plain"),
                "{request}: {answer}"
            );
            assert_eq!(answer.contains("allow: GET, HEAD"), status.starts_with("405"), "{answer}");
        }
        let head = ask(served.address, "HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[tokio::test]
    async fn the_client_chooses_the_format_even_in_several_headers() {
        let served = serve();
        for (accept, kind) in [
            ("", CLASSIC),
            ("Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n", OPEN_METRICS),
            ("Accept: text/plain;q=0.2\r\nAccept: application/openmetrics-text;q=0.3\r\n", OPEN_METRICS),
        ] {
            let answer =
                ask(served.address, &format!("GET /metrics HTTP/1.1\r\nHost: here\r\n{accept}\r\n")).await;
            assert!(answer.contains(&format!("content-type: {kind}\r\n")), "{accept}: {answer}");
        }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_is_said_with_what_to_do() {
        let served = serve();
        let refused = |address| Listener::bind(address, Metrics::new()).unwrap_err().to_string();
        let said = refused(served.address);
        assert!(said.contains(&served.address.to_string()) && said.contains("choose another port"), "{said}");
        // an address for documentation, which no machine has
        let said = refused(([192, 0, 2, 1], 9464).into());
        assert!(said.contains("192.0.2.1:9464") && said.contains("127.0.0.1"), "{said}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let served = serve();
        let head = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
        let answer = ask(served.address, &head).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(ask(served.address, "GET /metrics HTTP/1.0\r\n\r\n").await.contains("images_total"));
    }

    // In real time: paused time goes on while a socket is waited for, which is no idleness of the test's.
    #[tokio::test]
    async fn who_says_nothing_is_cut_off_and_makes_room() {
        let longest = Duration::from_millis(200);
        let served = serve_within(longest);
        let begun = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(served.address).await.unwrap());
        }
        // on a busy machine it may be cut off itself
        let answered = async {
            while !ask(served.address, "GET /metrics HTTP/1.0\r\n\r\n").await.contains("images_total") {}
        };
        timeout(LIMIT, answered).await.unwrap();
        assert!(begun.elapsed() >= longest, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn it_ends_when_it_is_told_to_and_frees_the_address() {
        let served = serve_within(100 * LIMIT);
        let silent = TcpStream::connect(served.address).await.unwrap();
        assert!(ask(served.address, "GET /metrics HTTP/1.0\r\n\r\n").await.contains("images_total"));
        served.end.advance();
        timeout(LIMIT, served.serving).await.unwrap().unwrap();
        assert!(Listener::bind(served.address, Metrics::new()).is_ok());
        drop(silent);
    }
}
