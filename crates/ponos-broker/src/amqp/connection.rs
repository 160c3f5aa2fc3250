//! One connection: made with a time limit, called with a time limit, and cut off at the socket when it hangs.

use super::{
    super::{LinkError, LinkErrorClass},
    BrokerHost,
    config::AmqpConfig,
    errors::{ConnectionPhase, classify, is_not_found, timeout},
    round::Round,
    socket_handle::SocketHandle,
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use lapin::{Channel, Connection, Event, options::ConfirmSelectOptions};
use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// An open connection. Dropping it cuts it off; [`Session::close`] says goodbye first.
pub(super) struct Session {
    connection: Connection,
    handle: Arc<SocketHandle>,
    place: Place,
    /// Whether its host was put back, or is not to be.
    is_judged: AtomicBool,
}

/// Where a connection is.
#[derive(Debug)]
pub(super) struct Place {
    /// With the URL of the host alone.
    pub(super) config: AmqpConfig,
    pub(super) host: BrokerHost,
    pub(super) address: SocketAddr,
    /// The host's name has other addresses too.
    pub(super) is_one_of_several: bool,
    /// So it has, or the URL names other hosts.
    pub(super) is_in_cluster: bool,
}

/// The events that the broker reports on a connection.
pub(super) type Events = BoxStream<'static, Event>;

impl Session {
    /// Connects to the first host that takes us, in their present order; `purpose` joins the connection's name.
    pub(super) async fn open(config: &AmqpConfig, purpose: &str) -> Result<Self, LinkError> {
        let config = config.renewed().await?;
        let connector = match config.url.is_tls() {
            true => Some(config.tls.connector().await?),
            false => None,
        };
        Round::new(&config, connector, purpose).first_that_takes_us().await
    }

    pub(super) fn new((connection, handle): (Connection, Arc<SocketHandle>), place: Place) -> Self {
        Self { connection, handle, place, is_judged: AtomicBool::new(false) }
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
        let Place { host, address, is_one_of_several, .. } = &self.place;
        match is_one_of_several {
            true => format!("RabbitMQ at {host} ({})", address.ip()),
            false => format!("RabbitMQ at {host}"),
        }
    }

    /// The connection was lost: the next attempt is to begin with another host, or another address of this one.
    pub(super) fn put_back(&self) {
        if !self.is_judged.swap(true, Ordering::SeqCst) {
            let Place { config, host, address, .. } = &self.place;
            config.order.put_back_address(host, *address);
            config.order.put_back(host);
        }
    }

    /// Whether it is because of this error that a node of a cluster can't be reached any more: the others elect new leaders of
    /// queues now. A connection that a message broke is another matter.
    pub(super) fn lost_its_node(&self, error: &LinkError) -> bool {
        self.place.is_in_cluster && !self.is_open() && error.class == LinkErrorClass::Unreachable
    }

    /// The user of the connection.
    pub(super) fn user(&self) -> Option<&str> {
        self.place.config.url.user()
    }

    /// The largest frame, in bytes; 0 for no limit.
    pub(super) fn frame_max(&self) -> u32 {
        self.connection.configuration().frame_max()
    }

    /// A fresh channel.
    pub(super) async fn channel(&self) -> Result<Channel, LinkError> {
        self.call("opening a channel", self.connection.create_channel()).await
    }

    /// A fresh channel on which publishings are confirmed.
    pub(super) async fn confirm_channel(&self) -> Result<Channel, LinkError> {
        let channel = self.channel().await?;
        self.call("asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Awaits a call to the broker, within the time limit. A connection that gave no answer is cut off: others
    /// that use it would wait as long again.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, LinkError> {
        match tokio::time::timeout(self.place.config.call_timeout, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.classify(&error)),
            Err(_) => {
                self.handle.shut_down();
                Err(timeout(&self.place.config.url, what, self.place.config.call_timeout))
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
        classify(&self.place.config.url, ConnectionPhase::Open, error)
    }

    /// That the connection is gone, when nothing says why.
    pub(super) fn gone(&self) -> LinkError {
        self.classify(&io::Error::from(io::ErrorKind::ConnectionAborted).into())
    }

    /// Says goodbye within the time limit, then cuts it off.
    pub(super) async fn close(self) {
        if self.is_open() {
            // We leave: that says nothing against its host.
            self.is_judged.store(true, Ordering::SeqCst);
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
        if !self.is_open() {
            self.put_back();
        }
        self.handle.shut_down();
    }
}
