//! Where the clock listens: a TCP address, and a socket in the store's folder.

use std::{
    io,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};
use tokio::net::TcpListener;

/// Why the clock can't listen. `Display` says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Somebody else listens there.
    #[error(
        "{0} is in use by another program (another clock?); stop that one, or listen elsewhere with http.listen (KHRONOS_HTTP_LISTEN)"
    )]
    InUse(SocketAddr),
    /// A port below 1024, or a firewall's word.
    #[error(
        "this user may not listen on {0}; choose a port above 1023 with http.listen (KHRONOS_HTTP_LISTEN)"
    )]
    Forbidden(SocketAddr),
    /// No such address here.
    #[error("{0} is not an address of this machine; set http.listen (KHRONOS_HTTP_LISTEN) to one that is")]
    NotHere(SocketAddr),
    /// Anything else about the address.
    #[error(
        "can't listen on {address}: {error}; set http.listen (KHRONOS_HTTP_LISTEN), or http.enabled = false"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        error: io::Error,
    },
    /// Its certificate can't be used.
    #[error("HTTPS can't be served with [http.tls]: {0}")]
    Tls(ponos_http::TlsError),
    /// Its thread could not be started.
    #[error("the thread of the HTTP interface could not be started: {0}")]
    Start(io::Error),
    /// The control socket can't be made.
    #[error("can't create the control socket {path}: {what}; `khronos parked` needs it")]
    Control {
        /// The socket.
        path: PathBuf,
        /// What happened and what to do.
        what: String,
    },
}

/// Listens on a TCP address, or says why not: before anything else of the clock starts.
///
/// # Errors
/// [`HttpError`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => HttpError::InUse(address),
        io::ErrorKind::PermissionDenied => HttpError::Forbidden(address),
        io::ErrorKind::AddrNotAvailable => HttpError::NotHere(address),
        _ => HttpError::Listen { address, error },
    })
}

/// The control socket of a store.
pub fn control_path(store: &Path) -> PathBuf {
    store.join("control.sock")
}

/// A listening control socket; its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    /// Until it is served.
    pub(super) listener: Option<UnixListener>,
    path: PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Best effort: a file that stays is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the control socket of a store, for its owner alone (mode 0600). The caller holds the store's lock: what lies
/// there is left over from a clock that is gone, and is replaced.
///
/// # Errors
/// [`HttpError::Control`].
pub fn bind_control(store: &Path) -> Result<ControlSocket, HttpError> {
    let path = control_path(store);
    let unfinished = store.join("control.new");
    let failed = |what: String| HttpError::Control { path: path.clone(), what };
    // The limit of sun_path, terminating zero included, is 108 bytes on Linux and 104 elsewhere.
    if path.as_os_str().len() > 103 {
        return Err(failed(
            "its path is longer than 103 bytes; choose a shorter folder with store.path".into(),
        ));
    }
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error.to_string())),
        _ => {}
    }
    // Made beside its place and moved there once nobody else may use it.
    let listener = UnixListener::bind(&unfinished).map_err(|error| failed(error.to_string()))?;
    listener.set_nonblocking(true).map_err(|error| failed(error.to_string()))?;
    std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .map_err(|error| failed(error.to_string()))?;
    Ok(ControlSocket { listener: Some(listener), path })
}
