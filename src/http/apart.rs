//! HTTP on a thread and an event loop of its own, so that no request can delay publishing.

use super::{
    listener::{ControlSocket, HttpError},
    server::{serve, serve_control},
    state::HttpState,
};
use crate::{apart::yield_to_publishing, ops};
use ponos::shutdown::Shutdown;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

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
    // Events of a socket come by way of the event loop that it was made on.
    let listener = listener.map(TcpListener::into_std).transpose().map_err(HttpError::Start)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(HttpError::Start)?;
    let (done, ended) = oneshot::channel();
    let work = move || {
        yield_to_publishing();
        runtime.block_on(async {
            let public = async {
                match listener.map(TcpListener::from_std).transpose() {
                    Ok(Some(listener)) => serve(listener, state.clone(), shutdown.clone()).await,
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "HTTP can't be served"),
                }
            };
            let operators = async {
                if let Some(control) = control {
                    serve_control(control, state.clone(), shutdown.clone()).await;
                }
            };
            let audits = ops::self_audit::run(state.clock.clone(), shutdown.clone());
            tokio::join!(public, operators, audits);
        });
        // An audit may still be under way; nobody waits for it.
        runtime.shutdown_background();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    std::thread::Builder::new().name("http".into()).spawn(work).map_err(HttpError::Start)?;
    Ok(Serving(ended))
}
