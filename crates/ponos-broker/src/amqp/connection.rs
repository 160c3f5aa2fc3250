//! One connection: made with a time limit, called with a time limit, and cut off at the socket when it hangs.

use super::{
    super::{LinkError, LinkErrorClass},
    config::AmqpConfig,
    errors::{ConnectionPhase, classify, is_not_found, no_stream, timeout},
    probe, reactor,
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event, tcp::RustlsConnector};
use std::{
    fmt,
    future::Future,
    io,
    net::Shutdown,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// An open connection. Dropping it cuts it off; [`Session::close`] says goodbye first.
pub(super) struct Session {
    connection: Connection,
    config: AmqpConfig,
    handle: Arc<SocketHandle>,
}

/// How often a connection that was closed without a word is tried before that is said.
const ATTEMPTS: u32 = 3;

/// Why an attempt to connect failed.
enum ConnectFailure {
    /// It is known.
    Known(LinkError),
    /// The other side closed it during the handshake, and nothing says why.
    Closed(LinkError),
}

/// The events that the broker reports on a connection.
pub(super) type Events = BoxStream<'static, Event>;

/// A second handle onto the socket: the only sure way to end lapin's thread while the other side, or an alarm, holds it.
#[derive(Default)]
struct SocketHandle {
    socket: Mutex<Option<std::net::TcpStream>>,
    failure: Mutex<Option<LinkError>>,
}

impl SocketHandle {
    fn shut_down(&self) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket {
            // It may be closed already, which is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether the socket was not shut down: else the connection is gone, even if lapin has not noticed yet.
    fn is_open(&self) -> bool {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn failure(&self) -> Option<LinkError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, error: LinkError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl Session {
    /// Connects; `purpose` joins the connection's name.
    pub(super) async fn open(config: &AmqpConfig, purpose: &str) -> Result<Self, LinkError> {
        let config = &config.renewed().await?;
        let mut attempts = 1;
        loop {
            match Self::attempt(config, purpose).await {
                // When the broker refuses us and closes, lapin may see the end before the reason: so ask again.
                Err(ConnectFailure::Closed(_)) if attempts < ATTEMPTS => attempts += 1,
                Err(ConnectFailure::Closed(error) | ConnectFailure::Known(error)) => return Err(error),
                Ok(session) => return Ok(session),
            }
        }
    }

    async fn attempt(config: &AmqpConfig, purpose: &str) -> Result<Self, ConnectFailure> {
        let connector = match config.url.is_tls() {
            true => Some(config.tls.connector().await.map_err(ConnectFailure::Known)?),
            false => None,
        };
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} ({purpose})", config.connection_name).into());
        let handle = Arc::new(SocketHandle::default());
        let opening = connect(config, connector, properties, handle.clone());
        let error = match tokio::time::timeout(config.connect_timeout, Box::pin(opening)).await {
            Ok(Ok(connection)) => return Ok(Self { connection, config: config.clone(), handle }),
            Ok(Err(error)) => error,
            Err(_) => {
                handle.shut_down();
                return Err(ConnectFailure::Known(timeout(
                    &config.url,
                    "connecting",
                    config.connect_timeout,
                )));
            }
        };
        handle.shut_down();
        if let Some(failure) = handle.failure() {
            return Err(ConnectFailure::Known(failure));
        }
        let said = classify(&config.url, ConnectionPhase::Handshake, &error);
        if said.class != LinkErrorClass::Unreachable || !error.is_io_error() {
            return Err(ConnectFailure::Known(said));
        }
        match probe::tls_trouble(config).await {
            Some(trouble) => Err(ConnectFailure::Known(trouble)),
            None => Err(ConnectFailure::Closed(said)),
        }
    }

    /// The one listener of this connection's events (lapin would deal them out among several).
    pub(super) fn events(&self) -> Events {
        fn boxed(events: impl Stream<Item = Event> + Send + 'static) -> Events {
            events.boxed()
        }
        boxed(self.connection.events_listener())
    }

    /// Whether it is still open.
    pub(super) fn is_open(&self) -> bool {
        self.handle.is_open() && self.connection.status().connected()
    }

    /// The broker, as [`Link::Up`](super::super::Link::Up) shows it.
    pub(super) fn broker(&self) -> String {
        format!("RabbitMQ at {}", self.config.url.address())
    }

    /// The user of the connection.
    pub(super) fn user(&self) -> Option<&str> {
        self.config.url.user()
    }

    /// The largest frame, in bytes; 0 for no limit.
    pub(super) fn frame_max(&self) -> u32 {
        self.connection.configuration().frame_max()
    }

    /// A fresh channel.
    pub(super) async fn channel(&self) -> Result<Channel, LinkError> {
        self.call("opening a channel", self.connection.create_channel()).await
    }

    /// Awaits a call to the broker, within the time limit. A connection that gave no answer is cut off: others
    /// that use it would wait as long again.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, LinkError> {
        match tokio::time::timeout(self.config.call_timeout, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.classify(&error)),
            Err(_) => {
                self.handle.shut_down();
                Err(timeout(&self.config.url, what, self.config.call_timeout))
            }
        }
    }

    /// Awaits a question for something that may not exist: `None` if the broker says so (404, which closes the channel).
    pub(super) async fn find<T>(
        &self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<Option<T>, LinkError> {
        let found = async {
            match call.await {
                Ok(found) => Ok(Some(found)),
                Err(error) if is_not_found(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.call(what, found).await
    }

    /// Classifies an error on the open connection.
    pub(super) fn classify(&self, error: &lapin::Error) -> LinkError {
        classify(&self.config.url, ConnectionPhase::Open, error)
    }

    /// That the connection is gone, when nothing says why.
    pub(super) fn gone(&self) -> LinkError {
        self.classify(&io::Error::from(io::ErrorKind::ConnectionAborted).into())
    }

    /// Says goodbye within the time limit, then cuts it off.
    pub(super) async fn close(self) {
        if self.is_open() {
            // Whatever comes of it, the socket is closed next.
            let _ = self.call("closing", self.connection.close(200, "goodbye".into())).await;
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("broker", &self.broker()).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.shut_down();
    }
}

async fn connect(
    config: &AmqpConfig,
    connector: Option<RustlsConnector>,
    properties: ConnectionProperties,
    handle: Arc<SocketHandle>,
) -> lapin::Result<Connection> {
    let (url, limit) = (config.url.clone(), config.connect_timeout);
    let runtime = {
        let reactor = reactor::handle()?;
        // lapin takes the runtime that it finds itself in
        let _within = reactor.enter();
        lapin::runtime::default_runtime()?
    };
    Connection::connector(
        config.uri(),
        runtime,
        async move |_, runtime| {
            // lapin runs this on its own thread, which must end even when nobody waits for it any more.
            let made = within(limit, async {
                let plain = AsyncTcpStream::connect(
                    &runtime,
                    runtime.to_socket_addrs((url.host().to_owned(), url.port())),
                )
                .await?;
                if let AsyncTcpStream::Plain(stream) = &plain {
                    let socket = duplicate(stream.get_ref())?;
                    *handle.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
                }
                match &connector {
                    None => Ok(plain),
                    Some(connector) => plain.into_rustls(connector, url.host()).await,
                }
            });
            made.await.map_err(|error| {
                handle.failed(no_stream(&url, &error));
                lapin::Error::from(error)
            })
        },
        properties,
    )
    .await
}

pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
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
