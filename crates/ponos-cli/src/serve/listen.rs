//! Where requests come in: a loopback address, or a Unix socket that belongs to one user alone (0600).
//!
//! Invariant: a socket at which somebody may listen is neither replaced nor removed.

use crate::{exit::Exit, trouble::Trouble};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::{
    net::{UnixListener, UnixStream},
    time::{Instant, sleep},
};

/// How long another program's start in the same folder is waited for.
#[cfg(unix)]
const STARTING: std::time::Duration = std::time::Duration::from_secs(5);
/// The folder in which a socket is made: no longer than usual names are, for a path has hardly more than 100 bytes.
#[cfg(unix)]
const MADE_IN: &str = ".pns";

/// A bound address or socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, UnixPlace),
}

/// The file of a socket.
#[cfg(unix)]
pub(crate) struct UnixPlace {
    path: PathBuf,
    /// Device and inode: tells ours from another's at the same path.
    number: (u64, u64),
}

/// A connection.
pub(crate) enum Accepted {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Binds an address of this machine alone.
    pub(crate) async fn tcp(address: SocketAddr) -> Result<Self, Trouble> {
        if !address.ip().is_loopback() {
            return Err(Trouble::usage(format!(
                "--listen {address}: this is for programs of this machine; take 127.0.0.1 or [::1], or --socket where there is one"
            )));
        }
        let bound = TcpListener::bind(address).await;
        bound.map(Self::Tcp).map_err(|error| unusable(&address.to_string(), &error))
    }

    /// Binds a socket at that path; what is left of one that nobody listens at is replaced.
    #[cfg(unix)]
    pub(super) async fn unix(path: &Path) -> Result<Self, Trouble> {
        let failed = |error: io::Error| unusable(&path.display().to_string(), &error);
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // or two that start at a time both find nobody
        let _alone = alone(folder).await.map_err(failed)?;
        is_free(path).await.map_err(failed)?;
        bound(path, &folder.join(MADE_IN)).map_err(failed)
    }

    #[cfg(not(unix))]
    pub(super) async fn unix(path: &Path) -> Result<Self, Trouble> {
        let what = format!("--socket {}: this system has no Unix sockets; take --listen", path.display());
        Err(Trouble::usage(what))
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "a loopback address".into(), |at| format!("http://{at}")),
            #[cfg(unix)]
            Self::Unix(_, place) => place.path.display().to_string(),
        }
    }

    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // answers are small, and waited for
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(unix)]
impl Drop for UnixPlace {
    fn drop(&mut self) {
        if number(&self.path).is_ok_and(|number| number == self.number) {
            // gone meanwhile
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of what is at this path.
#[cfg(unix)]
fn number(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Locks a folder: while this is kept, no other one makes a socket in it.
#[cfg(unix)]
async fn alone(folder: &Path) -> io::Result<std::fs::File> {
    use std::fs::{File, TryLockError};
    let (folder, until) = (File::open(folder)?, Instant::now() + STARTING);
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(STARTING / 100).await,
            Err(TryLockError::WouldBlock) => {
                let what = "another program is about to listen in the same folder; try again";
                return Err(io::Error::other(what));
            }
        }
    }
}

/// Whether nothing is there, or a socket that nobody listens at.
#[cfg(unix)]
async fn is_free(path: &Path) -> io::Result<()> {
    use std::{io::ErrorKind, os::unix::fs::FileTypeExt};
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("something else is there; remove it, or choose another path"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::other("another program listens there; stop it, or choose another path")),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // another user's, or one that is too busy to answer
        Err(error) => Err(io::Error::other(format!(
            "a socket is there, and somebody may listen at it ({error}); remove it, or choose another path"
        ))),
    }
}

/// Makes the socket within a folder of its own, so that nobody can connect before its mode is set.
#[cfg(unix)]
fn bound(path: &Path, folder: &Path) -> io::Result<Listener> {
    use std::{
        fs::{self, DirBuilder, Permissions},
        os::unix::fs::{DirBuilderExt, PermissionsExt},
    };
    let inner = folder.join("s");
    // what one left that was killed here
    let _ = fs::remove_file(&inner);
    let _ = fs::remove_dir(folder);
    DirBuilder::new().mode(0o700).create(folder)?;
    let made = UnixListener::bind(&inner).and_then(|listener| {
        fs::set_permissions(&inner, Permissions::from_mode(0o600))?;
        let number = number(&inner)?;
        fs::rename(&inner, path)?;
        Ok(Listener::Unix(listener, UnixPlace { path: path.to_owned(), number }))
    });
    let _ = fs::remove_file(&inner);
    let _ = fs::remove_dir(folder);
    made
}

fn unusable(place: &str, error: &io::Error) -> Trouble {
    Trouble::Words(Exit::Configuration, format!("{place} can't be listened at: {error}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::unix::net::{UnixDatagram, UnixListener as Socket},
    };
    use tokio::time::timeout;

    fn refused(bound: Result<Listener, Trouble>) -> String {
        bound.err().map(|trouble| trouble.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn of_two_that_start_at_a_time_the_second_finds_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ponos.sock");
        let other = File::open(folder.path()).unwrap();
        other.lock().unwrap();
        let waiting = Listener::unix(&path);
        tokio::pin!(waiting);
        assert!(timeout(STARTING / 50, waiting.as_mut()).await.is_err(), "it did not wait for the other one");
        let _first = Socket::bind(&path).unwrap();
        other.unlock().unwrap();
        let said = refused(waiting.await);
        assert!(said.contains("another program listens there"), "{said}");
    }

    #[tokio::test]
    async fn a_socket_at_which_somebody_may_listen_stays_and_one_that_was_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ponos.sock");
        // no stream can be opened to it, for another reason than that nobody listens
        let other = UnixDatagram::bind(&path).unwrap();
        let said = refused(Listener::unix(&path).await);
        assert!(said.contains("somebody may listen at it"), "{said}");
        drop(other);
        fs::remove_file(&path).unwrap();
        drop(Socket::bind(&path).unwrap());
        let listener = Listener::unix(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(listener);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
    }

    #[tokio::test]
    async fn the_socket_of_another_one_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ponos.sock");
        let listener = Listener::unix(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let _other = Socket::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_longest_path_that_a_socket_may_have_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        // sun_path has 108 bytes on Linux, one of which is a zero
        let left = 107 - folder.path().as_os_str().len() - "//ponos.sock".len();
        let deep = folder.path().join("d".repeat(left));
        fs::create_dir(&deep).unwrap();
        let path = deep.join("ponos.sock");
        assert_eq!(path.as_os_str().len(), 107);
        Listener::unix(&path).await.unwrap();
    }
}
