//! Accepts connections, bounds them, and lets them end in peace.

use super::{
    guard::Local,
    listener::ControlSocket,
    patience::Patience,
    routes,
    site::{Limits, Site},
};
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ponos::shutdown::{Shutdown, Stage};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// Operators on the control socket at a time.
const OPERATORS: usize = 16;
/// The pause after an accept that failed: the machine is out of something, such as open files.
const BREATH: Duration = Duration::from_millis(200);

/// Serves what may be read, until the shutdown drains; requests that have begun may end.
pub async fn serve(listener: TcpListener, site: Site, shutdown: Shutdown) {
    let limits = site.limits;
    let router = routes::public(site, shutdown.clone());
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let Some(place) = place(&places, &mut connections, &shutdown).await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.reached(Stage::Draining) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Feeds are small writes that should leave at once; a peer without it is merely slower.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok().map(|address| address.ip());
                let connection = converse(stream, local, router.clone(), limits, shutdown.clone(), place);
                connections.spawn(connection);
            }
            Err(error) => breathe(&error).await,
        }
    }
    farewell(connections, limits).await;
}

/// Serves all that may be read, and what changes something, to whoever may open the socket.
pub async fn serve_control(socket: ControlSocket, site: Site, shutdown: Shutdown) {
    let limits = site.limits;
    let router = routes::control(site, shutdown.clone());
    let places = Arc::new(Semaphore::new(OPERATORS));
    let mut connections = JoinSet::new();
    loop {
        let Some(place) = place(&places, &mut connections, &shutdown).await else { break };
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = shutdown.reached(Stage::Draining) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, None, router.clone(), limits, shutdown.clone(), place));
            }
            Err(error) => breathe(&error).await,
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

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    local: Option<IpAddr>,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
    place: OwnedSemaphorePermit,
) {
    let service = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Local(local));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Patience::new(stream, limits.stall)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
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

async fn breathe(error: &std::io::Error) {
    tracing::warn!(%error, "an HTTP connection could not be accepted");
    tokio::time::sleep(BREATH).await;
}

async fn farewell(mut connections: JoinSet<()>, limits: Limits) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.farewell, all).await.is_err() {
        tracing::info!(connections = connections.len(), "HTTP connections were cut off at the end");
    }
}
