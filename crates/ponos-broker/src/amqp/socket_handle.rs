//! A second handle onto a connection's socket.

use super::super::LinkError;
use std::{
    io,
    net::Shutdown,
    sync::{Mutex, PoisonError},
};

/// A second handle onto the socket: the only sure way to end lapin's thread while the other side, or an alarm, holds it.
#[derive(Default)]
pub(super) struct SocketHandle {
    socket: Mutex<Option<std::net::TcpStream>>,
    failure: Mutex<Option<LinkError>>,
}

impl SocketHandle {
    /// Takes hold of the socket below a stream.
    pub(super) fn hold(&self, stream: &tokio::net::TcpStream) -> io::Result<()> {
        let socket = duplicate(stream)?;
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        Ok(())
    }

    /// Ends the connection, whatever it is doing.
    pub(super) fn shut_down(&self) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket {
            // It may be closed already, which is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether the socket was not shut down: else the connection is gone, even if lapin has not noticed yet.
    pub(super) fn is_open(&self) -> bool {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why no stream was made, once.
    pub(super) fn failure(&self) -> Option<LinkError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes why no stream was made.
    pub(super) fn failed(&self, error: LinkError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

#[cfg(unix)]
fn duplicate(stream: &tokio::net::TcpStream) -> io::Result<std::net::TcpStream> {
    use std::os::fd::AsFd;
    // Acks and confirms are small: they must not wait for each other.
    stream.set_nodelay(true)?;
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn duplicate(stream: &tokio::net::TcpStream) -> io::Result<std::net::TcpStream> {
    use std::os::windows::io::AsSocket;
    stream.set_nodelay(true)?;
    Ok(stream.as_socket().try_clone_to_owned()?.into())
}
