//! One connection: made with a time limit, called with a time limit, and cut off at the socket when it hangs.

use super::{
    super::LinkError,
    BrokerHost,
    attempt::{Attempt, within},
    config::AmqpConfig,
    errors::{ConnectionPhase, classify, is_not_found, timeout, together, unreached},
    host_order::HostOrder,
    socket_handle::SocketHandle,
};
use futures_util::{FutureExt, Stream, StreamExt, stream::BoxStream};
use lapin::{Channel, Connection, Event, tcp::RustlsConnector};
use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The time limit for TCP alone where there is another address or host to try: the first packet is sent again after one
/// second, and who has not answered that will hardly answer the next.
const TCP_LIMIT: Duration = Duration::from_secs(3);
/// No more addresses of a name are tried.
const MOST_ADDRESSES: usize = 16;

/// An open connection. Dropping it cuts it off; [`Session::close`] says goodbye first.
pub(super) struct Session {
    connection: Connection,
    /// With the URL of its host alone.
    config: AmqpConfig,
    handle: Arc<SocketHandle>,
    order: Arc<HostOrder>,
    host: BrokerHost,
    address: SocketAddr,
    /// The host has other addresses too.
    is_one_of_several: bool,
    /// Whether its host was put back, or is not to be.
    is_judged: AtomicBool,
}

/// The events that the broker reports on a connection.
pub(super) type Events = BoxStream<'static, Event>;

impl Session {
    /// Connects to the first host that takes us, in their present order; `purpose` joins the connection's name.
    pub(super) async fn open(
        config: &AmqpConfig,
        order: &Arc<HostOrder>,
        purpose: &str,
    ) -> Result<Self, LinkError> {
        let config = config.renewed().await?;
        let connector = match config.url.is_tls() {
            true => Some(config.tls.connector().await?),
            false => None,
        };
        let name = format!("{} ({purpose})", config.connection_name);
        let hosts = order.hosts(&config.url);
        let opening = Opening { config: &config, order, connector, name, is_alone: hosts.len() == 1 };
        let mut failures = Vec::with_capacity(hosts.len());
        for host in &hosts {
            // boxed: whoever spawns a worker has its future looked through down to here by the compiler, which gives up at some depth
            match opening.on(host).boxed().await {
                Ok(session) => return Ok(session),
                Err(error) => failures.push(error),
            }
            order.put_back(host, None);
        }
        Err(together(&config.url, failures))
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
        let host = &self.host;
        match self.is_one_of_several {
            true => format!("RabbitMQ at {host} ({})", self.address.ip()),
            false => format!("RabbitMQ at {host}"),
        }
    }

    /// The connection was lost: the next attempt is to begin with another host, or another address of this one.
    pub(super) fn put_back(&self) {
        if !self.is_judged.swap(true, Ordering::SeqCst) {
            self.order.put_back(&self.host, Some(self.address));
            self.order.put_back(&self.host, None);
        }
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

/// What is the same for all hosts that are tried.
struct Opening<'a> {
    config: &'a AmqpConfig,
    order: &'a Arc<HostOrder>,
    connector: Option<RustlsConnector>,
    /// Shown in the broker's list of connections.
    name: String,
    /// There is no other host.
    is_alone: bool,
}

impl Opening<'_> {
    async fn on(&self, host: &BrokerHost) -> Result<Session, LinkError> {
        let config = AmqpConfig { url: self.config.url.on(host), ..self.config.clone() };
        let looking = tokio::net::lookup_host((host.name(), host.port()));
        let found = within(config.connect_timeout, looking).await;
        let found = found.map_err(|error| unreached(&config.url, &error))?;
        self.at(host, config, found.take(MOST_ADDRESSES).collect()).await
    }

    /// Connects to the first of the host's addresses that takes us.
    async fn at(
        &self,
        host: &BrokerHost,
        config: AmqpConfig,
        found: Vec<SocketAddr>,
    ) -> Result<Session, LinkError> {
        let is_one_of_several = found.len() > 1;
        let tcp_limit = match self.is_alone && !is_one_of_several {
            true => config.connect_timeout,
            false => TCP_LIMIT.min(config.connect_timeout),
        };
        let mut failures: Vec<(SocketAddr, LinkError)> = Vec::with_capacity(found.len());
        for address in self.order.addresses(host, found) {
            let connector = self.connector.as_ref();
            let attempt = Attempt { config: &config, address, connector, tcp_limit, name: &self.name };
            match attempt.connection().await {
                Ok((connection, handle)) => {
                    return Ok(Session {
                        connection,
                        config,
                        handle,
                        order: Arc::clone(self.order),
                        host: host.clone(),
                        address,
                        is_one_of_several,
                        is_judged: AtomicBool::new(false),
                    });
                }
                Err(error) => failures.push((address, error)),
            }
            self.order.put_back(host, Some(address));
        }
        // Which address it was matters where they failed differently.
        let differ = failures.windows(2).any(|pair| pair[0].1.what != pair[1].1.what);
        let said = failures.into_iter().map(|(address, error)| match differ {
            true => LinkError { what: format!("{}: {}", address.ip(), error.what), ..error },
            false => error,
        });
        Err(together(&config.url, said.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::LinkErrorClass, *};
    use std::net::TcpListener;

    #[tokio::test]
    async fn each_address_of_a_name_is_tried_within_a_limit_and_those_that_fail_differently_are_told_apart() {
        // The kernel answers for it, and nobody else ever does.
        let silent = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let url = format!("amqp://u:hunter2@rabbit.example:{port}?connection_timeout=300");
        let config = AmqpConfig::parse(&url).unwrap();
        let [host] = config.url.hosts() else { panic!("{url}") };
        let order = Arc::default();
        let opening =
            Opening { config: &config, order: &order, connector: None, name: "test".into(), is_alone: true };
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), port);
        let of = async |found: &[SocketAddr]| {
            opening.at(host, config.clone(), found.to_vec()).await.expect_err("nobody is there")
        };

        let error = of(&[at("127.0.0.2"), at("127.0.0.3")]).await;
        assert_eq!(error.class, LinkErrorClass::Unreachable);
        let longer = format!("127.0.0.2: connecting by rabbit.example:{port} took longer than 300ms");
        let refused = format!("127.0.0.3: no connection to rabbit.example:{port}: nobody listens there");
        assert!(error.what.contains(&format!("{longer}; {refused}")), "{error}");

        let error = of(&[at("127.0.0.3"), at("127.0.0.4")]).await;
        assert_eq!(error.what.matches("nobody listens").count(), 1, "{error}");
        assert!(!error.what.contains("127.0.0"), "{error}");
        let found = [at("127.0.0.3"), at("127.0.0.4"), at("127.0.0.2"), at("127.0.0.5")];
        let next = [at("127.0.0.5"), at("127.0.0.2"), at("127.0.0.4"), at("127.0.0.3")];
        assert_eq!(order.addresses(host, found.to_vec()), next, "the latest failure is tried last");
        assert!(of(&[]).await.what.contains("no connection to rabbit.example"));
    }
}
