//! Accepts connections, bounds their number, encrypts those on TCP where that is configured, and drains them at shutdown.

use super::{
    connection::Connection, feed, limits::Limits, listener::ControlSocket, reserve::Reserve, routes,
    seat::Seat, shares::Shares, state::HttpState,
};
use crate::clock;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, header},
};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ponos::shutdown::{Shutdown, Stage};
use ponos_http::WriteTimeout;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinSet, yield_now},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The pause after an accept that failed: the machine is out of something, such as open files.
const PAUSE: Duration = Duration::from_millis(200);
/// Until the head of a request must have come on a connection of the reserve.
const HASTE: Duration = Duration::from_secs(2);

/// Serves whoever may do what he asks for, until the shutdown drains; requests that have begun may end.
pub async fn serve(listener: TcpListener, state: HttpState, shutdown: Shutdown) {
    let router = routes::public(state.clone(), shutdown.clone());
    serve_router(listener, state, router, shutdown).await;
}

/// The same by this router: of the state are only who is let in, and the bounds.
pub(super) async fn serve_router(
    listener: TcpListener,
    state: HttpState,
    router: Router,
    shutdown: Shutdown,
) {
    let limits = state.limits;
    let tls = state.tls.clone();
    let clear = routes::clear(state.access.clone());
    let places = Shares::new(limits.connections);
    // Where tokens are wanted, who shows none keeps no place longer than for one answer.
    let is_kept = !state.access.wants_tokens();
    let mut reserve = Reserve::new(limits.reserve);
    let mut connections = JoinSet::new();
    // Ends with this function.
    let mut following = JoinSet::new();
    if let Some(tls) = &tls {
        following.spawn(tls.clone().follow(clock::now));
    }
    following.spawn(state.access.clone().follow());
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        if places.are_taken() && !reserve.has_room() {
            // All are being answered, which is soon done.
            tokio::select! {
                _ = connections.join_next() => continue,
                () = shutdown.reached(Stage::Draining) => break,
            }
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.reached(Stage::Draining) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error, &mut failing).await;
                continue;
            }
        };
        failing = false;
        prepare(&stream, limits);
        let ip = |address: std::io::Result<SocketAddr>| address.ok().map(|address| address.ip());
        let (local, peer) = (ip(stream.local_addr()), ip(stream.peer_addr()));
        let connection = Connection { local, peer, encrypted: tls.is_some() };
        let share = places.take(state.whose_connection(connection));
        let in_reserve = share.is_err();
        if in_reserve && !reserve.has_room() {
            // Its address has its share, and there is no place to hear it.
            refuse(&stream, tls.is_some());
            continue;
        }
        let encryption = tls.as_ref().map(|tls| (tls.acceptor(), clear.clone()));
        let seat = Arc::new(Seat::new(places.clone(), share, is_kept));
        let talk = Talk { seat: Some((seat.clone(), connection)), limits, place: None, in_reserve };
        let begun = talk.begin(stream, encryption, router.clone(), shutdown.clone());
        if in_reserve {
            reserve.make_room();
            reserve.admit(connections.spawn(begun), &seat);
            // Else a crowd that comes at once would push out who only waits for a turn of this thread.
            yield_now().await;
        } else {
            connections.spawn(begun);
        }
    }
    farewell(connections, limits).await;
}

/// Serves everything to users who may open the socket.
pub async fn serve_control(socket: ControlSocket, state: HttpState, shutdown: Shutdown) {
    let limits = state.limits;
    let router = routes::control(state.for_operators(), shutdown.clone());
    serve_control_router(socket, limits, router, shutdown).await;
}

/// The same by this router.
pub(super) async fn serve_control_router(
    mut socket: ControlSocket,
    limits: Limits,
    router: Router,
    shutdown: Shutdown,
) {
    let Some(listener) = socket.listener.take() else { return };
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the control socket can't be served; `khronos parked` needs it");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(limits.operators));
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        let Some(place) = place(&places, &mut connections, &shutdown).await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.reached(Stage::Draining) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                failing = false;
                let talk = Talk { seat: None, limits, place: Some(place), in_reserve: false };
                connections.spawn(talk.converse(stream, router.clone(), shutdown.clone()));
            }
            Err(error) => pause(&error, &mut failing).await,
        }
    }
    drop(socket);
    farewell(connections, limits).await;
}

/// A place for one more connection; `None` once the shutdown drains.
async fn place(
    places: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> Option<OwnedSemaphorePermit> {
    while connections.try_join_next().is_some() {}
    tokio::select! {
        place = places.clone().acquire_owned() => place.ok(),
        () = shutdown.reached(Stage::Draining) => None,
    }
}

/// A connection.
struct Talk {
    /// Its place, and where it comes from; none on the control socket.
    seat: Option<(Arc<Seat>, Connection)>,
    limits: Limits,
    /// On the control socket.
    place: Option<OwnedSemaphorePermit>,
    /// It may ask once.
    in_reserve: bool,
}

impl Talk {
    /// Encrypts the connection if it is to be, and converses; one that is not encrypted then is answered by the router that is
    /// given with the acceptor.
    async fn begin(
        self,
        stream: TcpStream,
        encryption: Option<(TlsAcceptor, Router)>,
        router: Router,
        shutdown: Shutdown,
    ) {
        let Some((acceptor, clear)) = encryption else {
            return self.converse(stream, router, shutdown).await;
        };
        let begun = tokio::select! {
            begun = tokio::time::timeout(self.haste(), encrypted(stream, acceptor)) => begun,
            () = shutdown.reached(Stage::Draining) => return,
        };
        match begun {
            Ok(Ok(Begun::Encrypted(stream))) => self.converse(stream, router, shutdown).await,
            Ok(Ok(Begun::Clear(stream))) => self.converse(stream, clear, shutdown).await,
            // A peer that goes away or dawdles is its own affair, and so is one that believes other authorities.
            Ok(Err(error)) => tracing::debug!(%error, "an HTTPS connection was not begun"),
            Err(_) => tracing::debug!("an HTTPS connection was not begun in time"),
        }
    }

    /// Until the head of a request must have come, or TLS have begun.
    fn haste(&self) -> Duration {
        if self.in_reserve { self.limits.head.min(HASTE) } else { self.limits.head }
    }

    /// Answers requests until the peer, a limit or the shutdown ends the connection.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        router: Router,
        shutdown: Shutdown,
    ) {
        let haste = self.haste();
        let Self { seat, limits, place, in_reserve } = self;
        let feeding = Arc::new(AtomicBool::new(false));
        let feeds = feeding.clone();
        let service = TowerToHyperService::new(router);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            feeds.store(feed::PATHS.contains(&request.uri().path()), Ordering::Relaxed);
            let mut request = request.map(Body::new);
            let seat = seat.clone().map(|(seat, from)| {
                seat.note_asked();
                request.extensions_mut().insert(from);
                request.extensions_mut().insert(seat.clone());
                seat
            });
            let answer = service.call(request);
            async move {
                let Ok(mut answer) = answer.await;
                if seat.is_some_and(|seat| !seat.is_kept()) {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Also how long a connection may be idle between two requests.
            .header_read_timeout(haste)
            .keep_alive(!in_reserve)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(WriteTimeout::new(stream, limits.stall)), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = tokio::time::sleep(limits.age) => {
                connection.as_mut().graceful_shutdown();
                // A feed is read as long as it is read; whatever else was begun has this long.
                let last = async {
                    tokio::time::sleep(limits.audit).await;
                    while feeding.load(Ordering::Relaxed) {
                        tokio::time::sleep(limits.age).await;
                    }
                };
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = last => Ok(()),
                }
            }
            () = shutdown.reached(Stage::Draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // A peer that goes away or dawdles is its own affair.
            tracing::debug!(%error, "an HTTP connection ended");
        }
        drop(place);
    }
}

/// A connection whose first byte has come.
enum Begun {
    Encrypted(Box<TlsStream<TcpStream>>),
    /// It does not begin as TLS does.
    Clear(TcpStream),
}

/// The first byte of TLS: a record of a handshake (RFC 8446, §5.1).
const HANDSHAKE: u8 = 22;

async fn encrypted(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<Begun> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
        return Ok(Begun::Clear(stream));
    }
    acceptor.accept(stream).await.map(Box::new).map(Begun::Encrypted)
}

/// Sets how a connection sends; one where that fails is merely slower, or found dead later.
fn prepare(stream: &TcpStream, limits: Limits) {
    // Feeds are small writes that should leave at once.
    let _ = stream.set_nodelay(true);
    // A peer that is gone takes nothing, though the system takes the comments of its feed for a long time.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.stall));
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
}

/// Tells a connection that nobody has a place for why it is closed, as far as that is taken at once.
fn refuse(stream: &TcpStream, encrypted: bool) {
    const REFUSED: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if !encrypted {
        // What is closed with something unread is reset, and the answer may be lost with it.
        let _ = stream.try_read(&mut [0; 4096]);
        let _ = stream.try_write(REFUSED);
    }
    tracing::debug!("a connection was refused: its address has its share, and the reserve is full");
}

async fn pause(error: &std::io::Error, failing: &mut bool) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(%error, "an HTTP connection could not be accepted; accepting is retried");
    }
    tokio::time::sleep(PAUSE).await;
}

async fn farewell(mut connections: JoinSet<()>, limits: Limits) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.farewell, all).await.is_err() {
        tracing::info!(connections = connections.len(), "HTTP connections were cut off at the end");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_peer_that_is_gone_does_not_confirm_ends_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let limits = Limits::default();
        prepare(&stream, limits);
        let timeout = socket2::SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(limits.stall));
        assert!(stream.nodelay().unwrap());
    }
}
