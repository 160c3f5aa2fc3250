//! One attempt to connect: to one address of one host, within a time limit, so that a host that swallows what is sent to it
//! holds up no other.

use super::{
    super::{LinkError, LinkErrorClass},
    config::AmqpConfig,
    errors::{ConnectionPhase, classify, no_stream, timeout, unreached},
    probe, reactor,
    socket_handle::SocketHandle,
};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, tcp::RustlsConnector};
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How often a connection that was closed without a word is tried before that is said.
const ATTEMPTS: u32 = 3;

/// Where to connect, and how.
pub(super) struct Attempt<'a> {
    /// With the URL of this host alone.
    pub(super) config: &'a AmqpConfig,
    pub(super) address: SocketAddr,
    /// For `amqps`. It compares the certificate with the host's name, whatever the address.
    pub(super) connector: Option<&'a RustlsConnector>,
    /// The time limit for all of it: TCP, TLS and the AMQP handshake, however often it is tried.
    pub(super) limit: Duration,
    /// Shown in the broker's list of connections.
    pub(super) name: &'a str,
}

/// Why an attempt to connect failed.
enum ConnectFailure {
    /// It is known.
    Known(LinkError),
    /// The other side closed it during the handshake, and nothing says why.
    Closed(LinkError),
    /// It took too long.
    Late(LinkError),
}

impl Attempt<'_> {
    /// An open connection with its socket.
    pub(super) async fn connection(&self) -> Result<(Connection, Arc<SocketHandle>), LinkError> {
        let until = Instant::now() + self.limit;
        let (mut attempts, mut closed) = (1, None);
        loop {
            match self.once(until).await {
                // When the broker refuses us and closes, lapin may see the end before the reason: so ask again.
                Err(ConnectFailure::Closed(error)) if attempts < ATTEMPTS && Instant::now() < until => {
                    attempts += 1;
                    closed = Some(error);
                }
                Err(ConnectFailure::Closed(error) | ConnectFailure::Known(error)) => return Err(error),
                Err(ConnectFailure::Late(error)) => return Err(closed.unwrap_or(error)),
                Ok(opened) => return Ok(opened),
            }
        }
    }

    /// Whether somebody listens there, who is told nothing.
    pub(super) async fn reach(&self) -> Result<(), LinkError> {
        let reached = within(self.limit, TcpStream::connect(self.address)).await;
        reached.map(drop).map_err(|error| unreached(&self.config.url, &error))
    }

    async fn once(&self, until: Instant) -> Result<(Connection, Arc<SocketHandle>), ConnectFailure> {
        let url = &self.config.url;
        let handle = Arc::new(SocketHandle::default());
        let opening = self.connect(handle.clone());
        let error = match timeout_at(until, Box::pin(opening)).await {
            Ok(Ok(connection)) => return Ok((connection, handle)),
            Ok(Err(error)) => error,
            Err(_) => {
                handle.shut_down();
                return Err(ConnectFailure::Late(timeout(url, "connecting", self.limit)));
            }
        };
        handle.shut_down();
        if let Some(failure) = handle.failure() {
            return Err(ConnectFailure::Known(failure));
        }
        let said = classify(url, ConnectionPhase::Handshake, &error);
        if said.class != LinkErrorClass::Unreachable || !error.is_io_error() {
            return Err(ConnectFailure::Known(said));
        }
        match probe::tls_trouble(self, until).await {
            Some(trouble) => Err(ConnectFailure::Known(trouble)),
            None => Err(ConnectFailure::Closed(said)),
        }
    }

    async fn connect(&self, handle: Arc<SocketHandle>) -> lapin::Result<Connection> {
        let (url, limit) = (self.config.url.clone(), self.limit);
        let (address, connector) = (self.address, self.connector.cloned());
        let runtime = {
            let reactor = reactor::handle()?;
            // lapin takes the runtime that it finds itself in
            let _within = reactor.enter();
            lapin::runtime::default_runtime()?
        };
        Connection::connector(
            self.config.uri(),
            runtime,
            async move |uri, runtime| {
                // lapin runs this on its own thread, which must end even when nobody waits for it any more.
                let plain = within(limit, AsyncTcpStream::connect(&runtime, address)).await;
                let held = plain.and_then(|plain| {
                    if let AsyncTcpStream::Plain(stream) = &plain {
                        handle.hold(stream.get_ref())?;
                    }
                    Ok(plain)
                });
                let plain = held.inspect_err(|error| handle.failed(unreached(&url, error)))?;
                match &connector {
                    None => Ok(plain),
                    Some(connector) => {
                        let secured = plain.into_rustls(connector, &uri.authority.host);
                        let secured = within(limit, secured).await;
                        Ok(secured.inspect_err(|error| handle.failed(no_stream(&url, error)))?)
                    }
                }
            },
            ConnectionProperties::default().with_connection_name(self.name.into()),
        )
        .await
    }
}

/// Awaits `work` for at most so long.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}
