//! Where requests come in: a loopback address, or a Unix socket that belongs to one user alone (0600).

use crate::{exit::Exit, trouble::Trouble};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A bound address or socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Binds an address of this machine alone.
    pub(super) async fn tcp(address: SocketAddr) -> Result<Self, Trouble> {
        if !address.ip().is_loopback() {
            return Err(Trouble::usage(format!(
                "--listen {address}: ponos serve is for programs of this machine; take 127.0.0.1 or [::1], or --socket"
            )));
        }
        let bound = TcpListener::bind(address).await;
        bound.map(Self::Tcp).map_err(|error| unusable(&address.to_string(), &error))
    }

    /// Binds a socket at that path; what is left of one that nobody listens at is replaced.
    #[cfg(unix)]
    pub(super) async fn unix(path: &Path) -> Result<Self, Trouble> {
        use std::{
            fs::{self, DirBuilder, Permissions},
            os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        };
        let failed = |error: io::Error| unusable(&path.display().to_string(), &error);
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed(io::Error::other(
                    "something else is there; remove it, or choose another path",
                )));
            }
            Ok(_) if UnixStream::connect(path).await.is_ok() => {
                return Err(failed(io::Error::other(
                    "another program listens there; stop it, or choose another path",
                )));
            }
            _ => {}
        }
        // made within a folder of its own, so that nobody can connect before its mode is set
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let folder = path.with_file_name(name);
        let _ = fs::remove_file(folder.join("s"));
        let _ = fs::remove_dir(&folder);
        DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let inner = folder.join("s");
        let made = UnixListener::bind(&inner).and_then(|listener| {
            fs::set_permissions(&inner, Permissions::from_mode(0o600))?;
            fs::rename(&inner, path)?;
            Ok(listener)
        });
        let _ = fs::remove_dir(&folder);
        made.map(|listener| Self::Unix(listener, path.to_owned())).map_err(failed)
    }

    #[cfg(not(unix))]
    pub(super) async fn unix(path: &Path) -> Result<Self, Trouble> {
        let what = format!("--socket {}: this system has no Unix sockets; take --listen", path.display());
        Err(Trouble::usage(what))
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "a loopback address".into(), |at| format!("http://{at}")),
            #[cfg(unix)]
            Self::Unix(_, path) => path.display().to_string(),
        }
    }

    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // answers are small, and waited for
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // gone already, or no longer ours to remove
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unusable(place: &str, error: &io::Error) -> Trouble {
    Trouble::Words(Exit::Configuration, format!("{place} can't be listened at: {error}"))
}
