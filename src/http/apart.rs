//! HTTP on a thread and an event loop of its own, so that no request can delay publishing.

use super::{
    follower::{Serves, front},
    held::{self, HeldStore},
    listener::{ControlSocket, HttpError},
    server::{serve, serve_control, serve_control_router, serve_router},
    state::HttpState,
};
use crate::{apart::yield_to_publishing, ops};
use ponos::shutdown::Shutdown;
use std::net;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{oneshot, watch},
};

/// Threads for what takes a while.
const THREADS: usize = 3;

/// The interface as it is served.
#[derive(Debug)]
pub struct Serving(oneshot::Receiver<()>);

impl Serving {
    /// Waits until all is answered, or cut off, after the shutdown began to drain.
    pub async fn ended(self) {
        // Gone without a word is ended too.
        let _ = self.0.await;
    }
}

/// Serves what was bound, on a thread of its own.
///
/// # Errors
/// [`HttpError::Start`].
pub fn start(
    listener: Option<TcpListener>,
    control: Option<ControlSocket>,
    state: HttpState,
    shutdown: Shutdown,
) -> Result<Serving, HttpError> {
    let listener = unbound(listener)?;
    let serving = async move || {
        let public = async {
            if let Some(listener) = bound_again(listener) {
                serve(listener, state.clone(), shutdown.clone()).await;
            }
        };
        let operators = async {
            if let Some(control) = control {
                serve_control(control, state.clone(), shutdown.clone()).await;
            }
        };
        let audits = ops::self_audit::run(state.clock.clone(), shutdown.clone());
        tokio::join!(public, operators, audits);
    };
    apart(serving)
}

/// Serves what there is to serve from time to time, on a thread of its own: of the state are only who is let in, and the bounds.
///
/// # Errors
/// [`HttpError::Start`].
pub fn start_front(
    listener: Option<TcpListener>,
    state: HttpState,
    served: watch::Receiver<Serves>,
    shutdown: Shutdown,
) -> Result<Serving, HttpError> {
    let listener = unbound(listener)?;
    apart(async move || {
        if let Some(listener) = bound_again(listener) {
            serve_router(listener, state, front(served), shutdown).await;
        }
    })
}

/// Serves what a clock answers whose store is held, on a thread of its own.
///
/// # Errors
/// [`HttpError::Start`].
pub(crate) fn start_held(
    listener: Option<TcpListener>,
    control: ControlSocket,
    state: HttpState,
    held: HeldStore,
    shutdown: Shutdown,
) -> Result<Serving, HttpError> {
    let listener = unbound(listener)?;
    let (public, operators) = (held::public(state.clone(), held.clone()), held::control(state.clone(), held));
    apart(async move || {
        let limits = state.limits;
        let public = async {
            if let Some(listener) = bound_again(listener) {
                serve_router(listener, state, public, shutdown.clone()).await;
            }
        };
        let operators = serve_control_router(control, limits, operators, shutdown.clone());
        tokio::join!(public, operators);
    })
}

/// Events of a socket come by way of the event loop that it was made on.
fn unbound(listener: Option<TcpListener>) -> Result<Option<net::TcpListener>, HttpError> {
    listener.map(TcpListener::into_std).transpose().map_err(HttpError::Start)
}

fn bound_again(listener: Option<net::TcpListener>) -> Option<TcpListener> {
    listener.map(TcpListener::from_std).transpose().unwrap_or_else(|error| {
        tracing::error!(%error, "HTTP can't be served");
        None
    })
}

fn apart(serving: impl AsyncFnOnce() + Send + 'static) -> Result<Serving, HttpError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(HttpError::Start)?;
    let (done, ended) = oneshot::channel();
    let work = move || {
        yield_to_publishing();
        runtime.block_on(serving());
        // An audit may still be under way; nobody waits for it.
        runtime.shutdown_background();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    std::thread::Builder::new().name("http".into()).spawn(work).map_err(HttpError::Start)?;
    Ok(Serving(ended))
}
