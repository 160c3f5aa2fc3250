//! Accepts connections, bounds their number, encrypts those on TCP where that is configured, and drains them at shutdown.

use super::{
    connection::Connection,
    feed,
    limits::Limits,
    listener::ControlSocket,
    reserve::{Asked, Reserve},
    routes,
    shares::{Addresses, Share},
    state::HttpState,
    write_timeout::WriteTimeout,
};
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ponos::shutdown::{Shutdown, Stage};
use std::{
    net::{IpAddr, SocketAddr},
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
    let limits = state.limits;
    let tls = state.tls.clone();
    let crowded = routes::crowded(state.clone());
    let router = routes::public(state.clone(), shutdown.clone());
    let clear = routes::clear(state.access.clone());
    let places = Arc::new(Semaphore::new(limits.connections));
    let shares = Addresses::new(limits.connections.div_ceil(4), state.access.is_behind_proxy());
    let mut reserve = Reserve::new(limits.reserve);
    let mut connections = JoinSet::new();
    // Ends with this function.
    let mut following = JoinSet::new();
    if let Some(tls) = &tls {
        following.spawn(tls.clone().follow());
    }
    following.spawn(state.access.clone().follow());
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        if places.available_permits() == 0 && !reserve.has_room() {
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
        // Feeds are small writes that should leave at once; a peer without it is merely slower.
        let _ = stream.set_nodelay(true);
        let ip = |address: std::io::Result<SocketAddr>| address.ok().map(|address| address.ip());
        let (local, peer) = (ip(stream.local_addr()), ip(stream.peer_addr()));
        let connection = Some(Connection { local, peer, encrypted: tls.is_some() });
        let encryption = tls.as_ref().map(|tls| (tls.acceptor(), clear.clone()));
        let share = shares.take(peer);
        if let Some(share) = share
            && let Ok(place) = places.clone().try_acquire_owned()
        {
            let share = Some(Arc::new(share));
            let talk = Talk { connection, limits, place: Some(place), share, asked: None };
            connections.spawn(talk.begin(stream, encryption, router.clone(), shutdown.clone()));
        } else if reserve.has_room() {
            reserve.make_room();
            let asked = Asked::default();
            let talk = Talk { connection, limits, place: None, share: None, asked: Some(asked.clone()) };
            let begun = talk.begin(stream, encryption, crowded.clone(), shutdown.clone());
            let connection = connections.spawn(begun);
            reserve.admit(connection, asked);
            // Else a crowd that comes at once would push out who only waits for a turn of this thread.
            yield_now().await;
        }
    }
    farewell(connections, limits).await;
}

/// Serves everything to users who may open the socket.
pub async fn serve_control(mut socket: ControlSocket, state: HttpState, shutdown: Shutdown) {
    let limits = state.limits;
    let router = routes::control(state.for_operators(), shutdown.clone());
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
                let talk = Talk { connection: None, limits, place: Some(place), share: None, asked: None };
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
    /// Where it comes from; none on the control socket.
    connection: Option<Connection>,
    limits: Limits,
    place: Option<OwnedSemaphorePermit>,
    /// Of the address that it comes from, as long as nobody has shown a token on it.
    share: Option<Arc<Share<IpAddr>>>,
    /// Given for a connection of the reserve, which may ask once.
    asked: Option<Asked>,
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
        if self.asked.is_some() { self.limits.head.min(HASTE) } else { self.limits.head }
    }

    /// Answers requests until the peer, a limit or the shutdown ends the connection.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        router: Router,
        shutdown: Shutdown,
    ) {
        let haste = self.haste();
        let Self { connection: from, limits, place, share, asked } = self;
        let in_reserve = asked.is_some();
        let feeding = Arc::new(AtomicBool::new(false));
        let feeds = feeding.clone();
        let service = TowerToHyperService::new(router);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            if let Some(asked) = &asked {
                asked.note();
            }
            feeds.store(feed::PATHS.contains(&request.uri().path()), Ordering::Relaxed);
            let mut request = request.map(Body::new);
            if let Some(from) = from {
                request.extensions_mut().insert(from);
            }
            if let Some(share) = &share {
                request.extensions_mut().insert(share.clone());
            }
            service.call(request)
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
